"""Orders that were left behind, files that no row speaks of, and what the rules say every night."""

import logging
from uuid import UUID

from celery import shared_task

from mugsearch.errors import WrongState
from mugsearch.retention import dispositions, erasing, finishing, orphans, probe_erasing, purges, sweeping
from mugsearch.retention.models import ExpungementOrder

logger = logging.getLogger(__name__)

State = ExpungementOrder.State

# A message that waited longer is dropped: `resume` will have sent another one by then.
EXPIRES = 15  # seconds, as often as beat calls `resume`


@shared_task
def erase(order_id: str) -> None:
    erasing.carry_out(UUID(order_id))
    finishing.have_it_done()


@shared_task
def prove_forgotten(order_id: str) -> None:
    """On the queue "search": see CELERY_TASK_ROUTES."""
    erasing.prove(UUID(order_id))
    finishing.have_it_done()


@shared_task
def finish() -> None:
    """Of all orders that wait for it: one VACUUM and one last look."""
    finishing.finish()


@shared_task
def resume() -> None:
    """PostgreSQL knows which orders are not complete; a lost message or a killed process is made good here."""
    purges.try_to_follow()
    for order in ExpungementOrder.objects.filter(state=State.APPROVED):
        if order.kind == ExpungementOrder.Kind.EXPUNGE and not order.uploads_gone_at:
            erase.apply_async((str(order.pk),), expires=EXPIRES)
        if not order.forgotten_at:
            prove_forgotten.apply_async((str(order.pk),), expires=EXPIRES)
    if finishing.anything_left():
        finish.apply_async(expires=EXPIRES)
    for probe_id in probe_erasing.left_behind():
        erase_probe.apply_async((str(probe_id),), expires=EXPIRES)


@shared_task
def erase_probe(probe_id: str) -> None:
    probe_erasing.carry_out(UUID(probe_id))


@shared_task
def sweep() -> None:
    """Every night: dispositions whose booking has come in since find it, then the rules act on what is due."""
    dispositions.match_waiting()
    try:
        sweeping.sweep()
    except WrongState as error:  # too much at once, or another one is under way: the audit has it, a person looks
        logger.error("retention sweep: %s", error.message)


@shared_task
def sweep_orphans() -> None:
    orphans.sweep()
