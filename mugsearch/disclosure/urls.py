from django.urls import path

from mugsearch.disclosure import views

urlpatterns = [
    path("", views.searches, name="disclosure"),
    path("searches/<uuid:search_id>", views.search, name="disclosure_of_search"),
    path("searches/<uuid:search_id>/bundle", views.bundle, name="disclosure_bundle"),
]
