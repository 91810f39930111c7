"""What happened to bookings, holds and probes after the backup, done once more on the restored database.

The ledger that is kept with the keys says what (`retention.purges`); whose keys were destroyed says the other ledger
beside it, also where the first has no line. Every line may be replayed twice: what is done already is passed over.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.accounts.services import console
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.errors import Unavailable
from mugsearch.gallery import locks
from mugsearch.gallery.models import Booking, ImportReject, Person, Suppression
from mugsearch.probes import policy
from mugsearch.probes.models import Probe
from mugsearch.retention import erasing, holds, probe_erasing, queries, sealing
from mugsearch.retention.disposition_models import Disposition
from mugsearch.retention.models import ExpungementOrder, Hold
from mugsearch.retention.purges import ORDERS
from mugsearch.vault import services as vault
from mugsearch.vault.purges import Line

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State
REASON = "Carried out once more: a backup from before it was restored."
KEY_GONE = "Its key was destroyed before a backup was restored"
HELD = "Set before a backup was restored that was older; ask whoever set it for its number and reason."
_KINDS = {"booking.expunged": Kind.EXPUNGE, "booking.sealed": Kind.SEAL, "booking.unsealed": Kind.UNSEAL}
_COUNTED = {
    "expungement.replayed": "expunged",
    "sealing.replayed": "sealed",
    "unsealing.replayed": "unsealed",
    "hold.replayed": "holds",
    "hold.lifting-replayed": "lifted",
    "probe.aged-out": "probes",
}
_BATCH = 5000


def first_of_each(lines: list[Line], start: int) -> list[Line]:
    """Those from `start` on, without what was replayed after an earlier restore: an order is carried out once, and each
    restore of one backup would otherwise replay the replays of all restores before it."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for number, line in enumerate(lines):
        what = (line["act"], line["object"], line.get("hold", ""))
        if number >= start and what not in seen:
            found.append(line)
        seen.add(what)
    return found


def replay(lines: list[Line], report: Callable[[str], None]) -> None:
    """In the order in which it happened. Raises Unavailable when a key or a file can't be destroyed again."""
    keyless = _keyless()
    # What they say of other bookings' numbers is rewritten with each, and doesn't open any more.
    Disposition.objects.filter(booking__in=keyless).delete()
    for number, line in enumerate(lines, start=1):
        if line["act"] in ORDERS:
            _order(line)
        elif line["act"] == "hold.set":
            _hold(line)
        elif line["act"] == "hold.lifted":
            _lift(line)
        elif line["act"] == "probe.aged-out":
            _probes([UUID(line["object"])], line)
        report(f"{number:,} of {len(lines):,} purges")
    _without_a_line()


def not_here(lines: list[Line]) -> list[str]:
    """The numbers of orders to seal, and "a hold", which are in force and about bookings that the backup doesn't have:
    a feed may bring them, but for the expunged."""
    sealed: dict[str, str] = {}  # a booking, and the number of its order
    held: dict[str, str] = {}  # a hold, and its booking
    expunged: set[str] = set()
    for line in lines:
        if line["act"] == "booking.sealed":
            sealed |= dict.fromkeys(line["bookings"], line["order_number"])
        elif line["act"] == "booking.unsealed":
            sealed = {booking: number for booking, number in sealed.items() if booking not in line["bookings"]}
        elif line["act"] == "booking.expunged":
            expunged.update(line["bookings"])
        elif line["act"] == "hold.set" and not _is_over(line):
            held[line["hold"]] = line["object"]
        elif line["act"] == "hold.lifted":
            held.pop(line["hold"], None)
    known = Booking.objects.filter(pk__in={*sealed, *held.values()}).values_list("pk", flat=True)
    here = expunged.union(map(str, known))
    numbers = {number for booking, number in sealed.items() if booking not in here}
    return sorted(numbers | {"a hold" for booking in held.values() if booking not in here})


def counts(after: int) -> dict[str, int]:
    """What was replayed, as the record says after this entry: of bookings "expunged", "sealed" and "unsealed", of
    "holds", holds "lifted", and "probes"."""
    found: Counter[str] = Counter()
    for act, details in Entry.objects.filter(number__gt=after, outcome="done").values_list("act", "details"):
        if act in _COUNTED and (act != "probe.aged-out" or details.get("replayed")):
            found[_COUNTED[act]] += details.get("bookings", 1)
    return dict(found)


def left() -> int:
    """How many rows there are whose key was destroyed: none, once everything is replayed."""
    owners = _destroyed()
    return sum(len(_here(model.objects.all(), owners)) for model in (Booking, Person)) + len(
        _here(Probe.objects.exclude(state=Probe.State.ERASED), owners)
    )


def _order(line: Line) -> None:
    kind = _KINDS[line["act"]]
    digests = line.get("suppressed", [])  # also of a booking that came after the backup
    Suppression.objects.bulk_create((Suppression(digest=digest) for digest in digests), ignore_conflicts=True)
    asked = ExpungementOrder.objects.filter(pk=line["object"], state=State.REQUESTED)
    asked.update(state=State.WITHDRAWN, withdrawn_at=timezone.now())
    found = Booking.objects.filter(pk__in=line["bookings"])
    todo = found
    if kind != Kind.EXPUNGE:
        todo = found.filter(sealed_at__isnull=kind == Kind.SEAL)
    if not todo.exists():
        return
    order = ExpungementOrder(
        kind=kind,
        whole_person=len(line["bookings"]) > 1,
        order_number=line["order_number"],
        reason=REASON,
        rule=line["rule"] or ExpungementOrder.REPLAYED,
        disposition=line["disposition"],
        policy_digest=line["policy"] or policy.current().digest,
    )
    if not ExpungementOrder.objects.filter(pk=line["object"]).exists():
        order.pk = UUID(line["object"])  # whoever kept its address finds it again
    _carry_out(order, [booking.pk for booking in todo], entry=line["number"])


