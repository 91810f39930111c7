"""Purged bookings must not come back with the nightly feed: a keyed digest remembers them, and nothing else.

The key of the digests lies with the data keys and stays the same when the master key is rotated: nobody could make
a digest anew, for the number is gone.
"""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID

from mugsearch.gallery.models import Suppression
from mugsearch.gallery.numbers import normalised
from mugsearch.vault import services as vault


def digest(agency_id: UUID, booking_number: str) -> str:
    """64 hex digits, the same for every spelling of the number."""
    return _digest(vault.digest_key(), agency_id, booking_number)


def is_suppressed(agency_id: UUID, booking_number: str) -> bool:
    return Suppression.objects.filter(digest=digest(agency_id, booking_number)).exists()


def suppressed(agency_id: UUID, booking_numbers: Iterable[str]) -> set[str]:
    """Those of the numbers that were purged, in one query."""
    key = vault.digest_key()
    digests = {number: _digest(key, agency_id, number) for number in set(booking_numbers)}
    found = set(Suppression.objects.filter(digest__in=digests.values()).values_list("digest", flat=True))
    return {number for number, its in digests.items() if its in found}


def _digest(key: bytes, agency_id: UUID, booking_number: str) -> str:
    return hmac.new(key, agency_id.bytes + normalised(booking_number).encode(), sha256).hexdigest()
