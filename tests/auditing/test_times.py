"""Entries of a time are all found, and without passing over what is newer: see queries._numbers."""

import datetime

import pytest

from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.auditing.queries import Filters
from tests.triggers import past_the_triggers

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime.datetime(2026, 6, 10, 12, tzinfo=datetime.UTC)
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


def happened(*times: datetime.datetime) -> None:
    with past_the_triggers():
        for at in times:
            Entry.objects.filter(pk=audit.record("thing.done", by=None).pk).update(at=at)


def found(since: datetime.datetime | None, before: datetime.datetime | None) -> list[int]:
    return list(Filters(since=since, before=before).entries().values_list("number", flat=True))


def test_entries_of_a_time_are_found_although_the_clock_was_set_back_in_between() -> None:
    happened(NOON, NOON + 20 * HOUR, NOON + HOUR, NOON + 21 * HOUR, NOON + 2 * HOUR, NOON + 22 * HOUR)
    assert found(NOON + 20 * HOUR, None) == [6, 4, 2]
    assert found(None, NOON + 3 * HOUR) == [5, 3, 1]
    assert found(NOON + HOUR, NOON + 21 * HOUR) == [5, 3, 2]
    assert found(NOON + DAY, None) == []
    assert found(None, NOON) == []


def test_no_entry_is_missed_because_the_clock_was_far_off_for_another() -> None:
    """As after a start of the machine before it asked what time it is."""
    happened(NOON, NOON + 400 * DAY, NOON + 2 * DAY, NOON - 400 * DAY, NOON + 3 * DAY)
    assert found(None, NOON + 4 * DAY) == [5, 4, 3, 1]
    assert found(NOON - 300 * DAY, None) == [5, 3, 2, 1]
    assert found(NOON + 300 * DAY, None) == [2]
    assert found(None, NOON - 300 * DAY) == [4]


def test_what_is_days_newer_or_older_is_not_even_read() -> None:
    happened(*(NOON + day * DAY for day in range(10)))
    asked = Filters(since=NOON + 4 * DAY, before=NOON + 5 * DAY).entries()
    assert [entry.number for entry in asked] == [5]
    within = str(asked.query)
    assert '"number" > 3' in within
    assert '"number" < 7' in within


def test_the_ends_of_the_calendar_are_times_like_others() -> None:
    happened(NOON)
    first, last = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (1, 9999))
    assert found(first, last) == [1]
    assert found(last, None) == []
