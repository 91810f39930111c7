from django.apps import AppConfig


class HuntingConfig(AppConfig):
    name = "mugsearch.hunting"
    label = "hunting"
