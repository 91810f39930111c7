"""Which bookings each rule of the policy acts on, and when; which have waited too long for a disposition; and what
another policy would change. Reads only: `sweeping` carries it out."""

import calendar
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Greatest, TruncDate
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.gallery.models import Booking
from mugsearch.probes.policy import Policy
from mugsearch.probes.policy_changes import Effect
from mugsearch.probes.retention_rules import JUVENILE, Retention, Rule
from mugsearch.retention.disposition_models import Disposition

AHEAD = 90  # days that the page looks ahead


@dataclass(frozen=True)
class Forecast:
    """What a rule does up to a day. `excepted`: bookings it would act on some day, if an exception didn't keep them."""

    rule: Rule
    count: int
    today: int
    first: datetime.date | None
    excepted: int


def acted_on(rule: Rule, *, until: datetime.date | None = None) -> "QuerySet[Any]":
    """Bookings the rule acts on, the first ones first: each with `since`, the day that counts; it acts on
    `since + rule.window`. `until`: only those on which it acts by then.

    What a hold blocks is among them: see `sweeping.blocked`. What is sealed, or was unsealed by order, is not,
    where the rule seals.
    """
    bookings = _concerned(rule)
    if rule.action == "seal":
        bookings = bookings.filter(sealed_at__isnull=True, unsealed_at__isnull=True)
    if until:
        bookings = bookings.filter(since__lte=until - rule.window)
    return bookings.exclude(_excepted(rule)).order_by("since", "pk")


def forecast(rule: Rule, bookings: "QuerySet[Any]", *, today: datetime.date, ahead: int = AHEAD) -> Forecast:
    """`bookings`: those of which the reader may know."""
    coming = acted_on(rule, until=today + datetime.timedelta(days=ahead)).filter(pk__in=bookings)
    first = coming.first()
    return Forecast(
        rule=rule,
        count=coming.count(),
        today=coming.filter(since__lte=today - rule.window).count(),
        first=max(today, first.since + rule.window) if first else None,
        excepted=_concerned(rule).filter(_excepted(rule), pk__in=bookings).count(),
    )


def stale(user: User, retention: Retention, *, today: datetime.date) -> "QuerySet[Any]":
    """Bookings without a disposition for too long, the oldest first. `since`: the day of the booking, or when it came
    in where that isn't recorded."""
    before = _months_before(today, retention.stale_months)
    found: QuerySet[Any] = (
        Booking.objects.visible_to(user)
        .annotate(since=Coalesce("booked_on", TruncDate("created_at")))
        .filter(~Exists(Disposition.objects.standing().filter(booking=OuterRef("pk"))), since__lte=before)
        .order_by("since", "pk")
    )
    return found


def effects(now: Policy, then: Policy) -> Iterator[Effect]:
    """Of another policy, on the bookings as they are today."""
    before, after = now.retention, then.retention
    for name, what, means in (
        (
            "max_share",
            "Share that a sweep takes at once, percent",
            "Sweeps from now on; more needs somebody who says so.",
        ),
        ("stale_months", "A booking lacks a disposition after months", "The work list of bookings without one."),
        ("probe_days", "A probe without a lead is erased after days", "Every probe, also those uploaded before."),
    ):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield Effect(what, "" if old is None else str(old), "" if new is None else str(new), means)
    for code in [*before.rules, *(code for code in after.rules if code not in before.rules)]:
        one, other = before.rules.get(code), after.rules.get(code)
        if one != other:
            yield _effect(code, one, other)


def _effect(code: str, now: Rule | None, then: Rule | None) -> Effect:
    old, new = _days(now), _days(then)
    both = old.keys() & new.keys()
    counts = {
        "earlier": sum(new[pk] < old[pk] for pk in both),
        "later": sum(new[pk] > old[pk] for pk in both),
        "newly": len(new.keys() - old.keys()),
        "no_more": len(old.keys() - new.keys()),
        "due_today": sum(day <= timezone.localdate() for day in new.values()),
    }
    if now and then and now.action != then.action and both:
        counts["otherwise"] = len(both)
    words = {
        "earlier": "go earlier",
        "later": "go later",
        "newly": "go that stayed before",
        "no_more": "stay that went before",
        "otherwise": f"are to be {then.action}{'d' if then and then.action.endswith('e') else 'ed'} instead"
        if then
        else "",
    }
    said = [f"{counts[name]:,} {text}" for name, text in words.items() if counts.get(name)]
    means = (
        f"Bookings: {', '.join(said)}; {counts['due_today']:,} with the next sweep." if said else "No booking today."
    )
    if not then:
        means += f" “{code}” can't be recorded any more; what was recorded stays." if code != JUVENILE else ""
    return Effect("Retention rule", now.words if now else "", then.words if then else "", means, counts)


def _days(rule: Rule | None) -> dict[UUID, datetime.date]:
    """booking -> the day on which the rule acts on it."""
    if rule is None or not rule.acts:
        return {}
    return {pk: since + rule.window for pk, since in acted_on(rule).values_list("pk", "since")}


def _concerned(rule: Rule) -> "QuerySet[Any]":
    """With `since`, and without a look at the exceptions. No window begins before what it goes by was recorded: else
    one clerk could make a rule act at once, by a day in the past or a correction."""
    bookings: Any = Booking.objects.all()
    recorded = TruncDate("ruled_since")
    found: QuerySet[Any]
    if rule.code != JUVENILE:
        current = Disposition.objects.current().filter(disposition=rule.code)
        found = bookings.filter(dispositions__in=current).annotate(
            since=Greatest("dispositions__disposed_on", TruncDate("dispositions__counts_since"), recorded)
        )
        return found
    found = bookings.filter(under_age=True).annotate(since=Greatest("booked_on", recorded))
    return found


def _excepted(rule: Rule) -> Q:
    excepted = Q(pk__in=[])
    for word in rule.unless_charge:
        excepted |= Q(charge__icontains=word)
    if rule.unless_other:
        others = Disposition.objects.current().filter(
            booking__person=OuterRef("person"), disposition__in=rule.unless_other
        )
        excepted |= Q(Exists(others.exclude(booking=OuterRef("pk"))))
    return excepted


def _months_before(day: datetime.date, months: int) -> datetime.date:
    """The same day of the month, or its last one where it has fewer."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return datetime.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
