from pathlib import Path

from django.apps import AppConfig
from django.conf import settings


class MugsearchConfig(AppConfig):
    """Holds what belongs to no room: the frame of every page and the demo's command."""

    name = "mugsearch"
    label = "mugsearch"

    def ready(self) -> None:
        Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
        # Makes this the application that tasks are sent with; without it Celery would send them nowhere.
        from mugsearch import celery, safe_settings  # noqa: F401
