"""What the search worker does. A message is only a nudge: PostgreSQL says what there is to do.

The imports are late because web processes import this module to send messages and must not load the search kernel.
"""

from uuid import UUID

from celery import current_app, shared_task
from django.db import transaction


def have_views_prepared(search_id: UUID) -> None:
    """Once this transaction is committed: what an examiner will look at. By its name, for the reviews are above this
    room; when the message is lost, the views are made as they are looked at."""
    transaction.on_commit(lambda: current_app.send_task("reviews.tasks.prepare_views", [str(search_id)]), robust=True)


@shared_task
def find_faces(probe_id: str) -> None:
    from mugsearch.probes import working

    working.find_faces(probe_id)


@shared_task
def find_faces_of_edit(edit_id: str) -> None:
    from mugsearch.probes import working

    working.find_faces_of_edit(edit_id)


@shared_task
def run_search(search_id: str) -> None:
    from mugsearch.probes import working

    working.run_search(search_id)


@shared_task
def run_repeat(repeat_id: str) -> None:
    from mugsearch.probes import working

    working.run_repeat(repeat_id)


@shared_task
def resume() -> None:
    from mugsearch.probes import working

    for probe_id in working.probes_left_behind():
        find_faces.delay(str(probe_id))
    for edit_id in working.edits_left_behind():
        find_faces_of_edit.delay(str(edit_id))
    for search_id in working.searches_left_behind():
        run_search.delay(str(search_id))
    for repeat_id in working.repeats_left_behind():
        run_repeat.delay(str(repeat_id))
