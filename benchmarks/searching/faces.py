"""Synthetic faces as SEARCH.md describes them, and the lists that comparing with every one of them gives.

Three photographs of each person lie side by side. A photograph is what the person's share and a share of its own
(0.6 on average, varying) add up to in a space whose directions carry unequal variance: its participation ratio is 0.54
of the dimension, so cosines of strangers are 0.00 ± 0.06 at 512, and those of mates 0.60 ± 0.12. Everything follows
from the seed and is made a block at a time, so no size has to fit into memory or on the disk.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

K = 50
PHOTOS = 3
PEOPLE = 16384  # of a block
BLOCK = PEOPLE * PHOTOS
DECIMALS = 6  # of a score in a list; equal ones go by id
FACTS = np.dtype([("sex", "u1"), ("born", "<i2"), ("booked", "<i4")])
FIRST_DAY = date(2020, 1, 1)
SHARES = (1, 10, 50)  # percent of the rows that a filter lets pass
_DECAY = 3.46  # of the variances: exp(-_DECAY * i / dimension), for the participation ratio above

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Block = tuple[Ids, Floats, NDArray[Any]]


@dataclass(frozen=True)
class Where:
    """A filter: an allow-list of ids, ascending, or inclusive ranges of facts (each None where it isn't asked for)."""

    percent: int
    ids: Ids | None = None
    sex: str | None = None
    born: tuple[int, int] | None = None
    booked: tuple[date, date] | None = None

    @property
    def kind(self) -> str:
        return "facts" if self.ids is None else "ids"

    def passes(self, ids: Ids, facts: NDArray[Any]) -> NDArray[np.bool_]:
        passing = np.ones(len(ids), np.bool_)
        if self.ids is not None:
            at = np.searchsorted(self.ids, ids)
            passing &= self.ids[np.minimum(at, len(self.ids) - 1)] == ids
        if self.sex:
            passing &= facts["sex"] == ord(self.sex)
        if self.born:
            passing &= (facts["born"] >= self.born[0]) & (facts["born"] <= self.born[1])
        if self.booked:
            first, last = (day.toordinal() for day in self.booked)
            passing &= (facts["booked"] >= first) & (facts["booked"] <= last)
        return passing


@dataclass(frozen=True)
class Faces:
    """`rows` unit vectors under the ids 1, 2, …"""

    rows: int
    dim: int
    seed: int

    def blocks(self) -> Iterator[Block]:
        """Ids (n,), vectors (n, dim) and facts (n,), in the order of the ids."""
        for number in range(-(-self.rows // BLOCK)):
            first = number * BLOCK
            count = min(BLOCK, self.rows - first)
            random = self._random(1, number)
            vectors = self._photos(random, self._people(random, PEOPLE), PHOTOS)[:count]
            yield np.arange(first + 1, first + count + 1), vectors, _facts(random, count)

    def probes(self, count: int) -> Floats:
        """New photographs (count, dim): two thirds of people in the gallery, one third of strangers."""
        random = self._random(2)
        known = np.sort(random.integers(0, -(-self.rows // PHOTOS), count * 2 // 3))
        people = [
            self._people(self._random(1, number), PEOPLE)[known[known // PEOPLE == number] % PEOPLE]
            for number in np.unique(known // PEOPLE)
        ]
        strangers = self._people(random, count - len(known))
        return self._photos(random, np.concatenate([*people, strangers]), 1)

    def newcomers(self, count: int) -> Block:
        """Rows to add: other people, under the next ids."""
        random = self._random(3)
        vectors = self._photos(random, self._people(random, count), 1)
        return np.arange(self.rows + 1, self.rows + count + 1), vectors, _facts(random, count)

    def filters(self) -> list[Where]:
        """By ids and by facts, each letting 1, 10 and 50 % of the rows pass."""
        drawn = self._random(4).random(self.rows)
        until = FIRST_DAY + timedelta(days=9)
        return [
            *(Where(share, ids=np.flatnonzero(drawn < share / 100) + 1) for share in SHARES),
            Where(1, booked=(FIRST_DAY, until)),
            Where(10, born=(1960, 1964)),
            Where(50, sex="F"),
        ]

    def _random(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *purpose])

    def _people(self, random: np.random.Generator, count: int) -> Floats:
        return random.standard_normal((count, self.dim), dtype=np.float32)

    def _photos(self, random: np.random.Generator, people: Floats, each: int) -> Floats:
        """Unit vectors (people * each, dim)."""
        share = np.clip(random.normal(0.61, 0.15, (len(people), each, 1)), 0.2, 0.95).astype(np.float32)
        photos = random.standard_normal((len(people), each, self.dim), dtype=np.float32)
        photos *= np.sqrt(1 - share)
        photos += np.sqrt(share) * people[:, None]
        vectors: Floats = photos.reshape(-1, self.dim) @ self._space
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    @cached_property
    def _space(self) -> Floats:
        """Unequal variances, turned so that no coordinate is special (dim, dim)."""
        turn, _ = np.linalg.qr(self._random(5).standard_normal((self.dim, self.dim)))
        spread = np.exp(-_DECAY / 2 * np.arange(self.dim) / self.dim)
        return (spread[:, None] * turn.T).astype(np.float32)


def _facts(random: np.random.Generator, count: int) -> NDArray[Any]:
    """Sex F or M, fifty birth years and a thousand days of booking, each as likely."""
    facts = np.zeros(count, FACTS)
    facts["sex"] = np.where(random.random(count) < 0.5, ord("F"), ord("M"))
    facts["born"] = random.integers(1950, 2000, count)
    facts["booked"] = random.integers(0, 1000, count) + FIRST_DAY.toordinal()
    return facts


class BruteForce:
    """The K best of all rows for each probe: float64 scores of the float32 vectors, rounded, ties by id.

    The rows come in blocks. Matrix products in float32 only say which rows can't be among the K: `_MARGIN` is more
    than the rounding of such a product may amount to (dim * 2**-24 for unit vectors, up to dim 1024) and of a score.
    """

    _MARGIN = 1e-4

    def __init__(self, probes: Floats) -> None:
        self._probes = probes
        self._scores = np.full((len(probes), K), -np.inf)
        self.ids = np.zeros((len(probes), K), np.int64)  # best first; 0 where there are fewer rows than K

    def compare(self, ids: Ids, vectors: Floats, products: Floats) -> None:
        """Take in rows: `products` (probes or more, n) are their float32 scores, -inf for a row that doesn't pass."""
        products = products[: len(self._probes)]
        floor = self._scores[:, -1]
        if not np.isfinite(floor).all():
            floor = np.maximum(floor, np.partition(products, -min(K, len(ids)), axis=1)[:, -min(K, len(ids))])
        which, rows = np.nonzero((products >= floor[:, None] - self._MARGIN) & (products > -2))
        scores = np.empty(len(rows))
        for some in np.array_split(np.arange(len(rows)), len(rows) // 4096 + 1):
            scores[some] = (vectors[rows[some]].astype(np.float64) * self._probes[which[some]]).sum(axis=1)
        scores = np.round(scores, DECIMALS)
        ends = np.searchsorted(which, np.arange(len(self._probes) + 1))
        for probe in np.unique(which):
            new = slice(ends[probe], ends[probe + 1])
            all_scores = np.concatenate([self._scores[probe], scores[new]])
            all_ids = np.concatenate([self.ids[probe], ids[rows[new]]])
            best = np.lexsort((all_ids, -all_scores))[:K]
            self._scores[probe], self.ids[probe] = all_scores[best], all_ids[best]


def truth(faces: Faces, probes: Floats, filters: list[Where], filtered: int, tell: Callable[[int], None]) -> list[Ids]:
    """The lists (probes, K) without a filter, then for each filter those of the first `filtered` probes. `tell` is
    told how many rows are done."""
    plain = BruteForce(probes)
    narrowed = [BruteForce(probes[:filtered]) for _ in filters]
    for ids, vectors, facts in faces.blocks():
        products = probes @ vectors.T
        plain.compare(ids, vectors, products)
        for where, one in zip(filters, narrowed, strict=True):
            passing = np.where(where.passes(ids, facts), products[:filtered], np.float32(-np.inf))
            one.compare(ids, vectors, passing)
        tell(int(ids[-1]))
    return [one.ids for one in (plain, *narrowed)]


def checksum(vectors: Floats, so_far: int = 0) -> int:
    """To show that every process made the same rows."""
    return so_far ^ int(np.bitwise_xor.reduce(vectors.view(np.uint32), axis=None)) ^ len(vectors)
