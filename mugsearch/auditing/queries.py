"""What an auditor asks of the record: by whom, on which case, what, when; and the names for the ids in it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry, EntryQuerySet
from mugsearch.probes.models import Case

_ACTS = """
WITH RECURSIVE found AS (
    (SELECT act FROM audit_entry ORDER BY act LIMIT 1)
    UNION ALL
    SELECT (SELECT act FROM audit_entry WHERE act > found.act ORDER BY act LIMIT 1) FROM found WHERE act IS NOT NULL
)
SELECT act FROM found WHERE act IS NOT NULL
"""


def last_number() -> int:
    return Entry.objects.order_by("-number").values_list("number", flat=True).first() or 0


@dataclass(frozen=True)
class Filters:
    """`cases` is None when no case was asked for, and empty when there is none of the number that was typed.

    `upto` is the last entry there was when the page was asked for, so that no list begins with its own reading.
    """

    actor: UUID | None = None
    cases: tuple[UUID, ...] | None = None
    act: str = ""
    outcome: str = ""
    obj: str = ""
    since: datetime | None = None
    before: datetime | None = None
    upto: int = field(default_factory=last_number)

    def entries(self) -> EntryQuerySet:
        """Newest first."""
        found: EntryQuerySet = Entry.objects.filter(number__lte=self.upto)
        if self.actor:
            found = found.filter(actor=self.actor)
        if self.cases is not None:
            found = found.filter(case__in=self.cases)
        if self.act:
            found = found.filter(act=self.act)
        if self.outcome:
            found = found.filter(outcome=self.outcome)
        if self.obj:
            found = found.filter(object_id=self.obj)
        if self.since:
            found = found.filter(at__gte=self.since)
        if self.before:
            found = found.filter(at__lt=self.before)
        return found.order_by("-number")

    @property
    def only_case(self) -> UUID | None:
        return self.cases[0] if self.cases and len(self.cases) == 1 else None

    def as_details(self) -> dict[str, Any]:
        """For the entry about this reading: ids and codes, not what was typed."""
        asked = {
            "actor": str(self.actor) if self.actor else None,
            "cases": [str(case) for case in self.cases] if self.cases is not None else None,
            "of_act": self.act or None,
            "outcome": self.outcome or None,
            "object": self.obj or None,
            "since": self.since.isoformat() if self.since else None,
            "before": self.before.isoformat() if self.before else None,
        }
        return {name: value for name, value in asked.items() if value is not None}


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


def acts() -> list[str]:
    """Every kind of act there is an entry of; one look into the index each, not a walk through the record."""
    with connection.cursor() as cursor:
        cursor.execute(_ACTS)
        return [act for (act,) in cursor.fetchall()]


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
