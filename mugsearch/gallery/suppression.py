"""Purged bookings must not come back with the nightly feed: a keyed digest remembers them, and nothing else."""

import hmac
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from mugsearch.gallery.models import Suppression
from mugsearch.gallery.numbers import normalised


def digest(agency_id: UUID, booking_number: str) -> str:
    """64 hex digits, the same for every spelling of the number."""
    message = agency_id.bytes + normalised(booking_number).encode()
    return hmac.new(_key(settings.MUGSEARCH_MASTER_KEY), message, sha256).hexdigest()


def is_suppressed(agency_id: UUID, booking_number: str) -> bool:
    return Suppression.objects.filter(digest=digest(agency_id, booking_number)).exists()


def suppressed(agency_id: UUID, booking_numbers: Iterable[str]) -> set[str]:
    """Those of the numbers that were purged, in one query."""
    digests = {number: digest(agency_id, number) for number in set(booking_numbers)}
    found = set(Suppression.objects.filter(digest__in=digests.values()).values_list("digest", flat=True))
    return {number for number, its in digests.items() if its in found}


@lru_cache(maxsize=4)
def _key(master_key: str) -> bytes:
    """A key of its own, so that a digest says nothing about how data keys are wrapped."""
    return HKDF(SHA256(), 32, salt=None, info=b"mugsearch suppression of purged bookings").derive(
        bytes.fromhex(master_key)
    )
