"""The exact top k by two steps: bounds on every score from compact codes, then true scores of the few that matter.

A vector x is kept as int8 code c, scale s and error e with ||x - s*c|| <= e; a probe q is coded the same way with
scale t and error r. From Cauchy-Schwarz (SEARCH.md, 3)

    q.x  <=  s*t*(c_q.c) + ||q||*e + r*||s*c||        with ||s*c|| <= ||x|| + e

so every row has an upper bound on its score, from an integer dot product that is exact. Rows are scored again from
their float32 vectors in float64, best bound first, until no other row's bound reaches the k-th of these scores:
then the list is the one a comparison with every vector would give, and the highest bound left over is its proof.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Final, Self, TypeVar

import numkong
import numpy as np
from numpy.typing import NDArray

from mugsearch.errors import Unavailable

DECIMALS: Final = 6
MAX_DIMENSION: Final = 1024  # integer products up to 127 * 127 * 1040 are exact in the kernel's float32 results
NORM_TOLERANCE: Final = 1e-3  # float32 rounding leaves 1e-7; anything near this is a vector nobody normalised
SLACK: Final = 1e-6  # float32 rounding of a bound (a few 2**-24) and of an error
_TIE: Final = 1e-6  # scores this near may round to the same value, and then the lower id goes first
_ROWS: Final = 2**15  # compared at a time in a thread, …
_CELLS: Final = 2**17  # … times probes: half a MB of bounds, which fits the second-level cache
_FEW: Final = 20  # below one row in so many, the codes of those that are searched are gathered first
_CHUNK: Final = 64  # rows scored again at a time
_SAMPLE: Final = 16  # stretches, at least, of …
_STRETCH: Final = 256  # … rows, to guess from where the best bounds begin

S = TypeVar("S")
T = TypeVar("T")
Floats = NDArray[np.float32]
Slots = NDArray[np.int64]
Fetch = Callable[[Slots, Floats], None]  # reads the float32 rows of slots (n,) into (n or more, d)


@dataclass(frozen=True)
class Piece:
    """Rows side by side: the slot of the first, their codes (n, d), scales (n,) and errors (n,), and which of them are
    searched (n,), None for all."""

    first: int
    codes: NDArray[np.int8]
    scales: Floats
    errors: Floats
    searched: NDArray[np.bool_] | None

    def count(self) -> int:
        """How many are searched."""
        return len(self.codes) if self.searched is None else int(np.count_nonzero(self.searched))

    def cut(self, rows: int, step: int) -> list["Piece"]:
        """`rows` of every `step`."""
        parts = [slice(start, start + rows) for start in range(0, len(self.codes), step)]
        return [
            Piece(
                self.first + part.start, self.codes[part], self.scales[part], self.errors[part],
                None if self.searched is None else self.searched[part],
            )
            for part in parts
        ]  # fmt: skip


@dataclass(frozen=True)
class Ranked:
    """Slots scored again, at least the k best, their scores rounded to DECIMALS; and what no other row can score above
    (None: there are no others)."""

    slots: Slots
    scores: NDArray[np.float64]
    ceiling: float | None


def encode(vectors: Floats) -> tuple[NDArray[np.int8], Floats, Floats]:
    """Codes (n, d), scales (n,) and errors (n,) of unit vectors (n, d). Leaves no other copy of them in memory."""
    scales = np.maximum(np.maximum(vectors.max(axis=1), -vectors.min(axis=1)) / 127, 1e-12).astype(np.float32)
    rest = np.divide(vectors, scales[:, None])
    codes = np.empty(vectors.shape, np.int8)
    np.copyto(codes, np.rint(rest, out=rest), casting="unsafe")
    rest *= scales[:, None]
    np.subtract(vectors, rest, out=rest)
    errors = np.sqrt(np.einsum("ij,ij->i", rest, rest)) + np.float32(SLACK)
    rest[:] = 0.0
    return codes, scales, errors.astype(np.float32)


@cache
def threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads(), name)


def in_threads(work: Callable[[S], T], some: Iterable[S], pool: str = "scan") -> list[T]:
    """What is not a search has a `pool` of its own, lest searches wait until all of it is done."""
    return list(_pool(pool).map(work, some))


def require_unit(vectors: Floats) -> None:
    """Raises ValueError unless `vectors` (n, d) are finite and of norm 1."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    if not (np.abs(lengths - 1.0) <= NORM_TOLERANCE).all():  # not for NaN either
        raise ValueError("vectors are finite and of norm 1")


def rank(queries: Floats, k: int, pieces: list[Piece], fetch: Fetch) -> list[Ranked]:
    """For each of `queries` (n, d) at least the k best of the searched rows, with proof that no other is among them.
    `fetch` reads the float32 rows of slots (n,) into an array (n or more, d)."""
    with _Probes(queries) as probes:
        floors = probes.guess(pieces, k)
        over = probes.over(pieces, floors)
    return [_proved(*each, k, pieces, fetch) for each in zip(queries, floors, over, strict=True)]


def _proved(
    query: Floats, floor: np.float32, over: tuple[Slots, Floats], k: int, pieces: list[Piece], fetch: Fetch
) -> Ranked:
    """`over`: the slots and bounds of all rows whose bound for the query lies over `floor`."""
    best = np.argsort(-over[1])
    slots, bounds = over[0][best], over[1][best]
    scores = rescore(query, slots[: 2 * k], fetch)
    # What has a lower bound than this can't be among the k best.
    least = np.float32(np.sort(scores)[-k] - _TIE if len(scores) >= k else -np.inf)
    if floor > least:  # the guess was too high: once more, for all that reach the k-th score found so far
        with _Probes(query[None]) as probe:
            (over,) = probe.over(pieces, np.array([least]))
        return _proved(query, least, over, k, pieces, fetch)
    used = max(len(scores), int(np.searchsorted(-bounds, -least)))
    scores = np.concatenate([scores, rescore(query, slots[len(scores) : used], fetch)])
    ceiling = bounds[used] if used < len(bounds) else floor
    return Ranked(slots[:used], scores, None if ceiling == -np.inf else float(ceiling))


