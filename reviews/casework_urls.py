from django.urls import path

from reviews import casework, certificate_views

urlpatterns = [
    path("cases/", casework.cases, name="cases"),
    path("cases/<uuid:case_id>", casework.case, name="case"),
    path("users/<uuid:user_id>/certificates", certificate_views.record_certificate, name="record_certificate"),
    path("searches/<uuid:search_id>", casework.search, name="search"),
    path("searches/<uuid:search_id>/repeats", casework.repeats, name="search_repeats"),
    path("searches/<uuid:search_id>/try-again", casework.try_again, name="try_again"),
]
