"""The only door to stored images and vectors. Everything is sealed under the data key of its owner.

`owner` is the id of the booking or the probe a thing belongs to; `name` the id of the thing itself, which is
the associated data, so ciphertext can't be moved between records. Destroying the owner's key makes all of it
unreadable, in every copy and backup.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.durable import fsync_folder, shred, write
from mugsearch.errors import Unavailable
from mugsearch.vault.keys import NONCE, KeyDestroyed, KeyStore
from mugsearch.vault.master import FromSettings, MasterKeys
from mugsearch.vault.purges import Line

__all__ = [
    "VIEWS",
    "KeyDestroyed",
    "copy_file",
    "copy_keys",
    "create_key",
    "create_keys",
    "destroy_key",
    "destroyed",
    "digest_key",
    "digest_key_in",
    "digest_of_file",
    "files",
    "has_damaged_purges",
    "has_file",
    "has_key",
    "is_whole",
    "keys",
    "last_purge",
    "note_purges",
    "purges",
    "put_file",
    "read_file",
    "read_view",
    "remove_file",
    "remove_unfinished",
    "rotate_master_key",
    "seal",
    "store_file",
    "store_view",
    "unseal",
    "unseal_into",
]

VIEWS: Final = ("full", "thumb")  # of a stored picture, made from it and sealed like it


_MASTER_KEYS: Final[MasterKeys] = FromSettings()


@lru_cache(maxsize=4)
def _key_store(folder: Path, master_keys: tuple[bytes, ...]) -> KeyStore:
    return KeyStore(folder, master_keys)


def _keys() -> KeyStore:
    return _key_store(Path(settings.VAULT_KEYS), tuple(_MASTER_KEYS.fetch()))


def create_key(owner: UUID) -> None:
    """Durable when it returns; harmless when the owner has one already."""
    create_keys([owner])


def create_keys(owners: Iterable[UUID]) -> None:
    """As `create_key`, with one wait for the disk. When the disk is full: Unavailable, and none of them was made."""
    _keys().create_many(owners)


def has_key(owner: UUID) -> bool:
    return _keys().has(owner)


def destroy_key(owner: UUID) -> None:
    _keys().destroy(owner)


def destroyed(since: datetime) -> list[tuple[UUID, datetime]]:
    """(owner, when) of the keys destroyed since: those that a restored backup of the keys would bring back."""
    return _keys().destroyed(since)


def note_purges(following: Callable[[Line | None], Sequence[Line]]) -> None:
    """Append to the ledger of purges what follows its last line: see `KeyStore.note`."""
    _keys().note(following)


def last_purge() -> Line | None:
    return _keys().last_noted()


def purges() -> list[Line]:
    """The ledger of purges, in the order it was written."""
    return _keys().noted()


def has_damaged_purges() -> bool:
    """Whether a line of it can't be read that was not written once more."""
    return _keys().has_damaged_notes()


def copy_keys(into: Path) -> None:
    """Of the key file and its ledgers, at one moment, into an empty folder. The caller makes them durable."""
    _keys().copy(into)


def digest_key() -> bytes:
    """32 bytes for digests that have to stay the same when the master key is rotated."""
    return _keys().digest_key()


def digest_key_in(backup: Path) -> bytes:
    """The same of a backup of the key file, which is read only; today's is neither needed nor touched."""
    return _keys().digest_key_in(backup)


def rotate_master_key(*, by: User, progress: Callable[[int], object]) -> int:
    """Wrap every data key under MUGSEARCH_MASTER_KEY that MUGSEARCH_MASTER_KEY_OLD wraps; returns how many. No data is
    encrypted anew. Killed, it goes on where it was."""
    with audit.act("vault.master-key-rotated", by=by) as act:
        require(by, Role.ADMINISTRATOR)
        keys = _keys().rotate(progress)
        act.note(keys=keys)
    return keys


