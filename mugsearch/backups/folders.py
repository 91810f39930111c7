"""Where backups lie: a folder each, which has its final name only when everything in it is on the disk."""

import datetime
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from mugsearch.durable import fsync_folder, sync_file_system
from mugsearch.errors import BadInput, Unavailable
from mugsearch.launch.held import Held

DATA, KEYS = "data", "keys"
_OTHER = {DATA: KEYS, KEYS: DATA}
_PREFIX = "mugsearch-{kind}-"
_WHY = {
    DATA: "{home} holds backups of the keys. Whoever has both can read everything: give the data a place of their own.",
    KEYS: "{home} holds backups of the data. Whoever has both can read everything: give the keys a place of their own.",
}


def require_apart(home: Path, kind: str) -> None:
    """Raises BadInput where a backup of this kind may not lie: in the service's own folders, in another backup, or
    beside backups of the other kind."""
    home = home.resolve()
    for own in (settings.VAR, settings.VAULT_KEYS):
        if home.is_relative_to(Path(own).resolve()):
            raise BadInput(f"{home} is inside {own}: it would be lost together with it. Choose another disk.")
    for folder in (home, *home.parents):
        if (folder / "manifest.json").exists() or folder.suffix == ".part":
            raise BadInput(f"{folder} is a backup itself. Choose a folder beside it.")
    if home.is_dir() and any(home.glob(f"{_PREFIX.format(kind=_OTHER[kind])}*")):
        raise BadInput(_WHY[kind].format(home=home))


def all_in(home: Path, kind: str) -> list[Path]:
    """Finished backups, the oldest first."""
    return sorted(path for path in home.glob(f"{_PREFIX.format(kind=kind)}*") if path.suffix != ".part")


@contextmanager
def new(home: Path, kind: str) -> Iterator[Path]:
    """A folder to fill. When the block ends well it is made durable and gets its name, which `name_of` tells; else it
    is removed, and one that a killed process left is removed by `remove_leftovers`. Raises Unavailable."""
    part = home / f"{_PREFIX.format(kind=kind)}{timezone.now():%Y%m%dT%H%M%SZ}.part"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.mkdir(mode=0o700)
    except OSError as error:
        if part.exists():
            raise Unavailable(f"Another backup into {home} has just been begun. Try again.") from error
        raise Unavailable(f"The backup can't be written ({error.strerror}: {home}).") from error
    try:
        with Held(part / "in-use").alone():
            yield part
            sync_file_system(part)
            (part / "in-use").unlink()
            part.rename(name_of(part))
            fsync_folder(home)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise Unavailable(f"The backup can't be written ({error.strerror}: {home}). Nothing is left of it.") from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def name_of(part: Path) -> Path:
    return part.with_suffix("")


def remove_leftovers(home: Path, kind: str) -> list[Path]:
    """What killed backups left; those under way are let alone. Returns which were removed."""
    removed = []
    for part in home.glob(f"{_PREFIX.format(kind=kind)}*.part"):
        with Held(part / "in-use") as mark:
            if mark.alone_now():
                shutil.rmtree(part)
                removed.append(part)
    return removed


def destroy_by() -> datetime.date:
    return timezone.localdate() + datetime.timedelta(days=settings.MUGSEARCH_BACKUPS_KEPT_DAYS)
