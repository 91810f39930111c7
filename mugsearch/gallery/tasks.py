"""What the workers do for the gallery. A message is only a nudge: PostgreSQL says what there is to do.

The imports are late because web processes import this module to send messages and must load no model and no index.
"""

from celery import shared_task


@shared_task
def run_import(run_id: str) -> None:
    from mugsearch.gallery import importing

    importing.run(run_id)


@shared_task
def enroll_photo(photo_id: str) -> None:
    from mugsearch.gallery import enrolling

    enrolling.enroll(photo_id)


@shared_task
def resume() -> None:
    """Look for what a lost message or a dead worker has left behind."""
    from mugsearch.gallery import enrolling, importing, staging

    for run_id in importing.left_behind():
        run_import.delay(str(run_id))
    for photo_id in enrolling.left_behind():
        enroll_photo.delay(str(photo_id))
    staging.sweep()


@shared_task
def reencode() -> None:
    """Move the gallery to the encoder that the setting names; nothing to do, most of the time."""
    from mugsearch.gallery import reencoding

    reencoding.reencode()


@shared_task
def keep_index() -> None:
    """Save the search worker's index, so that a restart need not build it again."""
    from mugsearch.gallery import encoding, live

    live.save(encoding.active())


@shared_task
def check_index() -> None:
    """Compare the index with PostgreSQL both ways and mend what differs."""
    from mugsearch.gallery import encoding, live

    live.check(encoding.active())
