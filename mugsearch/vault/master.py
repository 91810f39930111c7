"""Where the master key comes from. What is built is the environment or a file; a KMS would be one more `MasterKeys`."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class MasterKeys(Protocol):
    def fetch(self) -> Sequence[bytes]:
        """The master key, 32 bytes, and after it the one that it replaces, during a rotation. Asked at every
        use: what has to ask somebody else remembers the answer."""


class FromSettings:
    """MUGSEARCH_MASTER_KEY and MUGSEARCH_MASTER_KEY_OLD: in the environment, or in files named by …_FILE."""

    def fetch(self) -> Sequence[bytes]:
        names = ("MUGSEARCH_MASTER_KEY", "MUGSEARCH_MASTER_KEY_OLD")
        return [_key(name, value) for name in names if (value := getattr(settings, name))]


def identity(master_key: bytes) -> bytes:
    """8 bytes that stand in a slot for the master key that wrapped it, and tell nothing about it."""
    return sha256(b"mugsearch master key" + master_key).digest()[:8]


def _key(name: str, value: str) -> bytes:
    try:
        key = bytes.fromhex(value)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ImproperlyConfigured(f"{name} has to be 64 hex digits.")
    return key
