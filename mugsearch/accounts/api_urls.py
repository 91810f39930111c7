from django.urls import path

from mugsearch.accounts import api, user_api

urlpatterns = [
    path("tokens", api.Tokens.as_view(), name="api_tokens"),
    path("tokens/current", api.CurrentToken.as_view(), name="api_current_token"),
    path("me", api.Me.as_view(), name="api_me"),
    path("users", user_api.Users.as_view(), name="api_users"),
    path("users/<uuid:pk>", user_api.OneUser.as_view(), name="api_user"),
    path("users/<uuid:pk>/roles", user_api.UserRoles.as_view(), name="api_user_roles"),
    path("users/<uuid:pk>/active", user_api.UserActive.as_view(), name="api_user_active"),
    path("certificates/<uuid:pk>/revoke", user_api.RevokeCertificate.as_view(), name="api_revoke_certificate"),
]
