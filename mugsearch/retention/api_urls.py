from django.urls import path

from mugsearch.retention import api, certificate_api, hold_api

urlpatterns = [
    path("expungements", api.Orders.as_view(), name="api_expungements"),
    path("expungements/preview", api.PreviewOfBooking.as_view(), name="api_preview_booking"),
    path("expungements/<uuid:pk>", api.OneOrder.as_view(), name="api_expungement"),
    path("expungements/<uuid:pk>/preview", api.PreviewOfOrder.as_view(), name="api_preview_expungement"),
    path("expungements/<uuid:pk>/approve", api.Approve.as_view(), name="api_approve_expungement"),
    path("expungements/<uuid:pk>/withdraw", api.Withdraw.as_view(), name="api_withdraw_expungement"),
    path("expungements/<uuid:pk>/certificate", certificate_api.AsJson.as_view(), name="api_certificate"),
    path("expungements/<uuid:pk>/certificate.pdf", certificate_api.AsPdf.as_view(), name="api_certificate_pdf"),
    path("holds", hold_api.Holds.as_view(), name="api_holds"),
    path("holds/<uuid:pk>/lift", hold_api.LiftHold.as_view(), name="api_lift_hold"),
]
