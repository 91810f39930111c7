"""What an investigator may narrow a search to: fields recorded at booking, never anything guessed from a face.

Whoever has no value recorded is compared all the same: a field that somebody left empty must hide nobody.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from django.utils import timezone
from django.utils.formats import date_format

from mugsearch.accounts.models import Agency

# As booking records have them. U says that it isn't known, so these people pass whatever is asked for.
SEXES = ("F", "M", "X")
# The earliest a manifest takes.
FIRST_YEAR = 1850


@dataclass(frozen=True)
class Filters:
    """All of what is given has to be met; years and days are inclusive. Falsy when nothing is given."""

    sexes: tuple[str, ...] = ()
    born_from: int | None = None
    born_to: int | None = None
    booked_from: datetime.date | None = None
    booked_to: datetime.date | None = None
    agencies: tuple[UUID, ...] = ()

    def __bool__(self) -> bool:
        return self != Filters()

    def as_json(self) -> dict[str, Any]:
        """What is given, in one spelling: codes, years, days and ids."""
        plain = {
            "sexes": sorted(set(self.sexes)),
            "born_from": self.born_from,
            "born_to": self.born_to,
            "booked_from": self.booked_from and self.booked_from.isoformat(),
            "booked_to": self.booked_to and self.booked_to.isoformat(),
            "agencies": sorted({str(agency) for agency in self.agencies}),
        }
        return {name: value for name, value in plain.items() if value not in (None, [])}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        days = (stored.get(name) for name in ("booked_from", "booked_to"))
        first, last = (datetime.date.fromisoformat(day) if day else None for day in days)
        return cls(
            sexes=tuple(stored.get("sexes", ())),
            born_from=stored.get("born_from"),
            born_to=stored.get("born_to"),
            booked_from=first,
            booked_to=last,
            agencies=tuple(map(UUID, stored.get("agencies", ()))),
        )

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """From what a form or the API took, lists and all."""
        plain: dict[str, Any] = {name: tuple(it) if isinstance(it, list) else it for name, it in given.items()}
        return cls(**plain)

    def problems(self) -> dict[str, str]:
        """Field -> a sentence, for every field that can't be used."""
        return dict(self._problems())

    def _problems(self) -> Iterator[tuple[str, str]]:
        today = timezone.localdate()
        if not set(self.sexes) <= set(SEXES):
            yield "sexes", f"Choose from {', '.join(SEXES)}, as booking records have it."
        for name, year in (("born_from", self.born_from), ("born_to", self.born_to)):
            if year is not None and year > today.year:
                yield name, "Nobody was born in a year that is still to come."
            elif year is not None and year < FIRST_YEAR:
                yield name, f"Write the year with four digits; the earliest is {FIRST_YEAR}."
        for name, day in (("booked_from", self.booked_from), ("booked_to", self.booked_to)):
            if day is not None and day > today:
                yield name, "Nobody was booked on a day that is still to come."
        if self.born_from and self.born_to and self.born_from > self.born_to:
            yield "born_to", "The last year of birth lies before the first; swap them."
        if self.booked_from and self.booked_to and self.booked_from > self.booked_to:
            yield "booked_to", "The last day of booking lies before the first; swap them."
        if self.agencies and Agency.objects.filter(pk__in=self.agencies).count() != len(set(self.agencies)):
            yield "agencies", "Choose among the agencies of this installation."

    def words(self) -> list[tuple[str, str]]:
        """(what it was narrowed by, to what), as people read it."""
        days = (day and date_format(day, "j M Y") for day in (self.booked_from, self.booked_to))
        names = dict(Agency.objects.filter(pk__in=self.agencies).values_list("pk", "name")) if self.agencies else {}
        given = {
            "Sex, as recorded:": " or ".join(sorted(self.sexes)),
            "Born": _span(self.born_from, self.born_to),
            "Booked": _span(*days),
            "Booked by": " or ".join(sorted(names.get(agency, str(agency)) for agency in self.agencies)),
        }
        return [(label, text) for label, text in given.items() if text]

    def labels(self) -> str:
        """By what it was narrowed, for lists: without values, and without asking for the agencies' names."""
        given = {
            "sex": self.sexes,
            "year of birth": self.born_from or self.born_to,
            "day of booking": self.booked_from or self.booked_to,
            "agency": self.agencies,
        }
        return ", ".join(label for label, value in given.items() if value)


def _span(first: object, last: object) -> str:
    if first and last:
        return str(first) if first == last else f"{first} to {last}"
    return f"{first} or later" if first else f"{last} or earlier" if last else ""
