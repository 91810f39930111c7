"""FaceIndex: exact nearest-neighbour search over unit vectors, a cache of what the database holds.

FAISS's flat index proposes, float64 decides: scores are computed again from the stored vectors, rounded to
`DECIMALS` and ordered by (-score, id), so the same gallery and probe give the same list on every run. Everything
erased is overwritten before it is let go, in memory and in the saved file.
"""

import hashlib
import json
import os
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import faiss
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mugsearch.durable import fsync_folder, shred
from mugsearch.errors import MugsearchError

# One query runs on one core anyway, and OpenMP's busy waiting costs 28 times on a busy machine (SEARCH.md, 0.4).
faiss.omp_set_num_threads(1)

FILE: Final = "faces.index"
DECIMALS: Final = 6
_MAGIC: Final = b"MUGIDX01"
_LENGTH: Final = struct.Struct("!I")
_NORM_TOLERANCE: Final = 1e-3  # float32 rounding leaves 1e-7; anything near this is a vector nobody normalised
_SPARE: Final = 32  # rows asked of FAISS beyond k, for neighbours its float32 sums put in another order
# An upper bound on how far a float32 sum of products lies from the float64 one for unit vectors: d * 2**-24 at
# most (Higham, Accuracy and Stability, 3.1) is 3e-5 at d = 512; the rounding to DECIMALS adds half a unit on both
# sides.
_SLACK: Final = 1e-4


class IndexDamaged(MugsearchError):
    """A saved index is missing, torn, changed, or of another encoder: build it again from the database."""

    code = "index_damaged"
    status = 503


@dataclass(frozen=True)
class Hit:
    """One row found: its id and its cosine with the probe, rounded to `DECIMALS`."""

    id: int
    score: float


