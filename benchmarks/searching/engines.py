"""One shape for every engine that is measured: ours, and those that are libraries in our own process.

An engine is built in one process (`add`, `save`) and measured in another (`open`, then the rest). What it can't do
raises CannotDo with the reason, which is printed beside the empty place in the table.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from searching.faces import FACTS, Faces, Floats, Ids, K, Where


class CannotDo(Exception):
    """Why an engine has no figure for something, in a few words."""


class Engine:
    """`folder` is the engine's own, empty when it is built. Ids are those of `faces`, best first, K to a list."""

    name: ClassVar[str]
    package: ClassVar[str]
    notes: ClassVar[list[str]] = []
    memory: ClassVar[float]  # bytes for each row and dimension that it needs at most, while it's built too
    disk: ClassVar[float] = 4.2  # and on the disk

    def __init__(self, folder: Path, faces: Faces, threads: int) -> None:
        self.folder, self.faces, self.threads = folder, faces, threads

    @property
    def version(self) -> str:
        return version(self.package)

    def add(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        """A block of rows, in the order of their ids."""
        raise NotImplementedError

    def save(self) -> None:
        """Make what was added durable and searchable."""

    def open(self) -> None:
        """In a process that didn't build it."""
        raise NotImplementedError

    def search(self, probe: Floats) -> Ids:
        raise NotImplementedError

    def search_many(self, probes: Floats) -> list[Ids]:
        raise CannotDo("it has no batches")

    def search_where(self, probe: Floats, where: Where) -> Ids:
        raise CannotDo("it has no filters")

    def insert(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        """Add to what is there; durable where the engine can make it so."""
        raise CannotDo("its array is of fixed length")

    def drop(self, ids: Ids) -> None:
        raise CannotDo("its array is of fixed length")

    def memory_bytes(self) -> int:
        """Held now, by this process."""
        return resident("self")

    def disk_bytes(self) -> int:
        """Blocks that are taken, not lengths: a file may have holes."""
        return sum(path.lstat().st_blocks * 512 for path in self.folder.rglob("*"))

    def details(self) -> dict[str, Any]:
        """More to tell than the others have."""
        return {}

    def close(self) -> None:
        """At the end of a process that has it open."""

    def clear(self) -> None:
        """Stop what may still run after its process died."""


def resident(process: str | int) -> int:
    """Bytes of memory a process holds: RssAnon + RssFile + RssShmem."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in status if line.startswith(("RssAnon", "RssFile", "RssShmem")))


class Mugsearch(Engine):
    name = "mugsearch"
    package = "numkong"
    memory = 1.2
    disk = 5.3

    def __init__(self, folder: Path, faces: Faces, threads: int) -> None:
        super().__init__(folder, faces, threads)
        from mugsearch.engine import index
        from mugsearch.gallery.narrowing import narrowed

        self._module, self._narrowed = index, narrowed
        self._about = {"dimension": faces.dim, "encoder": "synthetic"}
        self._index: Any = None
        self._rescored: list[int] = []

    @property
    def version(self) -> str:
        return f"numkong {super().version}"

    def add(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        if self._index is None:
            self._index = self._module.FaceIndex.create(self.folder, **self._about)
        self.insert(ids, vectors, facts)

    def save(self) -> None:
        with self._index.change() as change:
            change.complete = True

    def open(self) -> None:
        self._index = self._module.FaceIndex.open(self.folder, **self._about)
        if self._index.state().live != self.faces.rows:
            raise AssertionError(f"only {self._index.state().live} rows are there")

    def search(self, probe: Floats) -> Ids:
        return self._ids(self._index.search(probe, K))

    def search_many(self, probes: Floats) -> list[Ids]:
        return [self._ids(found) for found in self._index.search_many(probes, K)]

    def search_where(self, probe: Floats, where: Where) -> Ids:
        narrowed = self._narrowed(
            sexes=where.sex or "", born=where.born or (None, None), booked=where.booked or (None, None),
            allowed=where.ids,
        )  # fmt: skip
        return self._ids(self._index.search(probe, K, where=narrowed))

    def insert(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        ours = np.zeros(len(facts), self._module.FACTS)
        for name in FACTS.names:
            ours[name] = facts[name]
        with self._index.change() as change:
            change.put(ids, vectors, ours)

    def drop(self, ids: Ids) -> None:
        with self._index.change() as change:
            change.drop(ids)

    def details(self) -> dict[str, Any]:
        row = self.faces.dim + 8 + 2 * 4 + self._module.FACTS.itemsize  # code, id, scale and error, facts
        return {
            "rescored_median": int(np.median(self._rescored)),
            "rescored_max": max(self._rescored),
            "ram_expected_bytes": self.faces.rows * row,
        }

    def _ids(self, found: Any) -> Ids:
        self._rescored.append(found.rescored)
        return np.array([hit.id for hit in found.hits])

    def close(self) -> None:
        if self._index is not None:
            self._index.close()


class Array(Engine):
    """What needs nothing but the vectors in one array."""

    kind: ClassVar[type] = np.float32

    def add(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        if ids[0] == 1:
            self._rows = np.empty((self.faces.rows, self.faces.dim), self.kind)
        self._rows[ids - 1] = self.coded(vectors)

    def coded(self, vectors: Floats) -> np.ndarray:
        return vectors

    def save(self) -> None:
        np.save(self.folder / "rows.npy", self._rows)

    def open(self) -> None:
        self._rows = np.load(self.folder / "rows.npy")


class Numpy(Array):
    name = "numpy"
    package = "numpy"
    memory = 4.2

    def search(self, probe: Floats) -> Ids:
        return _best(self._rows @ probe) + 1

    def search_many(self, probes: Floats) -> list[Ids]:
        return [_best(scores) + 1 for scores in probes @ self._rows.T]

    def search_where(self, probe: Floats, where: Where) -> Ids:
        if where.ids is None:
            raise CannotDo("it knows no facts")
        places = where.ids - 1
        # Gathering rows costs more than it saves from about a fifth on.
        if len(places) * 5 < len(self._rows):
            return where.ids[_best(self._rows[places] @ probe)]
        return where.ids[_best((self._rows @ probe)[places])]


def _best(scores: Floats) -> Ids:
    top = np.argpartition(scores, len(scores) - K)[-K:]
    return top[np.lexsort((top, -scores[top]))]


class Usearch(Array):
    name = "usearch exact"
    package = "usearch"
    memory = 4.2

    def __init__(self, folder: Path, faces: Faces, threads: int) -> None:
        super().__init__(folder, faces, threads)
        from usearch import index

        self._module = index
        self._metric = index.MetricKind.IP

    def _matches(self, probes: Floats) -> Any:
        return self._module.search(self._rows, self.coded(probes), K, self._metric, exact=True, threads=self.threads)

    def search(self, probe: Floats) -> Ids:
        return self._matches(probe).keys.astype(np.int64) + 1

    def search_many(self, probes: Floats) -> list[Ids]:
        return list(self._matches(probes).keys.astype(np.int64) + 1)


class UsearchInt8(Usearch):
    name = "usearch exact i8"
    memory = 1.2
    kind = np.int8
    notes: ClassVar[list[str]] = ["int8 scores are not scored again: its lists are near, not exact"]

    def __init__(self, folder: Path, faces: Faces, threads: int) -> None:
        super().__init__(folder, faces, threads)
        self._metric = self._module.MetricKind.Cos  # divides by the norms of the codes, so each row has its own scale

    def coded(self, vectors: Floats) -> np.ndarray:
        return np.rint(vectors * (127 / np.abs(vectors).max(axis=-1, keepdims=True))).astype(np.int8)


class FaissFlat(Engine):
    name = "faiss IndexFlatIP"
    package = "faiss-cpu"
    memory = 8.2  # its vector doubles as it grows
    shards: ClassVar[int] = 1
    notes: ClassVar[list[str]] = [
        "one search uses one core; batches by matrix products (distance_compute_blas_threshold = 800)",
        "adds and drops in memory only",
    ]

    def __init__(self, folder: Path, faces: Faces, threads: int) -> None:
        super().__init__(folder, faces, threads)
        import faiss

        self._faiss = faiss
        faiss.omp_set_num_threads(threads)
        faiss.cvar.distance_compute_blas_threshold = 800
        self._parts = [self._empty() for _ in range(self.shards)]

    def _empty(self) -> Any:
        return self._faiss.IndexFlatIP(self.faces.dim)

    def add(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        shard = (ids - 1) * self.shards // self.faces.rows
        for number, part in enumerate(self._parts):
            part.add(vectors[shard == number])

    def save(self) -> None:
        for number, part in enumerate(self._parts):
            self._faiss.write_index(part, str(self.folder / f"{number}.faiss"))

    def open(self) -> None:
        self._parts = [self._faiss.read_index(str(path)) for path in sorted(self.folder.glob("*.faiss"))]
        self._index = self._parts[0]
        if self.shards > 1:
            self._index = self._faiss.IndexShards(self.faces.dim, True, True)  # in threads, ids one after another
            for part in self._parts:
                self._index.add_shard(part)

    def search(self, probe: Floats) -> Ids:
        return self._index.search(probe[None], K)[1][0] + 1

    def search_many(self, probes: Floats) -> list[Ids]:
        return list(self._index.search(probes, K)[1] + 1)

    def search_where(self, probe: Floats, where: Where) -> Ids:
        if where.ids is None:
            raise CannotDo("it knows no facts")
        self._require_whole()
        allowed = np.zeros(self._index.ntotal, np.bool_)
        allowed[where.ids - 1] = True
        selector = self._faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        return self._index.search(probe[None], K, params=self._faiss.SearchParameters(sel=selector))[1][0] + 1

    def insert(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        self._require_whole()
        self._index.add(vectors)

    def drop(self, ids: Ids) -> None:
        self._require_whole()
        # What comes after moves up, so from the first drop on ids stand for other rows; the work is the same.
        self._index.remove_ids(self._faiss.IDSelectorBatch(ids - 1))

    def _require_whole(self) -> None:
        if self.shards > 1:
            raise CannotDo("measured without shards")


class FaissFp16(FaissFlat):
    name = "faiss SQ fp16"
    memory = 4.2
    notes: ClassVar[list[str]] = ["one search uses one core", "adds and drops in memory only"]

    def _empty(self) -> Any:
        faiss = self._faiss
        index = faiss.IndexScalarQuantizer(
            self.faces.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )  # fmt: skip
        index.is_trained = True  # nothing to learn for fp16
        return index


class FaissFlatShards(FaissFlat):
    name = "faiss IndexFlatIP x2"
    shards = 2
    notes: ClassVar[list[str]] = ["two shards, each searched by a thread of its own"]


class FaissFp16Shards(FaissFp16):
    name = "faiss SQ fp16 x2"
    shards = 2
    notes: ClassVar[list[str]] = ["two shards, each searched by a thread of its own"]
