"""FaceIndex: exact, certified nearest-neighbour search over unit vectors; a cache of what the database holds.

How a list is found and why it is the right one is in `scan`, where the bytes lie and who waits for whom in `segments`.
Everything is changed in place: durable when a change returns, and what was dropped is overwritten, in the file and so
in the memory of every process that has it open, and proved so by reading back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mugsearch.durable import fsync_folder, shred
from mugsearch.engine import scan
from mugsearch.engine.change import Change
from mugsearch.engine.scan import DECIMALS
from mugsearch.engine.segments import BLOCK, FACTS, FILE, NOW, ROWS, IndexDamaged, IndexFile, Locks, Segment, Slots

__all__ = ["DECIMALS", "FACTS", "FILE", "FaceIndex", "Filter", "Found", "Hit", "IndexDamaged", "State"]

_EMPTY: Final = bytes(32)  # in place of the digest of a block that was never written


@dataclass(frozen=True)
class Filter:
    """Which rows are compared. A row that lacks a fact passes what is asked of that fact: a field that somebody left
    empty must hide nobody."""

    sexes: frozenset[str] = frozenset()  # empty: any
    born: tuple[int | None, int | None] = (None, None)  # first and last year
    booked: tuple[date | None, date | None] = (None, None)  # first and last day
    agencies: frozenset[int] = frozenset()  # the first 64 bits of their ids
    ids: NDArray[np.int64] | None = None

    def passes(self, ids: NDArray[np.int64], facts: NDArray[Any]) -> NDArray[np.bool_]:
        passing: NDArray[np.bool_] = ids != 0
        if self.sexes:
            passing &= np.isin(facts["sex"], [0, *map(ord, self.sexes)])
        for fact, (first, last) in (("born", self.born), ("booked", tuple(map(_ordinal, self.booked)))):
            if first is not None:
                passing &= (facts[fact] >= first) | (facts[fact] == 0)
            if last is not None:
                passing &= facts[fact] <= last
        if self.agencies:
            passing &= np.isin(facts["agency"], np.array([0, *self.agencies], np.uint64))
        return passing


@dataclass(frozen=True)
class Hit:
    """One row found: its id and its cosine with the probe, rounded to `DECIMALS`."""

    id: int
    score: float


@dataclass(frozen=True)
class Found:
    """The k best by (-score, id), and what proves it.

    `scanned` of `live` rows passed the filter and were compared at `generation`; `rescored` of them were scored
    again from their full vectors; none of the others can score above `ceiling` (None: there are no others).
    """

    hits: list[Hit]
    generation: int
    live: int
    scanned: int
    rescored: int
    ceiling: float | None


@dataclass(frozen=True)
class State:
    """`generation` and `mark` say which change of the gallery the index has taken in last; `complete` is False while
    it is being built, and `reached` how far that has come. `whole` is False once `check` has cleared rows or a writer
    has died, until the owner has put back what is missing; no search is answered meanwhile. All but `live`, the number
    of rows, are the owner's to set, in a change."""

    generation: int
    mark: str
    complete: bool
    reached: int
    whole: bool
    live: int


