"""Reviews of the record: what is said of a sighting, weeks signed off, and filters under a name."""

import datetime
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Prefetch, Q, QuerySet
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry, Outcome
from mugsearch.auditing.drawing import DAY, bounds, monday
from mugsearch.auditing.models import Draw, Remark, SavedReview, Sighting, SignOff
from mugsearch.auditing.queries import hidden_from
from mugsearch.auditing.signals import BY_NAME, RANDOM
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.probes.models import Case
from mugsearch.validators import require_text

WEEK = 7 * DAY
LATELY = 28  # days of sightings that are shown where nobody asks for more
KEPT = ("actor", "case", "act", "outcome")  # of the filters of the record, in a saved review
NOT_KEPT = ("object", "booking")
REASON_LIMIT = 1000
# Any fixed numbers will do; they only have to differ from the other advisory locks (see gallery.locks).
_SIGNING_OFF = 0x6D756732
_SAVING = 0x6D756733
# An auditor's own work, and signing in for it: whoever reads the record is in it every week. What else they do in it
# somebody else reviews.
DUTIES = (
    *("audit.read", "audit.looked-up", "audit.timeline-read", "audit.exported", "audit.verified", "signals.read"),
    *("session.started", "session.confirmed", "session.ended", "user.password-changed", "head.downloaded"),
    *("factor.added", "factor.codes-shown", "factor.codes-renewed"),
    *("review.read", "review.signed-off", "sighting.remarked", "saved-review.made", "saved-review.put-away"),
    *("report.read", "search.viewed", "search.listed", "disclosure.looked-up", "token.made", "token.ended"),
)
# Who gets in, and as what: an administrator has no casework, but whoever adds an account, or has a second factor set up
# anew, may be the one who signs in with it. None of these is refused, so nothing else here would show them.
ACCESS = (
    *("user.added", "user.roles-set", "user.enabled", "user.password-set", "factor.reset", "account.unlocked"),
    *("certificate.recorded", "agency.added"),
)
ANOTHER = "This concerns your own acts, or a case you are or were on. Another auditor has to review it."
ONLY = (
    "This concerns your own acts, or a case you are or were on, and there is no auditor whom it doesn't concern: say "
    "why you review it yourself. The reason is kept."
)
# Rows here stay for good, and an expungement looks for the ids of what it erased in every one.
IDS = "Name entries of the record by their numbers and leave out ids of objects: one may be expunged, and this stays."
_ID = re.compile("[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)

_SAID = Prefetch("remarks", Remark.objects.select_related("by"), to_attr="said")


@dataclass(frozen=True)
class Refusals:
    actor: UUID | None
    act: str
    outcome: str
    count: int


@dataclass(frozen=True)
class Week:
    """What is to be looked at of one week, from its Monday to its Sunday."""

    monday: datetime.date
    signed: SignOff | None

    @property
    def sunday(self) -> datetime.date:
        return self.monday + 6 * DAY

    @property
    def due(self) -> datetime.date:
        """Reviewed weekly (CJIS AU-6): within the week that follows."""
        return self.monday + 13 * DAY

    @property
    def is_over(self) -> bool:
        return self.sunday < timezone.localdate()

    @property
    def is_overdue(self) -> bool:
        return self.signed is None and timezone.localdate() > self.due

    @cached_property
    def is_drawn(self) -> bool:
        return Draw.objects.filter(day__gte=self.sunday).exists()  # days off for too long are never made good for

    @cached_property
    def sightings(self) -> list[Sighting]:
        """Those of signals first, then those drawn at random; each with its `said`, the latest remark first."""
        found = Sighting.objects.filter(week=self.monday).select_related("actor", "other", "case")
        return sorted(found.prefetch_related(_SAID), key=lambda one: (one.signal == RANDOM, one.signal, one.key))

    @property
    def unsaid(self) -> int:
        return Sighting.objects.filter(week=self.monday, remarks__isnull=True).count()

    @property
    def entries(self) -> QuerySet[Entry]:
        return Entry.objects.filter(at__gte=bounds(self.monday), at__lt=bounds(self.monday + WEEK)).order_by()

    @cached_property
    def span(self) -> tuple[int | None, int | None]:
        """Numbers of the first and the last entry: the clock is read under the chain's lock."""
        in_order = self.entries.order_by("at").values_list("number", flat=True)
        return in_order.first(), in_order.last()

    def refusals(self) -> list[Refusals]:
        """By person and act. What a person may not is refused all day long: the pattern is what matters."""
        first, last = self.span
        found = Entry.objects.filter(number__gte=first or 0, number__lte=last or 0).exclude(outcome=Outcome.DONE)
        groups = found.order_by().values_list("actor", "act", "outcome").annotate(found=Count("number"))
        return [Refusals(*group) for group in groups.order_by("act", "actor", "outcome")]  # not by how many

    def access(self) -> list[Entry]:
        """What was done with accounts and roles, in its order."""
        first, last = self.span
        found = Entry.objects.filter(number__gte=first or 0, number__lte=last or 0, outcome=Outcome.DONE)
        return list(found.filter(act__in=ACCESS).order_by("number"))

    def own_acts(self, of: User) -> bool:
        """Whether the week holds something that this person can't review alone."""
        if about(of).filter(week=self.monday).exists():
            return True
        first, last = self.span
        mine = Entry.objects.filter(actor=of.pk, number__gte=first or 0, number__lte=last or 0)
        return bool(mine.exclude(act__in=DUTIES).exists())


def week_of(day: datetime.date) -> Week:
    first = monday(day)
    return Week(first, SignOff.objects.select_related("by").filter(pk=first).first())


def weeks(most: int = 26) -> list[Week]:
    """From this one back to the first that was drawn, the latest first."""
    since = Draw.objects.order_by("day").values_list("day", flat=True).first()
    this = monday(timezone.localdate())
    signed = {one.week: one for one in SignOff.objects.select_related("by")}
    found = [Week(this, signed.get(this))]
    while since and found[-1].monday > monday(since):
        before = found[-1].monday - WEEK
        found.append(Week(before, signed.get(before)))
    late = [one for one in found[most:] if one.is_overdue]  # what is overdue is never cut off
    return found[:most] + late


def not_drawn_since() -> datetime.date | None:
    """The last day drawn, where yesterday's has been due for hours: the nightly work seems not to be done."""
    last = Draw.objects.values_list("day", flat=True).first()
    return last if last and last < timezone.localdate() - 2 * DAY else None


def overdue() -> list[Week]:
    return [one for one in weeks(0) if one.is_overdue]


def alone(by: User, on: Week | Sighting) -> bool:
    """Whether there is no other auditor whose own acts it doesn't concern. Two who both work on cases would wait for
    each other for ever."""
    others = User.objects.people().filter(is_active=True, grants__role=Role.AUDITOR).exclude(pk=by.pk)
    if isinstance(on, Week):
        return all(on.own_acts(one) for one in others)
    return all(about(one).filter(pk=on.pk).exists() for one in others)


def about(person: User) -> QuerySet[Sighting]:
    """What points at this person, or at something of a case of theirs: another auditor reviews it."""
    own_cases = Case.objects.ever_of(person).values("pk")
    of_case = Q(case__in=own_cases) | Q(search__probe__case__in=own_cases)
    return Sighting.objects.filter(Q(actor=person) | Q(other=person) | of_case)


def read(*, by: User, week: Week) -> None:
    with audit.act("review.read", by=by, week=week.monday.isoformat()):
        require(by, Role.AUDITOR)


def lately(*, by: User, signal: str, days: int) -> QuerySet[Sighting]:
    """What was drawn in the last days, of one signal or of all, the latest first. Each has its `said`."""
    since = timezone.localdate() - days * DAY
    found = Sighting.objects.filter(draw__day__gte=since, **({"signal": signal} if signal else {}))
    audit.record("signals.read", by=by, signal=signal or None, days=days)
    found = found.select_related("actor", "other", "case", "draw").prefetch_related(_SAID)
    return found.order_by("-draw__day", "signal", "key")


def remark(*, by: User, sighting: Sighting, verdict: str, note: str, own_reason: str = "") -> Remark:
    """An explained sighting needs its note, too, and stays on record."""
    with audit.act("sighting.remarked", by=by, obj=sighting, case=sighting.case_id) as act:
        require(by, Role.AUDITOR)
        if verdict not in Remark.Verdict.values:
            raise BadInput("Say whether it is explained, followed up, or still open.")
        note = _text(note, "Write a note: what you looked at, and what you found.", Remark.NOTE_LIMIT)
        own = about(by).filter(pk=sighting.pk).exists()
        reason = _apart(by, sighting, own, own_reason)
        act.note(verdict=verdict, signal=sighting.signal, own=own)
        return Remark.objects.create(sighting=sighting, verdict=verdict, note=note, by=by, own_reason=reason)


def sign_off(*, by: User, day: datetime.date, note: str, own_reason: str = "") -> SignOff:
    with audit.act("review.signed-off", by=by, week=monday(day).isoformat()) as act:
        require(by, Role.AUDITOR)
        note = _text(note, "Write what you reviewed and what came of it.", SignOff.NOTE_LIMIT)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SIGNING_OFF])
        week = week_of(day)
        if week.signed:
            raise WrongState(f"{week.signed.by.full_name} signed this week off already.")
        if not week.is_over:
            raise WrongState("This week isn't over yet.")
        if not week.is_drawn:
            raise WrongState(
                "The signals of this week aren't all drawn yet. That is done at night; look again tomorrow."
            )
        if left := week.unsaid:
            raise WrongState(
                f"{left} item{'s' if left > 1 else ''} of this week still need{'' if left > 1 else 's'} a note."
            )
        if hidden_from(by):
            first, last = week.span
            own_case = Entry.objects.filter(pk__in=hidden_from(by), number__gte=first or 0, number__lte=last or 0)
            if own_case.exists():
                raise NotAllowed(
                    "Examinations of a case you are on are under way. Another auditor signs this week off."
                )
        own = week.own_acts(by)
        reason = _apart(by, week, own, own_reason)
        first, last = week.span
        newest = Entry.objects.order_by("-number").first()
        act.note(first=first, last=last, sightings=len(week.sightings), own=own)
        return SignOff.objects.create(
            week=week.monday,
            by=by,
            note=note,
            own_reason=reason,
            first=first,
            last=last,
            head=f"{newest.number}:{newest.digest}" if newest else "0:",
            sightings=len(week.sightings),
            refusals=sum(one.count for one in week.refusals()),
        )


