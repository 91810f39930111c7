"""The file an index lives in: fixed slots, written in place, mapped by every process that searches.

    faces.index     header, segment 0, segment 1, …
    a segment       one region per kind of thing, each with a place for `rows` rows; a SHA-256 for every BLOCK rows

A row is there when its id is not 0. `vectors` is read with pread, not through the mapping, so a process holds the
compact codes only, and those it shares with the others. Three lock files keep readers and writers apart (flock, which
also works between threads and ends with the process): `writer` for one writer at a time, `pages` shared by searches and
taken alone while rows change under them, `turn` so that a stream of searches can't keep a writer waiting.
"""

import fcntl
import json
import mmap
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from mugsearch.engine.scan import Slots, in_threads, threads
from mugsearch.errors import MugsearchError, Unavailable

FILE: Final = "faces.index"
ROWS: Final = 65536  # of a segment
BLOCK: Final = 64  # rows under one SHA-256: 166 KB at 512 dimensions
FACTS: Final = np.dtype([("sex", "u1"), ("born", "<i2"), ("booked", "<i4"), ("agency", "<u8")])
_FORMAT: Final = b"mugsearch index 4"
_HEADER: Final = 4096  # bytes

T = TypeVar("T", int, Slots)


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
def _told(trouble: str, kind: type[MugsearchError] = Unavailable) -> Iterator[None]:
    """What the system says is wrong, as the error that a person gets to read."""
    try:
        yield
    except FileNotFoundError as error:
        raise IndexDamaged("There is no saved index; build it again.") from error
    except OSError as error:
        raise kind(f"{trouble} ({error.strerror}).") from error


@contextmanager
def _held(path: Path, how: int) -> Iterator[None]:
    """flock on an open file of our own, so that two threads exclude each other as two processes do."""
    while True:
        with _told("The index can't be locked"):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, how)
            if os.fstat(descriptor).st_nlink:  # not removed, with the index, while we waited
                yield
                return
        finally:
            os.close(descriptor)


