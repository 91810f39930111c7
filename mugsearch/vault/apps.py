from django.apps import AppConfig


class VaultConfig(AppConfig):
    name = "mugsearch.vault"
    label = "vault"
