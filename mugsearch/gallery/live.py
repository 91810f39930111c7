"""The index as this process has it open: a cache of PostgreSQL, brought up to the last commit before each search.

Several processes may have it open and take turns at writing it; whoever finds it missing, damaged or of another
database makes it anew: damage is not patched. That goes in steps, each a change of the index that is durable when it
ends, so a killed rebuild goes on where it was, and what is expunged meanwhile can be dropped and proved at any time.
Loads the search kernel: not for web processes, which ask `readiness`.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from time import monotonic
from typing import TypeVar

import numpy as np
from django.conf import settings
from django.db import transaction
from numpy.typing import NDArray

from mugsearch import failpoints
from mugsearch.audit import services as audit
from mugsearch.engine.change import Change
from mugsearch.engine.index import FILE, FaceIndex, IndexDamaged, State
from mugsearch.errors import MugsearchError, Unavailable
from mugsearch.gallery import filling, readiness, tasks
from mugsearch.gallery.models import Encoder, Template
from mugsearch.gallery.readiness import NotReady
from mugsearch.vault import services as vault

__all__ = ["Forgotten", "NotReady", "catch_up", "count", "forget", "mend", "rebuild", "reset", "start_over", "verify"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LOOKED_AT = 50  # places of a list that a removed vector could come back on; its own would be the first
_OURS = re.compile("[0-9a-f]{16}")  # folders of indexes, see _folder


@dataclass(frozen=True)
class _Held:
    """An open index, which file it is, why it had to be made anew if it had, and how many rows were missing and
    superfluous in it when it was opened."""

    encoder: Encoder
    index: FaceIndex
    file: os.stat_result | None
    why: str = ""
    mended: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Forgotten:
    """`generation`: the index holds none of them then. `searches`: how many of the vectors were in the index before,
    and were searched with afterwards."""

    generation: int
    searches: int


_lock = RLock()
_held: _Held | None = None


def catch_up(encoder: Encoder) -> FaceIndex:
    """The index of `encoder` with every change in it that was committed before the call.

    What takes a step or two is done here. Raises NotReady when more is left, after having had it begun.
    """
    with _lock, _troubles_shown(encoder):
        state = _state(encoder)
        while not filling.is_current(state):
            if filling.much_is_left(state, encoder):
                if _have_it_known(encoder, state):
                    transaction.on_commit(lambda: tasks.rebuild_index.delay(True), robust=True)
                raise NotReady("The index is being rebuilt.")
            state = _step(encoder)
        return _opened(encoder).index


def rebuild(encoder: Encoder, *, seconds: float = float("inf"), report: Callable[[State], None] | None = None) -> bool:
    """Add what the index lacks, for about so long; whether it is complete and current now."""
    until = monotonic() + seconds
    while True:
        with _lock, _troubles_shown(encoder):
            state = _state(encoder)
            if filling.is_current(state):
                readiness.ready(encoder)
                return True
            state = _step(encoder)
            if not state.complete and not _have_it_known(encoder, state):
                readiness.went_on(encoder, done=state.live)
        if report:
            report(state)
        if monotonic() >= until:
            return False


def start_over(encoder: Encoder) -> None:
    """Erase the index, whatever its state; `rebuild` makes it anew."""
    with _lock:
        _make(encoder, why="asked_for")


def forget(template_ids: Iterable[int]) -> Forgotten:
    """Apply all changes, and prove that none of the ids is in the index, and that nothing beside it may hold them. The
    vectors that are still in it are taken in hand before, and afterwards each is searched with: none comes back.

    What is dropped has been overwritten and read back when a change ends, and other processes map the same pages.
    Raises Unavailable when one is still there, or may be.
    """
    gone = np.array(sorted(set(template_ids)), np.int64)
    encoder = Encoder.objects.get(state=Encoder.State.ACTIVE)
    with _lock, _in_hand(encoder, gone) as vectors:
        while not _change(encoder, lambda change: filling.take_in_log(change, encoder)):
            pass
        failpoints.reached("index.changed")
        index = _opened(encoder).index
        generation = index.state().generation
        if left := np.count_nonzero(np.isin(gone, index.ids())):
            raise Unavailable(f"{left} vectors are still in the index.")
        # One by one: of several the kernel makes a copy that nobody can wipe.
        if any(hit.id in gone for vector in vectors for hit in index.search(vector, _LOOKED_AT).hits):
            raise Unavailable("A search with a vector that was removed still finds it.")
        _erase_other_indexes(encoder)
        if others := _beside(encoder):
            raise Unavailable(f"Remove what lies beside the index, as it may hold vectors: {', '.join(others)}.")
        return Forgotten(generation, searches=len(vectors))


@contextmanager
def _in_hand(encoder: Encoder, ids: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """The vectors (n, dimension) of those the index holds now, wiped when the block ends. Of one that is damaged none:
    it is made anew without them."""
    try:
        vectors = _opened(encoder).index.vectors(ids)
    except IndexDamaged:
        vectors = np.zeros((0, encoder.dimension), np.float32)
    try:
        yield vectors
    finally:
        vectors.fill(0)


def count(template_ids: Iterable[int]) -> int:
    """How many of them the index holds as it is now."""
    sought = np.array(sorted(set(template_ids)), np.int64)
    with _lock:
        index = _opened(Encoder.objects.get(state=Encoder.State.ACTIVE)).index
        return int(np.count_nonzero(np.isin(sought, index.ids())))


def verify(encoder: Encoder) -> tuple[int, int]:
    """Open the index anew, so that every byte of it is checked. How many vectors were missing and how many superfluous
    in it; both are mended, or the index is made anew."""
    with _lock:
        reset()
        held = _opened(encoder)
        return (len(filling.recorded(encoder)), 0) if held.why else held.mended


def mend(encoder: Encoder, template_ids: Iterable[int]) -> None:
    """Make these rows of the index what PostgreSQL says of them now."""
    ids = list(template_ids)
    with _lock:
        _change(encoder, lambda change: _as_recorded(change, encoder, ids))


def _as_recorded(change: Change, encoder: Encoder, ids: list[int]) -> None:
    filling.take_in_log(change, encoder)
    change.drop(ids)
    # Of an index that was made anew meanwhile, the rest is read when it is its turn.
    filling.put(change, encoder, [one for one in ids if change.complete or one <= change.reached])


def reset() -> None:
    """Let go of what this process has open, as a restart would."""
    global _held
    with _lock:
        if _held:
            _held.index.close()
        _held = None


def _step(encoder: Encoder) -> State:
    """One change of the index: the log, and when it is being filled the next templates."""

    def go_on(change: Change) -> bool:
        was_complete = change.complete
        if filling.take_in_log(change, encoder) and not change.complete:
            filling.read_on(change, encoder)
        return change.complete and not was_complete

    global _held
    became_complete = _change(encoder, go_on)
    state, held = _state(encoder), _opened(encoder)
    if became_complete:
        why, generation = held.why or readiness.why(encoder), state.generation
        if state.live:  # a new installation has rebuilt nothing
            audit.record("index.rebuilt", by=None, obj=encoder, why=why, vectors=state.live, generation=generation)
        readiness.ready(encoder)
        _held = replace(held, why="")
    return state


def _have_it_known(encoder: Encoder, state: State) -> bool:
    """Tell the web processes that the index can't answer; False when they know."""
    held = _opened(encoder)
    return readiness.noticed(encoder, done=state.live, why=held.why or "far_behind")