class IndexFile:
    """One open `faces.index` of vectors of `dimension` float32. Knows places and bytes, nothing of faces."""

    _file = -1

    def __init__(self, folder: Path, dimension: int, *, rows: int = ROWS, new: bool = False) -> None:
        self.rows = rows
        compact = [("ids", "<i8", rows), ("scales", "<f4", rows), ("errors", "<f4", rows), ("facts", FACTS, rows)]
        wide = [("codes", "i1", (rows, dimension)), ("vectors", "<f4", (rows, dimension))]
        self.segment = np.dtype([*compact, *wide, ("sums", "u1", (rows // BLOCK, 32))])
        self._regions = {name: field[:2] for name, field in (self.segment.fields or {}).items()}
        self._rows = [name for name in self._regions if name != "sums"]
        self._mapped = np.empty(0, self.segment)
        self._remapping = Lock()
        with _told("The index can't be opened"):
            self._file = os.open(folder / FILE, os.O_RDWR | (os.O_CREAT | os.O_EXCL if new else 0), 0o600)

    def close(self) -> None:
        if self._file >= 0:
            self._mapped = np.empty(0, self.segment)
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        self.close()

    def header(self) -> dict[str, Any]:
        """To be read under a lock. Raises IndexDamaged when it isn't as it was written, or somebody died writing."""
        data = bytearray(_HEADER)
        self._read(memoryview(data), 0)
        digest, _, text = data.rstrip(b"\0").partition(b" ")
        if sha256(_FORMAT + text).hexdigest().encode() != digest:
            raise IndexDamaged("The saved index can't be understood; build it again.")
        header: dict[str, Any] = json.loads(text)
        if header["torn"]:
            raise IndexDamaged("The index was found damaged, or its writer died; build it again.")
        return header

    def write_header(self, header: dict[str, Any]) -> None:
        """Seen by readers at once. Durable when this returns, as is all that was written before."""
        text = json.dumps(header).encode()
        self._write((sha256(_FORMAT + text).hexdigest().encode() + b" " + text).ljust(_HEADER, b"\0"), 0)
        self.sync()

    def sync(self) -> None:
        """All that was written outlasts a power cut when this returns."""
        with _told("The index can't be written to the disk"):
            os.fsync(self._file)

    def capacity(self) -> int:
        """For how many rows the file has room, whatever the header says."""
        return max(0, os.fstat(self._file).st_size - _HEADER) // self.segment.itemsize * self.rows

    def segments(self, rows: int) -> NDArray[Any]:
        """Those that hold the first `rows` rows (n,), mapped for reading. Raises IndexDamaged when the file is shorter:
        reading a mapped page that was cut off would end this process."""
        count = -(-rows // self.rows)
        with self._remapping:
            if self.capacity() < count * self.rows:
                raise IndexDamaged("The saved index is shorter than it says; build it again.")
            if len(self._mapped) < count:
                length = _HEADER + count * self.segment.itemsize
                pages = mmap.mmap(self._file, length, mmap.MAP_SHARED, mmap.PROT_READ)
                self._mapped = np.frombuffer(pages, self.segment, offset=_HEADER)
            return self._mapped[:count]

    def ids(self, rows: int) -> NDArray[np.int64]:
        """Of the first `rows` slots, 0 where there is no row."""
        return np.asarray(self.segments(rows)["ids"].reshape(-1)[:rows])

    def take(self, name: str, slots: Slots) -> NDArray[Any]:
        """Region `name`, as `segments` has mapped it, of slots (n,)."""
        segment, place = np.divmod(slots, self.rows)
        return np.asarray(self._mapped[name][segment, place])

    def read(self, name: str, at: Slots, into: NDArray[Any]) -> None:
        """Region `name` of slots (n,), or of blocks, into the contiguous `into` (n or more, …)."""
        data = into.view(np.uint8).reshape(-1).data
        for start, size, place in self._runs(name, at):
            self._read(data[start : start + size], place)

    def reserve(self, rows: int) -> None:
        """Room on the disk for so many rows, in whole segments, so that no later write can find it full. Raises
        Unavailable."""
        allocate = getattr(os, "posix_fallocate", lambda file, _, size: os.ftruncate(file, size))  # macOS has none
        with _told("There is no room for the index to grow"):
            if self.capacity() < rows:
                allocate(self._file, 0, _HEADER + -(-rows // self.rows) * self.segment.itemsize)

    def write(self, name: str, at: Slots, values: NDArray[Any]) -> None:
        """`values` (n, …) of region `name` into slots `at` (n,); into blocks, where it is `sums`."""
        data = np.ascontiguousarray(values, self.segment[name].base).view(np.uint8).reshape(-1).data
        for start, size, place in self._runs(name, at):
            self._write(data[start : start + size], place)

    def zero(self, slots: Slots) -> None:
        """Overwrite the rows with zeros, everywhere."""
        for name in self._rows:
            for _, size, place in self._runs(name, slots):
                self._write(bytes(size), place)

    def require_zero(self, slots: Slots) -> None:
        """Read the rows back, from the disk where the kernel lets go of its copy. Raises Unavailable."""
        for name in self._rows:
            for _, size, place in self._runs(name, slots):
                if hasattr(os, "posix_fadvise"):  # not on macOS
                    os.posix_fadvise(self._file, place, size, os.POSIX_FADV_DONTNEED)
                data = bytearray(size)
                self._read(memoryview(data), place)
                if any(data):
                    raise Unavailable("The index still holds the bytes of a vector after it was overwritten.")

    def digests(self, blocks: Slots) -> NDArray[np.uint8]:
        """SHA-256 over the BLOCK rows of each of `blocks` (n,): (n, 32)."""
        return np.concatenate(in_threads(self._digests, np.array_split(blocks, threads()), "digest"))

    def require_intact(self, about: dict[str, Any], blocks: Slots, locks: Locks) -> None:
        """For who is `writing`. Raises IndexDamaged, and has every process raise it from now on, unless these blocks
        are as they were written, and the digests of all blocks are those that `about`, the header, tells of."""
        if self.root(about["rows"]) == about["root"] and np.array_equal(self.digests(blocks), self._sums(blocks)):
            return
        with locks.changing():
            self.write_header(about | {"torn": True})
        raise IndexDamaged("The saved index is not as it was written; build it again.")

    def root(self, rows: int) -> str:
        """SHA-256 over the digests of the first `rows` rows: no block can be put in the place of another."""
        return sha256(self._sums(np.arange(-(-rows // BLOCK))).data).hexdigest()

    def _sums(self, blocks: Slots) -> NDArray[np.uint8]:
        told = np.empty((len(blocks), 32), np.uint8)
        self.read("sums", blocks, told)
        return told

    def _digests(self, blocks: Slots) -> NDArray[np.uint8]:
        data = bytearray(sum(self._place(name, 0)[0] for name in self._rows) * BLOCK)
        told = np.empty((len(blocks), 32), np.uint8)
        try:
            for each, block in zip(told, blocks.tolist(), strict=True):
                end = 0
                for name in self._rows:
                    width, place = self._place(name, block * BLOCK)
                    begin, end = end, end + width * BLOCK
                    self._read(memoryview(data)[begin:end], place)
                each[:] = np.frombuffer(sha256(data).digest(), np.uint8)
        finally:
            data[:] = bytes(len(data))
        return told

    def _place(self, name: str, at: T) -> tuple[int, T]:
        """How many bytes a row (or a sum) takes, and where it is in the file."""
        kind, start = self._regions[name]
        width = kind.itemsize // kind.shape[0]
        segment, row = divmod(at, kind.shape[0])
        return width, _HEADER + segment * self.segment.itemsize + start + row * width

    def _runs(self, name: str, at: Slots) -> Iterator[tuple[int, int, int]]:
        """Where `at` lie in the file, side by side as far as they do: (byte within `at`, bytes, place)."""
        width, places = self._place(name, at)
        edges = np.flatnonzero(np.diff(places, prepend=-1, append=-1) != width)
        return zip(
            (edges[:-1] * width).tolist(), (np.diff(edges) * width).tolist(), places[edges[:-1]].tolist(), strict=True
        )

    def _read(self, into: memoryview, place: int) -> None:
        with _told("The saved index can't be read", IndexDamaged):
            if os.preadv(self._file, [into], place) < len(into):
                raise IndexDamaged("The saved index is shorter than it says; build it again.")

    def _write(self, data: bytes | memoryview, place: int) -> None:
        with _told("The index can't be written"):
            while data:
                written = os.pwrite(self._file, data, place)
                data, place = data[written:], place + written
