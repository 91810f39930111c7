"""The file an index lives in: fixed slots, written in place, mapped by every process that searches.

    faces.index     header, segment 0, segment 1, …      (sparse: what was never written takes no space)
    a segment       one region per kind of thing, each with a place for `rows` rows; a SHA-256 for every BLOCK rows

A row is there when its id is not 0. `vectors` is read with pread and never mapped, so a process holds the compact
codes only, and those it shares with the others. Three lock files keep readers and writers apart (flock, which also
works between threads and ends with the process): `writer` for one writer at a time, `pages` shared by searches and
taken alone while rows change under them, `turn` so that a stream of searches can't keep a writer waiting.
"""

import fcntl
import hashlib
import json
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mugsearch.errors import MugsearchError, Unavailable

FILE: Final = "faces.index"
ROWS: Final = 65536  # of a segment
BLOCK: Final = 64  # rows under one SHA-256: 166 KB at 512 dimensions
FACTS: Final = np.dtype([("sex", "u1"), ("born", "<i2"), ("booked", "<i4"), ("agency", "<u8")])
NOW: Final = ("generation", "mark", "complete", "reached", "whole")  # what the owner sets; see index.State
_FORMAT: Final = "mugsearch index 2"
_HEADER: Final = 4096  # bytes

Slots = NDArray[np.int64]
Segment = dict[str, NDArray[Any]]  # the mapped regions of one segment, by name


class IndexDamaged(MugsearchError):
    """A saved index is missing, torn, changed, or of another encoder: build it again from the database."""

    code = "index_damaged"
    status = 503


class Locks:
    """Who may do what meanwhile, in all processes: three files beside the index."""

    def __init__(self, folder: Path) -> None:
        self._turn, self._pages, self._writer = (folder / f"{name}.lock" for name in ("turn", "pages", "writer"))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Nothing changes while this is held. Searches hold it side by side."""
        with ExitStack() as until_read:
            with _held(self._turn, fcntl.LOCK_SH):
                until_read.enter_context(_held(self._pages, fcntl.LOCK_SH))
            yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """No search is reading; to be held shortly, by who is `writing`."""
        with _held(self._turn, fcntl.LOCK_EX), _held(self._pages, fcntl.LOCK_EX):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time. Searches go on."""
        with _held(self._writer, fcntl.LOCK_EX):
            yield


