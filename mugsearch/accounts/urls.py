from django.urls import path

from mugsearch.accounts import account_views, sign_in_views, token_views, views

urlpatterns = [
    path("banner", sign_in_views.banner, name="banner"),
    path("sign-in", sign_in_views.sign_in, name="sign_in"),
    path("sign-in/code", sign_in_views.sign_in_code, name="sign_in_code"),
    path("sign-in/enrol", sign_in_views.enrol, name="enrol"),
    path("sign-out", sign_in_views.sign_out, name="sign_out"),
    path("locked", sign_in_views.locked, name="locked"),
    path("active", sign_in_views.active, name="active"),
    path("confirm", account_views.confirm, name="confirm"),
    path("account", account_views.account, name="account"),
    path("account/codes", account_views.recovery_codes, name="recovery_codes"),
    path("account/factors/<int:factor_id>/remove", account_views.remove_factor, name="remove_factor"),
    path("sessions/<uuid:sitting_id>/end", account_views.end_session, name="end_session"),
    path("account/tokens", token_views.own_tokens, name="tokens"),
    path("account/tokens/<uuid:token_id>/end", token_views.end_token, name="end_token"),
    path("account/password", token_views.password, name="password"),
    path("users/", views.users, name="users"),
    path("users/<uuid:user_id>", views.user, name="user"),
    path("users/<uuid:user_id>/roles", views.set_roles, name="set_roles"),
    path("users/<uuid:user_id>/active", views.set_active, name="set_active"),
    path("users/<uuid:user_id>/unlock", account_views.unlock, name="unlock"),
    path("users/<uuid:user_id>/reset-second-factor", account_views.reset_second_factor, name="reset_second_factor"),
    path("certificates/<uuid:certificate_id>/revoke", views.revoke_certificate, name="revoke_certificate"),
]
