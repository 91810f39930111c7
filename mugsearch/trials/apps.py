from django.apps import AppConfig


class TrialsConfig(AppConfig):
    name = "mugsearch.trials"
    label = "trials"
