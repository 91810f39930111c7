from django.urls import path

from mugsearch.retention import disposition_views as views

urlpatterns = [
    path("", views.retention, name="retention"),
    path("rules/<slug:code>", views.rule, name="retention_rule"),
    path("stale", views.stale, name="stale_bookings"),
    path("dispositions/new", views.new_disposition, name="new_disposition"),
    path("dispositions/file", views.upload, name="disposition_file"),
    path("dispositions/unmatched", views.unmatched, name="unmatched_dispositions"),
    path("dispositions/<int:pk>", views.disposition, name="disposition"),
    path("bookings/<uuid:booking_id>", views.of_booking, name="booking_dispositions"),
]
