"""The Celery application. The broker only wakes workers; PostgreSQL says what there is to do."""

import os
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore
from celery.signals import beat_init, worker_init
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from mugsearch import closed, rights


class WhenOpen(Task[Any, Any]):
    """Does nothing while a backup is being restored: what was to be done is found again afterwards."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if reason := closed.reason(Path(settings.VAR)):
            raise Ignore(reason)
        return self.run(*args, **kwargs)


@worker_init.connect
@beat_init.connect
def _refuse_while_closed(**kwargs: Any) -> None:
    if reason := closed.reason(Path(settings.VAR)):
        raise SystemExit(f"mugsearch: {reason}")


@worker_init.connect
@beat_init.connect
def _refuse_as_owner(**kwargs: Any) -> None:
    try:
        rights.require_narrow()
    except ImproperlyConfigured as error:
        raise SystemExit(f"mugsearch: {error}") from error


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mugsearch.settings")
app = Celery("mugsearch", task_cls=WhenOpen)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
