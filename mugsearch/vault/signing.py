"""The key that signs what leaves this system to be believed elsewhere: the heads of disclosure bundles, and the
certificates of orders. Ed25519, made once with the other secrets (mugsearch.launch.keys).

Whoever is given one compares the key's fingerprint with the one the agency has published.
"""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def sign(message: bytes) -> bytes:
    """64 bytes. No message of one kind can be taken for one of another: each begins with the name of its format."""
    return _private_key().sign(message)


def public_key() -> bytes:
    """32 bytes, as RFC 8032 encodes them."""
    return _private_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def fingerprint(key: bytes | None = None) -> str:
    """The SHA-256 of a public key, of the one in use unless another is given, in hexadecimal digits."""
    return sha256(key or public_key()).hexdigest()


def _private_key() -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(settings.MUGSEARCH_SIGNING_KEY))
    except ValueError as error:
        raise ImproperlyConfigured("MUGSEARCH_SIGNING_KEY has to be 32 bytes, written as 64 hex digits.") from error
