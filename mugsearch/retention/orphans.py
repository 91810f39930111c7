"""Files and data keys that no row speaks of: what is left of an upload or an import that never committed."""

import datetime
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.durable import shred
from mugsearch.gallery.models import Booking, ImportReject, Person, Photo
from mugsearch.probes.models import Probe, ProbeEdit
from mugsearch.retention.models import Disposition, ExpungementOrder
from mugsearch.trials.models import TrialPhoto
from mugsearch.vault import services as vault

logger = logging.getLogger(__name__)

AFTER_A_RESTORE = datetime.timedelta(days=7)
DAY = 24 * 3600  # seconds; younger ones may belong to rows that are not committed yet
BATCH = 5000
# The tables whose rows files, or data keys, belong to, and the column that holds their names.
FILES: Final = ((Photo, "id"), (Probe, "id"), (ProbeEdit, "id"), (TrialPhoto, "id"))
KEYS: Final = (
    (Booking, "id"),
    (Person, "id"),
    (Probe, "id"),
    (TrialPhoto, "id"),
    (ImportReject, "owner"),
    (Disposition, "owner"),
)
# More than this at once is no leftover but, say, an old database beside a new vault: a person has to look.
MANY, SHARE = 100, 0.1


def sweep() -> int:
    """Remove them; returns how many. Removes none, and says so in the log, when there are suspiciously many, nor in the
    week after a restore: a newer backup may still be restored, with rows of the imports that this one doesn't know."""
    before = time.time() - DAY
    vault.remove_unfinished(before)
    _remove_uploads(before)
    if Entry.objects.filter(act="backup.restored", at__gt=timezone.now() - AFTER_A_RESTORE).exists():
        logger.warning("leftovers in the vault are not removed in the week after a restore")
        return 0
    files, keys = vault.files(), vault.keys()
    lost_files = _orphans(files, before, _files_left(), FILES)
    lost_keys = _orphans(keys, before, _keys_left(), KEYS)
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
    tables: Sequence[tuple[Any, str]],
) -> list[UUID]:
    """What is older and has no row in any of these tables. What an expungement still has to remove is its own."""
    old = [name for name, written in stored if written < before and name not in going]
    spoken_of: set[UUID] = set()
    for start in range(0, len(old), BATCH):
        batch = old[start : start + BATCH]
        for model, column in tables:
            spoken_of.update(model.objects.filter(**{f"{column}__in": batch}).values_list(column, flat=True))
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
