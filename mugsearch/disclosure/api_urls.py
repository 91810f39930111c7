from django.urls import path

from mugsearch.disclosure import api

urlpatterns = [
    path("searches/<uuid:pk>/disclosure", api.Disclosure.as_view(), name="api_disclosure"),
]
