"""What an auditor asks of the record: by whom, on which case, what, when; and the names for the ids in it."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry, EntryQuerySet
from mugsearch.gallery.models import Booking, Photo
from mugsearch.probes.models import Candidate, Case, Search
from reviews.models import Examination, Lead, Lineup
from reviews.queries import examination_states

_ACTS = """
WITH RECURSIVE found AS (
    (SELECT act FROM audit_entry ORDER BY act LIMIT 1)
    UNION ALL
    SELECT (SELECT act FROM audit_entry WHERE act > found.act ORDER BY act LIMIT 1) FROM found WHERE act IS NOT NULL
)
SELECT act FROM found WHERE act IS NOT NULL
"""

CLOCK = timedelta(days=1)  # more than anybody sets a clock back by


def last_number() -> int:
    return Entry.objects.order_by("-number").values_list("number", flat=True).first() or 0


@dataclass(frozen=True)
class Filters:
    """`actors`, `cases`, `acts` and `objects` are None when none was asked for, and empty when there is none like that.

    `upto` is the last entry there was when the page was asked for, so that no list begins with its own reading.
    `hidden` are the entries that this reader must not see yet, see `hidden_from`.
    """

    actors: tuple[UUID, ...] | None = None
    cases: tuple[UUID, ...] | None = None
    acts: tuple[str, ...] | None = None
    outcome: str = ""
    objects: tuple[str, ...] | None = None
    booking: UUID | None = None  # whose look-ups `objects` are
    kind: str = ""  # of object
    since: datetime | None = None
    before: datetime | None = None
    by_system: bool = False
    hidden: tuple[int, ...] = ()
    upto: int = field(default_factory=last_number)

    def entries(self) -> EntryQuerySet:
        """Newest first."""
        asked = {
            "actor__in": self.actors,
            "actor__isnull": self.by_system or None,
            "case__in": self.cases,
            "act__in": self.acts,
            "outcome": self.outcome or None,
            "object_id__in": self.objects,
            "object_type": self.kind or None,
            "at__gte": self.since,
            "at__lt": self.before,
            **_numbers(self.since, self.before),
        }
        found: EntryQuerySet = Entry.objects.filter(
            number__lte=self.upto, **{name: value for name, value in asked.items() if value is not None}
        )
        return found.exclude(number__in=self.hidden).order_by("-number")

    @property
    def only_case(self) -> UUID | None:
        return self.cases[0] if self.cases and len(self.cases) == 1 else None

    def as_details(self) -> dict[str, Any]:
        """For the entry about this reading: ids and codes, not what was typed."""
        asked = {
            "actor": _ids(self.actors),
            "by_system": self.by_system or None,
            "cases": [str(case) for case in self.cases] if self.cases is not None else None,
            "of_act": self.acts[0] if self.acts and len(self.acts) == 1 else _ids(self.acts),
            "outcome": self.outcome or None,
            # Never what a booking leads to: once it is expunged, the record would be all that still leads there.
            "object": str(self.booking) if self.booking else _ids(self.objects),
            "kind": self.kind or None,
            "since": self.since.isoformat() if self.since else None,
            "before": self.before.isoformat() if self.before else None,
        }
        return {name: value for name, value in asked.items() if value is not None}


def _numbers(since: datetime | None, before: datetime | None) -> dict[str, int | None]:
    """Between which numbers the entries of a time are. Pages are cut by number, so all that is newer would be passed
    over one by one. The last entry from before it and the first from after it are looked for a day away: numbers follow
    the clock, which can be set back. A time that no other entry is near is one of a clock that was wrong for a while:
    then the numbers say nothing, and there is little to pass over."""
    in_order = Entry.objects.order_by("at").values_list("number", flat=True)
    by_number = Entry.objects.order_by("number").values_list("at", flat=True)
    oldest, newest = by_number.first(), by_number.last()
    found: dict[str, int | None] = {}
    if oldest and newest:
        if since and oldest + CLOCK < since < newest + CLOCK:
            found["number__gt"] = in_order.filter(at__lt=since - CLOCK).last()
        if before and oldest - CLOCK < before < newest - CLOCK:
            found["number__lt"] = in_order.filter(at__gte=before + CLOCK).first()
    return found


def _ids(asked: tuple[Any, ...] | None) -> Any:
    """One as it is, several as a list of up to 20: more would fill an entry."""
    if asked is None:
        return None
    return str(asked[0]) if len(asked) == 1 else [str(one) for one in asked[:20]]


@dataclass(frozen=True)
class Page:
    """Pages are cut by entry number, which costs the same at the end of a long record as at its beginning."""

    entries: list[Entry]
    newer: int | None
    older: int | None


def page(filters: Filters, *, size: int, older_than: int | None = None, newer_than: int | None = None) -> Page:
    found = filters.entries()
    if newer_than is not None:
        rows = list(found.filter(number__gt=newer_than).order_by("number")[:size])[::-1]
    else:
        rows = list((found.filter(number__lt=older_than) if older_than is not None else found)[:size])
    if not rows:
        return Page([], None, None)
    first, last = rows[0].number, rows[-1].number
    return Page(
        rows,
        newer=first if found.filter(number__gt=first).exists() else None,
        older=last if found.filter(number__lt=last).exists() else None,
    )


def number_of(typed: str) -> int | None:
    """Of an entry, as an address has it."""
    return int(typed) if typed.isdecimal() and len(typed) < 19 else None


def acts() -> list[str]:
    """Every kind of act there is an entry of; one look into the index each, not a walk through the record."""
    with connection.cursor() as cursor:
        cursor.execute(_ACTS)
        return [act for (act,) in cursor.fetchall()]


def families() -> list[str]:
    """What acts begin with: "search" of search.requested."""
    return sorted({act.partition(".")[0] for act in acts()})


def of_family(family: str) -> tuple[str, ...]:
    return tuple(act for act in acts() if act.partition(".")[0] == family)


def people_named(typed: str) -> tuple[UUID, ...]:
    """By id, user name or any part of a name."""
    with suppress(ValueError):
        return tuple(User.objects.filter(pk=UUID(typed)).values_list("pk", flat=True))
    if by_name := tuple(User.objects.filter(username__iexact=typed).values_list("pk", flat=True)):
        return by_name
    return tuple(User.objects.filter(full_name__icontains=typed).order_by("pk").values_list("pk", flat=True))


def booking_numbered(number: str) -> Booking | None:
    """For an auditor who knows its number. A sealed one is answered like one that isn't there."""
    found: Booking | None = Booking.objects.numbered(number).filter(sealed_at__isnull=True).first()
    return found


