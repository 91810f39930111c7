"""FaceIndex: exact, certified nearest-neighbour search over unit vectors; a cache of what the database holds.

How a list is found and why it is the right one is in `scan`, where the bytes lie and who waits for whom in `segments`.
Everything is changed in place: durable when a change returns, and what was dropped is overwritten, in the file and so
in the memory of every process that has it open, and proved so by reading back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mugsearch.durable import fsync_folder, shred
from mugsearch.engine import scan
from mugsearch.engine.change import NOW, Change
from mugsearch.engine.scan import DECIMALS
from mugsearch.engine.segments import BLOCK, FACTS, FILE, ROWS, IndexDamaged, IndexFile, Locks

__all__ = ["DECIMALS", "FACTS", "FILE", "FaceIndex", "Found", "Hit", "IndexDamaged", "State", "Where"]

Where = Callable[[NDArray[np.int64], NDArray[Any]], NDArray[np.bool_]]  # see FaceIndex.search


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
    it is being built, and `reached` how far that has come. All but `live`, the number of rows, are the owner's to set,
    in a change."""

    generation: int
    mark: str
    complete: bool
    reached: int
    live: int


class FaceIndex:
    """Vectors of one encoder under positive ids of our own, in a folder. Safe for threads and processes."""

    def __init__(self, file: IndexFile, locks: Locks, *, dimension: int, encoder: str) -> None:
        """Use `create` or `open`."""
        scan.require_exact_kernel(dimension)
        self.dimension, self.encoder = dimension, encoder
        self._file, self._locks = file, locks

    @classmethod
    def create(cls, folder: Path, *, dimension: int, encoder: str, rows: int = ROWS) -> Self:
        """A new index without rows, not `complete`, in place of whatever is in `folder`. `rows`: of a segment."""
        if not 1 <= dimension <= scan.MAX_DIMENSION or rows % BLOCK:
            raise ValueError(f"dimension is between 1 and {scan.MAX_DIMENSION}, rows a multiple of {BLOCK}")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        locks = Locks(folder)
        with locks.writing(), locks.changing():
            _clear(folder)
            file = IndexFile(folder, dimension, rows=rows, new=True)
            about = {"encoder": encoder, "dimension": dimension, "per_segment": rows, "rows": 0, "root": file.root(0)}
            state = State(generation=0, mark="", complete=False, reached=0, live=0)
            file.write_header(about | asdict(state) | {"torn": False})
            fsync_folder(folder)
        return cls(file, locks, dimension=dimension, encoder=encoder)

    @classmethod
    def open(cls, folder: Path, *, dimension: int, encoder: str, rows: int = ROWS) -> Self:
        """The index in `folder`, every byte checked. Raises IndexDamaged when there is none, when it is of another
        encoder or not as it was written, and when somebody died while it was."""
        locks = Locks(folder)
        with locks.reading():  # whoever makes a new file has ended
            file = IndexFile(folder, dimension, rows=rows)
        index = cls(file, locks, dimension=dimension, encoder=encoder)
        with index._read() as about:
            if (about["encoder"], about["dimension"], about["per_segment"]) != (encoder, dimension, rows):
                raise IndexDamaged("The saved index is of another encoder; build it again.")
        index.check()
        return index

    def close(self) -> None:
        self._file.close()

    @staticmethod
    def erase(folder: Path) -> None:
        """Overwrite and remove an index that is of no more use, and its folder."""
        locks = Locks(folder)
        with locks.writing(), locks.changing():
            _clear(folder)
            rmtree(folder)
        fsync_folder(folder.parent)

    def state(self) -> State:
        with self._read() as about:
            return State(**{name: about[name] for name in (*NOW, "live")})

    def ids(self) -> NDArray[np.int64]:
        """Every id, ascending."""
        with self._read() as about:
            ids = self._file.ids(about["rows"])
            return np.sort(ids[ids != 0])

    def vectors(self, ids: ArrayLike) -> NDArray[np.float32]:
        """(n, dimension): of those of `ids` (m,) that it holds, by slot. The only copy, for the caller to wipe."""
        keys = np.asarray(ids, np.int64).reshape(-1)
        with self._read() as about:
            slots = np.flatnonzero(np.isin(self._file.ids(about["rows"]), keys[keys > 0]))
            rows = np.zeros((len(slots), self.dimension), np.float32)
            self._file.read("vectors", slots, rows)
            return rows

    def contents(
        self, first: int = 1, last: int = 2**63 - 1
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[Any]]:
        """The ids from `first` to `last`, ascending, the SHA-256 of each one's vector as stored (n, 32), its FACTS."""
        with self._read() as about:
            ids = self._file.ids(about["rows"])
            slots = np.flatnonzero((ids >= max(first, 1)) & (ids <= last))
            slots = slots[np.argsort(ids[slots])]
            told = np.empty((len(slots), 32), np.uint8)
            vector = np.zeros((1, self.dimension), np.float32)
            try:
                for at in range(len(slots)):
                    self._file.read("vectors", slots[at : at + 1], vector)
                    told[at] = np.frombuffer(sha256(vector.data).digest(), np.uint8)
            finally:
                vector[:] = 0.0
            return ids[slots], told, self._file.take("facts", slots)

    def search(self, vector: ArrayLike, k: int, *, where: Where | None = None) -> Found:
        """The `k` nearest of the rows that pass `where`, by cosine, then by id; fewer when there are fewer.
        `vector`: (dimension,), finite, norm 1; ValueError otherwise. `where` is asked for a segment at a time, with its
        ids (n,), 0 in a free place, and FACTS (n,), which pass (n,); in threads of the scan, so it may not search."""
        return self.search_many(np.asarray(vector)[None], k, where=where)[0]

    def search_many(self, vectors: ArrayLike, k: int, *, where: Where | None = None) -> list[Found]:
        """As `search` for each of `vectors` (n, dimension), by matrix products and over the same generation. Of
        several the kernel keeps codes that can't be wiped: not for what is erased, in a process that goes on."""
        probes = np.array(vectors, np.float32, order="C")
        try:
            return self._search(probes, k, where)
        finally:
            probes[:] = 0.0  # they may be of the gallery

    def _search(self, probes: NDArray[np.float32], k: int, where: Where | None) -> list[Found]:
        if probes.ndim != 2 or probes.shape[1] != self.dimension:
            raise ValueError(f"{len(probes)} probes have shape {(len(probes), self.dimension)}, not {probes.shape}")
        scan.require_unit(probes)
        if k < 1:
            raise ValueError("k is at least 1")
        if not len(probes):
            return []
        with self._read() as about:
            pieces = self._pieces(about, where)
            scanned = sum(piece.count() for piece in pieces)
            return [
                Found(
                    _hits(self._file.take("ids", one.slots), one.scores, k), about["generation"], about["live"],
                    scanned, len(one.slots), one.ceiling,
                )
                for one in scan.rank(probes, k, pieces, partial(self._file.read, "vectors"))
            ]  # fmt: skip

    def _pieces(self, about: dict[str, Any], where: Where | None) -> list[scan.Piece]:
        """A piece for each segment. Where every slot holds a row that is searched, nothing is looked up."""
        every = where is None and about["live"] == about["rows"]
        segments = self._file.segments(about["rows"])

        def piece(first: int) -> scan.Piece:
            segment, count = segments[first // self._file.rows], min(self._file.rows, about["rows"] - first)
            ids, codes, scales, errors = (segment[name][:count] for name in ("ids", "codes", "scales", "errors"))
            searched = None if every else ids != 0
            if searched is not None and where is not None:
                searched &= where(ids, segment["facts"][:count])
            return scan.Piece(first, codes, scales, errors, searched)

        return scan.in_threads(piece, range(0, about["rows"], self._file.rows))

    @contextmanager
    def _read(self) -> Iterator[dict[str, Any]]:
        """The header, while nothing changes, once it is sure that no writer died and that the file is as long as it
        says."""
        with self._locks.reading():
            about = self._file.header()
            self._file.segments(about["rows"])
            yield about

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Rows in and out, seen by searches all at once when the block ends; an error inside leaves all as it was.

        Waits for other writers, so not to be used inside itself. After an error while it is written the index raises
        IndexDamaged, here as everywhere, until it is made anew.
        """
        with self._locks.writing():
            change = Change(self._file, self.dimension)
            try:
                yield change
                change.commit(self._locks)
            finally:
                change.wipe()

    def check(self) -> None:
        """Raises IndexDamaged unless every byte is as it was written. Writers wait meanwhile, searches go on."""
        with self._locks.writing():
            with self._read() as about:
                blocks = np.arange(-(-about["rows"] // BLOCK))
            self._file.require_intact(about, blocks, self._locks)


def _hits(ids: NDArray[np.int64], scores: NDArray[np.float64], k: int) -> list[Hit]:
    best = np.lexsort((ids, -scores))[:k]
    return [Hit(key, score) for key, score in zip(ids[best].tolist(), scores[best].tolist(), strict=True)]


def _clear(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix != ".lock":
            shred(path)
