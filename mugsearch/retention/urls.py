from django.urls import path

from mugsearch.retention import views

urlpatterns = [
    path("", views.orders, name="expungements"),
    path("new", views.new, name="new_expungement"),
    path("<uuid:order_id>", views.order, name="expungement"),
    path("<uuid:order_id>/approve", views.approve, name="approve_expungement"),
    path("<uuid:order_id>/withdraw", views.withdraw, name="withdraw_expungement"),
    path("<uuid:order_id>/certificate", views.certificate, name="expungement_certificate"),
]
