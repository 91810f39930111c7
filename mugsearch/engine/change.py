"""One change of an index: rows are written where no search looks, then shown and taken away all at once."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mugsearch.engine import scan
from mugsearch.engine.segments import BLOCK, FACTS, NOW, IndexDamaged, IndexFile, Locks, Slots
from mugsearch.errors import Unavailable

_CHUNK = 1024  # rows encoded at a time


class Change:
    """Made by `FaceIndex.change`. What `State` tells, but for `live`, is here as it is now, to be set to what it shall
    be; rows are put and dropped in the order of the calls."""

    def __init__(self, file: IndexFile, locks: Locks, dimension: int) -> None:
        self._file, self._locks, self._dimension = file, locks, dimension
        self._about = file.header()
        if self._about["before"] is not None:
            raise IndexDamaged("Somebody died while writing the index; it has to be opened anew.")
        self._before = {name: self._about[name] for name in NOW}
        self.generation: int = self._before["generation"]
        self.mark: str = self._before["mark"]
        self.complete: bool = self._before["complete"]
        self.reached: int = self._before["reached"]
        self.whole: bool = self._before["whole"]
        self._ids = file.ids(self._about["segments"])
        self._free: list[int] | None = None
        self._end = self._about["rows"]  # slots from here on were never used
        self._staged: dict[int, int] = {}  # id -> slot, to be shown
        self._gone: set[int] = set()  # ids whose present row goes
        self._begun = self._half_written = False

    def put(self, ids: ArrayLike, vectors: NDArray[np.float32], facts: NDArray[Any] | None = None) -> None:
        """Add or replace: `ids` (n,) positive and distinct, `vectors` (n, dimension) float32 and of norm 1, `facts`
        (n,) of FACTS. Raises ValueError, taking none of them, when they are not; Unavailable when the disk is full."""
        keys = np.asarray(ids, np.int64).reshape(-1)
        rows = np.ascontiguousarray(vectors, np.float32)
        if rows.shape != (len(keys), self._dimension):
            raise ValueError(f"{len(keys)} ids need vectors of shape {(len(keys), self._dimension)}, not {rows.shape}")
        if len(np.unique(keys)) != len(keys) or (keys < 1).any():
            raise ValueError("ids are positive, and each is given once")
        scan.require_unit(rows)
        told = np.zeros(len(keys), FACTS) if facts is None else np.asarray(facts, FACTS)
        self._half_written = True
        for start in range(0, len(keys), _CHUNK):
            some = slice(start, start + _CHUNK)
            self._stage(keys[some], rows[some], told[some])
        self._half_written = False

    def drop(self, ids: ArrayLike) -> None:
        """Erase. Unknown ids are no error."""
        for key in np.asarray(ids, np.int64).reshape(-1).tolist():
            self._gone.add(key)
            if key in self._staged:
                self._unstage(self._staged.pop(key))

    def _stage(self, keys: NDArray[np.int64], rows: NDArray[np.float32], facts: NDArray[Any]) -> None:
        self._begin()
        for key in keys.tolist():
            if key in self._staged:
                self._unstage(self._staged.pop(key))
        slots = self._places(len(keys))
        self._staged.update(zip(keys.tolist(), slots.tolist(), strict=True))  # first: what fails now is zeroed
        codes, scales, errors = scan.encode(rows)
        for name, values in (
            ("scales", scales),
            ("errors", errors),
            ("facts", facts),
            ("codes", codes),
            ("vectors", rows),
        ):
            self._file.write(name, slots, values)
        codes[:] = 0
        self._gone.update(keys.tolist())

    def _places(self, count: int) -> Slots:
        """Empty slots, ascending: first those that dropped rows have left."""
        if self._free is None:
            self._free = np.flatnonzero(self._ids[: self._end] == 0).tolist()[::-1]
        places = [self._free.pop() for _ in range(min(count, len(self._free)))]
        beyond = self._end + count - len(places)
        places.extend(range(self._end, beyond))
        slots = np.sort(np.array(places, np.int64))
        self._file.reserve(slots)
        self._end = beyond
        return slots

    def _unstage(self, slot: int) -> None:
        self._file.zero(np.array([slot]))
        self._free = [*(self._free or []), slot]

    def _begin(self) -> None:
        """From here to the end of `commit` the header says that somebody is writing."""
        if not self._begun:
            self._file.write_header(self._about | {"before": self._before})
            self._file.sync()
            self._begun = True

    def commit(self) -> None:
        if self._half_written:
            self.discard()
            raise Unavailable("The index was left as it was, because a part of a change had failed.")
        self._begin()
        gone = np.flatnonzero(np.isin(self._ids[: self._about["rows"]], np.array(list(self._gone), np.int64)))
        keys = np.array(list(self._staged), np.int64)
        slots = np.array(list(self._staged.values()), np.int64)
        order = np.argsort(slots)
        now = {name: getattr(self, name) for name in NOW}
        torn = self._about | {"before": self._before, "torn": True}
        self._about.update(now, rows=self._end, live=self._about["live"] + len(slots) - len(gone))
        self._about["segments"] = -(-self._end // self._file.rows)
        self._file.sync()  # what is about to be shown is on the disk
        with self._locks.changing():
            self._file.write_header(torn)  # whoever reads this died in here: only who changes rows holds the lock
            self._file.zero(gone)
            self._file.write("ids", slots[order], keys[order])
            self._file.write_header(self._about | {"before": self._before})
        self._finish(np.concatenate([gone, slots]))
        self._file.require_zero(gone)

    def discard(self) -> None:
        if self._begun:
            slots = np.array(sorted(self._staged.values()), np.int64)
            self._file.zero(slots)
            self._finish(slots)

    def _finish(self, touched: Slots) -> None:
        scratch = np.zeros((BLOCK, self._dimension), np.float32)
        for block in np.unique(touched // BLOCK).tolist():
            self._file.write_sum(block, self._file.digest(block, scratch))
        scratch[:] = 0.0
        self._file.sync()
        self._file.write_header(self._about | {"before": None})
        self._file.sync()
