"""Orders that were left behind, and files that no row speaks of."""

from uuid import UUID

from celery import shared_task

from mugsearch.retention import erasing, orphans
from mugsearch.retention.models import ExpungementOrder

State = ExpungementOrder.State

# A message that waited longer is dropped: `resume` will have sent another one by then.
EXPIRES = 15  # seconds, as often as beat calls `resume`


@shared_task
def erase(order_id: str) -> None:
    erasing.carry_out(UUID(order_id))


@shared_task
def prove_forgotten(order_id: str) -> None:
    """On the queue "search": see CELERY_TASK_ROUTES."""
    erasing.prove(UUID(order_id))


@shared_task
def resume() -> None:
    """PostgreSQL knows which orders are not complete; a lost message or a killed process is made good here."""
    for order in ExpungementOrder.objects.filter(state=State.APPROVED):
        if order.kind == ExpungementOrder.Kind.EXPUNGE and not order.uploads_gone_at:
            erase.apply_async((str(order.pk),), expires=EXPIRES)
        if not order.forgotten_at:
            prove_forgotten.apply_async((str(order.pk),), expires=EXPIRES)


@shared_task
def sweep_orphans() -> None:
    orphans.sweep()
