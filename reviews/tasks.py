"""What looks after examinations by itself. PostgreSQL says what there is to do."""

from celery import shared_task

from mugsearch.probes.models import Search
from reviews import pictures, services


@shared_task
def prepare_views(search_id: str) -> None:
    """Sent when a search is done, and again when it is claimed (probes.tasks.have_views_prepared)."""
    pictures.prepare(Search.objects.get(pk=search_id))


@shared_task
def expire_claims() -> None:
    services.expire_claims()
