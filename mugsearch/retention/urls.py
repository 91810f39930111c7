from django.urls import path

from mugsearch.retention import certificate_views, hold_views, views

urlpatterns = [
    path("", views.orders, name="expungements"),
    path("new", views.new, name="new_expungement"),
    path("holds", hold_views.holds, name="holds"),
    path("holds/on/<uuid:booking_id>", hold_views.new_hold, name="new_hold"),
    path("holds/<uuid:hold_id>/lift", hold_views.lift_hold, name="lift_hold"),
    path("<uuid:order_id>", views.order, name="expungement"),
    path("<uuid:order_id>/approve", views.approve, name="approve_expungement"),
    path("<uuid:order_id>/withdraw", views.withdraw, name="withdraw_expungement"),
    path("<uuid:order_id>/certificate", certificate_views.certificate, name="expungement_certificate"),
    path("<uuid:order_id>/certificate.json", certificate_views.as_json, name="certificate_json"),
    path("<uuid:order_id>/certificate.pdf", certificate_views.as_pdf, name="certificate_pdf"),
    path("verify_certificate.py", certificate_views.verifier, name="verify_certificate"),
]
