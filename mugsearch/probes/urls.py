from django.urls import path

from mugsearch.probes import views

urlpatterns = [
    path("probes/new", views.new_probe, name="new_probe"),
    path("probes/<uuid:probe_id>", views.probe, name="probe"),
    path("probes/<uuid:probe_id>/image.jpg", views.probe_image, name="probe_image"),
    path("probes/<uuid:probe_id>/search", views.start_search, name="start_search"),
    path("cases/<uuid:case_id>/share", views.share_case, name="share_case"),
]
