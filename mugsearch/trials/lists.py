"""Which list a trial has. Pure: no database, no clock, and chance only where it is handed in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mugsearch.trials.models import Trial

DECIMALS = 6  # those of engine.index, which isn't imported: it loads the search kernel
NEAREST = 3  # times as many as a list shows


@dataclass(frozen=True)
class Held:
    """A photograph that can be used. `vector`: (dimension,), norm 1."""

    photo: UUID
    subject: UUID
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class Listed:
    photo: UUID
    subject: UUID
    score: float  # cosine


@dataclass(frozen=True)
class Composed:
    """`places`: the best first, as a search would rank them. `mate_rank`: from 1; None where there is no mate."""

    places: list[Listed]
    mate_rank: int | None


class Material:
    """Photographs to make lists of, their vectors stacked once."""

    def __init__(self, held: Sequence[Held]) -> None:
        self.held = list(held)
        self._people = np.array([one.subject.int for one in held], dtype=object)
        self._vectors = np.array([one.vector for one in held], dtype=np.float64)

    def without(self, people: Collection[UUID]) -> "Material":
        return Material([one for one in self.held if one.subject not in people])

    def scores(self, probe: Held) -> list[float]:
        """Cosines, as the index gives them: in double precision, rounded to DECIMALS."""
        found = self._vectors @ probe.vector.astype(np.float64) if self.held else np.empty(0)
        return [float(score) for score in np.round(found, DECIMALS) + 0.0]

    def closest_other(self, probe: Held) -> float:
        """The highest cosine to somebody else; -1 where there is nobody."""
        others = self._people != probe.subject.int
        return max((score for score, other in zip(self.scores(probe), others, strict=True) if other), default=-1.0)


def compose(kind: str, probe: Held, material: Material, *, size: int, chance: Random) -> Composed | None:
    """A list of `size` people, each by the photograph most like the probe; None where the material has too few.

    Mated: another photograph of the person, and the others most like the probe. Non-mated: others by chance among
    those more like it, for a search of a large gallery lists nobody who isn't.
    Look-alike: the others most like the probe, and nobody is the person.
    """
    best = _best_of_each(probe, material)
    mate = best.pop(probe.subject, None)
    others = sorted(best.values(), key=_by_score)
    if kind == Trial.Kind.MATED:
        chosen = [mate, *others[: size - 1]] if mate else []
    elif kind == Trial.Kind.LOOK_ALIKE:
        chosen = others[:size]
    else:
        nearest = others[: NEAREST * size]
        chosen = chance.sample(nearest, min(size, len(nearest)))
    if len(chosen) < size:
        return None
    places = sorted(chosen, key=_by_score)
    return Composed(places, mate_rank=places.index(mate) + 1 if kind == Trial.Kind.MATED and mate else None)


def _best_of_each(probe: Held, material: Material) -> dict[UUID, Listed]:
    best: dict[UUID, Listed] = {}
    for held, score in zip(material.held, material.scores(probe), strict=True):
        if held.photo == probe.photo:
            continue
        if held.subject not in best or score > best[held.subject].score:
            best[held.subject] = Listed(held.photo, held.subject, score)
    return best


def _by_score(one: Listed) -> tuple[float, UUID]:
    return (-one.score, one.photo)
