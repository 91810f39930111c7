from django.apps import AppConfig


class MugsearchConfig(AppConfig):
    """Holds what belongs to no room: the frame of every page and the demo's command."""

    name = "mugsearch"
    label = "mugsearch"

    def ready(self) -> None:
        # Makes this the application that tasks are sent with; without it Celery would send them nowhere.
        from mugsearch import celery  # noqa: F401
