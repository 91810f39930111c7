"""What each rule acts on and on which day, its exceptions, and what a change of it shows before it applies."""

import datetime
from typing import Any

import pytest
import time_machine

from mugsearch.gallery.models import Booking
from mugsearch.probes import policy, policy_changes
from mugsearch.probes.retention_rules import JUVENILE, Rule
from mugsearch.retention import dispositions, rules
from tests.factories import AgencyFactory, BookingFactory, PersonFactory, clerk
from tests.retention.arrange_rules import disposed, in_force, recorded_long_ago

pytestmark = pytest.mark.django_db

DAY = datetime.date(2026, 3, 1)
DISMISSED = Rule("dismissed", "Charges dismissed", "expunge", 60)


def acted_on(rule: Rule, day: datetime.date) -> set[str]:
    return {booking.booking_number for booking in rules.acted_on(rule, until=day)}


@pytest.mark.parametrize("code", ["dismissed", "acquitted", "not-charged"])
def test_a_cleared_booking_stays_through_the_60th_day_and_goes_on_the_next(code: str) -> None:
    booking = disposed(code, DAY)
    rule = policy.current().retention.rules[code]
    assert acted_on(rule, DAY + datetime.timedelta(days=60)) == set()
    assert acted_on(rule, DAY + datetime.timedelta(days=61)) == {booking.booking_number}


def test_a_convicted_booking_stays() -> None:
    disposed("convicted", DAY)
    assert [rule.code for rule in policy.current().retention.acting] == [
        "dismissed",
        "acquitted",
        "not-charged",
        JUVENILE,
    ]


def test_a_later_disposition_replaces_an_earlier_one_before_its_day() -> None:
    booking = disposed("dismissed", DAY)
    far = DAY + datetime.timedelta(days=400)
    disposed("convicted", DAY + datetime.timedelta(days=59), booking)
    assert acted_on(DISMISSED, far) == set()
    disposed("dismissed", DAY + datetime.timedelta(days=90), booking)
    assert acted_on(DISMISSED, DAY + datetime.timedelta(days=150)) == set()
    assert acted_on(DISMISSED, DAY + datetime.timedelta(days=151)) == {booking.booking_number}
    assert booking.dispositions.count() == 3, "the history stays readable"


def test_of_two_dispositions_of_one_day_the_one_recorded_last_counts() -> None:
    booking = disposed("dismissed", DAY)
    disposed("convicted", DAY, booking)
    assert acted_on(DISMISSED, DAY + datetime.timedelta(days=400)) == set()


def test_an_earlier_disposition_that_is_reported_late_does_not_count() -> None:
    booking = disposed("convicted", DAY)
    disposed("dismissed", DAY - datetime.timedelta(days=1), booking)
    assert acted_on(DISMISSED, DAY + datetime.timedelta(days=400)) == set()


def test_a_dismissed_report_gives_way_to_the_one_before() -> None:
    booking = disposed("dismissed", DAY)
    disposed("convicted", DAY, booking)
    wrong = booking.dispositions.get(disposition="convicted")
    dispositions.dismiss(by=clerk(), disposition=wrong, reason="Of another case")
    assert acted_on(DISMISSED, DAY + datetime.timedelta(days=61)) == {booking.booking_number}


def test_an_exception_by_charge_keeps_a_booking_whatever_the_case_of_its_letters() -> None:
    disposed("dismissed", DAY, charge="CRIMINAL SEXUAL CONDUCT 1ST")
    goes = disposed("dismissed", DAY, charge="Larceny")
    rule = Rule("dismissed", "Dismissed", "expunge", 60, unless_charge=("sexual conduct",))
    far = DAY + datetime.timedelta(days=400)
    assert acted_on(rule, far) == {goes.booking_number}
    seen = rules.forecast(rule, Booking.objects.all(), today=far)
    assert (seen.count, seen.excepted) == (1, 1)


def test_an_exception_by_another_booking_counts_only_the_same_persons_current_disposition() -> None:
    kept = disposed("dismissed", DAY)
    other = disposed("convicted", DAY, person=kept.person)
    disposed("convicted", DAY)
    goes = disposed("dismissed", DAY)
    rule = Rule("dismissed", "Dismissed", "expunge", 60, unless_other=("convicted",))
    far = DAY + datetime.timedelta(days=400)
    assert acted_on(rule, far) == {goes.booking_number}
    disposed("acquitted", DAY + datetime.timedelta(days=1), other)
    assert acted_on(rule, far) == {goes.booking_number, kept.booking_number}


@pytest.mark.parametrize(
    ("born", "booked", "juvenile"),
    [
        ("2008-03-01", "2026-02-28", True),
        ("2008-03-01", "2026-03-01", False),
        ("2008-02-29", "2026-02-28", True),
        ("2008-02-29", "2026-03-01", False),
        ("1980-01-01", "2026-03-01", False),
        (None, "2026-03-01", False),
    ],
)
def test_who_is_under_18_on_the_day_of_the_booking_is_a_juvenile(born: str | None, booked: str, juvenile: bool) -> None:
    day = datetime.date.fromisoformat(booked)
    person = PersonFactory(date_of_birth=born and datetime.date.fromisoformat(born))
    booking = recorded_long_ago(BookingFactory(person=person, booked_on=day))
    rule = policy.current().retention.rules[JUVENILE]
    assert (rule.action, rule.after_days) == ("seal", 30)
    assert acted_on(rule, day + datetime.timedelta(days=30)) == set()
    assert acted_on(rule, day + datetime.timedelta(days=31)) == ({booking.booking_number} if juvenile else set())


