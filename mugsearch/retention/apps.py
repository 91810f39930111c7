from django.apps import AppConfig


class RetentionConfig(AppConfig):
    name = "mugsearch.retention"
    label = "retention"