def save(*, by: User, name: str, days: int, signal: str = "", filters: dict[str, Any] | None = None) -> SavedReview:
    """`filters`: what the filter form was sent. Objects and bookings are not kept: an expunged one would stay here."""
    with audit.act("saved-review.made", by=by) as act:
        require(by, Role.AUDITOR)
        name = _text(name, "Give the review a name.", 100)
        if not 1 <= days <= 366:
            raise BadInput("The period is between 1 and 366 days.")
        if signal and signal not in BY_NAME:
            raise BadInput("There is no such signal.")
        kept = {key: value for key, value in (filters or {}).items() if value and key in KEPT}
        if any(_ID.search(str(value)) and not (key == "actor" and _is_person(value)) for key, value in kept.items()):
            raise BadInput(IDS)
        if any((filters or {}).get(key) for key in NOT_KEPT):
            raise BadInput(
                "Filters for one object aren't saved, because it may be expunged. Bookmark the page instead."
            )
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SAVING])
        if SavedReview.objects.filter(name=name, put_away_at=None).exists():
            raise WrongState("There is a saved review of this name. Choose another, or put that one away first.")
        act.obj = saved = SavedReview.objects.create(name=name, days=days, signal=signal, filters=kept, by=by)
        act.note(days=days, **({"signal": signal} if signal else {}))
        return saved


def put_away(*, by: User, saved: SavedReview) -> None:
    with audit.act("saved-review.put-away", by=by, obj=saved):
        require(by, Role.AUDITOR)
        kept = SavedReview.objects.filter(pk=saved.pk, put_away_at=None)
        if kept.update(put_away_at=timezone.now(), put_away_by=by) != 1:
            raise WrongState("This saved review was put away already.")


def _apart(by: User, on: Week | Sighting, own: bool, reason: str) -> str:
    """What is kept as the reason; empty where it is somebody else's acts."""
    if not own:
        return ""
    if not alone(by, on):
        raise NotAllowed(ANOTHER)
    return _text(reason, ONLY, REASON_LIMIT)


def _is_person(typed: str) -> bool:
    with suppress(ValueError):
        return User.objects.filter(pk=UUID(typed)).exists()
    return False


def _text(typed: str, missing: str, most: int) -> str:
    typed = typed.strip()
    if not typed:
        raise BadInput(missing)
    require_text(typed, most=most, refusal=f"This is text of up to {most} characters.")
    if _ID.search(typed):
        raise BadInput(IDS)
    return typed
