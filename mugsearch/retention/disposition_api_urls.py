from django.urls import path

from mugsearch.retention import disposition_api as api

urlpatterns = [
    path("dispositions", api.Dispositions.as_view(), name="api_dispositions"),
    path("dispositions/file", api.DispositionFile.as_view(), name="api_disposition_file"),
    path("dispositions/unmatched", api.UnmatchedDispositions.as_view(), name="api_unmatched_dispositions"),
    path("dispositions/<int:pk>/match", api.MatchDisposition.as_view(), name="api_match_disposition"),
    path("dispositions/<int:pk>/dismiss", api.DismissDisposition.as_view(), name="api_dismiss_disposition"),
    path("retention", api.RetentionOverview.as_view(), name="api_retention"),
    path("retention/rules/<slug:code>", api.ComingByRule.as_view(), name="api_retention_rule"),
    path("retention/stale", api.StaleBookings.as_view(), name="api_stale_bookings"),
]
