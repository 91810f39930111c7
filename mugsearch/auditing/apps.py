from django.apps import AppConfig


class AuditingConfig(AppConfig):
    name = "mugsearch.auditing"
    label = "auditing"
