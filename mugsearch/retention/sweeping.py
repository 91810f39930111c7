"""Carrying the rules out: `plan` says what is due, `sweep` does that and no more.

Each booking is an order of its own, in a transaction of its own, and is looked at once more under the lock: still due
by the policy in force, still not blocked. A killed sweep has done some of them whole; the next one does the rest, and
what an order still has to do after its rows are gone goes on by itself (`tasks.resume`).
"""

import datetime
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from uuid import UUID

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.errors import MugsearchError, Unavailable, WrongState
from mugsearch.gallery import locks
from mugsearch.gallery.models import Booking
from mugsearch.probes import policy
from mugsearch.probes.models import Probe
from mugsearch.probes.policy import Policy
from mugsearch.probes.retention_rules import JUVENILE, Rule
from mugsearch.retention import erasing, finishing, probe_erasing, purges, queries, rules, sealing, services
from mugsearch.retention.models import ExpungementOrder, Hold

UNEXPECTED = "Something unexpected happened; see the log."
Report = Callable[[int, int], None]  # how many of how many are done


@dataclass(frozen=True)
class Due:
    """A rule acts on this booking today; `why_not`: what keeps it from that, in a sentence."""

    rule: Rule
    booking: UUID
    agency: UUID
    why_not: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a sweep would do today. `gallery`: bookings there are, by agency."""

    policy: Policy
    today: datetime.date
    todo: list[Due]
    waiting: list[Due]
    probes: list[UUID]
    gallery: dict[UUID, int]

    @property
    def count(self) -> int:
        return len(self.todo)

    @property
    def by_rule(self) -> dict[str, int]:
        return dict(Counter(due.rule.code for due in self.todo))

    @property
    def digest(self) -> str:
        """Of what would be done to which booking and probe, and by which policy."""
        lines = sorted(f"{due.rule.action} {due.booking}" for due in self.todo)
        return sha256("\n".join([self.policy.digest, *lines, *sorted(map(str, self.probes))]).encode()).hexdigest()

    @property
    def too_many(self) -> bool:
        """More of an agency's gallery, or of all probes, than the policy lets go at once. A single one never is."""
        if len(self.probes) > max(1, Probe.objects.count() * self.policy.retention.max_share / 100):
            return True
        share = self.policy.retention.max_share
        of = Counter(due.agency for due in self.todo)
        return any(count > max(1, self.gallery[agency] * share / 100) for agency, count in of.items())


@dataclass
class Swept:
    """`skipped`: the sentence -> how many were left for it, although they were due when the sweep began."""

    plan: Plan
    done: int = 0
    probes: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def blocked(booking: Booking) -> str | None:
    """Why no rule may touch this booking now, in a sentence; None when one may."""
    if Hold.objects.in_force().filter(booking=booking.pk).exists():
        return "A legal hold keeps it."  # whose, its page says: a sweep's words go into logs
    if booking.sealed_at and queries.sealed_by_people(booking):
        return "It is sealed by order."
    if queries.waiting_about(booking, whole_person=False):
        return "An order about it waits for a second clerk."
    return None


def plan(today: datetime.date | None = None) -> Plan:
    """Changes nothing. A booking that several rules concern is expunged rather than sealed."""
    in_force, today = policy.current(), today or timezone.localdate()
    acting = sorted(in_force.retention.acting, key=lambda rule: rule.action != "expunge")
    found: dict[UUID, Due] = {}
    for rule in acting:
        for booking in rules.acted_on(rule, until=today):
            if booking.pk not in found:
                found[booking.pk] = Due(rule, booking.pk, booking.agency_id, blocked(booking))
    counted = Booking.objects.order_by().values_list("agency").annotate(count=Count("pk"))
    return Plan(
        policy=in_force,
        today=today,
        todo=[due for due in found.values() if not due.why_not],
        waiting=[due for due in found.values() if due.why_not],
        probes=probe_erasing.due(in_force.retention, today=today),
        gallery=dict(counted),
    )


