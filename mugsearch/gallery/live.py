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

from mugsearch.engine.index import FaceIndex, IndexDamaged
from mugsearch.errors import Unavailable
from mugsearch.gallery import changes, vectors
from mugsearch.gallery.models import Encoder, GalleryChange, Template
from mugsearch.vault.services import KeyDestroyed

logger = logging.getLogger(__name__)

BATCH = 2000  # templates read from PostgreSQL at a time; about 1 MB sealed

_lock = RLock()
_indexes: dict[int, FaceIndex] = {}  # by Encoder.pk; one at a time
_saved: dict[int, int] = {}  # by Encoder.pk: the generation that is on disk


def catch_up(encoder: Encoder) -> FaceIndex:
    """The index of `encoder` with every change applied that was committed before the call.

    The first call of a process loads the saved index, or rebuilds it from PostgreSQL when that is missing,
    damaged, foreign or newer than the database (a restored backup).
    """
    with _lock:
        if encoder.pk not in _indexes:
            reset()  # the encoder was changed: the old vectors are of no use any more
            _indexes[encoder.pk] = _load(encoder) or _rebuild(encoder)
        index = _indexes[encoder.pk]
        _apply(index, encoder)
        return index


def save(encoder: Encoder) -> int:
    """Bring the index up to date, write it to disk, and return its generation."""
    with _lock:
        index = catch_up(encoder)
        folder = _folder(encoder)
        if _saved.get(encoder.pk) != index.generation:
            index.save(folder)
            _saved[encoder.pk] = index.generation
        _remove_other_folders(encoder)
        return index.generation


def forget(template_ids: Iterable[int]) -> int:
    """Apply all changes, save, and prove that none of the ids is in the index, in memory or on disk.

    Returns the generation that holds none of them. Raises Unavailable when one is still there.
    """
    gone = set(template_ids)
    with _lock:
        encoder = Encoder.objects.get(state=Encoder.State.ACTIVE)
        generation = save(encoder)
        on_disk = FaceIndex.load(_folder(encoder), encoder=encoder.digest, dimension=encoder.dimension)
        for place, index in (("memory", _indexes[encoder.pk]), ("disk", on_disk)):
            left = gone.intersection(index.ids().tolist())
            if left:
                raise Unavailable(f"{len(left)} vectors are still in the index ({place}).")
        return generation


def check(encoder: Encoder) -> tuple[int, int]:
    """Compare the index with PostgreSQL both ways; rebuild if they differ. Returns (missing, superfluous)."""
    with _lock, transaction.atomic():
        index = catch_up(encoder)
        held = set(index.ids().tolist())
        recorded = set(Template.objects.filter(encoder=encoder).values_list("pk", flat=True))
        # What was committed while we compared is in the log, not a fault.
        _apply(index, encoder)
        missing, superfluous = recorded - held, held - recorded
        if missing or superfluous:
            logger.error("index differs from PostgreSQL: %d missing, %d superfluous", len(missing), len(superfluous))
            _indexes[encoder.pk] = _rebuild(encoder)
        return len(missing), len(superfluous)


def reset() -> None:
    """Forget what this process holds, as a restart would."""
    _indexes.clear()
    _saved.clear()


def _apply(index: FaceIndex, encoder: Encoder) -> None:
    """Changes are numbered without gaps in the order of their commits, so "greater than" misses none."""
    pending = GalleryChange.objects.filter(number__gt=index.generation).order_by("number")
    log = list(pending.values_list("number", "what", "template_id", "encoder_id"))
    if not log:
        return
    last_word = {template: what for _, what, template, of in log if of == encoder.pk}
    index.drop([template for template, what in last_word.items() if what == GalleryChange.What.DROP])
    _put(index, [template for template, what in last_word.items() if what == GalleryChange.What.PUT])
    index.generation = log[-1][0]


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
    try:
        index = FaceIndex.load(_folder(encoder), encoder=encoder.digest, dimension=encoder.dimension)
    except IndexDamaged as error:
        logger.info("building the index from PostgreSQL: %s", error.message)
        return None
    if index.generation > changes.latest():
        logger.warning("saved index is newer than PostgreSQL, rebuilding")
        return None
    _saved[encoder.pk] = index.generation
    _apply(index, encoder)
    recorded = Template.objects.filter(encoder=encoder).order_by("pk").values_list("pk", flat=True)
    if index.ids().tolist() != list(recorded):
        logger.warning("saved index holds other vectors than PostgreSQL, rebuilding")
        del _saved[encoder.pk]
        return None
    return index


def _rebuild(encoder: Encoder) -> FaceIndex:
    index = FaceIndex(dimension=encoder.dimension, encoder=encoder.digest)
    # The generation is read first: what is committed meanwhile is applied again from the log, harmlessly.
    generation = changes.latest()
    _put(index, list(Template.objects.filter(encoder=encoder).order_by("pk").values_list("pk", flat=True)))
    index.generation = generation
    return index


def _folder(encoder: Encoder) -> Path:
    return Path(settings.INDEX_DIR) / encoder.digest[:16]


def _remove_other_folders(encoder: Encoder) -> None:
    """Indexes of encoders that are no longer active would keep vectors of people who are erased."""
    keep = _folder(encoder)
    for folder in Path(settings.INDEX_DIR).iterdir():
        if folder != keep and folder.is_dir():
            FaceIndex.erase(folder)
