"""Files and data keys that no row speaks of: what is left of an upload or an import that never committed."""

import logging
import time
from pathlib import Path
from uuid import UUID

from django.conf import settings

from mugsearch.audit import services as audit
from mugsearch.durable import shred
from mugsearch.gallery.models import Booking, Person, Photo
from mugsearch.probes.models import Probe, ProbeEdit
from mugsearch.retention.models import ExpungementOrder
from mugsearch.trials.models import TrialPhoto
from mugsearch.vault import services as vault

logger = logging.getLogger(__name__)

DAY = 24 * 3600  # seconds; younger ones may belong to rows that are not committed yet
BATCH = 5000
# More than this at once is no leftover but, say, an old database beside a new vault: a person has to look.
MANY, SHARE = 100, 0.1


def sweep() -> int:
    """Remove them; returns how many. Removes none, and says so in the log, when there are suspiciously many."""
    before = time.time() - DAY
    vault.remove_unfinished(before)
    _remove_uploads(before)
    files, keys = vault.files(), vault.keys()
    lost_files = _orphans(files, before, _files_left(), Photo, Probe, ProbeEdit, TrialPhoto)
    lost_keys = _orphans(keys, before, _keys_left(), Booking, Person, Probe, TrialPhoto)
    if not lost_files and not lost_keys:
        return 0
    if _many(lost_files, files) or _many(lost_keys, keys):
        numbers = len(lost_files), len(files), len(lost_keys), len(keys)
        logger.error("%d of %d files and %d of %d keys belong to no row: none was removed", *numbers)
        return 0
    with audit.act("vault.swept", by=None, files=len(lost_files), keys=len(lost_keys)):
        for name in lost_files:
            vault.remove_file(name)
        for owner in lost_keys:
            vault.destroy_key(owner)
    return len(lost_files) + len(lost_keys)


def _orphans(
    stored: list[tuple[UUID, float]],
    before: float,
    going: set[UUID],
    *rows: type[Photo | Booking | Person | Probe | ProbeEdit | TrialPhoto],
) -> list[UUID]:
    """What is older and has no row in any of these tables. What an expungement still has to remove is its own."""
    old = [name for name, written in stored if written < before and name not in going]
    spoken_of: set[UUID] = set()
    for start in range(0, len(old), BATCH):
        for model in rows:
            spoken_of.update(model.objects.filter(pk__in=old[start : start + BATCH]).values_list("pk", flat=True))
    return [name for name in old if name not in spoken_of]


def _many(lost: list[UUID], stored: list[tuple[UUID, float]]) -> bool:
    return len(lost) > max(MANY, SHARE * len(stored))


def _files_left() -> set[UUID]:
    left = ExpungementOrder.objects.exclude(files_left=[]).values_list("files_left", flat=True)
    return {UUID(name) for names in left for name in names}


def _keys_left() -> set[UUID]:
    left = ExpungementOrder.objects.exclude(keys_left=[]).values_list("keys_left", flat=True)
    return {UUID(owner) for owners in left for owner in owners}


def _remove_uploads(before: float) -> None:
    """What a killed web process left of requests it was receiving."""
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*"):
        if path.is_file() and path.stat().st_mtime < before:
            shred(path)
