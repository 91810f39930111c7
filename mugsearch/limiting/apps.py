from django.apps import AppConfig


class LimitingConfig(AppConfig):
    name = "mugsearch.limiting"
    label = "limiting"
