"""Keyed digests: by them values are looked up and compared, and without the key nobody can tell or guess a value."""

import hmac
from functools import lru_cache
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mugsearch.vault import services as vault


def keyed(purpose: str, message: bytes) -> str:
    """HMAC-SHA-256, 64 hex digits. Each purpose has a key of its own, so two digests of one value tell nothing; all
    stay the same when the master key is rotated."""
    return keyed_by(vault.digest_key(), purpose, message)


def keyed_by(root: bytes, purpose: str, message: bytes) -> str:
    """The same by the digest key of another key file, such as a backup's."""
    return hmac.new(_key(root, purpose), message, sha256).hexdigest()


@lru_cache(maxsize=32)
def _key(root: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(root)