def sweep(*, confirm: int | None = None, report: Report = lambda *_: None) -> Swept:
    """Do what is due today. Raises WrongState, with an entry in the audit and nothing done, when it is more than the
    policy lets go at once, or more than `confirm`, the number that somebody who looked at it named; and when another
    sweep is under way."""
    with locks.sweeping_alone() as alone:
        if not alone:
            raise WrongState("Another sweep is under way.")
        with audit.act("retention.sweep-started", by=None) as act:
            todo = plan()
            act.note(
                policy=todo.policy.digest, plan=todo.digest, bookings=todo.count, by_rule=todo.by_rule,
                waiting=len(todo.waiting), probes=len(todo.probes), confirmed=confirm,
            )  # fmt: skip
            _require_confirmed(todo, confirm)
        swept = Swept(todo)
        for number, due in enumerate(todo.todo, start=1):
            swept.done += _tried(swept, due.booking, partial(_carry_out, due, todo))
            report(number, todo.count)
        for probe in todo.probes:
            swept.probes += _tried(swept, probe, partial(probe_erasing.erase, probe, in_force=todo.policy))
        audit.record(
            "retention.swept", by=None, plan=todo.digest, bookings=swept.done, probes=swept.probes,
            skipped=swept.skipped.total(),
        )  # fmt: skip
    finishing.have_it_done()
    return swept


def _tried(swept: Swept, of: UUID, do: Callable[[], bool | None]) -> bool:
    """What goes wrong with one doesn't end the sweep of the others: it is counted, and in the log."""
    try:
        return do() is not False
    except MugsearchError as error:
        swept.skipped[error.message] += 1
    except Exception as error:  # noqa: BLE001  whatever it was: a person looks, and the next sweep tries again
        erasing.report(error, "sweep", of)
        swept.skipped[UNEXPECTED] += 1
    return False


def _require_confirmed(todo: Plan, confirm: int | None) -> None:
    if confirm is not None:
        if todo.count > confirm:
            raise WrongState(
                f"{todo.count:,} bookings and {len(todo.probes):,} probes are due now, more bookings than the "
                f"{confirm:,} named. Look again."
            )
    elif todo.too_many:
        raise WrongState(
            f"{todo.count:,} bookings and {len(todo.probes):,} probes would go at once, more than "
            f"{todo.policy.retention.max_share} % of an agency's gallery or of the probes. Nothing was done. Look at "
            f"them; if that is right, sweep with --confirm {todo.count}, which names the bookings: the probes go, too."
        )


def _carry_out(due: Due, todo: Plan) -> None:
    kind = ExpungementOrder.Kind(due.rule.action)
    order = ExpungementOrder(
        kind=kind,
        agency_id=due.agency,
        order_number=f"R-{todo.today:%Y-%m-%d}-{due.rule.code}",
        reason="By rule of the policy in force.",
        rule=due.rule.words,
        disposition="" if due.rule.code == JUVENILE else due.rule.code,
        policy_digest=todo.policy.digest,
    )
    with audit.act(f"{order.what}.ordered-by-rule", by=None, obj=order, booking=str(due.booking)) as act:
        locks.erasing()
        booking = _still_due(due, todo)
        order.booking = booking.pk
        act.note(rule=order.rule, policy=order.policy_digest)
        step = sealing.seal if kind == ExpungementOrder.Kind.SEAL else erasing.erase_rows
        try:
            step(order, queries.preview(booking, kind=kind), by=None)
        except Exception as error:  # noqa: BLE001  whatever it was, it quotes no row and leaves an entry
            erasing.report(error, step.__name__, order.pk)
            raise Unavailable(services.FAILED[kind]) from None
        transaction.on_commit(lambda: erasing.have_it_proved(order.pk), robust=True)
    purges.try_to_follow()
    if kind == ExpungementOrder.Kind.EXPUNGE:
        erasing.carry_out(order.pk)


def _still_due(due: Due, todo: Plan) -> Booking:
    """Under the lock of its erasure or seal. Raises WrongState when the rule doesn't act on it any more."""
    if policy.current().digest != todo.policy.digest:
        raise WrongState("The policy was changed while the sweep ran; the next sweep goes by the new one.")
    found = rules.acted_on(due.rule, until=todo.today).filter(pk=due.booking)
    booking: Booking | None = found.select_related("person").first()
    if booking is None:
        raise WrongState("It was not due any more.")
    if reason := blocked(booking):
        raise WrongState(reason)
    return booking
