from django.apps import AppConfig


class GalleryConfig(AppConfig):
    name = "mugsearch.gallery"
    label = "gallery"
