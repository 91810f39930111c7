from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "mugsearch.accounts"
    label = "accounts"
