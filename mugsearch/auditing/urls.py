from django.urls import path

from mugsearch.auditing import report_views, views

urlpatterns = [
    path("", views.entries, name="audit"),
    path("export", views.export, name="export_audit"),
    path("verify", views.verify, name="verify_audit"),
    path("searches/<uuid:search_id>", views.search, name="audit_search"),
    path("searches/<uuid:search_id>/repeats", views.repeats, name="audit_search_repeats"),
    path("report", report_views.report, name="report"),
    path("<int:number>", views.entry, name="audit_entry"),
]
