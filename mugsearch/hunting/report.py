"""What a hunt has looked at and found. It holds no marker, only their numbers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from mugsearch.hunting.markers import Finds

Progress = Callable[[str], object]


class Ages(StrEnum):
    """Where what was erased may stay in plain for a while. An order's certificate lists them with their dates."""

    WAL = "wal"
    PAGES = "pages"
    BACKUPS = "backups"
    KEYS_BACKUPS = "keys_backups"
    MEMORY = "memory"
    LOGS = "logs"


@dataclass
class Place:
    """One kind of place. `ages` is None where nothing in plain may be at all.

    `finds` is by (where exactly, marker, form). `missed`: what could not be looked at, and why.
    """

    name: str
    ages: Ages | None = None
    bytes: int = 0
    items: int = 0
    finds: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def read(self, size: int, items: int = 0) -> None:
        self.bytes += size
        self.items += items

    def found(self, where: str, finds: Finds) -> None:
        for (number, form), count in finds.items():
            self.finds[where, number, form] += count

    @property
    def markers(self) -> list[int]:
        return sorted({number for _, number, _ in self.finds})


@dataclass(frozen=True)
class Hunt:
    markers: int
    places: list[Place]
    seconds: float

    @property
    def in_plain(self) -> list[Place]:
        """Where something was found that may not be there."""
        return [place for place in self.places if place.finds and place.ages is None]

    @property
    def ages(self) -> set[Ages]:
        """Where something was found that ages out."""
        return {place.ages for place in self.places if place.finds and place.ages}

    @property
    def bytes(self) -> int:
        return sum(place.bytes for place in self.places)
