from django.apps import AppConfig


class BackupsConfig(AppConfig):
    name = "mugsearch.backups"
    label = "backups"