def seal(owner: UUID, name: str, data: bytes) -> bytes:
    """Ciphertext (28 bytes longer than `data`) for a column of PostgreSQL."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(_keys().get(owner)).encrypt(nonce, data, _bound_to(owner, name))


def unseal(owner: UUID, name: str, sealed: bytes) -> bytes:
    try:
        return AESGCM(_keys().get(owner)).decrypt(sealed[:NONCE], sealed[NONCE:], _bound_to(owner, name))
    except (InvalidTag, ValueError) as error:  # ValueError: cut off before its nonce ends
        raise Unavailable("A stored record is damaged or was moved: it does not open with its own key.") from error


def unseal_into(owner: UUID, name: str, sealed: bytes, into: memoryview) -> None:
    """As `unseal`, into writable bytes of the right length: no other copy is made, so the caller can wipe it."""
    try:
        AESGCM(_keys().get(owner)).decrypt_into(sealed[:NONCE], sealed[NONCE:], _bound_to(owner, name), into)
    except (InvalidTag, ValueError) as error:  # ValueError: of another length
        raise Unavailable("A stored record is damaged or was moved: it does not open with its own key.") from error


def store_file(owner: UUID, name: UUID, data: bytes) -> None:
    """Sealed and durable when it returns. Raises Unavailable, with nothing stored, when the disk is full."""
    write(_path(name), seal(owner, str(name), data))


def read_file(owner: UUID, name: UUID) -> bytes:
    try:
        sealed = _path(name).read_bytes()
    except FileNotFoundError as error:
        raise Unavailable("A stored image is missing from the disk.") from error
    return unseal(owner, str(name), sealed)


def store_view(owner: UUID, name: UUID, kind: str, data: bytes) -> None:
    """Beside the file `name`: the picture of it that people look at, one of VIEWS. It goes when the file goes."""
    write(_path(name).with_suffix(f".{kind}"), seal(owner, f"{name}.{kind}", data))


def read_view(owner: UUID, name: UUID, kind: str) -> bytes | None:
    """None where it hasn't been made yet."""
    try:
        sealed = _path(name).with_suffix(f".{kind}").read_bytes()
    except FileNotFoundError:
        return None
    return unseal(owner, f"{name}.{kind}", sealed)


def remove_file(name: UUID) -> None:
    """With its views. Overwritten, then unlinked; durable when it returns. Doing it twice is no error: a purge may
    resume."""
    for path in _with_views(name):
        shred(path)
    folder = _path(name).parent
    if folder.exists():
        fsync_folder(folder)


def is_whole(name: UUID) -> bool:
    """Whether the file itself is there, and not a view of it alone."""
    return _path(name).exists()


def has_file(name: UUID) -> bool:
    """Or a view of it."""
    return any(path.exists() for path in _with_views(name))


def copy_file(name: UUID, to: Path) -> tuple[int, str] | None:
    """The stored file as it is, sealed: its size and SHA-256; None when there is none. Not durable yet."""
    try:
        data = _path(name).read_bytes()
    except FileNotFoundError:
        return None
    to.write_bytes(data)
    return len(data), sha256(data).hexdigest()


def digest_of_file(name: UUID) -> str | None:
    """SHA-256 of the stored file, as it is sealed."""
    try:
        return sha256(_path(name).read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def put_file(name: UUID, data: bytes) -> None:
    """Back from a backup, sealed as it was. Whole or not there; the caller makes it durable, with many others."""
    path = _path(name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.rename(path)


def files() -> list[tuple[UUID, float]]:
    """(name, time of writing) of every stored file and view, for the nightly look for files that no row speaks of."""
    found: dict[UUID, float] = {}
    for path in Path(settings.VAULT_FILES).glob("??/*"):
        if path.suffix.lstrip(".") in ("", *VIEWS):
            name = UUID(path.stem)
            found[name] = max(path.stat().st_mtime, found.get(name, 0.0))
    return list(found.items())


def keys() -> list[tuple[UUID, float]]:
    """(owner, time of creation) of every data key, for the same."""
    return _keys().written()


def remove_unfinished(before: float) -> int:
    """Remove what a killed process left half written before that time; returns how many files."""
    left = [path for path in Path(settings.VAULT_FILES).glob("??/*.part") if path.stat().st_mtime < before]
    for path in left:
        shred(path)
    return len(left)


def _with_views(name: UUID) -> list[Path]:
    path = _path(name)
    return [path, *(path.with_suffix(f".{kind}") for kind in VIEWS)]


def _path(name: UUID) -> Path:
    return Path(settings.VAULT_FILES) / name.hex[:2] / name.hex


def _bound_to(owner: UUID, name: str) -> bytes:
    return f"{owner}/{name}".encode()
