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
from functools import cache, partial
from itertools import pairwise
from typing import Any, Final, TypeVar

import numkong
import numpy as np
from numpy.typing import NDArray

from mugsearch.errors import Unavailable

DECIMALS: Final = 6
MAX_DIMENSION: Final = 1024  # integer products up to 127 * 127 * 1040 are exact in the kernel's float32 results
NORM_TOLERANCE: Final = 1e-3  # float32 rounding leaves 1e-7; anything near this is a vector nobody normalised
SLACK: Final = 1e-6  # float32 rounding of a bound (a few 2**-24) and of an error
_TIE: Final = 1e-6  # scores this near may round to the same value, and then the lower id goes first
_CELLS: Final = 2**18  # products computed at a time in a thread: 1 MB, which fits the second-level cache
_CHUNK: Final = 256  # rows scored again at a time
_SAMPLE: Final = 16  # stretches of …
_STRETCH: Final = 256  # … rows, to guess from where the best bounds begin
_FEW: Final = 20  # below one row in so many, the codes of those that pass a filter are gathered first

S = TypeVar("S")
T = TypeVar("T")
Floats = NDArray[np.float32]
Slots = NDArray[np.int64]
Fetch = Callable[[Slots, Floats], None]


@dataclass(frozen=True)
class Piece:
    """Rows side by side: their codes (n, dimension), scales (n,) and errors (n,), the slot of the first, and which
    of them are searched (n,), None for all."""

    first: int
    codes: NDArray[np.int8]
    scales: Floats
    errors: Floats
    searched: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Ranked:
    """Slots scored again and their scores rounded to DECIMALS; of how many rows that were compared they are; and the
    highest bound of all others (None: there are no others)."""

    slots: Slots
    scores: NDArray[np.float64]
    compared: int
    ceiling: float | None


@dataclass(frozen=True)
class Over:
    """Pairs of a query and a row whose bound lies over the query's floor: queries (n,), slots (n,), bounds (n,); and
    how many rows were compared to find them."""

    queries: NDArray[np.int64]
    slots: Slots
    bounds: Floats
    compared: int


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
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads(), "scan")


def in_threads(work: Callable[[S], T], some: Iterable[S]) -> list[T]:
    return list(_pool().map(work, some))


