from django.urls import path

from mugsearch.accounts import views

urlpatterns = [
    path("sign-in", views.SignIn.as_view(), name="sign_in"),
    path("sign-out", views.SignOut.as_view(), name="sign_out"),
    path("users/", views.users, name="users"),
    path("users/<uuid:user_id>", views.user, name="user"),
    path("users/<uuid:user_id>/roles", views.set_roles, name="set_roles"),
    path("users/<uuid:user_id>/active", views.set_active, name="set_active"),
    path("certificates/<uuid:certificate_id>/revoke", views.revoke_certificate, name="revoke_certificate"),
]