def rescore(query: Floats, slots: Slots, fetch: Fetch) -> NDArray[np.float64]:
    """Cosines in float64 from the float32 vectors, rounded. The same for a row whatever is scored beside it: numpy
    adds up each row by itself, pairwise. Products of two float32 are exact in float64."""
    exact = query.astype(np.float64)
    scores = np.empty(len(slots))
    single = np.empty((min(_CHUNK, len(slots)), len(query)), np.float32)
    double = np.empty(single.shape)
    try:
        for start in range(0, len(slots), _CHUNK):
            some = slots[start : start + _CHUNK]
            fetch(some, single)
            np.copyto(double, single)
            for row in double:  # all at once, numpy would copy `exact` to where nobody wipes it
                np.multiply(row, exact, out=row)
            scores[start : start + _CHUNK] = double[: len(some)].sum(axis=1)
    finally:
        for left in (single, double, exact):  # a probe may be of the gallery, too
            left[:] = 0.0
    return np.asarray(np.round(scores, DECIMALS) + 0.0)  # + 0.0: no "-0.0" in a list people read


class _Probes:
    """Probes, coded as the rows are; their codes are wiped when the block ends, for a probe may be of the gallery."""

    def __init__(self, queries: Floats) -> None:
        self._codes, self._scales, errors = encode(queries)
        lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries))
        self._weights = (lengths + errors).astype(np.float32)  # of a row's error
        self._adds = (errors * (1 + NORM_TOLERANCE) + SLACK).astype(np.float32)
        # One probe is read against the rows as they lie; several are multiplied as a matrix.
        self._packed = numkong.dots_pack(self._codes) if len(queries) > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._codes[:] = 0

    def guess(self, pieces: list[Piece], k: int) -> Floats:
        """For each probe a bound that a few times k of the rows exceed, going by a sample; -inf where it can't be
        told. A wrong guess costs time, never a row."""
        rows = sum(len(piece.codes) for piece in pieces)
        sample = [part for piece in pieces for part in piece.cut(_STRETCH, max(_STRETCH, rows // _SAMPLE))]
        nothing = np.empty((0, len(self._codes)), np.float32)
        bounds = np.concatenate([nothing, *(self._bounds(part)[1] for part in sample)])
        high = 8 * k * sum(len(part.codes) for part in sample) // max(rows, 1) + _SAMPLE
        if high >= len(bounds):
            return np.full(len(self._codes), -np.inf, np.float32)
        return np.asarray(np.partition(bounds, -high, axis=0)[-high])

    def over(self, pieces: list[Piece], floors: Floats) -> list[tuple[Slots, Floats]]:
        """For each probe the slots of all searched rows whose bound lies over its floor, and these bounds."""

        def of_part(part: Piece) -> tuple[Slots, Slots, Floats]:
            rows, bounds = self._bounds(part)
            cells = np.flatnonzero(bounds > floors)
            at, probe = np.divmod(cells, len(floors))
            return probe, part.first + (at if rows is None else rows[at]), bounds.reshape(-1)[cells]

        rows = sum(len(piece.codes) for piece in pieces)
        size = max(1, min(_ROWS, _CELLS // len(floors), -(-rows // threads())))
        found = in_threads(of_part, [part for piece in pieces for part in piece.cut(size, size)])
        nothing = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        probe, slots, bounds = map(np.concatenate, zip(nothing, *found, strict=True))
        order = np.argsort(probe, kind="stable")
        ends = np.searchsorted(probe, np.arange(1, len(floors)), sorter=order)
        return list(zip(np.split(slots[order], ends), np.split(bounds[order], ends), strict=True))

    def _bounds(self, piece: Piece) -> tuple[Slots | None, Floats]:
        """Of every searched row for each probe (n, probes), and which rows these are (n,), None for all."""
        codes, scales, errors = piece.codes, piece.scales, piece.errors
        rows = None if piece.searched is None else np.flatnonzero(piece.searched)
        few = rows is not None and len(rows) * _FEW < len(codes)
        if rows is not None and few:
            codes, scales, errors = codes[rows], scales[rows], errors[rows]
        if not len(codes):
            return rows, np.empty((0, len(self._codes)), np.float32)
        if self._packed is None:
            products = np.asarray(numkong.cdist(codes, self._codes, metric="dot", out_dtype="f32"))
        else:
            products = np.asarray(numkong.dots_packed(codes, self._packed)).astype(np.float32)
        if few:
            codes[:] = 0
        products *= scales[:, None]
        products *= self._scales
        products += np.multiply.outer(errors, self._weights)
        products += self._adds
        return rows, products if rows is None or few else products[rows]


@cache
def require_exact_kernel(dimension: int) -> None:
    """The proof rests on exact integer products, so the kernel of this processor is tried before it is trusted."""
    some = np.random.default_rng(0).integers(-127, 128, (67, dimension), dtype=np.int8)
    some[:2] = 127  # the largest product there is
    right = some.astype(np.int64) @ some[:3].astype(np.int64).T
    one = np.asarray(numkong.cdist(some, some[1:2], metric="dot", out_dtype="f32"))
    many = np.asarray(numkong.dots_packed(some, numkong.dots_pack(some[:3])))
    if not (np.array_equal(one[:, 0], right[:, 1]) and np.array_equal(many, right)):
        raise Unavailable("The search kernel gives wrong products on this processor; no search can be trusted here.")
