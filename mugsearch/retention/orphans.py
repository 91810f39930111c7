"""Files in the vault that no row speaks of: what is left of an upload or an import that never committed."""

import logging
import time
from pathlib import Path
from uuid import UUID

from django.conf import settings

from mugsearch.audit import services as audit
from mugsearch.gallery.models import Photo
from mugsearch.probes.models import Probe
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault

logger = logging.getLogger(__name__)

DAY = 24 * 3600  # seconds; younger files may belong to rows that are not committed yet
BATCH = 5000
# More than this at once is no leftover but, say, an old database beside a new vault: a person has to look.
MANY, SHARE = 100, 0.1


def sweep() -> int:
    """Remove them; returns how many. Removes none, and says so in the log, when there are suspiciously many."""
    vault.remove_unfinished(time.time() - DAY)
    _remove_uploads(time.time() - DAY)
    files = vault.files()
    old = [name for name, written in files if written < time.time() - DAY]
    going = {
        name
        for left in ExpungementOrder.objects.exclude(files_left=[]).values_list("files_left", flat=True)
        for name in left
    }
    spoken_of = _spoken_of(old)
    orphans = [name for name in old if str(name) not in going and name not in spoken_of]
    if not orphans:
        return 0
    if len(orphans) > max(MANY, SHARE * len(files)):
        logger.error("%d of %d files belong to no row: none was removed", len(orphans), len(files))
        return 0
    with audit.act("vault.swept", by=None, files=len(orphans)):
        for name in orphans:
            vault.remove_file(name)
    return len(orphans)


def _remove_uploads(before: float) -> None:
    """What a killed web process left of requests it was receiving."""
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*"):
        if path.is_file() and path.stat().st_mtime < before:
            path.unlink()


def _spoken_of(names: list[UUID]) -> set[UUID]:
    found: set[UUID] = set()
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        found.update(Photo.objects.filter(pk__in=batch).values_list("pk", flat=True))
        found.update(Probe.objects.filter(pk__in=batch).values_list("pk", flat=True))
    return found
