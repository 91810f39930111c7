"""What two or three concluded examinations come to. Pure: no database, no clock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import combinations
from statistics import mean
from uuid import UUID

Ratings = Mapping[UUID, int | None]  # candidate -> -3 … 3, None for "no conclusion" and "unsuitable"

FEWEST, MOST = 2, 3  # examinations


class Outcome(Enum):
    CONFIRMED = "confirmed"
    NOBODY = "nobody"
    THIRD_NEEDED = "third needed"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True)
class Decision:
    """`candidate` and `by`, the places of the two examinations that confirm them, of CONFIRMED only."""

    outcome: Outcome
    candidate: UUID | None = None
    by: tuple[int, int] | None = None


def decide(examinations: Sequence[Ratings], *, positive: int, alive: Collection[UUID]) -> Decision:
    """Of two or three examinations; ValueError for other numbers.

    An examination names the candidates it rates `positive` or higher. Two that name the same one, and nobody else,
    confirm that candidate. Whoever names two different people of one list has identified nobody, so that never
    confirms, agreed or not. When all name nobody there is nobody; anything else goes to a third examiner, and after
    the third stays unresolved. A candidate who was expunged meanwhile (not `alive`) is never confirmed, but naming
    them still counts as said; and when nobody who was named is left, there is nothing for a third to settle.
    """
    if not FEWEST <= len(examinations) <= MOST:
        raise ValueError(f"{len(examinations)} examinations decide nothing")
    named = [names(ratings, positive) for ratings in examinations]
    if not any(candidates & set(alive) for candidates in named):
        return Decision(Outcome.NOBODY)
    for one, other in combinations(range(len(named)), 2):
        if len(named[one]) == 1 and named[one] == named[other]:
            (candidate,) = named[one]
            if candidate in alive:
                return Decision(Outcome.CONFIRMED, candidate, (one, other))
    return Decision(Outcome.THIRD_NEEDED if len(named) < MOST else Outcome.UNRESOLVED)


def names(ratings: Ratings, positive: int) -> frozenset[UUID]:
    """Whom an examination names."""
    return frozenset(candidate for candidate, rating in ratings.items() if rating is not None and rating >= positive)


def fused(ratings: Collection[int | None]) -> float | None:
    """The mean of the ratings of one candidate (Phillips et al., PNAS 2018), without those who rated nothing."""
    given = [rating for rating in ratings if rating is not None]
    return mean(given) if given else None
