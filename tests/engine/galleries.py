"""What the tests of the index share: vectors, the list that brute force gives, and a disk that dies."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mugsearch.engine.index import DECIMALS, FACTS, FaceIndex, Hit
from mugsearch.engine.segments import IndexFile

SMALL = 128  # rows of a segment here, so that a few hundred rows already lie in several

Held = dict[int, tuple[NDArray[np.float32], Any]]  # id -> vector and its row of FACTS


def unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / lengths, np.float32)


def vectors(count: int, seed: int, dimension: int = 16, kinds: int | None = None) -> NDArray[np.float32]:
    """Random unit vectors; with `kinds`, only so many different ones, so that scores tie."""
    rows = unit(np.random.default_rng(seed).standard_normal((kinds or max(count, 1), dimension)))[: kinds or count]
    return rows if kinds is None else rows[np.random.default_rng(seed + 1).integers(0, kinds, count)]


def some_facts(count: int, seed: int) -> NDArray[Any]:
    """Every fact is missing now and then."""
    chance = np.random.default_rng(seed)
    facts = np.zeros(count, FACTS)
    facts["sex"] = chance.choice([0, ord("F"), ord("M")], count)
    facts["born"] = chance.choice([0, 1960, 1975, 1990], count)
    facts["booked"] = chance.choice([0, 737_000, 738_000, 739_000], count)
    facts["agency"] = chance.choice(np.array([1, 2, 2**63 + 5], np.uint64), count)
    return facts


def brute_force(
    held: Held, probe: NDArray[np.float32], k: int, passes: Callable[[int, Any], bool] | None = None
) -> list[Hit]:
    """Every vector is scored in float64; nothing here is shared with the index but the rounding."""
    keys = [key for key, (_, facts) in held.items() if passes is None or passes(key, facts)]
    if not keys:
        return []
    rows = np.stack([held[key][0] for key in keys]).astype(np.float64)
    scores = np.round((rows * probe.astype(np.float64)).sum(axis=1), DECIMALS) + 0.0
    best = sorted(zip((-scores).tolist(), keys, strict=True))[:k]
    return [Hit(key, -score + 0.0) for score, key in best]


def filled(folder: Path, held: Held, dimension: int = 16, rows: int = SMALL) -> FaceIndex:
    """A complete index that holds just these."""
    index = FaceIndex.create(folder, dimension=dimension, encoder="e", rows=rows)
    with index.change() as change:
        put(change, held)
        change.generation, change.complete = 1, True
    return index


def held_of(count: int, seed: int = 0, dimension: int = 16, kinds: int | None = None) -> Held:
    """Ids in no order, from 1 to 3 * count."""
    keys = np.random.default_rng(seed).permutation(3 * count)[:count] + 1
    rows, facts = vectors(count, seed, dimension, kinds), some_facts(count, seed)
    return {int(key): (row, fact) for key, row, fact in zip(keys, rows, facts, strict=True)}


def put(change: Any, held: Held) -> None:
    if held:
        rows = np.stack([row for row, _ in held.values()])
        change.put(list(held), rows, np.array([facts for _, facts in held.values()], FACTS))


def reopened(index: FaceIndex, folder: Path, rows: int = SMALL) -> FaceIndex:
    index.close()
    return FaceIndex.open(folder, dimension=index.dimension, encoder=index.encoder, rows=rows)


class Killed(BaseException):
    """The process is gone: no `except Exception` of the code may go on."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, after: int, keep: np.random.Generator | None = None) -> Iterator[list[int]]:
    """Within, the process dies at its write or fsync number `after`, and everything it tries afterwards fails too.

    With `keep` the power goes as well: of what was written since the last fsync each 512 bytes are on the disk or not.
    The list counts the writes and fsyncs that were made.
    """
    made = [0]
    unsynced: list[tuple[int, int, bytes]] = []  # file, place, what was there before
    write, sync = IndexFile._write, IndexFile.sync

    def step() -> None:
        if made[0] >= after:
            raise Killed
        made[0] += 1

    def dying_write(self: IndexFile, data: Any, place: int) -> None:
        step()
        for start in range(0, len(data), 512):
            before = os.pread(self._file, min(512, len(data) - start), place + start)
            unsynced.append((self._file, place + start, before))
        write(self, data, place)

    def dying_sync(self: IndexFile) -> None:
        step()
        sync(self)
        unsynced.clear()

    with monkeypatch.context() as patched:
        patched.setattr(IndexFile, "_write", dying_write)
        patched.setattr(IndexFile, "sync", dying_sync)
        try:
            yield made
        except Killed:
            if keep is not None:
                for file, place, before in reversed(unsynced):
                    if keep.random() < 0.5:
                        os.pwrite(file, before, place)
