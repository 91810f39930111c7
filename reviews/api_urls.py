from django.urls import path

from reviews import api, lead_api, supervision_api

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
    path("leads/<uuid:pk>", lead_api.OneLead.as_view(), name="api_lead"),
    path("leads/<uuid:pk>/probe.jpg", lead_api.LeadProbeImage.as_view(), name="api_lead_probe_image"),
    path("leads/<uuid:pk>/candidate.jpg", lead_api.LeadCandidateImage.as_view(), name="api_lead_candidate_image"),
    path("leads/<uuid:pk>/photos/<int:number>.jpg", lead_api.LeadSiblingImage.as_view(), name="api_lead_sibling_image"),
]
