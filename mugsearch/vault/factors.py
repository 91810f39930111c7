"""Keeps the secrets of second factors sealed in PostgreSQL; named in the settings as django-allauth's adapter."""

import base64
import binascii
import os
from functools import lru_cache

from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mugsearch.errors import Unavailable
from mugsearch.vault import services as vault

_NONCE = 12


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """AES-256-GCM under a key derived from the digest key, which lies outside PostgreSQL and outlives rotations."""

    def encrypt(self, text: str) -> str:
        nonce = os.urandom(_NONCE)
        return base64.b64encode(nonce + _cipher().encrypt(nonce, text.encode(), None)).decode()

    def decrypt(self, encrypted_text: str) -> str:
        try:
            sealed = base64.b64decode(encrypted_text, validate=True)
            return _cipher().decrypt(sealed[:_NONCE], sealed[_NONCE:], None).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise Unavailable("Your second factor can't be read. An administrator has to reset it.") from error


def _cipher() -> AESGCM:
    return AESGCM(_key(vault.digest_key()))


@lru_cache(maxsize=4)
def _key(root: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"second factors").derive(root)
