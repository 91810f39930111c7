"""Purged bookings must not come back with the nightly feed: a keyed digest remembers them, and nothing else.

The key of the digests lies with the data keys and stays the same when the master key is rotated: nobody could make
a digest anew, for the number is gone.
"""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID

from mugsearch.gallery.identity import of_booking as of_number
from mugsearch.gallery.models import Booking, Suppression
from mugsearch.gallery.numbers import normalised
from mugsearch.vault import services as vault


def digest(agency_id: UUID, booking_number: str) -> str:
    """64 hex digits, the same for every spelling of the number."""
    return _keyed(vault.digest_key(), agency_id, normalised(booking_number))


def of_booking(booking: Booking) -> str:
    """Of its number, or of what it is looked up by where the number can't be read any more."""
    if booking.is_readable:
        return digest(booking.agency_id, booking.booking_number)
    return _keyed(vault.digest_key(), booking.agency_id, booking.number_digest)


def is_suppressed(agency_id: UUID, booking_number: str) -> bool:
    return bool(suppressed(agency_id, [booking_number]))


def suppressed(agency_id: UUID, booking_numbers: Iterable[str]) -> set[str]:
    """Those of the numbers that were purged, in one query."""
    key = vault.digest_key()
    digests = {
        number: {_keyed(key, agency_id, normalised(number)), _keyed(key, agency_id, of_number(number))}
        for number in set(booking_numbers)
    }
    sought = [one for both in digests.values() for one in both]
    found = set(Suppression.objects.filter(digest__in=sought).values_list("digest", flat=True))
    return {number for number, both in digests.items() if both & found}


def _keyed(key: bytes, agency_id: UUID, number: str) -> str:
    return hmac.new(key, agency_id.bytes + number.encode(), sha256).hexdigest()
