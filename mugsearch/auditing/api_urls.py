from django.urls import path

from mugsearch.auditing import api

urlpatterns = [
    path("audit", api.Entries.as_view(), name="api_audit"),
    path("audit/export", api.Export.as_view(), name="api_export_audit"),
    path("audit/verify", api.Verify.as_view(), name="api_verify_audit"),
    path("audit/<int:number>", api.OneEntry.as_view(), name="api_audit_entry"),
]
