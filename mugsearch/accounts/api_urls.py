from django.urls import path

from mugsearch.accounts import api, session_api, user_api

urlpatterns = [
    path("tokens", api.Tokens.as_view(), name="api_tokens"),
    path("tokens/current", api.CurrentToken.as_view(), name="api_current_token"),
    path("tokens/<uuid:pk>", api.OneToken.as_view(), name="api_token"),
    path("me", api.Me.as_view(), name="api_me"),
    path("sessions", session_api.Sessions.as_view(), name="api_sessions"),
    path("sessions/<uuid:pk>", session_api.OneSession.as_view(), name="api_session"),
    path("users", user_api.Users.as_view(), name="api_users"),
    path("users/<uuid:pk>", user_api.OneUser.as_view(), name="api_user"),
    path("users/<uuid:pk>/roles", user_api.UserRoles.as_view(), name="api_user_roles"),
    path("users/<uuid:pk>/active", user_api.UserActive.as_view(), name="api_user_active"),
    path("users/<uuid:pk>/unlock", session_api.UserUnlock.as_view(), name="api_user_unlock"),
    path("users/<uuid:pk>/second-factor", session_api.UserSecondFactor.as_view(), name="api_user_second_factor"),
    path("users/<uuid:pk>/sessions", session_api.UserSessions.as_view(), name="api_user_sessions"),
    path("certificates/<uuid:pk>/revoke", user_api.RevokeCertificate.as_view(), name="api_revoke_certificate"),
]
