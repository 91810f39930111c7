from django.urls import path

from mugsearch.auditing import api, head_views, report_views, review_api, saved_api, timeline_api

urlpatterns = [
    path("audit", api.Entries.as_view(), name="api_audit"),
    path("audit/export", api.Export.as_view(), name="api_export_audit"),
    path("audit/verify", api.Verify.as_view(), name="api_verify_audit"),
    path("audit/heads", head_views.Heads.as_view(), name="api_audit_heads"),
    path("audit/heads/<int:serial>", head_views.OneHead.as_view(), name="api_audit_head"),
    path("report", report_views.YearlyReport.as_view(), name="api_report"),
    path("audit/signals", review_api.Signals.as_view(), name="api_audit_signals"),
    path("audit/reviews", saved_api.Weeks.as_view(), name="api_audit_reviews"),
    path("audit/reviews/<str:day>", review_api.Week.as_view(), name="api_audit_review"),
    path("audit/saved", saved_api.Saved.as_view(), name="api_saved_reviews"),
    path("audit/saved/<uuid:saved_id>/entries", saved_api.SavedEntries.as_view(), name="api_saved_review_entries"),
    path("audit/saved/<uuid:saved_id>/put-away", saved_api.PutAway.as_view(), name="api_put_away_review"),
    path("audit/sightings", saved_api.Sightings.as_view(), name="api_audit_sightings"),
    path("audit/sightings/<uuid:sighting_id>/remarks", review_api.Remarks.as_view(), name="api_remark_sighting"),
    path("audit/timelines", timeline_api.LookUp.as_view(), name="api_audit_timelines"),
    path("audit/timelines/cases/<uuid:case_id>", timeline_api.OfCase.as_view(), name="api_case_timeline"),
    path("audit/timelines/users/<uuid:user_id>", timeline_api.OfUser.as_view(), name="api_user_timeline"),
    path("audit/timelines/bookings/<uuid:booking_id>", timeline_api.OfBooking.as_view(), name="api_booking_timeline"),
    path("audit/<int:number>", api.OneEntry.as_view(), name="api_audit_entry"),
]