def lookups_of(booking: UUID) -> tuple[str, ...]:
    """Ids under which the record speaks of a booking: its own, its photographs, the lists it is on, what came of them.
    Of one that is gone or sealed only its own id is left: nothing leads from there to a list."""
    ids = {str(booking)}
    if Booking.objects.filter(pk=booking, sealed_at__isnull=True).exists():
        photos = list(Photo.objects.filter(booking=booking).values_list("pk", flat=True))
        shown = Candidate.objects.filter(Q(photo__in=photos) | Q(siblings__photo__in=photos), search__trial=None)
        candidates = dict(shown.values_list("pk", "search"))
        leads = Lead.objects.filter(candidate__in=candidates).values_list("pk", flat=True)
        places = Q()
        for photo in photos:
            places |= Q(photos__contains=str(photo))
        lineups = Lineup.objects.filter(places).values_list("pk", flat=True) if photos else []
        ids |= {str(pk) for pk in (*photos, *candidates, *candidates.values(), *leads, *lineups)}
    return tuple(sorted(ids))


def hidden_from(reader: User) -> tuple[int, ...]:
    """Numbers of entries about examinations that are under way in cases this reader is on, or that they asked for: who
    works on a case doesn't learn what examiners find before it is over, whatever else they are. Nor does who was on it:
    leaving it for as long as it takes to read would be enough."""
    on_it = Q(probe__case__memberships__user=reader) | Q(requested_by=reader) | Q(probe__submitted_by=reader)
    begun = Search.objects.casework().filter(on_it, examinations__isnull=False).distinct()
    searches = {search.pk: search for search in begun.select_related("probe")}
    open_ = [pk for pk, state in examination_states(searches.values()).items() if not state.over]
    if not open_:
        return ()
    ids = [str(pk) for pk in Examination.objects.filter(search__in=open_).values_list("pk", flat=True)]
    cases = {searches[pk].probe.case_id for pk in open_}
    about = Q(object_id__in=ids) | Q(details__examination__in=ids)
    of_cases = Entry.objects.filter(case__in=cases).filter(about)
    # Entries without a case, such as of a supervisor who frees one.
    others = Entry.objects.filter(object_id__in=ids)
    return tuple({*of_cases.values_list("number", flat=True), *others.values_list("number", flat=True)})


def cases_numbered(number: str) -> tuple[UUID, ...]:
    """The record is one for all agencies, and two of them may use the same number."""
    return tuple(Case.objects.filter(number__iexact=number.strip()).order_by("pk").values_list("pk", flat=True))


def names(entries: list[Entry]) -> tuple[dict[UUID, str], dict[UUID, str]]:
    """(names of people acting, numbers of cases) as they are today: the record holds neither."""
    people = User.objects.filter(pk__in={entry.actor for entry in entries if entry.actor})
    cases = Case.objects.filter(pk__in={entry.case for entry in entries if entry.case})
    return (
        dict(people.values_list("pk", "full_name")),
        dict(cases.values_list("pk", "number")),
    )
