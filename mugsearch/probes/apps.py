from django.apps import AppConfig


class ProbesConfig(AppConfig):
    name = "mugsearch.probes"
    label = "probes"
