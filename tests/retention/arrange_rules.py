"""Bookings with dispositions, and policies with other rules."""

import datetime
from typing import Any

from mugsearch.gallery.models import Booking
from mugsearch.probes import policy, policy_changes
from mugsearch.probes.models import PolicyVersion
from mugsearch.retention.models import Disposition
from tests.factories import BookingFactory, administrator, clerk


def disposed(code: str, on: datetime.date, booking: Booking | None = None, **new: Any) -> Booking:
    """A booking with this disposition, as a clerk of its agency recorded it on that day."""
    made: Booking = booking or BookingFactory(**new)
    day = datetime.datetime.combine(on, datetime.time(12), datetime.UTC)
    recorded_long_ago(made, day)
    Disposition.objects.create(
        agency=made.agency,
        booking=made,
        booking_number=made.booking_number,
        disposition=code,
        disposed_on=on,
        recorded_by=clerk(agency=made.agency),
        recorded_at=day,
        counts_since=day,
    )
    return made


def recorded_long_ago(booking: Booking, day: datetime.datetime | None = None) -> Booking:
    """So that the windows of rules begin with the days that are recorded."""
    Booking.objects.filter(pk=booking.pk).update(ruled_since=day or datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
    return booking


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
