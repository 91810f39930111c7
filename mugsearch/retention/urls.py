from django.urls import path

from mugsearch.retention import hold_views, views

urlpatterns = [
    path("", views.orders, name="expungements"),
    path("new", views.new, name="new_expungement"),
    path("holds", hold_views.holds, name="holds"),
    path("holds/on/<uuid:booking_id>", hold_views.new_hold, name="new_hold"),
    path("holds/<uuid:hold_id>/lift", hold_views.lift_hold, name="lift_hold"),
    path("<uuid:order_id>", views.order, name="expungement"),
    path("<uuid:order_id>/approve", views.approve, name="approve_expungement"),
    path("<uuid:order_id>/withdraw", views.withdraw, name="withdraw_expungement"),
    path("<uuid:order_id>/certificate", views.certificate, name="expungement_certificate"),
]
