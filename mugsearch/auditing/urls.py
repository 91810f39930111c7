from django.urls import path

from mugsearch.auditing import head_views, report_views, review_views, timeline_views, views

urlpatterns = [
    path("", views.entries, name="audit"),
    path("export", views.export, name="export_audit"),
    path("verify", views.verify, name="verify_audit"),
    path("heads", head_views.heads, name="audit_heads"),
    path("heads/<int:serial>", head_views.head, name="audit_head"),
    path("searches/<uuid:search_id>", views.search, name="audit_search"),
    path("searches/<uuid:search_id>/repeats", views.repeats, name="audit_search_repeats"),
    path("report", report_views.report, name="report"),
    path("timelines", timeline_views.look_up, name="audit_timelines"),
    path("cases/<uuid:case_id>", timeline_views.of_case, name="case_timeline"),
    path("users/<uuid:user_id>", timeline_views.of_user, name="user_timeline"),
    path("bookings/<uuid:booking_id>", timeline_views.of_booking, name="booking_timeline"),
    path("reviews", review_views.index, name="audit_reviews"),
    path("reviews/<str:day>", review_views.week, name="audit_review"),
    path("sightings/<uuid:sighting_id>/remarks", review_views.remark, name="remark_sighting"),
    path("signals", review_views.about_signals, name="audit_signals"),
    path("saved", review_views.saved, name="saved_reviews"),
    path("saved/<uuid:saved_id>/put-away", review_views.put_away, name="put_away_review"),
    path("<int:number>", views.entry, name="audit_entry"),
]