def _carry_out(order: ExpungementOrder, ids: list[UUID], *, entry: int | None = None) -> None:
    kind = Kind(order.kind)
    if kind == Kind.UNSEAL:  # it waits for the proof of a sealing
        for waiting in ExpungementOrder.objects.filter(kind=Kind.SEAL, state=State.APPROVED):
            erasing.prove(waiting.pk)
    with audit.act(f"{order.what}.replayed", by=None, obj=order, bookings=len(ids), entry=entry):
        locks.erasing()
        bookings = list(Booking.objects.filter(pk__in=ids).select_related("person").order_by("booked_on", "pk"))
        order.agency_id, order.booking = bookings[0].agency_id, bookings[0].pk
        if kind == Kind.EXPUNGE:
            _lift_all(bookings)
        preview = queries.preview(*bookings, kind=kind)
        if kind == Kind.EXPUNGE:
            erasing.erase_rows(order, preview, by=None)
        elif kind == Kind.SEAL:
            _lift_all(bookings)
            sealing.seal(order, preview, by=None)
        else:
            sealing.unseal(order, preview, by=None)
    if kind == Kind.EXPUNGE:
        erasing.carry_out(order.pk)
        order.refresh_from_db()
        if not (order.key_destroyed_at and order.files_removed_at):
            raise Unavailable(f"Expunging once more was not possible: {' '.join(order.troubles.values())}")


def _lift_all(bookings: list[Booking]) -> None:
    """It was done although the backup has a hold: so that had ended."""
    in_force = Hold.objects.in_force().filter(booking__in=bookings)
    in_force.update(lifted_by=console(), lifted_at=timezone.now())


def _hold(line: Line) -> None:
    booking = Booking.objects.filter(pk=line["object"]).first()
    if booking is None or Hold.objects.filter(pk=line["hold"]).exists() or _is_over(line):
        return
    last_day = _last_day(line)
    with audit.act("hold.replayed", by=None, obj=booking, hold=line["hold"], entry=line["number"]):
        Hold.objects.create(
            pk=UUID(line["hold"]),
            booking=booking,
            reference="Restored",
            reason=HELD,
            set_by=_who(line),
            set_at=datetime.fromisoformat(line["at"]),
            ends_at=holds.midnight_after(last_day) if last_day else None,
        )


def _last_day(line: Line) -> date | None:
    return date.fromisoformat(line["last_day"]) if line["last_day"] else None


def _is_over(line: Line) -> bool:
    last_day = _last_day(line)
    return last_day is not None and last_day < timezone.localdate()


def _lift(line: Line) -> None:
    in_force = Hold.objects.in_force().filter(pk=line["hold"])
    with transaction.atomic():
        if in_force.update(lifted_by=_who(line), lifted_at=datetime.fromisoformat(line["at"])):
            told = {"hold": line["hold"], "entry": line["number"]}
            audit.record("hold.lifting-replayed", by=None, obj=Booking(pk=UUID(line["object"])), **told)


def _probes(ids: Iterable[UUID], line: Line | None) -> None:
    for probe in Probe.objects.filter(pk__in=list(ids)).exclude(state=Probe.State.ERASED):
        rule = line["rule"] if line else KEY_GONE
        probe_erasing.erase_again(probe, rule=rule, policy_digest=line["policy"] if line else policy.current().digest)


def _who(line: Line) -> User:
    known = User.objects.filter(pk=line["actor"]).first() if line["actor"] else None
    return known or console()


def _without_a_line() -> None:
    """Those whose key is in the ledger of destroyed keys: nobody can read them, so their rows go in the same way."""
    for booking in Booking.objects.filter(pk__in=_keyless()):
        order = ExpungementOrder(
            kind=Kind.EXPUNGE,
            order_number="Restored",
            reason=REASON,
            rule=KEY_GONE,
            policy_digest=policy.current().digest,
        )
        _carry_out(order, [booking.pk])
    owners = _destroyed()
    _probes(_here(Probe.objects.exclude(state=Probe.State.ERASED), owners), None)
    for person in Person.objects.filter(pk__in=_here(Person.objects.filter(bookings=None), owners)):
        with audit.act("person.replayed", by=None, obj=person):
            person.delete()
    for model in (Disposition, ImportReject):
        gone = set(owners).intersection(model.objects.values_list("owner", flat=True))
        model.objects.filter(owner__in=gone).delete()


def _keyless() -> list[UUID]:
    return _here(Booking.objects.all(), _destroyed())


def _destroyed() -> list[UUID]:
    return [owner for owner, _ in vault.destroyed(datetime.min.replace(tzinfo=UTC))]


def _here(rows: "QuerySet[Any]", owners: list[UUID]) -> list[UUID]:
    found: list[UUID] = []
    for start in range(0, len(owners), _BATCH):
        found += rows.filter(pk__in=owners[start : start + _BATCH]).values_list("pk", flat=True)
    return found
