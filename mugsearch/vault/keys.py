"""Data keys: one per owner (a booking or a probe), kept in one file outside PostgreSQL and its backups.

A slot of the file (`slots`) holds the 32-byte data key wrapped with AES-256-GCM under the master key; the owner's id is
the associated data, so a wrapped key can't be moved to another owner. In memory is only where each owner's slot is: its
bytes are read from the file at every use, so what any process destroys is gone for all of them at once.

Who writes holds the file's lock (flock) from reading what is new in it to the fsync. Who reads takes the lock, shared,
only to read what is new, so nobody uses a key that a power cut could still take back. The lock comes before `_guard`.
"""

import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mugsearch import failpoints
from mugsearch.durable import fsync_folder
from mugsearch.errors import Unavailable
from mugsearch.vault import adoption, ledger, purges, slots
from mugsearch.vault.master import identity
from mugsearch.vault.places import Places
from mugsearch.vault.slots import EMPTY, SLOT, Kind, Slot

logger = logging.getLogger(__name__)

NONCE = 12  # bytes, as NIST SP 800-38D recommends for GCM
BATCH = 1000  # keys that a rotation or an adoption writes under one lock and fsync
DIGESTS = UUID(int=1)  # the "owner" of the key of digests; other owners are random
FILES = ("keys", "destroyed", "purges")
REPLACED = "The key file is being replaced by another. Try again."
WRONG_MASTER = "A data key can't be unwrapped: is this the right master key?"


class KeyDestroyed(Unavailable):
    """There is no key of this owner (any more), so what it sealed can't be read by anybody."""

    code = "key_destroyed"


