"""The last steps of expungements, for all orders together that wait for them: a sweep of a thousand bookings needs one
VACUUM and one walk over the tables, not a thousand.

Each step first finds the orders whose earlier steps are done, then does its work once, then records it on each of them:
what began before an order was waiting never counts for it.
"""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from mugsearch import failpoints
from mugsearch.errors import Unavailable
from mugsearch.gallery import locks
from mugsearch.gallery.models import Template
from mugsearch.retention import erasing, last_look, leavings, vacuuming
from mugsearch.retention.models import ExpungementOrder, ProbeErasure
from mugsearch.vault import services as vault

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State
T = TypeVar("T")


def finish() -> None:
    """One process at a time; it loads the search kernel. What fails is shown on the orders, and tried again by
    `tasks.resume`."""
    with locks.finishing_alone() as alone:
        if alone:
            _together("leavings_gone_at", _remove_leavings, _record_leavings)
            _together("vacuumed_at", _vacuum, _record_vacuumed)
            _together("verified_at", _look, _verify)


def waiting_for(step: str) -> list[ExpungementOrder]:
    """The expungements whose next step it is."""
    steps = erasing.STEPS[Kind.EXPUNGE]
    done = {f"{name}__isnull": False for name in steps[: steps.index(step)]}
    waiting = ExpungementOrder.objects.filter(kind=Kind.EXPUNGE, state=State.APPROVED, **done, **{step: None})
    return list(waiting.order_by("erased_at"))


def anything_left() -> bool:
    return bool(_probes() or any(map(waiting_for, ("leavings_gone_at", "vacuumed_at", "verified_at"))))


def have_it_done() -> None:
    """Soon, if an order waits for it and no other one will in a moment: then that one asks."""
    from mugsearch.retention import tasks

    coming = ExpungementOrder.objects.filter(state=State.APPROVED, forgotten_at=None).exists()
    if waiting_for("leavings_gone_at") and not coming and not locks.sweep_under_way():
        # robust: without a broker `tasks.resume` asks for it.
        transaction.on_commit(lambda: tasks.finish.apply_async(expires=tasks.EXPIRES), robust=True)


def _together(
    step: str, do: Callable[[list[ExpungementOrder]], T], record: Callable[[T, ExpungementOrder], None]
) -> None:
    """`do` for all at once, then `record` for each, with its row locked. Either raises what keeps the step from being
    done."""
    orders = waiting_for(step)
    if not orders and not (step == "vacuumed_at" and _probes()):
        return
    try:
        done = do(orders)
        failpoints.reached(f"{step}.done")
    except Exception as error:  # noqa: BLE001  whatever it was, the orders show it and it is tried again
        for order in orders:
            erasing.failed(error, step, order.pk)
        return

    def record_it(order_id: UUID) -> None:
        with transaction.atomic(durable=True):
            order = erasing.locked(order_id)
            if order.state == State.APPROVED and not getattr(order, step):
                record(done, order)

    for order in orders:
        erasing.tried(step, record_it, order.pk)


def _remove_leavings(orders: list[ExpungementOrder]) -> dict[str, int]:
    ids = [one for order in orders for one in _ids(order)]
    return leavings.remove(ids, before=max(order.erased_at for order in orders if order.erased_at))


def _record_leavings(checked: dict[str, int], order: ExpungementOrder) -> None:
    erasing.record(order, "leavings_gone_at", checked=checked)


def _vacuum(orders: list[ExpungementOrder]) -> tuple[vacuuming.Vacuumed, dict[UUID, int]]:
    """With, of each order, the transaction that removed its rows."""
    removed_by = vacuuming.removed_by("booking.expunged", [order.pk for order in orders])
    probes = vacuuming.removed_by("probe.aged-out", _probes())
    done = vacuuming.run([*removed_by.values(), *probes.values()])
    gone = [probe for probe, by in probes.items() if done.removed(by)]
    ProbeErasure.objects.filter(pk__in=gone).update(vacuumed_at=timezone.now())
    return done, removed_by


def _record_vacuumed(done: tuple[vacuuming.Vacuumed, dict[UUID, int]], order: ExpungementOrder) -> None:
    vacuumed, removed_by = done
    vacuumed.require_removed(removed_by[order.pk])
    erasing.record(
        order, "vacuumed_at", checked={"tables": vacuumed.tables, "kept": 0, "log_gone": int(vacuumed.log_gone)}
    )


def _look(orders: list[ExpungementOrder]) -> last_look.Look:
    return last_look.look([one for order in orders for one in _ids(order)])


def _verify(seen: last_look.Look, order: ExpungementOrder) -> None:
    ids, templates = _ids(order), order.sought.get("templates", [])
    owners, photos = (list(map(UUID, order.sought.get(name, []))) for name in ("owners", "photos"))
    found = {
        "rows": len(seen.found.intersection(ids)),
        "keys": sum(map(vault.has_key, owners)),
        "files": sum(map(vault.has_file, photos)),
        "vectors": _vectors(templates),
    }
    if any(found.values()):
        said = ", ".join(f"{count} {name}" for name, count in found.items() if count)
        raise Unavailable(f"The last look found what should be gone ({said}). Tell the operator.")
    order.sought = {}
    checked = {"ids": len(ids), "keys": len(owners), "files": len(photos), "vectors": len(templates), "found": 0}
    erasing.record(order, "verified_at", checked=checked | {"tables": seen.tables, "columns": seen.columns})


def _vectors(templates: list[int]) -> int:
    """In the index, or still in a table."""
    if not templates:
        return 0
    from mugsearch.gallery import live  # loads the search kernel

    return live.count(templates) + Template.objects.filter(pk__in=templates).count()


def _ids(order: ExpungementOrder) -> list[UUID]:
    return [UUID(one) for name in ("owners", "photos") for one in order.sought.get(name, [])]


def _probes() -> list[UUID]:
    """Those whose files are removed, and whose old rows PostgreSQL may still keep."""
    waiting = ProbeErasure.objects.filter(files_removed_at__isnull=False, vacuumed_at=None)
    return list(waiting.values_list("pk", flat=True))
