from django.urls import path

from reviews import finding_views, lead_views, lineup_views, supervision_views, views

urlpatterns = [
    path("", views.queue, name="queue"),
    path("next", views.claim_next, name="claim_next"),
    path("open", supervision_views.open_examinations, name="open_examinations"),
    path("<uuid:examination_id>/free", supervision_views.free, name="free"),
    path("<uuid:examination_id>", views.examination, name="examination"),
    path("<uuid:examination_id>/findings", finding_views.save_finding, name="save_finding"),
    path("<uuid:examination_id>/conclude", views.conclude, name="conclude"),
    path("<uuid:examination_id>/release", views.release, name="release"),
    path("<uuid:examination_id>/probe.jpg", views.probe_image, name="examination_probe_image"),
    path("<uuid:examination_id>/edits/<int:number>.jpg", views.edit_image, name="examination_edit_image"),
    path(
        "<uuid:examination_id>/candidates/<int:position>.jpg",
        views.candidate_image,
        name="examination_candidate_image",
    ),
    path("leads", supervision_views.confirmed_leads, name="confirmed_leads"),
    path("leads/<uuid:lead_id>", lead_views.lead, name="lead"),
    path("leads/<uuid:lead_id>/probe.jpg", lead_views.probe_image, name="lead_probe_image"),
    path("leads/<uuid:lead_id>/candidate.jpg", lead_views.candidate_image, name="lead_candidate_image"),
    path("leads/<uuid:lead_id>/photos/<int:number>.jpg", lead_views.sibling_image, name="lead_sibling_image"),
    path("leads/<uuid:lead_id>/evidence", lead_views.record_evidence, name="record_evidence"),
    path("leads/<uuid:lead_id>/outcome", lead_views.record_outcome, name="record_outcome"),
    path("leads/<uuid:lead_id>/withdraw", supervision_views.withdraw_lead, name="withdraw_lead"),
    path("leads/<uuid:lead_id>/lineups", lineup_views.export, name="export_lineup"),
    path("leads/<uuid:lead_id>/lineups/<uuid:lineup_id>", lineup_views.lineup, name="lineup"),
    path("leads/<uuid:lead_id>/lineups/<uuid:lineup_id>/<int:place>.jpg", lineup_views.photo, name="lineup_photo"),
]