class KeyStore:
    """The files `keys`, `destroyed` and `purges` in `folder`. `master_keys`: the one in force, then the one that it
    replaces."""

    def __init__(self, folder: Path, master_keys: Sequence[bytes]) -> None:
        self._folder = folder
        self._path = folder / "keys"
        self._ring = {identity(key): AESGCM(key) for key in master_keys}
        self._plain = {identity(key): key for key in master_keys}
        self._wanted = identity(master_keys[0])
        self._places, self._inode = Places(), 0
        self._guard = threading.Lock()
        self._prepared = False

    def create(self, owner: UUID) -> bytes:
        """A new data key, durable before it is returned. An owner's existing key is returned unchanged."""
        self.create_many([owner])
        return self.get(owner)

    def create_many(self, owners: Iterable[UUID]) -> None:
        """As `create`, all of them with one wait for the disk: all are durable when it returns, or none was made."""
        with self._writing() as file:
            lacking = [owner for owner in dict.fromkeys(owners) if self._find(file, owner) is None]
            if lacking:
                master, now = self._current(), time.time()
                self._append(file, [self._wrapped(owner, AESGCM.generate_key(256), master, now) for owner in lacking])

    def get(self, owner: UUID) -> bytes:
        """32 bytes. Raises KeyDestroyed when there is none, Unavailable when the slot or the master key is wrong."""
        with self._opened() as file:
            slot = self._find(file, owner)
        if slot is None:
            raise KeyDestroyed("The key of this record has been destroyed.")
        return self._unwrapped(slot)

    def has(self, owner: UUID) -> bool:
        with self._opened() as file:
            try:
                return self._find(file, owner) is not None
            except Unavailable:  # damaged, but there
                return True

    def digest_key(self) -> bytes:
        """32 bytes that stay the same when the master key is rotated."""
        return self.get(DIGESTS)

    def digest_key_in(self, other: Path) -> bytes:
        """The same of a backup of the key file, which is read only. Raises FileNotFoundError, Unavailable."""
        with other.open("rb") as opened:
            file, places = opened.fileno(), Places()
            places.read(file, slots.end(file))
            place = places.newest.get(DIGESTS.bytes)
            slot = slots.unpacked(os.pread(file, SLOT, place)) if place is not None else None
        if slot is None:
            raise Unavailable(f"The key file {other} is damaged, or isn't one.")
        return self._unwrapped(slot)

    def written(self) -> list[tuple[UUID, float]]:
        """(owner, time of creation in seconds since 1970) of every data key."""
        with self._opened() as file:
            self._follow(file)
            found = {}
            for _, raw in slots.scan(file, slots.HEADER, self._places.read_to):
                slot = slots.unpacked(raw)
                if slot and slot.kind == Kind.KEY:
                    found[slot.owner] = slot.created
        return list(found.items())

    def destroy(self, owner: UUID) -> None:
        """After this returns no key of `owner` can be read. Doing it twice is no error: a purge may resume."""
        old = adoption.path(self._folder, owner)
        with self._writing() as file:
            places = [place for place in self._places.of(owner.bytes) if os.pread(file, SLOT, place) != EMPTY]
            if places or old.exists():
                ledger.append(self._folder / "destroyed", owner)
                failpoints.reached("key.listed")
                slots.wipe(file, places)
                adoption.remove([old])
            with self._guard:
                self._places.forget(owner.bytes)

    def destroyed(self, since: datetime) -> list[tuple[UUID, datetime]]:
        return ledger.destroyed(self._folder / "destroyed", since)

    def note(self, following: Callable[[purges.Line | None], Sequence[purges.Line]]) -> None:
        """Append to the ledger of purges what follows its last line, of which there may be none. Nobody else writes
        meanwhile; durable when it returns."""
        with self._writing():
            path = self._folder / "purges"
            purges.append(path, following(purges.last(path)))

    def last_noted(self) -> purges.Line | None:
        return purges.last(self._folder / "purges")

    def noted(self) -> list[purges.Line]:
        return purges.read(self._folder / "purges")

    def has_damaged_notes(self) -> bool:
        return purges.is_damaged(self._folder / "purges")

    def copy(self, into: Path) -> None:
        """All three files as they are at one moment, into an empty folder. The caller makes them durable."""
        with self._writing():
            for name in FILES:
                if (self._folder / name).exists():
                    shutil.copyfile(self._folder / name, into / name)

    def rotate(self, progress: Callable[[int], object] = int) -> int:
        """Wrap every key anew under the first master key; returns how many were. Others read, create and destroy
        meanwhile, as long as they have both master keys. Killed, it goes on where it was when it is called again.
        `progress` is told how many are done.
        """
        with self._writing() as file:
            if self._places.master != self._wanted:
                self._current()  # raises Unavailable unless we have it
                self._append(file, [Slot(Kind.MASTER, time.time(), self._wanted, UUID(int=0))])
        done = 0
        while stale := self._stale():
            for start in range(0, len(stale), BATCH):
                done += self._rewrap(stale[start : start + BATCH])
                progress(done)
        if self._places.damaged:
            logger.error("%d damaged slots of the key file were not wrapped anew", self._places.damaged)
        return done

    def _stale(self) -> list[int]:
        with self._opened() as file:
            self._follow(file)
            return [
                place
                for place, raw in slots.scan(file, slots.HEADER, self._places.read_to)
                if raw[0] != Kind.MASTER and slots.is_whole(raw) and slots.master_in(raw) != self._wanted
            ]

    def _rewrap(self, stale: Sequence[int]) -> int:
        """The new slots are on the disk before the first old one is overwritten."""
        with self._writing() as file:
            old = [(place, slots.unpacked(os.pread(file, SLOT, place))) for place in stale]
            # Whoever was killed here before may have left an old slot of which there is a new one already.
            moving = [slot for place, slot in old if slot and self._places.newest[slot.owner.bytes] == place]
            anew = [
                self._wrapped(slot.owner, self._unwrapped(slot), self._wanted, slot.created, slot.kind)
                for slot in moving
            ]
            self._append(file, anew)
            gone = {place: slot.owner.bytes for place, slot in old if slot}
            slots.wipe(file, list(gone))
            with self._guard:
                for place, owner in gone.items():
                    self._places.overwritten(owner, place)
        return len(anew)

    def _wrapped(self, owner: UUID, key: bytes, master: bytes, created: float, kind: Kind = Kind.KEY) -> Slot:
        nonce = os.urandom(NONCE)
        return Slot(kind, created, master, owner, nonce + self._ring[master].encrypt(nonce, key, owner.bytes))

    def _unwrapped(self, slot: Slot) -> bytes:
        try:
            return self._ring[slot.master].decrypt(slot.wrapped[:NONCE], slot.wrapped[NONCE:], slot.owner.bytes)
        except (KeyError, InvalidTag) as error:
            raise Unavailable(WRONG_MASTER) from error

    def _current(self) -> bytes:
        """The master key that wraps new keys: not what we were started with but what the file says decides."""
        if self._places.master not in self._ring:
            raise Unavailable("The data keys are wrapped by another master key than this process was started with.")
        return self._places.master

    def _find(self, file: int, owner: UUID) -> Slot | None:
        """None when it was destroyed or never was. Raises Unavailable when it is damaged."""
        for _ in range(2):  # a rotation may move it between reading what is new and reading its bytes
            self._follow(file)
            if slot := self._look(file, owner):
                return slot
        left = [os.pread(file, SLOT, place) for place in self._places.of(owner.bytes)]
        if any(raw != EMPTY and not slots.is_torn(raw) and slots.owner_in(raw) == owner.bytes for raw in left):
            raise Unavailable("The data key of this record is damaged on the disk. Restore it from the keys' backup.")
        if adoption.path(self._folder, owner).exists():
            raise Unavailable(WRONG_MASTER)
        return None

    def _look(self, file: int, owner: UUID) -> Slot | None:
        place = self._places.newest.get(owner.bytes)
        slot = slots.unpacked(os.pread(file, SLOT, place)) if place is not None else None
        return slot if slot and slot.owner == owner else None

    def _append(self, file: int, new: Sequence[Slot]) -> None:
        if new:
            slots.append(file, new)
            self._read_new(file)

    def _follow(self, file: int) -> None:
        if slots.end(file) > self._places.read_to:
            fcntl.flock(file, fcntl.LOCK_SH)
            try:
                self._read_new(file)
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def _read_new(self, file: int) -> None:
        """The caller holds the lock."""
        with self._guard:
            if os.fstat(file).st_ino != self._inode:
                raise Unavailable(REPLACED)
            self._places.read(file, slots.end(file))

    @contextmanager
    def _writing(self) -> Iterator[int]:
        with self._opened(os.O_RDWR) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
            if not self._path.exists() or not os.path.samestat(os.fstat(file), self._path.stat()):
                raise Unavailable(REPLACED)  # what is written to it now would be lost
            self._mend(file)
            yield file

    @contextmanager
    def _opened(self, how: int = os.O_RDONLY) -> Iterator[int]:
        """Anew for every use: threads and forked processes then exclude each other as strangers do."""
        if not self._prepared:
            self._prepare()
            self._prepared = True
        try:
            file = os.open(self._path, how)
        except OSError as error:
            raise Unavailable(f"The key file can't be opened ({error.strerror}).") from error
        try:
            found = os.fstat(file)
            if found.st_ino != self._inode or found.st_size < self._places.read_to:  # put back from a backup
                with self._guard:
                    self._places, self._inode = Places(), found.st_ino
            yield file
        finally:
            os.close(file)

    def _mend(self, file: int) -> None:
        """Read what is new, and overwrite what whoever lost power left of a slot."""
        self._read_new(file)
        if self._places.torn:
            slots.wipe(file, self._places.torn)
            self._places.torn.clear()

    def _prepare(self) -> None:
        """Make the file where there is none yet, and take over the keys of its older form."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unavailable(f"The key file can't be made ({error.strerror}).") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._inode = os.fstat(file).st_ino
            slots.begin(file)
            fsync_folder(self._folder)
            fsync_folder(self._folder.parent)
            self._mend(file)
            old = adoption.files(self._folder)
            # Where there are keys there was one of digests. If it is damaged, another would know no digest of before.
            if not self._places.newest and not self._places.of(DIGESTS.bytes):
                self._found(file, old)
            self._adopt(file, old)
        except OSError as error:
            raise Unavailable(f"The key file can't be made ({error.strerror}).") from error
        finally:
            os.close(file)

    def _found(self, file: int, old: Sequence[Path]) -> None:
        """Name the master key, and keep what digests were keyed with until now. Writes nothing when ours is wrong."""
        master = self._places.master
        if master is None:
            # Without anything to go by, the older of two: digests of before stay valid, and a rotation may follow.
            opening = (self._opened_old(path) for path in old)
            master = next((found[0] for found in opening if found), None if old else list(self._ring)[-1])
        if master not in self._ring:
            raise Unavailable(WRONG_MASTER)
        info = b"mugsearch suppression of purged bookings"
        key = HKDF(SHA256(), 32, salt=None, info=info).derive(self._plain[master])
        now = time.time()
        digests = self._wrapped(DIGESTS, key, master, now, Kind.DIGESTS)
        # One after the other: of what is written together, a power cut may leave the second half alone.
        self._append(file, [Slot(Kind.MASTER, now, master, UUID(int=0))])
        self._append(file, [digests])

    def _adopt(self, file: int, old: Sequence[Path]) -> None:
        """Append, fsync, and only then overwrite the old files. One that doesn't open stays as it is."""
        for start in range(0, len(old), BATCH):
            opened = {path: found for path in old[start : start + BATCH] if (found := self._opened_old(path))}
            master = self._current()
            new = [
                self._wrapped(UUID(path.name), key, master, path.stat().st_mtime)
                for path, (_, key) in opened.items()
                if self._look(file, UUID(path.name)) is None
            ]
            self._append(file, new)
            adoption.remove(list(opened))

    def _opened_old(self, path: Path) -> tuple[bytes, bytes] | None:
        """(which master key, the data key)"""
        wrapped = path.read_bytes()
        for master, cipher in self._ring.items():
            try:
                return master, cipher.decrypt(wrapped[:NONCE], wrapped[NONCE:], UUID(path.name).bytes)
            except (InvalidTag, ValueError):
                continue
        logger.error("The key file %s doesn't open with this master key; it is left as it is", path.name)
        return None
