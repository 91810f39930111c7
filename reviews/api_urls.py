from django.urls import path

from reviews import api, lead_api, lead_use_api, supervision_api

urlpatterns = [
    path("examinations/queue", api.ExaminationQueue.as_view(), name="api_examination_queue"),
    path("examinations/next", api.NextExamination.as_view(), name="api_next_examination"),
    path("examinations/open", supervision_api.OpenExaminations.as_view(), name="api_open_examinations"),
    path("examinations/<uuid:pk>/free", supervision_api.Free.as_view(), name="api_free"),
    path("examinations", api.Examinations.as_view(), name="api_examinations"),
    path("examinations/<uuid:pk>", api.OneExamination.as_view(), name="api_examination"),
    path("examinations/<uuid:pk>/probe.jpg", api.ExaminationProbeImage.as_view(), name="api_examination_probe_image"),
    path(
        "examinations/<uuid:pk>/candidates/<int:position>.jpg",
        api.ExaminationCandidateImage.as_view(),
        name="api_examination_candidate_image",
    ),
    path("examinations/<uuid:pk>/findings", api.Findings.as_view(), name="api_findings"),
    path("examinations/<uuid:pk>/exclude-remaining", api.ExcludeRemaining.as_view(), name="api_exclude_remaining"),
    path("examinations/<uuid:pk>/release", api.Release.as_view(), name="api_release"),
    path("examinations/<uuid:pk>/conclude", api.Conclude.as_view(), name="api_conclude"),
    path("searches/<uuid:pk>/examination", lead_api.SearchExamination.as_view(), name="api_search_examination"),
    path("leads", lead_api.Leads.as_view(), name="api_leads"),
    path("leads/confirmed", lead_use_api.ConfirmedLeads.as_view(), name="api_confirmed_leads"),
    path("leads/overdue", lead_use_api.OverdueLeads.as_view(), name="api_overdue_leads"),
    path("leads/withdrawn", lead_use_api.WithdrawnLeads.as_view(), name="api_withdrawn_leads"),
    path("leads/<uuid:pk>", lead_api.OneLead.as_view(), name="api_lead"),
    path("leads/<uuid:pk>/probe.jpg", lead_api.LeadProbeImage.as_view(), name="api_lead_probe_image"),
    path("leads/<uuid:pk>/candidate.jpg", lead_api.LeadCandidateImage.as_view(), name="api_lead_candidate_image"),
    path("leads/<uuid:pk>/photos/<int:number>.jpg", lead_api.LeadSiblingImage.as_view(), name="api_lead_sibling_image"),
    path("leads/<uuid:pk>/evidence", lead_use_api.LeadEvidence.as_view(), name="api_lead_evidence"),
    path("leads/<uuid:pk>/outcomes", lead_use_api.LeadOutcomes.as_view(), name="api_lead_outcomes"),
    path("leads/<uuid:pk>/withdraw", lead_use_api.WithdrawLead.as_view(), name="api_withdraw_lead"),
    path("leads/<uuid:pk>/lineups", lead_use_api.LeadLineups.as_view(), name="api_lead_lineups"),
    path("leads/<uuid:pk>/lineups/<uuid:lineup>", lead_use_api.OneLineup.as_view(), name="api_lineup"),
    path(
        "leads/<uuid:pk>/lineups/<uuid:lineup>/<int:place>.jpg",
        lead_use_api.LineupPhoto.as_view(),
        name="api_lineup_photo",
    ),
]
