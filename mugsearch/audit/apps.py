from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "mugsearch.audit"
    label = "audit"
