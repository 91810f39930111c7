from django.urls import path

from mugsearch.auditing import views

urlpatterns = [
    path("", views.entries, name="audit"),
    path("export", views.export, name="export_audit"),
    path("verify", views.verify, name="verify_audit"),
    path("<int:number>", views.entry, name="audit_entry"),
]
