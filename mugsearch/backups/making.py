"""A backup of the data, and one of the keys. Both while the service runs.

The database is dumped from one snapshot. The vault's files are copied after it: they are written before their rows
commit and removed after the rows' deletion commits, so a file of the snapshot that isn't there any more is of something
erased meanwhile, and is right to be missing. A restore learns of that from the ledger that is kept with the keys.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from mugsearch import closed
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.auditing import heads
from mugsearch.backups import database, folders, living, manifests
from mugsearch.errors import Unavailable, WrongState
from mugsearch.retention import purges
from mugsearch.vault import services as vault

Report = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """`bytes` without the manifest; `erased`: files of what was erased while the backup was made; `lost`: those that
    were missing already."""

    folder: Path
    files: int
    bytes: int
    erased: int = 0
    lost: int = 0


def make(*, by: User, home: Path, without_lost: bool = False, report: Report = lambda _: None) -> Made:
    """Into a new folder below `home`. `without_lost`: also where images are missing that were not erased. Raises
    BadInput, Unavailable; then nothing is left of it."""
    with audit.act("backup.made", by=by) as act:
        require(by, Role.ADMINISTRATOR)
        require_open()
        folders.require_apart(home, folders.DATA)
        purges.follow()
        with folders.new(home, folders.DATA) as part:
            with database.snapshot() as (name, cursor):
                report("the database …")
                size, digest = database.dump(name, part / "database.dump")
                wanted, said = sorted(living.names(cursor)), _said(cursor)
            sums = {"database.dump": digest}
            copied, missing = _copy(wanted, part, sums, report)
            lost = sorted(living.names().intersection(missing)) if missing else []
            if lost and not without_lost:
                raise Unavailable(
                    f"{len(lost):,} images are missing from {settings.VAULT_FILES}, for one {lost[0]}, although they "
                    "were not erased. No backup was made. Find out why; to make one all the same, add --without-lost."
                )
            erased = len(missing) - len(lost)
            report("everything on the disk …")
            said |= {"bytes": size + copied, "erased_meanwhile": erased, "lost": [str(name) for name in lost]}
            manifests.write(part, vault.digest_key(), sums, kind=folders.DATA, **said)
        made = Made(folders.name_of(part), len(sums) - 1, size + copied, erased, len(lost))
        act.note(
            files=made.files,
            bytes=made.bytes,
            erased=erased,
            lost=len(lost),
            head=said["audit"],
            destroy_by=said["destroy_by"],
        )
    return made


def make_of_keys(*, by: User, home: Path) -> Made:
    """Of the key file and its ledgers, as they are at one moment. Without the master key, which opens them."""
    with audit.act("keys.backed-up", by=by) as act:
        require(by, Role.ADMINISTRATOR)
        require_open()
        folders.require_apart(home, folders.KEYS)
        purges.follow()
        with folders.new(home, folders.KEYS) as part:
            vault.copy_keys(part)
            sums = {}
            for path in sorted(part.iterdir()):
                if path.name != "in-use":
                    with path.open("rb") as file:
                        sums[path.name] = file_digest(file, "sha256").hexdigest()
            size = sum((part / name).stat().st_size for name in sums)
            said = {"made_at": timezone.now().isoformat(), "destroy_by": folders.destroy_by().isoformat()}
            manifests.write(part, vault.digest_key(), sums, kind=folders.KEYS, bytes=size, **said)
        made = Made(folders.name_of(part), len(sums), size)
        act.note(bytes=size, destroy_by=said["destroy_by"])
    return made


def require_open() -> None:
    if reason := closed.reason(Path(settings.VAR)):
        raise WrongState(reason)


def _said(cursor: Any) -> dict[str, Any]:
    """Of the snapshot, but for the ledger, which may only be further."""
    cursor.execute("SELECT number, digest FROM audit_entry ORDER BY number DESC LIMIT 1")
    number, digest = cursor.fetchone() or (0, audit.GENESIS)
    cursor.execute("SELECT app || '.' || name FROM django_migrations ORDER BY app, name")
    migrations = [name for (name,) in cursor.fetchall()]
    last = vault.last_purge()
    return {
        "made_at": timezone.now().isoformat(),
        "destroy_by": folders.destroy_by().isoformat(),
        "version": settings.VERSION,
        "postgresql": _server_version(cursor),
        "audit": f"{number}:{digest}",
        "signed_head": _signed_head(number, digest),
        "ledger": {"number": last["number"], "digest": last["digest"], "at": last["at"]} if last else None,
        "migrations": migrations,
    }


def _signed_head(number: int, digest: str) -> str | None:
    """As a file of its own is: what is in a backup's description has left the database, too."""
    return heads.signed(number, digest, begins=1, whole=True).decode() if number else None


def _server_version(cursor: Any) -> str:
    cursor.execute("SHOW server_version")
    return str(cursor.fetchone()[0])


def _copy(wanted: list[UUID], part: Path, sums: dict[str, str], report: Report) -> tuple[int, list[UUID]]:
    """Returns how many bytes, and which files are missing."""
    copied, missing = 0, []
    for number, name in enumerate(wanted, start=1):
        path = f"files/{name.hex[:2]}/{name.hex}"
        (part / path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = vault.copy_file(name, part / path)
        if found is None:
            missing.append(name)
        else:
            copied += found[0]
            sums[path] = found[1]
        report(f"{number:,} of {len(wanted):,} files")
    return copied, missing
