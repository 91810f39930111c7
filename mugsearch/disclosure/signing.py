"""The key that signs the heads of bundles: Ed25519, made once with the other secrets (mugsearch.launch.keys).

Whoever is given a bundle compares the key's fingerprint with the one the agency has published.
"""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def sign(message: bytes) -> bytes:
    """64 bytes."""
    return _private_key().sign(message)


def public_key() -> bytes:
    """32 bytes, as RFC 8032 encodes them."""
    return _private_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def fingerprint() -> str:
    """The SHA-256 of the public key, in hexadecimal digits."""
    return sha256(public_key()).hexdigest()


def _private_key() -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(settings.MUGSEARCH_SIGNING_KEY))
    except ValueError as error:
        raise ImproperlyConfigured("MUGSEARCH_SIGNING_KEY has to be 32 bytes, written as 64 hex digits.") from error
