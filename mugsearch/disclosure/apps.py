from django.apps import AppConfig


class DisclosureConfig(AppConfig):
    name = "mugsearch.disclosure"
    label = "disclosure"