class FaceIndex:
    """Vectors of one encoder under positive ids of our own, in a folder. Safe for threads and processes."""

    def __init__(self, file: IndexFile, locks: Locks, *, dimension: int, encoder: str) -> None:
        """Use `create` or `open`."""
        scan.require_exact_kernel(dimension)
        self.dimension, self.encoder = dimension, encoder
        self.lost = 0
        self._file, self._locks = file, locks

    @classmethod
    def create(cls, folder: Path, *, dimension: int, encoder: str, rows: int = ROWS) -> Self:
        """A new index without rows, not `complete`, in place of whatever is in `folder`. `rows`: of a segment."""
        if not 1 <= dimension <= scan.MAX_DIMENSION:
            raise ValueError(f"dimension is between 1 and {scan.MAX_DIMENSION}")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        locks = Locks(folder)
        with locks.writing(), locks.changing():
            _clear(folder)
            file = IndexFile(folder, dimension, rows=rows, new=True)
            size = {
                "encoder": encoder,
                "dimension": dimension,
                "per_segment": rows,
                "segments": 0,
                "rows": 0,
                "live": 0,
            }
            now = {"generation": 0, "mark": "", "complete": False, "reached": 0, "whole": True}
            file.write_header({**size, **now, "before": None, "torn": False})
            file.sync()
            fsync_folder(folder)
        return cls(file, locks, dimension=dimension, encoder=encoder)

    @classmethod
    def open(cls, folder: Path, *, dimension: int, encoder: str, rows: int = ROWS) -> Self:
        """The index in `folder`, every byte checked: rows that are not as they were written are cleared, and `lost`
        counts them. Raises IndexDamaged when there is none, or one of another encoder."""
        file = IndexFile(folder, dimension, rows=rows)
        try:
            about = file.header()
            if (about["encoder"], about["dimension"], about["per_segment"]) != (encoder, dimension, rows):
                raise IndexDamaged("The saved index is of another encoder; build it again.")
            index = cls(file, Locks(folder), dimension=dimension, encoder=encoder)
            index.lost = index.check()
        except BaseException:
            file.close()
            raise
        return index

    def close(self) -> None:
        self._file.close()

    @staticmethod
    def erase(folder: Path) -> None:
        """Overwrite and remove an index that is of no more use, and its folder."""
        locks = Locks(folder)
        with locks.writing(), locks.changing():
            _clear(folder)
            for lock in folder.iterdir():
                lock.unlink()
            folder.rmdir()
        fsync_folder(folder.parent)

    def state(self) -> State:
        with self._locks.reading():
            about = self._about()
        return State(**{name: about[name] for name in (*NOW, "live")})

    def __len__(self) -> int:
        return int(self._file.header()["live"])

    def ids(self) -> NDArray[np.int64]:
        """Every id, ascending."""
        with self._locks.reading():
            ids = self._file.ids(self._about()["segments"])
            return np.sort(ids[ids != 0])

    def contents(
        self, first: int = 1, last: int = 2**63 - 1
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[Any]]:
        """The ids from `first` to `last`, ascending, the SHA-256 of each one's vector as stored (n, 32), its FACTS."""
        with self._locks.reading():
            segments = self._file.segments(self._about()["segments"])
            ids = self._file.ids(len(segments))
            slots = np.flatnonzero((ids >= max(first, 1)) & (ids <= last))
            slots = slots[np.argsort(ids[slots])]
            facts = np.concatenate([np.empty(0, FACTS), *(segment["facts"] for segment in segments)])[slots]
            told = np.empty((len(slots), 32), np.uint8)
            rows = np.zeros((BLOCK, self.dimension), np.float32)
            for start in range(0, len(slots), BLOCK):
                some = slots[start : start + BLOCK]
                self._file.read_vectors(some, rows)
                digests = [np.frombuffer(sha256(row.data).digest(), np.uint8) for row in rows[: len(some)]]
                told[start : start + BLOCK] = digests
            rows[:] = 0.0
            return ids[slots], told, facts

    def search(self, vector: ArrayLike, k: int, *, where: Filter | None = None) -> Found:
        """The `k` nearest of the rows that pass `where`, by cosine, then by id; fewer when there are fewer.
        `vector`: (dimension,), finite, norm 1; ValueError otherwise."""
        probe = np.asarray(vector)
        if probe.shape != (self.dimension,):
            raise ValueError(f"a probe has shape {(self.dimension,)}, not {probe.shape}")
        return self.search_many(probe[None], k, where=where)[0]

    def search_many(self, vectors: ArrayLike, k: int, *, where: Filter | None = None) -> list[Found]:
        """As `search` for each of `vectors` (n, dimension), by matrix products and over the same generation."""
        probes = np.ascontiguousarray(vectors, dtype=np.float32)
        if probes.ndim != 2 or probes.shape[1] != self.dimension:
            raise ValueError(f"probes have shape (n, {self.dimension}), not {probes.shape}")
        scan.require_unit(probes)
        if k < 1:
            raise ValueError("k is at least 1")
        if not len(probes):
            return []
        with self._locks.reading():
            about = self._about()
            if not about["whole"]:
                raise IndexDamaged("The index lacks rows that were damaged; they have to be put back first.")
            asked = where if where or about["live"] == about["rows"] else Filter()  # no row may be an empty place
            segments = self._file.segments(about["segments"])
            listed = None
            if asked and asked.ids is not None:
                listed = np.isin(self._file.ids(about["segments"]), asked.ids)

            def piece(some: range) -> scan.Piece:
                at, first = divmod(some.start, self._file.rows)
                part = {name: region[first : first + len(some)] for name, region in segments[at].items()}
                searched = asked.passes(part["ids"], part["facts"]) if asked else None
                if searched is not None and listed is not None:
                    searched &= listed[some.start : some.stop]
                return scan.Piece(some.start, part["codes"], part["scales"], part["errors"], searched)

            fetch = self._file.read_vectors
            ranked = scan.rank(probes, k, about["rows"], self._file.rows, piece, fetch)
            ids = [_ids_at(segments, self._file.rows, one.slots) for one in ranked]
        return [
            Found(
                _hits(of_one, one.scores, k), about["generation"], about["live"], one.compared,
                len(one.slots), one.ceiling,
            )
            for of_one, one in zip(ids, ranked, strict=True)
        ]  # fmt: skip

    def _about(self) -> dict[str, Any]:
        """The header, for who holds the lock for reading, once it is sure that the file is as long as it says and no
        writer died while rows changed. One who died before left rows that nobody sees yet."""
        about = self._file.header()
        self._file.segments(about["segments"])
        if about["torn"]:
            raise IndexDamaged("Somebody died while rows of the index changed; it has to be opened anew.")
        return about

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Rows in and out, seen by searches all at once when the block ends; an error inside leaves all as it was.

        Waits for other writers. Raises IndexDamaged when one of them died at it: then the index is opened anew.
        """
        with self._locks.writing():
            change = Change(self._file, self._locks, self.dimension)
            try:
                yield change
            except BaseException:
                change.discard()
                raise
            change.commit()

    def check(self) -> int:
        """Compare every block with its digest and clear those that differ, and what a dead writer has left. How many
        rows were lost that way; if any may be missing, the index isn't `whole` any more.

        Writers wait meanwhile; searches wait only while something is cleared.
        """
        with self._locks.writing():
            about = self._file.header()
            self._file.segments(about["segments"])  # shorter than it says: nothing to mend here
            died = about["torn"] or about["before"] is not None
            if about["before"] is not None:  # its change has to be made again
                about.update(about["before"])
            # What a dead writer staged lies beyond the rows, too.
            rows = self._file.capacity() * self._file.rows if died else about["rows"]
            damaged = self._damaged(range(-(-rows // BLOCK)))
            if not (died or damaged):
                return 0
            with self._locks.changing():
                self._file.write_header(about | {"torn": True})
                before = int(np.count_nonzero(self._file.ids(about["segments"])))
                slots = (np.array(damaged, np.int64)[:, None] * BLOCK + np.arange(BLOCK)).reshape(-1)
                self._file.zero(slots)
                for block in damaged:
                    self._file.write_sum(block, _EMPTY)
                self._file.sync()
                about["live"] = int(np.count_nonzero(self._file.ids(about["segments"])))
                self._file.write_header(about | {"before": None, "torn": False, "whole": False})
            self._file.sync()
            self._file.require_zero(slots)
            return max(before - int(about["live"]), len(damaged))

    def _damaged(self, blocks: range) -> list[int]:
        def differing(some: range) -> list[int]:
            scratch = np.zeros((BLOCK, self.dimension), np.float32)
            found = [block for block in some if not self._file.intact(block, scratch)]
            scratch[:] = 0.0
            return found

        shares = [blocks[at :: scan.threads()] for at in range(scan.threads())]
        return sorted(block for found in scan.in_threads(differing, shares) for block in found)


def _ids_at(segments: list[Segment], per_segment: int, slots: Slots) -> NDArray[np.int64]:
    places = zip((slots // per_segment).tolist(), (slots % per_segment).tolist(), strict=True)
    return np.array([segments[segment]["ids"][row] for segment, row in places], np.int64)


def _hits(ids: NDArray[np.int64], scores: NDArray[np.float64], k: int) -> list[Hit]:
    best = np.lexsort((ids, -scores))[:k]
    return [Hit(key, score) for key, score in zip(ids[best].tolist(), scores[best].tolist(), strict=True)]


def _clear(folder: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".lock":
            shred(file)


def _ordinal(day: date | None) -> int | None:
    return None if day is None else day.toordinal()
