"""What the workers do for the gallery. A message is only a nudge: PostgreSQL says what there is to do.

The imports are late because web processes import this module to send messages and must load no model and no index.
"""

import logging
from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from mugsearch.errors import MugsearchError

logger = logging.getLogger(__name__)

SLICE = 1.0  # seconds that a rebuild makes the searches in the queue wait


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
def rebuild_index(go_on: bool = False) -> None:
    """Look after the index for about a second: take in what was committed, or go on with a rebuild.

    A rebuild sends itself again, behind the searches in the queue. The scheduler's message, without `go_on`, starts
    one that nobody is at. On the queue "search": see CELERY_TASK_ROUTES.
    """
    from mugsearch.gallery import encoding, live, readiness

    try:
        encoder = encoding.active()
        if not go_on and readiness.under_way(encoder):
            return
        complete = live.rebuild(encoder, seconds=SLICE)
    except MugsearchError as error:
        logger.error("the index: %s", error.message)  # shown to who wants to search, and tried again
        return
    if not complete:
        rebuild_index.delay(True)


@worker_ready.connect
def look_after_the_index(sender: Any, **kwargs: Any) -> None:
    """The search worker looks at its index before it takes the first message."""
    if "search" in sender.app.amqp.queues.consume_from:
        rebuild_index(True)


@shared_task
def check_index() -> None:
    """Compare the index with PostgreSQL and mend what differs. In the import worker, so that no search waits for it."""
    from mugsearch.gallery import checking, encoding, live

    try:
        checking.check(encoding.active())
    except live.NotReady:
        logger.info("the index is being rebuilt; it is compared another night")
    finally:
        live.reset()
