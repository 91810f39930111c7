"""Bookings with dispositions, and policies with other rules."""

import datetime
from typing import Any

from mugsearch.gallery.models import Booking
from mugsearch.probes import policy, policy_changes
from mugsearch.probes.models import PolicyVersion
from mugsearch.retention.models import Disposition
from tests.factories import BookingFactory, administrator, clerk


def disposed(code: str, on: datetime.date, booking: Booking | None = None, **new: Any) -> Booking:
    """A booking with this disposition, as a clerk of its agency recorded it."""
    made: Booking = booking or BookingFactory(**new)
    Disposition.objects.create(
        agency=made.agency,
        booking=made,
        booking_number=made.booking_number,
        disposition=code,
        disposed_on=on,
        recorded_by=clerk(agency=made.agency),
    )
    return made


def in_force(old: bytes, new: bytes, *, of: bytes) -> bytes:
    """The policy in force, with the first `old` after the heading `of` replaced."""
    text = policy.of_installation()
    at = text.index(of)
    assert old in text[at:]
    return text[:at] + text[at:].replace(old, new, 1)


def put_in_force(text: bytes) -> PolicyVersion:
    return policy_changes.change(
        by=administrator(), text=text, reason="Council decision 9", instead_of=policy.current().digest
    )
