"""What looks after examinations by itself. PostgreSQL says what there is to do."""

from celery import shared_task

from reviews import services


@shared_task
def expire_claims() -> None:
    services.expire_claims()
