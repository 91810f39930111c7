"""The Celery application. The broker only wakes workers; PostgreSQL says what there is to do."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mugsearch.settings")
app = Celery("mugsearch")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
