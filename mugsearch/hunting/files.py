"""Files: all that the service writes, PostgreSQL's own, temporary ones, and folders that were named besides.

Of a ZIP, a gzip file and a dump of PostgreSQL's what is packed in it is read, too.
"""

import gzip
import os
import stat
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import connection

from mugsearch.hunting.markers import Sought
from mugsearch.hunting.report import Ages, Place, Progress
from mugsearch.launch.postgres import programs

_BLOCK = 8 * 2**20

#: The first one that holds a file says what it is: (folder, name of the place, its code).
_Rooms = list[tuple[Path, str, "Ages | None"]]


def rooms() -> _Rooms:
    """The folders of the service, those within others first."""
    var, postgres = Path(settings.VAR), embedded() or Path(settings.VAR) / "postgres"
    broker: dict[str, str] = getattr(settings, "CELERY_BROKER_TRANSPORT_OPTIONS", {})
    return [
        (postgres / "data" / "pg_wal", "write-ahead log", Ages.WAL),
        (postgres / "data" / "base", "database files", Ages.PAGES),
        (postgres / "data" / "global", "database files", Ages.PAGES),
        (postgres / "log", "logs", Ages.LOGS),
        (postgres, "PostgreSQL, other files", None),
        (Path(settings.VAULT_KEYS), "data keys", None),
        (Path(settings.VAULT_FILES), "photographs", None),
        (Path(settings.INDEX_DIR), "index", None),
        (Path(settings.STAGING), "uploads", None),
        (Path(settings.FILE_UPLOAD_TEMP_DIR), "uploads", None),
        (var / "log", "logs", Ages.LOGS),
        *((Path(broker[name]), "broker", None) for name in ("data_folder_in", "control_folder") if name in broker),
        (var / "broker", "broker", None),
        (var / "schedule", "broker", None),
        (var, "other files", None),
    ]


def embedded() -> Path | None:
    """The folder of the embedded PostgreSQL, if that is the one in use: then its files are read like any other."""
    connection.ensure_connection()
    sockets = Path(connection.connection.info.host)
    note = Path(settings.VAR) / "postgres" / "socket-folder"  # where the path to its own is too long for a socket
    home = note.parent if note.exists() and note.read_text() == str(sockets) else sockets.parent
    return home if sockets.is_absolute() and (home / "data" / "PG_VERSION").exists() else None


def look(sought: Sought, also: Iterable[Path], progress: Progress) -> Iterator[Place]:
    places: dict[str, Place] = {}
    seen: set[Path] = set()
    for root in also:
        place = places.setdefault("folders given besides", Place("folders given besides", Ages.BACKUPS))
        if root.is_dir():
            _walk(root, place, sought, progress, seen)
        else:
            place.missed.append(f"{root.name} (there is no such folder)")
    for root, name, ages in [*rooms(), (Path(tempfile.gettempdir()), "temporary files", None)]:
        places.setdefault(name, Place(name, ages))
        _walk(root, places[name], sought, progress, seen)
    yield from places.values()


def _walk(root: Path, place: Place, sought: Sought, progress: Progress, seen: set[Path]) -> None:
    """All files below `root` that belong to who owns the service's files and no earlier walk has been to."""
    owner, temporary = _owner(), place.name == "temporary files"
    progress(place.name)
    for folder, folders, names in os.walk(root, onerror=lambda error: _refused(place, error)):
        here = Path(folder).resolve()
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        for name in sorted(names):
            path = here / name
            try:
                status = path.lstat()
                if not stat.S_ISREG(status.st_mode) or (temporary and status.st_uid != owner):
                    continue
                where = os.path.relpath(path, root.resolve())
                place.found("a name of a file or folder", sought.within(os.fsencode(where)))
                _file(path, where, place, sought)
            except FileNotFoundError:
                continue  # it went meanwhile
            except OSError as error:
                _refused(place, error)


def _file(path: Path, where: str, place: Place, sought: Sought) -> None:
    with path.open("rb", buffering=0) as file:
        finds = sought.in_blocks(blocks(file.read, place))
        # What tells the place must not tell the marker: a name that holds one isn't shown.
        shown = where if not sought.within(os.fsencode(where)) else "a file whose name holds a marker"
        place.found(shown, finds)
        place.read(0, 1)
        file.seek(0)
        start = file.read(4)
    for opened in _unpacked(path, start):
        try:
            with opened() as inner:
                place.found(f"{shown}, unpacked", sought.in_blocks(blocks(inner.read, place)))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError):
            place.missed.append(f"{shown}: it does not unpack")


def _unpacked(path: Path, start: bytes) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    if start[:2] == b"\x1f\x8b":
        yield lambda: gzip.open(path)  # noqa: SIM115  the caller closes it
    elif start == b"PK\x03\x04" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                yield lambda member=member: archive.open(member)  # type: ignore[misc]
    elif start == b"PGDM":
        yield lambda: _dump(path)


@contextmanager
def _dump(path: Path) -> Iterator[IO[bytes]]:
    """PostgreSQL's own format, such as of `./run manage backup`, as text."""
    command = [str(programs() / "pg_restore"), "--file=-", str(path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as made:
        if made.stdout:
            yield made.stdout
        if made.wait() != 0:
            raise EOFError


def blocks(read: Callable[[int], bytes], place: Place) -> Iterator[bytes]:
    while block := read(_BLOCK):
        place.read(len(block))
        yield block


def _owner() -> int:
    var = Path(settings.VAR)
    return var.stat().st_uid if var.exists() else os.geteuid()


def _refused(place: Place, error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        place.missed.append(f"{Path(error.filename or '').name} ({error.strerror})")
