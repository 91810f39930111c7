"""Data keys: one per owner (a booking or a probe), kept in files outside PostgreSQL and its backups.

A key file holds the 32-byte data key wrapped with AES-256-GCM under the master key; the owner's id is the
associated data, so a wrapped key can't be moved to another owner. Creating is durable before it returns;
destroying overwrites the file, makes that durable, and proves it by reading back.
"""

import os
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mugsearch.durable import fsync_folder, shred, write
from mugsearch.errors import Unavailable

NONCE = 12  # bytes, as NIST SP 800-38D recommends for GCM


class KeyDestroyed(Unavailable):
    """There is no key of this owner (any more), so what it sealed can't be read by anybody."""

    code = "key_destroyed"


class KeyStore:
    """Key files under `folder`, in 256 sub-folders by the owner's first two hex digits."""

    def __init__(self, folder: Path, master_key: bytes) -> None:
        if len(master_key) != 32:
            raise ValueError("the master key has to be 32 bytes (64 hex digits)")
        self._folder = folder
        self._master = AESGCM(master_key)

    def path(self, owner: UUID) -> Path:
        return self._folder / owner.hex[:2] / owner.hex

    def create(self, owner: UUID) -> bytes:
        """A new data key, durable before it is returned. An owner's existing key is returned unchanged."""
        if self.path(owner).exists():
            return self.get(owner)
        key = AESGCM.generate_key(256)
        nonce = os.urandom(NONCE)
        write(self.path(owner), nonce + self._master.encrypt(nonce, key, owner.bytes))
        return key

    def get(self, owner: UUID) -> bytes:
        """32 bytes. Raises KeyDestroyed when there is none, Unavailable when the file or master key is wrong."""
        try:
            wrapped = self.path(owner).read_bytes()
        except FileNotFoundError as error:
            raise KeyDestroyed("The key of this record has been destroyed.") from error
        try:
            return self._master.decrypt(wrapped[:NONCE], wrapped[NONCE:], owner.bytes)
        except InvalidTag as error:
            raise Unavailable("A data key can't be unwrapped: is this the right master key?") from error

    def destroy(self, owner: UUID) -> None:
        """After this returns no key of `owner` can be read. Doing it twice is no error: a purge may resume."""
        path = self.path(owner)
        shred(path)
        if path.parent.exists():
            fsync_folder(path.parent)
        if path.exists():
            raise Unavailable("The data key is still on disk after it was destroyed.")
