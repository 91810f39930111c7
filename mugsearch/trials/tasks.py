"""What the search worker does for trials. The imports are late, as in probes.tasks."""

from celery import shared_task


@shared_task
def look_at(photo_id: str) -> None:
    from mugsearch.trials import working

    working.look_at(photo_id)


@shared_task
def resume() -> None:
    from mugsearch.trials import working

    for photo_id in working.left_behind():
        look_at.delay(str(photo_id))
