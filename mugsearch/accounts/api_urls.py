from django.urls import path

from mugsearch.accounts import api

urlpatterns = [
    path("tokens", api.Tokens.as_view(), name="api_tokens"),
    path("tokens/current", api.CurrentToken.as_view(), name="api_current_token"),
    path("me", api.Me.as_view(), name="api_me"),
]
