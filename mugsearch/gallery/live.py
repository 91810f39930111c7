"""The search worker's index: a cache of PostgreSQL, brought up to the last committed change before each search.

Only the search worker imports this module, because it loads FAISS. One process, one index, one lock.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import RLock

import numpy as np
from django.conf import settings
from django.db import transaction
from numpy.typing import NDArray

from mugsearch.engine.index import FILE, FaceIndex, IndexDamaged
from mugsearch.errors import Unavailable
from mugsearch.gallery import locks, vectors
from mugsearch.gallery.models import Encoder, GalleryChange, Template
from mugsearch.vault.services import KeyDestroyed

logger = logging.getLogger(__name__)

BATCH = 2000  # templates read from PostgreSQL at a time; about 1 MB sealed

_lock = RLock()
_indexes: dict[int, FaceIndex] = {}  # by Encoder.pk; one at a time
_saved: dict[int, str] = {}  # by Encoder.pk: the mark of the index that is on disk


def catch_up(encoder: Encoder) -> FaceIndex:
    """The index of `encoder` with every change applied that was committed before the call.

    The first call of a process loads the saved index. One that is missing, damaged or foreign is built anew from
    PostgreSQL; so is the one in memory when PostgreSQL was restored from a backup underneath.
    """
    with _lock:
        index = _indexes.get(encoder.pk)
        if index is None:
            reset()  # the encoder was changed: the old vectors are of no use any more
            index = _load(encoder)
        elif not _applied(index, encoder):
            logger.warning("PostgreSQL is not the one the index was made from, rebuilding")
            index = None
        return _rebuild(encoder) if index is None else index


def save(encoder: Encoder) -> int:
    """Bring the index up to date, write it to disk, and return its generation."""
    with _lock:
        index = catch_up(encoder)
        folder = _folder(encoder)
        if _saved.get(encoder.pk) != index.mark:
            index.save(folder)
            _saved[encoder.pk] = index.mark
        _remove_other_folders(encoder)
        return index.generation


def forget(template_ids: Iterable[int]) -> int:
    """Apply all changes, save, and prove that none of the ids is in the index, in memory or on disk.

    Returns the generation that holds none of them. Raises Unavailable when one is still there, or may be: in a file
    that isn't the index.
    """
    gone = set(template_ids)
    with _lock:
        encoder = Encoder.objects.get(state=Encoder.State.ACTIVE)
        generation = save(encoder)
        on_disk = FaceIndex.load(_folder(encoder), encoder=encoder.digest, dimension=encoder.dimension)
        held = {"memory": _indexes[encoder.pk].ids(), "disk": on_disk.ids()}
        on_disk.wipe()
        for place, ids in held.items():
            if left := gone.intersection(ids.tolist()):
                raise Unavailable(f"{len(left)} vectors are still in the index ({place}).")
        index_file = _folder(encoder) / FILE
        others = [file.name for file in Path(settings.INDEX_DIR).rglob("*") if file.is_file() and file != index_file]
        if others:
            raise Unavailable(f"Remove what lies beside the index, as it may hold vectors: {', '.join(others)}.")
        return generation


def check(encoder: Encoder) -> tuple[int, int]:
    """Compare the index with PostgreSQL both ways; rebuild if they differ. Returns (missing, superfluous)."""
    with _lock:
        catch_up(encoder)  # what may take long, before anybody is made to wait for us
        with transaction.atomic():
            locks.numbering_changes()  # nobody commits between the two readings
            held = set(catch_up(encoder).ids().tolist())
            recorded = set(Template.objects.filter(encoder=encoder).values_list("pk", flat=True))
        missing, superfluous = recorded - held, held - recorded
        if missing or superfluous:
            logger.error("index differs from PostgreSQL: %d missing, %d superfluous", len(missing), len(superfluous))
            _rebuild(encoder)
        return len(missing), len(superfluous)


def reset() -> None:
    """Forget what this process holds, as a restart would, and leave nothing readable in its memory."""
    with _lock:
        for index in _indexes.values():
            index.wipe()
        _indexes.clear()
        _saved.clear()


def _applied(index: FaceIndex, encoder: Encoder) -> bool:
    """Take in what was committed since. False, taking in nothing, when the index is of another history.

    Changes are numbered without gaps in the order of their commits, so whoever has a change has all before it, and
    reading on from there misses none.
    """
    log = list(
        GalleryChange.objects.filter(number__gte=index.generation)
        .order_by("number")
        .values_list("number", "mark", "what", "template_id", "encoder_id")
    )
    if index.generation:
        if not log or (log[0][0], str(log[0][1])) != (index.generation, index.mark):
            return False
        del log[0]
    if log:
        last_word = {template: what for _, _, what, template, of in log if of == encoder.pk}
        index.drop([template for template, what in last_word.items() if what == GalleryChange.What.DROP])
        _put(index, [template for template, what in last_word.items() if what == GalleryChange.What.PUT])
        index.generation, index.mark = log[-1][0], str(log[-1][1])
    return True


def _put(index: FaceIndex, ids: list[int]) -> None:
    for start in range(0, len(ids), BATCH):
        found: dict[int, NDArray[np.float32]] = {}
        for template in Template.objects.filter(pk__in=ids[start : start + BATCH]).select_related("photo"):
            # Expunged between our reading the row and opening it: its DROP is next in the log.
            with suppress(KeyDestroyed):
                found[template.pk] = vectors.unsealed(template)
        if found:
            index.put(np.array(list(found), dtype=np.int64), np.stack(list(found.values())))


def _load(encoder: Encoder) -> FaceIndex | None:
    FaceIndex.clear_leftovers(_folder(encoder))
    try:
        index = FaceIndex.load(_folder(encoder), encoder=encoder.digest, dimension=encoder.dimension)
    except IndexDamaged as error:
        logger.info("building the index from PostgreSQL: %s", error.message)
        return None
    mark = index.mark
    recorded = Template.objects.filter(encoder=encoder).order_by("pk").values_list("pk", flat=True)
    if not _applied(index, encoder) or index.ids().tolist() != list(recorded):
        logger.warning("saved index is not of this PostgreSQL, or of an older backup of it; rebuilding")
        index.wipe()
        return None
    _indexes[encoder.pk], _saved[encoder.pk] = index, mark
    return index


def _rebuild(encoder: Encoder) -> FaceIndex:
    reset()
    index = FaceIndex(dimension=encoder.dimension, encoder=encoder.digest)
    # The last change is read first: what is committed meanwhile is applied again from the log, harmlessly.
    last = GalleryChange.objects.order_by("number").values_list("number", "mark").last()
    _put(index, list(Template.objects.filter(encoder=encoder).order_by("pk").values_list("pk", flat=True)))
    if last:
        index.generation, index.mark = last[0], str(last[1])
    _applied(index, encoder)
    _indexes[encoder.pk] = index
    return index


def _folder(encoder: Encoder) -> Path:
    return Path(settings.INDEX_DIR) / encoder.digest[:16]


def _remove_other_folders(encoder: Encoder) -> None:
    """Indexes of encoders that are no longer active would keep vectors of people who are erased."""
    keep = _folder(encoder)
    for folder in Path(settings.INDEX_DIR).iterdir():
        if folder != keep and folder.is_dir():
            FaceIndex.erase(folder)