def require_unit(vectors: Floats) -> None:
    """Raises ValueError unless `vectors` (n, d) are finite and of norm 1."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    if not (np.abs(lengths - 1.0) <= NORM_TOLERANCE).all():  # not for NaN either
        raise ValueError("vectors are finite and of norm 1")


def cut(rows: int, segment: int, queries: int = 1) -> list[range]:
    """Slots 0 to `rows`, shared out to the threads in pieces that lie in one segment and fit the scratch."""
    size = max(1, min(_CELLS // queries, -(-rows // threads())))
    edges = sorted({*range(0, rows, size), *range(0, rows, segment), rows})
    return [range(*edge) for edge in pairwise(edges)]


def rank(
    queries: Floats, k: int, rows: int, segment: int, piece: Callable[[range], Piece], fetch: Fetch
) -> list[Ranked]:
    """For each of `queries` (n, d) at least the k best of the searched rows, with proof that no other is among them.

    `piece` gives the rows of a range that lies in one segment, `fetch` reads float32 rows by slot.
    """
    coded = _Queries(queries)
    floors = coded.floors([piece(some) for some in _sample(rows, segment)], k, rows)
    found = in_threads(lambda some: coded.over(piece(some), floors), cut(rows, segment, len(queries)))
    compared = sum(over.compared for over in found)
    ranked = []
    for query, floor, (slots, bounds) in zip(queries, floors, _by_query(found, len(queries)), strict=True):
        best = np.argsort(-bounds)
        slots, bounds = slots[best], bounds[best]
        first = slots[: 2 * k]
        scores = rescore(query, first, fetch)
        # What has a lower bound than this can't be among the k best.
        least = np.float32(np.sort(scores)[-k] - _TIE) if len(first) >= k else np.float32(-np.inf)
        if floor > -np.inf and floor >= least:
            # The guess was too high: once more, for all that reach the k-th score found so far.
            over = partial(_Queries(query[None]).over, floors=np.array([least]))
            again = in_threads(over, map(piece, cut(rows, segment)))
            slots = np.concatenate([some.slots for some in again])
            ranked.append(Ranked(slots, rescore(query, slots, fetch), compared, _finite(least)))
            continue
        some = slots[len(first) : np.searchsorted(-bounds, -least)]
        used = len(first) + len(some)
        ceiling = max(floor, bounds[used] if used < len(bounds) else floor)
        scores = np.concatenate([scores, rescore(query, some, fetch)])
        ranked.append(Ranked(slots[:used], scores, compared, _finite(ceiling)))
    return ranked


def _finite(bound: np.float32) -> float | None:
    return None if bound == -np.inf else float(bound)


def _sample(rows: int, segment: int) -> list[range]:
    """Some rows from everywhere, in the order in which they were booked."""
    if rows <= _SAMPLE * _STRETCH:
        return cut(rows, segment)
    starts = (at * rows // _SAMPLE for at in range(_SAMPLE))
    return [range(start, min(start + _STRETCH, start - start % segment + segment)) for start in starts]


def _by_query(found: list[Over], queries: int) -> list[tuple[Slots, Floats]]:
    """Slots and bounds of each query."""
    of = np.concatenate([np.empty(0, np.int64), *(over.queries for over in found)]).astype(np.int32)
    slots = np.concatenate([np.empty(0, np.int64), *(over.slots for over in found)])
    bounds = np.concatenate([np.empty(0, np.float32), *(over.bounds for over in found)])
    order = np.argsort(of, kind="stable")
    ends = np.searchsorted(of, np.arange(1, queries), sorter=order)
    return list(zip(np.split(slots[order], ends), np.split(bounds[order], ends), strict=True))


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
            np.multiply(double, exact, out=double)
            scores[start : start + _CHUNK] = double[: len(some)].sum(axis=1)
    finally:
        for left in (single, double, exact):  # a probe may be of the gallery, too
            left[:] = 0.0
    rounded: NDArray[np.float64] = np.round(scores, DECIMALS) + 0.0  # + 0.0: no "-0.0" in a list people read
    return rounded


class _Queries:
    """Probes, coded as the rows are."""

    def __init__(self, queries: Floats) -> None:
        self._codes, self._scales, errors = encode(queries)
        self._weights = (np.sqrt(np.einsum("ij,ij->i", queries, queries)) + errors).astype(
            np.float32
        )  # of a row's error
        self._adds = (errors * (1 + NORM_TOLERANCE) + SLACK).astype(np.float32)
        # One probe is read against the rows as they lie; several are multiplied as a matrix.
        self._packed: Any = numkong.dots_pack(self._codes) if len(queries) > 1 else None

    def floors(self, sample: list[Piece], k: int, rows: int) -> Floats:
        """For each query a bound that a few times k of `rows` exceed, going by a sample; -inf where it can't be told.
        A wrong guess costs time, never a row."""
        bounds = np.concatenate([np.empty((len(self._codes), 0), np.float32), *map(self._bounds, sample)], axis=1)
        high = 8 * k * sum(len(piece.codes) for piece in sample) // max(rows, 1) + _SAMPLE
        if high >= bounds.shape[1]:
            return np.full(len(bounds), -np.inf, np.float32)
        return np.partition(bounds, -high, axis=1)[:, -high]

    def _bounds(self, piece: Piece) -> Floats:
        """Of every searched row, for each query (queries, n)."""
        bounds = self._products(piece.codes).T.astype(np.float32, order="C")
        bounds *= piece.scales
        bounds *= self._scales[:, None]
        bounds += np.multiply.outer(self._weights, piece.errors)
        bounds += self._adds[:, None]
        return bounds if piece.searched is None else bounds[:, piece.searched]

    def over(self, piece: Piece, floors: Floats) -> Over:
        """All rows of the piece that are searched and whose bound for a query lies over its floor."""
        codes, scales, errors, searched = piece.codes, piece.scales, piece.errors, piece.searched
        compared = len(codes) if searched is None else int(np.count_nonzero(searched))
        rows = None
        if searched is not None and compared * _FEW < len(codes):
            # Few are searched: their codes first, instead of all products.
            rows, searched = np.flatnonzero(searched), None
            codes, scales, errors = codes[rows], scales[rows], errors[rows]
        if not len(codes):
            return Over(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), 0)
        products = self._products(codes)
        if rows is not None:
            codes[:] = 0
        # What no row can do with a smaller product, whatever its scale and error: most pairs end here.
        needed = (floors - self._adds - self._weights * errors.max()) / self._scales
        needed /= np.where(needed > 0, scales.max(), np.maximum(scales.min(), np.float32(1e-30)))
        needed = np.ceil(needed * (1 - np.sign(needed) * SLACK)).clip(-(2.0**24), 2.0**24).astype(products.dtype)
        pairs = np.flatnonzero(products >= needed)
        at, query = np.divmod(pairs, len(floors))
        bounds = products.reshape(-1)[pairs].astype(np.float32)
        bounds *= scales[at]
        bounds *= self._scales[query]
        bounds += self._weights[query] * errors[at]
        bounds += self._adds[query]
        kept = bounds > floors[query]
        if searched is not None:
            kept &= searched[at]
        at, query, bounds = at[kept], query[kept], bounds[kept]
        return Over(query, piece.first + (at if rows is None else rows[at]), bounds, compared)

    def _products(self, codes: NDArray[np.int8]) -> NDArray[Any]:
        """Exact integer products (rows, queries)."""
        if self._packed is None:
            return np.asarray(numkong.cdist(self._codes, codes, metric="dot", out_dtype="f32")).T
        return np.asarray(numkong.dots_packed(codes, self._packed))


@cache
def require_exact_kernel(dimension: int) -> None:
    """The proof rests on exact integer products, so the kernel of this processor is tried before it is trusted."""
    some = np.random.default_rng(0).integers(-127, 128, (67, dimension), dtype=np.int8)
    some[:2] = 127  # the largest product there is
    right = some[:3].astype(np.int64) @ some.T.astype(np.int64)
    one = np.asarray(numkong.cdist(some[1:2], some, metric="dot", out_dtype="f32"))
    many = np.asarray(numkong.dots_packed(some, numkong.dots_pack(some[:3]))).T
    if not (np.array_equal(one[0], right[1]) and np.array_equal(many, right)):
        raise Unavailable("The search kernel gives wrong products on this processor; no search can be trusted here.")
