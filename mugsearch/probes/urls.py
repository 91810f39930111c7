from django.urls import path

from mugsearch.probes import calibration_views, edit_views, policy_views, sharing_views, views

urlpatterns = [
    path("probes/new", views.new_probe, name="new_probe"),
    path("probes/<uuid:probe_id>", views.probe, name="probe"),
    path("probes/<uuid:probe_id>/image.jpg", views.probe_image, name="probe_image"),
    path("probes/<uuid:probe_id>/edits/new", edit_views.new_edit, name="new_edit"),
    path("probes/<uuid:probe_id>/edits/<int:number>.jpg", edit_views.edit_image, name="edit_image"),
    path("probes/<uuid:probe_id>/search", views.start_search, name="start_search"),
    path("policy", policy_views.in_force, name="policy"),
    path("policy/effects", policy_views.propose, name="propose_policy"),
    path("policy/change", policy_views.change, name="change_policy"),
    path("policy/<int:number>.toml", policy_views.download, name="download_policy"),
    path("policy/false-positives", calibration_views.calibrations, name="calibrations"),
    path("cases/assign", sharing_views.assign_case, name="assign_case"),
    path("cases/<uuid:case_id>/share", sharing_views.share_case, name="share_case"),
    path("cases/<uuid:case_id>/hand-over", sharing_views.hand_over, name="hand_over_case"),
    path("cases/<uuid:case_id>/members/<uuid:user_id>/end", sharing_views.end_sharing, name="end_sharing"),
    path("cases/<uuid:case_id>/priority", views.change_priority, name="change_priority"),
]
