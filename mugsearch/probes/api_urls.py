from django.urls import path

from mugsearch.probes import api, calibration_api, edit_api, policy_api, sharing_api

urlpatterns = [
    path("calibrations", calibration_api.Calibrations.as_view(), name="api_calibrations"),
    path("cases", api.Cases.as_view(), name="api_cases"),
    path("cases/assign", sharing_api.AssignCase.as_view(), name="api_assign_case"),
    path("cases/<uuid:pk>/members", sharing_api.CaseMembers.as_view(), name="api_case_members"),
    path("cases/<uuid:pk>/members/<uuid:user>", sharing_api.OneMember.as_view(), name="api_case_member"),
    path("cases/<uuid:pk>/share", sharing_api.ShareCase.as_view(), name="api_share_case"),
    path("cases/<uuid:pk>/hand-over", sharing_api.HandOver.as_view(), name="api_hand_over_case"),
    path("cases/<uuid:pk>/priority", api.CasePriority.as_view(), name="api_case_priority"),
    path("probes", api.Probes.as_view(), name="api_probes"),
    path("probes/<uuid:pk>", api.OneProbe.as_view(), name="api_probe"),
    path("probes/<uuid:pk>/image", api.ProbeImage.as_view(), name="api_probe_image"),
    path("probes/<uuid:pk>/edits", edit_api.ProbeEdits.as_view(), name="api_probe_edits"),
    path("probes/<uuid:pk>/edits/<int:number>.jpg", edit_api.EditImage.as_view(), name="api_edit_image"),
    path("probes/<uuid:pk>/searches", api.ProbeSearches.as_view(), name="api_probe_searches"),
    path("policy", policy_api.CurrentPolicy.as_view(), name="api_policy"),
    path("policy/preview", policy_api.PolicyPreview.as_view(), name="api_policy_preview"),
    path("policy/versions", policy_api.PolicyVersions.as_view(), name="api_policy_versions"),
    path("policy/versions/<int:number>", policy_api.OnePolicyVersion.as_view(), name="api_policy_version"),
    path("searches", api.Searches.as_view(), name="api_searches"),
    path("searches/<uuid:pk>", api.OneSearch.as_view(), name="api_search"),
    path("searches/<uuid:pk>/repeats", api.Repeats.as_view(), name="api_repeats"),
    path("searches/<uuid:pk>/try-again", api.TryAgain.as_view(), name="api_try_again"),
]