@contextmanager
def _troubles_shown(encoder: Encoder) -> Iterator[None]:
    """What keeps the index from becoming current (a full disk …) is told to who wants to search, until it is over.
    Raises NotReady instead, so that what is in the queue waits."""
    try:
        yield
    except NotReady:
        raise
    except (MugsearchError, OSError) as error:
        trouble = error.message if isinstance(error, MugsearchError) else f"The index can't be used ({error.strerror})."
        readiness.in_trouble(encoder, trouble)
        raise NotReady(trouble) from error


def _change(encoder: Encoder, do: Callable[[Change], T]) -> T:
    """`do` in one change. An index found damaged, or of another history, is opened or made anew before."""
    try:
        with _opened(encoder).index.change() as change:
            return do(change)
    except IndexDamaged as error:
        logger.warning("%s", error.message)
        reset()
    with _opened(encoder).index.change() as change:
        return do(change)


def _state(encoder: Encoder) -> State:
    """Of the index as it is now, also when another process has just made it anew."""
    try:
        return _opened(encoder).index.state()
    except IndexDamaged as error:
        logger.warning("%s", error.message)
        reset()
    return _opened(encoder).index.state()


def _opened(encoder: Encoder) -> _Held:
    """The index of the folder as it is now: one that was removed, or is of another encoder, is not used any more."""
    if _held and _held.encoder.pk == encoder.pk and _is_there_still(_held):
        return _held
    try:
        held = _open(encoder)
    except IndexDamaged as error:
        new = _file(encoder) is None
        logger.log(logging.INFO if new else logging.WARNING, "%s", error.message)
        held = _make(encoder, why="missing" if new else error.code)
    _erase_other_indexes(encoder)
    return held