class FaceIndex:
    """Vectors of one encoder under int64 ids of our own. Safe for threads: one act at a time.

    `generation` and `mark` are the owner's to set: the number of the last change of the gallery the index has taken
    in, and what tells that change from one of the same number elsewhere. They are saved with it.
    """

    def __init__(self, *, dimension: int, encoder: str) -> None:
        if dimension < 1:
            raise ValueError("dimension is at least 1")
        self.dimension = dimension
        self.encoder = encoder
        self.generation = 0
        self.mark = ""
        # Rows 0..len-1 of FAISS belong to the ids of the same places here; IDMap2 would take an id twice.
        self._flat = faiss.IndexFlatIP(dimension)
        self._room = 0  # rows the index has memory for
        self._ids: list[int] = []
        self._row: dict[int, int] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self) -> NDArray[np.int64]:
        """Every id, ascending."""
        with self._lock:
            return np.sort(np.array(self._ids, dtype=np.int64))

    def put(self, ids: ArrayLike, vectors: ArrayLike) -> None:
        """Add or replace: `ids` (n,) of distinct integers, `vectors` (n, dimension) finite and of norm 1.

        Raises ValueError, changing nothing, when they are not.
        """
        keys = _keys(ids)
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        if rows.shape != (len(keys), self.dimension):
            raise ValueError(f"{len(keys)} ids need vectors of shape {(len(keys), self.dimension)}, not {rows.shape}")
        _require_unit(rows)
        if len(set(keys)) != len(keys):
            raise ValueError("an id is given twice")
        with self._lock:
            stored = self._vectors()
            fresh = [place for place, key in enumerate(keys) if key not in self._row]
            for place, key in enumerate(keys):
                if key in self._row:
                    stored[self._row[key]] = rows[place]
            if fresh:
                self._grow(rows[fresh])
                for place in fresh:
                    self._row[keys[place]] = len(self._ids)
                    self._ids.append(keys[place])

    def drop(self, ids: ArrayLike) -> int:
        """Erase these ids; how many were there. Unknown ids are no error.

        The row is zeroed, the last row moved into its place and zeroed where it was, and only then is the index
        shortened: FAISS merely lowers its size, and what lies beyond stays readable in memory.
        """
        with self._lock:
            gone = [key for key in dict.fromkeys(_keys(ids)) if key in self._row]
            stored = self._vectors()
            for key in gone:
                row, last = self._row.pop(key), len(self._ids) - 1
                stored[row] = 0.0
                if row != last:
                    stored[row] = stored[last]
                    stored[last] = 0.0
                    self._ids[row] = self._ids[last]
                    self._row[self._ids[row]] = row
                self._ids.pop()
            if gone:
                first, last = len(self._ids), len(self._ids) + len(gone)
                self._flat.remove_ids(faiss.IDSelectorRange(first, last))
            return len(gone)

    def wipe(self) -> None:
        """Zero every vector and be as new: for an index that is of no more use."""
        with self._lock:
            self._vectors()[:] = 0.0
            self._flat.reset()  # the memory stays reserved
            self._ids.clear()
            self._row.clear()
            self.generation, self.mark = 0, ""

    def search(self, vector: ArrayLike, k: int, *, allowed: ArrayLike | None = None) -> list[Hit]:
        """The `k` nearest of all rows, or of those whose ids are in `allowed`: by cosine, then by id; fewer when
        there are fewer. `vector`: (dimension,), finite, norm 1; ValueError otherwise.
        """
        probe = np.ascontiguousarray(vector, dtype=np.float32)
        if probe.shape != (self.dimension,):
            raise ValueError(f"a probe has shape {(self.dimension,)}, not {probe.shape}")
        _require_unit(probe[None])
        if k < 1:
            raise ValueError("k is at least 1")
        with self._lock:
            rows: NDArray[np.int64] | None = None
            if allowed is not None:
                known = (self._row.get(key) for key in set(_keys(allowed)))
                rows = np.array(sorted(row for row in known if row is not None), dtype=np.int64)
            candidates = self._candidates(probe, k, rows)
            scores = np.round(self._vectors()[candidates].astype(np.float64) @ probe.astype(np.float64), DECIMALS)
            hits = [
                Hit(self._ids[row], float(score) + 0.0)  # + 0.0: no "-0.0" in a list people read
                for row, score in zip(candidates.tolist(), scores.tolist(), strict=True)
            ]
        hits.sort(key=lambda hit: (-hit.score, hit.id))
        return hits[:k]

    def _candidates(self, probe: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Row places that surely include the k best: grown until FAISS's last score lies clearly below its
        k-th."""
        total = len(self) if rows is None else len(rows)
        wanted = min(k + _SPARE, total)
        while wanted:
            parameters = None
            if rows is not None:
                selector = faiss.IDSelectorBatch(rows)
                parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]  # its stub forgets it
            scores, found = self._flat.search(probe[None], wanted, params=parameters)
            if wanted == total or scores[0][k - 1] - scores[0][-1] > _SLACK:
                # Fewer rows than asked for would come back as -1.
                return np.asarray(found[0][found[0] >= 0], dtype=np.int64)
            wanted = min(wanted * 4, total)
        return np.zeros(0, dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write the whole index to `folder`/`FILE`, durable when this returns; a reader sees the old or the new.

        The old file's bytes are zeroed before it is given up, as it may hold a vector dropped since; on storage
        that copies on write this is no erasure, which is why the folder belongs on an encrypted volume.
        """
        folder.mkdir(parents=True, exist_ok=True)
        target, fresh, old = folder / FILE, folder / f"{FILE}.new", folder / f"{FILE}.old"
        self.clear_leftovers(folder)
        with self._lock, fresh.open("wb") as stream:
            about = {
                "count": len(self),
                "dimension": self.dimension,
                "encoder": self.encoder,
                "generation": self.generation,
                "mark": self.mark,
            }
            header = json.dumps(about, sort_keys=True).encode()
            digest = hashlib.sha256()
            ids = np.array(self._ids, dtype="<i8").data
            vectors = self._vectors().astype("<f4", copy=False).data
            for part in (_MAGIC, _LENGTH.pack(len(header)), header, ids, vectors):
                stream.write(part)
                digest.update(part)
            stream.write(digest.digest())
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            os.link(target, old)  # the name goes to the new file at once, the old bytes stay within reach
        fresh.replace(target)
        fsync_folder(folder)
        shred(old)
        fsync_folder(folder)

    @classmethod
    def load(cls, folder: Path, *, encoder: str, dimension: int) -> Self:
        """The index saved in `folder`. Raises `IndexDamaged` unless every byte is as written, by this encoder."""
        try:
            data = (folder / FILE).read_bytes()
        except OSError as error:
            raise IndexDamaged("There is no saved index that can be read; build it again.") from error
        body, digest = memoryview(data)[:-32], data[-32:]
        if bytes(body[: len(_MAGIC)]) != _MAGIC or hashlib.sha256(body).digest() != digest:
            raise IndexDamaged("The saved index is not as it was written; build it again.")
        try:
            start = len(_MAGIC) + _LENGTH.size
            (length,) = _LENGTH.unpack_from(body, len(_MAGIC))
            about = json.loads(bytes(body[start : start + length]))
            count, generation, mark = int(about["count"]), int(about["generation"]), str(about["mark"])
            if about["encoder"] != encoder or about["dimension"] != dimension:
                raise IndexDamaged("The saved index is of another encoder; build it again.")
            ids = np.frombuffer(body, "<i8", count, start + length)
            vectors = np.frombuffer(body, "<f4", count * dimension, start + length + ids.nbytes)
            index = cls(dimension=dimension, encoder=encoder)
            index.put(ids, vectors.reshape(count, dimension))
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise IndexDamaged("The saved index can't be understood; build it again.") from error
        index.generation, index.mark = generation, mark
        return index

    @staticmethod
    def clear_leftovers(folder: Path) -> None:
        """Zero and remove what a `save` that was killed has left beside the index."""
        for name in (f"{FILE}.new", f"{FILE}.old"):
            shred(folder / name)

    @classmethod
    def erase(cls, folder: Path) -> None:
        """Zero and remove a saved index that is of no more use, and its folder."""
        shred(folder / FILE)
        cls.clear_leftovers(folder)
        folder.rmdir()
        fsync_folder(folder.parent)

    def _grow(self, rows: NDArray[np.float32]) -> None:
        """Append rows. FAISS would move to larger memory now and then and free the old block unwiped, so the
        larger one is made here and the old one zeroed."""
        needed = len(self._ids) + len(rows)
        if needed > self._room:
            self._room = max(needed, 2 * len(self._ids))
            larger = faiss.IndexFlatIP(self.dimension)
            larger.codes.resize(self._room * self.dimension * 4)
            larger.codes.resize(0)  # the memory stays reserved
            old = self._vectors()
            larger.add(old)
            old[:] = 0.0
            self._flat = larger
        self._flat.add(rows)

    def _vectors(self) -> NDArray[np.float32]:
        """FAISS's own memory as (len, dimension) float32: writing to it writes to the index."""
        count = self._flat.ntotal
        if not count:
            return np.zeros((0, self.dimension), np.float32)
        view: NDArray[np.float32] = faiss.rev_swig_ptr(self._flat.get_xb(), count * self.dimension)
        return view.reshape(count, self.dimension)


def _keys(ids: ArrayLike) -> list[int]:
    array = np.asarray(ids)
    if array.size == 0:
        return []
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError("ids are a flat list of integers")
    return [int(key) for key in array.astype(np.int64).tolist()]


def _require_unit(rows: NDArray[np.float32]) -> None:
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    if not np.isfinite(rows).all() or (np.abs(norms - 1.0) > _NORM_TOLERANCE).any():
        raise ValueError("vectors are finite and of norm 1")
