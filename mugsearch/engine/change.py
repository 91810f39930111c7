"""One change of an index: rows are gathered first, then all shown and taken away at once."""

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mugsearch import failpoints
from mugsearch.engine import scan
from mugsearch.engine.segments import BLOCK, FACTS, IndexFile, Locks

NOW: Final = ("generation", "mark", "complete", "reached")  # what the owner sets; see index.State


class Change:
    """Made by `FaceIndex.change`. What `State` tells, but for `live`, is here as it is now, to be set to what it shall
    be; rows are put and dropped in the order of the calls, in memory until the block ends."""

    generation: int
    mark: str
    complete: bool
    reached: int

    def __init__(self, file: IndexFile, dimension: int) -> None:
        self._file, self._dimension = file, dimension
        self._about = file.header()
        vars(self).update((name, self._about[name]) for name in NOW)
        self._comes: dict[int, tuple[NDArray[np.float32], Any]] = {}
        self._goes: set[int] = set()  # ids whose present row goes
        self._copies: list[NDArray[Any]] = []

    def put(self, ids: ArrayLike, vectors: NDArray[np.float32], facts: NDArray[Any] | None = None) -> None:
        """Add or replace: `ids` (n,) positive and distinct, `vectors` (n, dimension) float32 and of norm 1, `facts`
        (n,) of FACTS. Raises ValueError, taking none of them, when they are not."""
        keys = np.asarray(ids, np.int64).reshape(-1)
        rows = np.array(vectors, np.float32)
        self._copies.append(rows)
        if rows.shape != (len(keys), self._dimension):
            raise ValueError(f"{len(keys)} ids need vectors of shape {(len(keys), self._dimension)}, not {rows.shape}")
        if len(np.unique(keys)) != len(keys) or (keys < 1).any():
            raise ValueError("ids are positive, and each is given once")
        scan.require_unit(rows)
        told = np.zeros(len(keys), FACTS) if facts is None else np.asarray(facts, FACTS)
        self._goes.update(keys.tolist())
        self._comes.update(zip(keys.tolist(), zip(rows, told, strict=True), strict=True))

    def drop(self, ids: ArrayLike) -> None:
        """Erase. Unknown ids are no error."""
        keys = np.asarray(ids, np.int64).reshape(-1)
        for key in keys[keys > 0].tolist():  # a free slot has the id 0
            self._goes.add(key)
            self._comes.pop(key, None)

    def commit(self, locks: Locks) -> None:
        """Durable, and what goes overwritten and read back, when it returns. Raises Unavailable: without room on the
        disk before anything has changed, after any other failure with the index torn, to be made anew; IndexDamaged
        when what lies beside the rows that change is not as it was written."""
        file, about = self._file, self._about
        ids = file.ids(about["rows"])
        gone = np.flatnonzero(np.isin(ids, np.array(list(self._goes), np.int64)))
        keys = np.array(list(self._comes), np.int64)
        free = np.flatnonzero(ids == 0)[: len(keys)]
        slots = np.concatenate([free, len(ids) + np.arange(len(keys) - len(free))])
        vectors = np.array([row for row, _ in self._comes.values()], np.float32).reshape(-1, self._dimension)
        values: dict[str, NDArray[Any]] = dict(zip(("codes", "scales", "errors"), scan.encode(vectors), strict=True))
        self._copies += [vectors, values["codes"]]
        facts = np.array([told for _, told in self._comes.values()], FACTS)
        values |= {"ids": keys, "facts": facts, "vectors": vectors}
        touched = np.unique(np.concatenate([gone, slots]) // BLOCK)
        rows = max(len(ids), int(slots.max(initial=-1)) + 1)
        live = about["live"] + len(keys) - len(gone)
        now = about | {name: getattr(self, name) for name in NOW} | {"rows": rows, "live": live}
        if now == about and not len(touched):
            return
        file.reserve(rows)
        file.segments(rows)
        # Else what is damaged would get a new, right digest.
        file.require_intact(about, touched[touched * BLOCK < about["rows"]], locks)
        with locks.changing():
            if len(touched):
                file.write_header(about | {"torn": True})  # whoever reads this: its writer died in here
                file.zero(gone)
                failpoints.reached("index.zeroed")
                for name, region in values.items():
                    file.write(name, slots, region)
                file.write("sums", touched, file.digests(touched))
                file.sync()
                file.require_zero(gone)
            file.write_header(now | {"root": file.root(rows)})

    def wipe(self) -> None:
        """Leave no copy of a vector in memory."""
        for rows in self._copies:
            rows[:] = 0
