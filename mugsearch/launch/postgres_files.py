"""The files around an embedded PostgreSQL: its settings, its folders, and who may enter them."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

_SETTINGS = """\
# Written at every start by mugsearch/launch/postgres_files.py; changes here are lost.
data_directory = {data}
hba_file = {hba}
ident_file = {ident}

listen_addresses = ''
unix_socket_directories = {sockets}
unix_socket_permissions = 0700

max_connections = 150
shared_buffers = 64MB
max_parallel_workers_per_gather = 0
io_method = sync
jit = off
wal_level = minimal
max_wal_senders = 0
min_wal_size = 80MB
max_wal_size = 512MB
# A segment that is of no more use is removed. Kept for later under another name it would keep its bytes, too.
wal_recycle = off
timezone = 'UTC'
log_timezone = 'UTC'
{durability}
logging_collector = on
log_directory = {log}
log_filename = 'postgres-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
log_file_mode = 0600
# Statements and details of errors hold names and dates of birth.
log_min_error_statement = panic
log_error_verbosity = terse
"""
_FOREVER = "fsync = on\nfull_page_writes = on\nsynchronous_commit = on\n"
_THROW_AWAY = "fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n"
# Short everywhere, unlike the folder TMPDIR names; mkdtemp makes a closed folder under a name nobody can guess.
_TEMPORARY = Path("/tmp")  # noqa: S108 — see above
# Names the folder in the system's temporary folder that holds the socket, where there is one.
_SHORT = "socket-folder"


def write_settings(
    home: Path, *, sockets: Path, log: Path, roles: Iterable[str], os_users: Iterable[str], durable: bool
) -> Path:
    """The configuration file. These files hold nothing secret and are not in the server's own folder: root writes
    them, and must not write where a user without rights could have put a symbolic link."""
    hba, ident, settings = home / "pg_hba.conf", home / "pg_ident.conf", home / "postgresql.conf"
    _write(hba, "local all all peer map=mugsearch\n")
    _write(ident, "".join(f'mugsearch "{user}" {role}\n' for user in os_users for role in roles))
    text = _SETTINGS.format(
        data=_quoted(home / "data"), hba=_quoted(hba), ident=_quoted(ident), sockets=_quoted(sockets),
        log=_quoted(log), durability=_FOREVER if durable else _THROW_AWAY,
    )  # fmt: skip
    return _write(settings, text)


def private_folder(folder: Path, owner: tuple[int, int] | None) -> Path:
    """A folder only the server's user (and root) may enter."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    if owner is not None:
        os.chown(folder, *owner)
    return folder


def short_folder(home: Path, owner: tuple[int, int] | None) -> Path:
    """A private folder with a short path for the socket; the only thing ever written outside ``var``."""
    forget_short_folder(home)
    folder = Path(tempfile.mkdtemp(prefix="mugsearch-", dir=_TEMPORARY))
    _write(home / _SHORT, str(folder))
    return private_folder(folder, owner)


def forget_short_folder(home: Path) -> None:
    """Deletes the short folder of an earlier run."""
    note = home / _SHORT
    if note.exists():
        folder = Path(note.read_text())
        if folder.parent == _TEMPORARY and folder.name.startswith("mugsearch-"):
            shutil.rmtree(folder, ignore_errors=True)
        note.unlink()


def give(folder: Path, user: int) -> None:
    """Hands a folder and all in it to a user number and the group of the same number."""
    for parent, _, names in os.walk(folder):
        os.chown(parent, user, user)
        for name in names:
            os.chown(Path(parent) / name, user, user, follow_symlinks=False)


def closed_to_others(path: Path) -> bool:
    """Whether a user without rights cannot reach ``path``."""
    return any(not folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("\\", "\\\\").replace("'", "''") + "'"
