"""What looks after examinations by itself. PostgreSQL says what there is to do."""

from celery import shared_task

from mugsearch.probes.models import Search
from reviews import pictures, services


@shared_task
def prepare_views(search_id: str) -> None:
    """Sent when a search is done (probes.working). When it is lost, the views are made as they are looked at."""
    pictures.prepare(Search.objects.get(pk=search_id))


@shared_task
def expire_claims() -> None:
    services.expire_claims()