@contextmanager
def _held(path: Path, how: int) -> Iterator[None]:
    """flock on an open file of our own, so that two threads exclude each other as two processes do."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, how)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):  # not removed while we waited
                    yield
                    return
        finally:
            os.close(descriptor)


class IndexFile:
    """One open `faces.index` of vectors of `dimension` float32. Knows places and bytes, nothing of faces."""

    def __init__(self, folder: Path, dimension: int, *, rows: int = ROWS, new: bool = False) -> None:
        self.rows = rows
        kinds: dict[str, np.dtype[Any]] = {
            "ids": np.dtype("<i8"),
            "scales": np.dtype("<f4"),
            "errors": np.dtype("<f4"),
            "facts": FACTS,
            "codes": np.dtype(("i1", (dimension,))),
            "vectors": np.dtype(("<f4", (dimension,))),
        }
        self._kinds = kinds
        self._starts: dict[str, int] = {}
        size = 0
        for name, kind in kinds.items():
            self._starts[name] = size
            size += -(-kind.itemsize * rows // 64) * 64
        self._starts["sums"] = size
        self._segment = size + rows // BLOCK * 32
        self._nothing = hashlib.sha256(bytes(sum(kind.itemsize for kind in kinds.values()) * BLOCK)).digest()
        self._views: list[Segment] = []
        self._remapping = Lock()
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if new else 0)
        try:
            self._file = os.open(folder / FILE, flags, 0o600)
        except OSError as error:
            raise IndexDamaged("There is no saved index that can be read; build it again.") from error
        if new:
            os.ftruncate(self._file, _HEADER)

    def close(self) -> None:
        self._views = []
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def header(self) -> dict[str, Any]:
        """Raises IndexDamaged when it isn't as it was written."""
        for pause in (0.0, 0.001, 0.01, 0.1):  # another process may be in the middle of writing it
            time.sleep(pause)
            digest, _, text = os.pread(self._file, _HEADER, 0).rstrip(b"\0").partition(b" ")
            if (
                hashlib.sha256(text).hexdigest().encode() == digest
                and (header := json.loads(text))["format"] == _FORMAT
            ):
                return header  # type: ignore[no-any-return]  # what `write_header` was given
        raise IndexDamaged("The saved index can't be understood; build it again.")

    def write_header(self, header: dict[str, Any]) -> None:
        """Seen by readers at once, durable after `sync`."""
        text = json.dumps({**header, "format": _FORMAT}, sort_keys=True).encode()
        self._write((hashlib.sha256(text).hexdigest().encode() + b" " + text).ljust(_HEADER, b"\0"), 0)

    def sync(self) -> None:
        """All that was written outlasts a power cut when this returns."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise Unavailable(f"The index can't be written to the disk ({error.strerror}).") from error

    def segments(self, count: int) -> list[Segment]:
        """The first `count` segments, mapped for reading. Raises IndexDamaged when the file is shorter: reading a
        mapped page that was cut off would end this process."""
        with self._remapping:
            length = _HEADER + count * self._segment
            if os.fstat(self._file).st_size < length:
                raise IndexDamaged("The saved index is shorter than it says; build it again.")
            if len(self._views) < count:
                pages = mmap.mmap(self._file, length, mmap.MAP_SHARED, mmap.PROT_READ)
                self._views = [
                    {
                        name: np.frombuffer(pages, kind.base, self.rows * kind.itemsize // kind.base.itemsize, place)
                        .reshape((self.rows, *kind.shape))
                        for name, kind in self._kinds.items()
                        if name != "vectors"
                        for place in (_HEADER + at * self._segment + self._starts[name],)
                    }
                    for at in range(count)
                ]  # fmt: skip
            return self._views[:count]

    def ids(self, segments: int) -> NDArray[np.int64]:
        """By slot; 0 where there is no row."""
        return np.concatenate([np.empty(0, np.int64), *(view["ids"] for view in self.segments(segments))])

    def capacity(self) -> int:
        """How many segments the file has room for, whatever the header says."""
        return (os.fstat(self._file).st_size - _HEADER) // self._segment

    def reserve(self, slots: Slots) -> None:
        """Make room on the disk, so that no later write there, nor zeroing, can find it full. Raises Unavailable."""
        segments = int(slots.max()) // self.rows + 1
        try:
            if self.capacity() < segments:
                os.ftruncate(self._file, _HEADER + segments * self._segment)
            places = [run[1:] for name in self._kinds for run in self._runs(name, slots)]
            places += [(32, self._sum_place(block)) for block in np.unique(slots // BLOCK).tolist()]
            if hasattr(os, "posix_fallocate"):
                for size, place in places:
                    os.posix_fallocate(self._file, place, size)
        except OSError as error:
            raise Unavailable(f"There is no room for the index to grow ({error.strerror}).") from error

    def write(self, name: str, slots: Slots, values: NDArray[Any]) -> None:
        """`values` (n, …) of region `name` into `slots` (n,)."""
        data = np.ascontiguousarray(values, self._kinds[name].base).view(np.uint8).reshape(-1).data
        for start, size, place in self._runs(name, slots):
            self._write(data[start : start + size], place)

    def zero(self, slots: Slots) -> None:
        """Overwrite the rows with zeros, everywhere."""
        for name in self._kinds:
            for _, size, place in self._runs(name, slots):
                self._write(bytes(size), place)

    def require_zero(self, slots: Slots) -> None:
        """Read the rows back, from the disk where the kernel lets go of its copy. Raises Unavailable."""
        for name in self._kinds:
            for _, size, place in self._runs(name, slots):
                if hasattr(os, "posix_fadvise"):  # not on macOS, nor posix_fallocate
                    os.posix_fadvise(self._file, place, size, os.POSIX_FADV_DONTNEED)
                if any(os.pread(self._file, size, place)):
                    raise Unavailable("The index still holds the bytes of a vector after it was overwritten.")

    def read_vectors(self, slots: Slots, into: NDArray[np.float32]) -> None:
        """The float32 rows of `slots` (n,) into `into` (n or more, dimension), contiguous."""
        data = into.view(np.uint8).reshape(-1).data
        for start, size, place in self._runs("vectors", slots):
            if os.preadv(self._file, [data[start : start + size]], place) != size:
                raise IndexDamaged("The saved index is shorter than it says; build it again.")

    def digest(self, block: int, into: NDArray[np.float32]) -> bytes:
        """SHA-256 over the BLOCK rows from `block` * BLOCK on. `into` (BLOCK, dimension) is scratch."""
        segment, first = divmod(block * BLOCK, self.rows)
        view = self.segments(segment + 1)[segment]
        told = hashlib.sha256()
        for region in view.values():
            told.update(region[first : first + BLOCK].data)
        self.read_vectors(np.arange(block * BLOCK, (block + 1) * BLOCK), into)
        told.update(into.data)
        return told.digest()

    def intact(self, block: int, into: NDArray[np.float32]) -> bool:
        """The block is as it was when its digest was written, or empty. `into`: scratch as for `digest`."""
        told = os.pread(self._file, 32, self._sum_place(block))
        return self.digest(block, into) == (told if any(told) else self._nothing)

    def write_sum(self, block: int, digest: bytes) -> None:
        self._write(digest, self._sum_place(block))

    def _sum_place(self, block: int) -> int:
        segment, at = divmod(block, self.rows // BLOCK)
        return _HEADER + segment * self._segment + self._starts["sums"] + at * 32

    def _runs(self, name: str, slots: Slots) -> Iterator[tuple[int, int, int]]:
        """Where `slots` lie in the file, side by side as far as they do: (byte within `slots`, bytes, place)."""
        width = self._kinds[name].itemsize
        places = _HEADER + slots // self.rows * self._segment + self._starts[name] + slots % self.rows * width
        edges = np.flatnonzero(np.diff(places, prepend=-1, append=-1) != width)
        return zip(
            (edges[:-1] * width).tolist(), (np.diff(edges) * width).tolist(), places[edges[:-1]].tolist(), strict=True
        )

    def _write(self, data: bytes | memoryview, place: int) -> None:
        try:
            while data:
                written = os.pwrite(self._file, data, place)
                data, place = data[written:], place + written
        except OSError as error:
            raise Unavailable(f"The index can't be written ({error.strerror}).") from error
