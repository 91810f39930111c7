"""Which list a trial has. Pure: no database, no clock, and chance only where it is handed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mugsearch.trials.models import Trial


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


def compose(kind: str, probe: Held, material: Sequence[Held], *, size: int, chance: Random) -> Composed | None:
    """A list of `size` people, each by the photograph most like the probe; None where the material has too few.

    Mated: another photograph of the person, and the others most like the probe. Non-mated: others by chance.
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
        chosen = chance.sample(others, min(size, len(others)))
    if len(chosen) < size:
        return None
    places = sorted(chosen, key=_by_score)
    return Composed(places, mate_rank=places.index(mate) + 1 if kind == Trial.Kind.MATED and mate else None)


def closest_others(material: Sequence[Held]) -> dict[UUID, float]:
    """For each photograph the highest cosine to one of somebody else; -1 where there is nobody."""
    if not material:
        return {}
    vectors, people = np.stack([held.vector for held in material]), np.array([held.subject.int for held in material])
    found = {}
    for held in material:
        others = (vectors @ held.vector)[people != held.subject.int]
        found[held.photo] = float(others.max(initial=-1))
    return found


def _best_of_each(probe: Held, material: Sequence[Held]) -> dict[UUID, Listed]:
    others = [held for held in material if held.photo != probe.photo]
    if not others:
        return {}
    scores = np.stack([held.vector for held in others]) @ probe.vector
    best: dict[UUID, Listed] = {}
    for held, score in zip(others, scores.tolist(), strict=True):
        if held.subject not in best or score > best[held.subject].score:
            best[held.subject] = Listed(held.photo, held.subject, score)
    return best


def _by_score(one: Listed) -> tuple[float, UUID]:
    return (-one.score, one.photo)