def _open(encoder: Encoder) -> _Held:
    """Held only once it is of this database and has just the rows it should have. Raises IndexDamaged."""
    global _held
    reset()
    index = FaceIndex.open(_folder(encoder), dimension=encoder.dimension, encoder=encoder.digest)
    try:
        filling.require_its_history(index.state())
        mended = _mended(index, encoder)
    except BaseException:
        index.close()
        raise
    _held = held = _Held(encoder, index, _file(encoder), mended=mended)
    return held


def _make(encoder: Encoder, *, why: str) -> _Held:
    global _held
    reset()
    index = FaceIndex.create(_folder(encoder), dimension=encoder.dimension, encoder=encoder.digest)
    _held = held = _Held(encoder, index, _file(encoder), why)
    return held


def _mended(index: FaceIndex, encoder: Encoder) -> tuple[int, int]:
    """See to it that there is a row for each template there should be and no other, apart from what the log still
    tells. How many were missing and superfluous. Raises IndexDamaged when they are many."""
    with index.change() as change:  # nobody else writes
        held, recorded = index.ids(), filling.recorded(encoder)
        recent = filling.changed_since(encoder, change.generation)
        expected = recorded if change.complete else recorded[recorded <= change.reached]
        missing = _with_keys(np.setdiff1d(np.setdiff1d(expected, held), recent))
        superfluous = np.setdiff1d(np.setdiff1d(held, recorded), recent)
        wrong = [*missing.tolist(), *superfluous.tolist()]
        if len(wrong) > filling.BATCH:
            raise IndexDamaged(f"{len(wrong)} rows of the index are missing or superfluous; build it again.")
        if wrong:
            _as_recorded(change, encoder, wrong)
    if wrong:
        logger.error("%d vectors were missing in the index and %d superfluous", len(missing), len(superfluous))
        audit.record("index.mended", by=None, obj=encoder, missing=len(missing), superfluous=len(superfluous))
    return len(missing), len(superfluous)


def _with_keys(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Without those whose key is destroyed: a restored backup has them again, and nobody can read them."""
    owners = Template.objects.filter(pk__in=ids.tolist()).values_list("pk", "photo__booking_id")
    return np.array(sorted(pk for pk, booking in owners if vault.has_key(booking)), np.int64)


def _is_there_still(held: _Held) -> bool:
    now = _file(held.encoder)
    if not (now and held.file and os.path.samestat(now, held.file)):
        return False
    try:
        held.index.state()
    except IndexDamaged:
        return False
    return True


def _file(encoder: Encoder) -> os.stat_result | None:
    try:
        return (_folder(encoder) / FILE).stat()
    except FileNotFoundError:
        return None


def _folder(encoder: Encoder) -> Path:
    return Path(settings.INDEX_DIR) / encoder.digest[:16]


def _erase_other_indexes(encoder: Encoder) -> None:
    """Those of encoders that are no longer active would keep vectors of people who are erased."""
    active = Encoder.objects.filter(state=Encoder.State.ACTIVE)
    keep = {_folder(one) for one in (encoder, *active)}
    for folder in Path(settings.INDEX_DIR).iterdir():
        if folder not in keep and folder.is_dir() and _OURS.fullmatch(folder.name):
            with suppress(FileNotFoundError):  # another process has erased it meanwhile
                FaceIndex.erase(folder)


def _beside(encoder: Encoder) -> list[str]:
    """What lies in the index folders and isn't the index. Its lock files are empty."""
    own = _folder(encoder) / FILE
    files = [path for path in Path(settings.INDEX_DIR).rglob("*") if path.is_file() and path != own]
    return sorted(path.name for path in files if path.suffix != ".lock" or path.stat().st_size)
