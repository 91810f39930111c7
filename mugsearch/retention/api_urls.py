from django.urls import path

from mugsearch.retention import api

urlpatterns = [
    path("expungements", api.Orders.as_view(), name="api_expungements"),
    path("expungements/preview", api.PreviewOfBooking.as_view(), name="api_preview_booking"),
    path("expungements/<uuid:pk>", api.OneOrder.as_view(), name="api_expungement"),
    path("expungements/<uuid:pk>/preview", api.PreviewOfOrder.as_view(), name="api_preview_expungement"),
    path("expungements/<uuid:pk>/approve", api.Approve.as_view(), name="api_approve_expungement"),
    path("expungements/<uuid:pk>/withdraw", api.Withdraw.as_view(), name="api_withdraw_expungement"),
]