@pytest.mark.parametrize(("day", "count"), [("2027-08-27", 0), ("2027-08-28", 1), ("2030-01-01", 1)])
def test_a_booking_without_a_disposition_is_stale_after_18_months(day: str, count: int) -> None:
    booked_on = datetime.date(2026, 2, 28)
    BookingFactory(booked_on=booked_on)
    disposed("convicted", DAY, booked_on=booked_on)
    BookingFactory(agency=AgencyFactory(code="shelbyville"), booked_on=booked_on)
    retention = policy.current().retention
    assert rules.stale(clerk(), retention, today=datetime.date.fromisoformat(day)).count() == count


@time_machine.travel("2026-03-01T12:00:00Z", tick=False)
def test_a_booking_of_an_unknown_day_is_stale_18_months_after_it_came_in() -> None:
    BookingFactory(booked_on=None)
    retention = policy.current().retention
    assert rules.stale(clerk(), retention, today=datetime.date(2027, 8, 31)).count() == 0
    assert rules.stale(clerk(), retention, today=datetime.date(2027, 9, 1)).count() == 1


def effect(new: bytes) -> Any:
    (found,) = policy_changes.effects(policy.current(), policy_changes.proposed(new))
    return found


def test_a_change_of_a_rule_shows_how_many_bookings_go_earlier_or_later() -> None:
    for _ in range(3):
        disposed("dismissed", DAY)
    shorter = effect(in_force(b"after_days = 60", b"after_days = 30", of=b"[retention.dismissed]"))
    assert (shorter.before, shorter.after) == (
        "Charges dismissed: expunge after 60 days",
        "Charges dismissed: expunge after 30 days",
    )
    assert shorter.counts["earlier"] == 3
    assert "3 go earlier; 3 with the next sweep" in shorter.means
    longer = effect(in_force(b"after_days = 60", b"after_days = 900", of=b"[retention.dismissed]"))
    assert (longer.counts["earlier"], longer.counts["later"], longer.counts["due_today"]) == (0, 3, 0)


def test_a_change_of_a_rule_shows_how_many_go_for_the_first_time_or_no_more() -> None:
    disposed("dismissed", DAY, charge="Arson")
    disposed("convicted", DAY)
    kept = in_force(b'action = "expunge"\nafter_days = 60', b'action = "keep"', of=b"[retention.dismissed]")
    assert effect(kept).counts["no_more"] == 1
    excepted = in_force(b"after_days = 60", b'after_days = 60\nunless_charge = ["arson"]', of=b"[retention.dismissed]")
    assert effect(excepted).counts["no_more"] == 1
    gone = in_force(b'action = "keep"', b'action = "expunge"\nafter_days = 3', of=b"[retention.convicted]")
    assert "1 go that stayed before" in effect(gone).means
    sealed = in_force(b'action = "expunge"', b'action = "seal"', of=b"[retention.dismissed]")
    assert "1 are to be sealed instead" in effect(sealed).means


def test_a_policy_of_before_there_were_rules_lets_the_same_be_recorded_and_nothing_go() -> None:
    text = policy.of_installation()
    old = text[: text.index(b"[retention]")] + text[text.index(b"[attestation]") :]
    before = policy_changes.proposed(old).retention
    assert set(before.dispositions) == set(policy.current().retention.dispositions)
    assert before.acting == []
    assert before.probe_days is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'action = "keep"', b'action = "burn"', "has to be keep, seal or expunge"),
        (b"after_days = 60", b"", "after_days in"),
        (b"after_days = 60", b"after_days = -1", "between 0 and 3650"),
        (b"after_days = 60", b"after_days = true", "whole number"),
        (b"after_days = 60", b"after_days = 60\nunless_charge = 3", "list of words"),
        (b"after_days = 60", b'after_days = 60\nunless_charge = [""]', "list of words"),
        (b"after_days = 60", b'after_days = 60\nunless_other = ["x"]', "no disposition here"),
        (b"after_days = 60", b"after_days = 60\nafter_weeks = 2", "means nothing"),
        (b"[retention.dismissed]", b'[retention."Dis missed"]', "small letters"),
        (b"max_share = 5", b"max_share = 0", "max_share"),
        (b"max_share = 5", b"max_shares = 5", "means nothing"),
        (b'label = "Acquitted"', b'label = ""', "label"),
    ],
)
def test_a_rule_that_can_t_be_meant_is_refused_with_what_is_wrong(old: bytes, new: bytes, says: str) -> None:
    text = policy.of_installation()
    assert old in text
    with pytest.raises(policy_changes.BadInput, match=says):
        policy_changes.proposed(text.replace(old, new, 1))
