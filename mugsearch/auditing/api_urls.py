from django.urls import path

from mugsearch.auditing import api, report_views

urlpatterns = [
    path("audit", api.Entries.as_view(), name="api_audit"),
    path("audit/export", api.Export.as_view(), name="api_export_audit"),
    path("audit/verify", api.Verify.as_view(), name="api_verify_audit"),
    path("report", report_views.YearlyReport.as_view(), name="api_report"),
    path("audit/<int:number>", api.OneEntry.as_view(), name="api_audit_entry"),
]
