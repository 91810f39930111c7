"""A sweep does what the rules say is due, no more than was announced, and can be stopped anywhere."""

import datetime
import threading
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from mugsearch.audit.models import Entry
from mugsearch.errors import WrongState
from mugsearch.gallery import live, suppression
from mugsearch.gallery.models import Booking, Person, Template
from mugsearch.gallery.services import edit_booking, edit_person
from mugsearch.probes import policy
from mugsearch.retention import dispositions, erasing, holds, probe_erasing, proofs, services, sweeping, tasks
from mugsearch.retention.models import Disposition, ExpungementOrder
from mugsearch.vault import services as vault
from tests.factories import AgencyFactory, BookingFactory, PersonFactory, clerk
from tests.gallery_rows import enrol
from tests.retention.arrange import a_life, requested, sealed, unsealed
from tests.retention.arrange_rules import disposed, in_force, put_in_force, recorded_long_ago
from tests.retention.test_resuming import Killed, kill_at, run_queue

pytestmark = pytest.mark.django_db(transaction=True)

State = ExpungementOrder.State
DAY = datetime.date(2026, 3, 1)
LAST_DAY, NEXT_DAY = "2026-04-30T12:00:00Z", "2026-05-01T12:00:00Z"


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def dismissed(person: int = 1) -> Booking:
    return disposed("dismissed", DAY, enrol(person).booking)


def run(*options: str) -> str:
    out = StringIO()
    call_command("retention", "sweep", *options, stdout=out)
    return out.getvalue()


def test_a_sweep_expunges_on_the_day_after_the_window_and_not_before(queued: list) -> None:
    life = a_life()
    booking = disposed("dismissed", DAY, life.booking)
    number = booking.booking_number
    with time_machine.travel(LAST_DAY, tick=False):
        assert sweeping.sweep().done == 0
        assert Booking.objects.filter(pk=booking.pk).exists()
    with time_machine.travel(NEXT_DAY, tick=False):
        assert sweeping.sweep().done == 1
    run_queue(queued)
    order = ExpungementOrder.objects.get()
    assert (order.state, order.requested_by, order.approved_by) == (State.COMPLETE, None, None)
    assert order.rule == "Charges dismissed: expunge after 60 days"
    assert (order.disposition, order.policy_digest) == ("dismissed", policy.current().digest)
    assert not Booking.objects.filter(pk=booking.pk).exists()
    assert not Disposition.objects.exists()
    assert not vault.has_key(booking.pk)
    assert not any(vault.has_file(photo.pk) for photo in life.photos)
    assert suppression.is_suppressed(order.agency_id, number)


def test_an_order_is_made_by_two_people_or_by_a_rule_and_postgresql_refuses_anything_between() -> None:
    dismissed()
    sweeping.sweep()
    by_rule = ExpungementOrder.objects.get()
    clerks = {"requested_by": clerk(), "approved_by": clerk(), "approved_at": by_rule.erased_at}
    for change in (
        {"rule": ""},
        {"policy_digest": ""},
        {"requested_by": clerks["requested_by"]},
        clerks,
        {"rule": "", "disposition": "", "policy_digest": "", "requested_by": clerks["requested_by"]},
        {"state": State.REQUESTED},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            ExpungementOrder.objects.filter(pk=by_rule.pk).update(**change)
    by_people = requested(enrol(2).booking)
    for change in ({"rule": "x"}, {"requested_by": None}, {"policy_digest": "x"}, {"disposition": "dismissed"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ExpungementOrder.objects.filter(pk=by_people.pk).update(**change)


def test_a_dry_run_changes_nothing_and_says_what_would_go() -> None:
    dismissed()
    entries = Entry.objects.count()
    said = run("--dry-run")
    assert "1  Charges dismissed: expunge after 60 days" in said
    assert "Nothing was done. 1 bookings and 0 probes would go" in said
    assert Booking.objects.count() == 1
    assert not ExpungementOrder.objects.exists()
    assert Entry.objects.count() == entries


def test_a_sweep_stops_when_too_much_would_go_at_once_unless_the_number_is_named() -> None:
    for person in range(3):
        dismissed(person)
    assert "needs --confirm 3" in run("--dry-run")
    with pytest.raises(CommandError, match="3 bookings and 0 probes would go at once, more than 5 %"):
        run()
    entry = Entry.objects.latest("number")
    assert (entry.act, entry.outcome, entry.details["bookings"]) == ("retention.sweep-started", "refused", 3)
    with pytest.raises(CommandError, match="3 bookings and 0 probes are due now, more bookings than the 2 named"):
        run("--confirm", "2")
    assert Booking.objects.count() == 3
    assert "3 bookings" in run("--confirm", "3")
    assert Booking.objects.count() == 0


def test_the_share_is_that_of_each_agency() -> None:
    small = AgencyFactory(code="shelbyville")
    for person in range(2):
        disposed("dismissed", DAY, enrol(person, booking=BookingFactory(agency=small)).booking)
    BookingFactory.create_batch(100)
    assert sweeping.plan().too_many
    BookingFactory.create_batch(38, agency=small)
    assert not sweeping.plan().too_many


def test_the_nightly_task_that_may_not_leaves_everything_and_an_entry(caplog: pytest.LogCaptureFixture) -> None:
    for person in range(3):
        dismissed(person)
    tasks.sweep()
    assert Booking.objects.count() == 3
    assert "more than 5 %" in caplog.text
    assert Entry.objects.get(act="retention.sweep-started").outcome == "refused"


def test_a_later_disposition_before_the_day_keeps_the_booking() -> None:
    booking = dismissed()
    with time_machine.travel("2026-04-15T12:00:00Z"):
        told = dispositions.Reported(booking.booking_number, "convicted", datetime.date(2026, 4, 15))
        dispositions.record(by=clerk(), reported=told)
    with time_machine.travel(NEXT_DAY):
        assert sweeping.sweep().plan.count == 0
    assert Booking.objects.filter(pk=booking.pk).exists()


def test_what_changed_since_the_plan_was_made_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, goes = dismissed(1), dismissed(2)
    announced = sweeping.plan()
    disposed("convicted", DAY, kept)
    monkeypatch.setattr(sweeping, "plan", lambda: announced)
    swept = sweeping.sweep(confirm=2)
    assert (swept.done, dict(swept.skipped)) == (1, {"It was not due any more.": 1})
    assert list(Booking.objects.all()) == [kept]
    assert not Booking.objects.filter(pk=goes.pk).exists()
    refused = Entry.objects.get(act="expungement.ordered-by-rule", outcome="refused")
    assert refused.details["booking"] == str(kept.pk)


def test_what_became_due_since_the_plan_was_made_waits_for_the_next_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    dismissed(1)
    announced = sweeping.plan()
    later = dismissed(2)
    monkeypatch.setattr(sweeping, "plan", lambda: announced)
    assert sweeping.sweep().done == 1
    assert list(Booking.objects.all()) == [later]


def test_a_policy_changed_while_a_sweep_runs_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    dismissed()
    announced = sweeping.plan()
    put_in_force(in_force(b'action = "expunge"\nafter_days = 60', b'action = "keep"', of=b"[retention.dismissed]"))
    monkeypatch.setattr(sweeping, "plan", lambda: announced)
    assert sweeping.sweep().done == 0
    assert Booking.objects.count() == 1


def test_an_order_that_waits_for_a_second_clerk_is_left_to_people() -> None:
    booking = dismissed()
    requested(booking)
    said = run("--dry-run")
    assert "1  due, but left: An order about it waits for a second clerk." in said
    assert sweeping.sweep().done == 0
    assert Booking.objects.filter(pk=booking.pk).exists()


def test_an_order_requested_since_the_plan_was_made_is_left_to_people_too(monkeypatch: pytest.MonkeyPatch) -> None:
    booking = dismissed()
    announced = sweeping.plan()
    requested(booking)
    monkeypatch.setattr(sweeping, "plan", lambda: announced)
    assert dict(sweeping.sweep().skipped) == {"An order about it waits for a second clerk.": 1}
    assert Booking.objects.filter(pk=booking.pk).exists()


def test_of_two_sweeps_at_once_one_works_and_the_other_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    dismissed(1)
    inside, go_on, real = threading.Event(), threading.Event(), sweeping._carry_out
    answers: list[str] = []

    def slowly(*args: Any) -> None:
        inside.set()
        assert go_on.wait(20)
        real(*args)

    def first() -> None:
        try:
            answers.append(f"{sweeping.sweep().done} done")
        finally:
            connection.close()

    monkeypatch.setattr(sweeping, "_carry_out", slowly)
    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(20)
    with pytest.raises(WrongState, match="Another sweep is under way"):
        sweeping.sweep()
    go_on.set()
    thread.join()
    assert answers == ["1 done"]
    assert ExpungementOrder.objects.count() == 1
    assert sweeping.sweep().done == 0


@pytest.mark.parametrize(
    ("place", "name", "when", "call"),
    [
        (erasing, "erase_rows", "before", 2),
        (erasing, "erase_rows", "after", 2),
        (vault, "destroy_key", "before", 2),
        (vault, "remove_file", "after", 2),
        (erasing, "carry_out", "after", 2),
    ],
    ids=str,
)
def test_a_killed_sweep_goes_on_where_it_stopped(
    place: object, name: str, when: str, call: int, queued: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    bookings = [dismissed(person) for person in range(3)]
    reached, undo = kill_at(monkeypatch, place, name, when, call)
    with pytest.raises(Killed):
        sweeping.sweep(confirm=3)
    assert reached
    undo()
    queued.clear()
    assert 1 <= Booking.objects.count() <= 2
    assert sweeping.plan().count == Booking.objects.count()
    sweeping.sweep(confirm=3)
    tasks.resume()
    run_queue(queued)
    assert not Booking.objects.exists()
    assert not Template.objects.exists()
    assert not any(vault.has_key(booking.pk) for booking in bookings)
    orders = ExpungementOrder.objects.all()
    assert [(order.state, bool(order.rule)) for order in orders] == [(State.COMPLETE, True)] * 3


def test_a_booking_that_can_t_be_erased_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    dismissed(1), dismissed(2)
    real, calls = erasing.erase_rows, []

    def fails_once(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("row of P-00001")
        real(*args, **kwargs)

    monkeypatch.setattr(erasing, "erase_rows", fails_once)
    swept = sweeping.sweep(confirm=2)
    assert (swept.done, swept.skipped.total()) == (1, 1)
    assert Booking.objects.count() == 1


def test_what_nobody_foresaw_in_one_booking_or_probe_is_counted_and_logged_and_the_sweep_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = dismissed(1), dismissed(2)
    real = sweeping._still_due

    def broken(due: sweeping.Due, todo: sweeping.Plan) -> Booking:
        if due.booking == first.pk:
            raise DatabaseError(f"Failing row contains ({first.booking_number})")
        return real(due, todo)

    monkeypatch.setattr(sweeping, "_still_due", broken)
    monkeypatch.setattr(probe_erasing, "due", lambda *_, **__: [first.pk])  # of no probe: it raises DoesNotExist
    swept = sweeping.sweep(confirm=2)
    assert (swept.done, swept.probes, swept.skipped) == (1, 0, {sweeping.UNEXPECTED: 2})
    assert Booking.objects.get() == first
    assert not Booking.objects.filter(pk=second.pk).exists()
    assert f"{first.pk}: sweep failed: DatabaseError" in caplog.text
    assert first.booking_number not in caplog.text
    assert Entry.objects.latest("number").details["skipped"] == 2


def test_a_juvenile_is_sealed_once_by_rule_and_found_by_no_search_any_more() -> None:
    person = PersonFactory(date_of_birth=datetime.date(2010, 1, 1))
    booking = recorded_long_ago(enrol(1, booking=BookingFactory(person=person, booked_on=DAY)).booking)
    assert sweeping.plan().by_rule == {"juvenile": 1}
    assert sweeping.sweep().done == 1
    booking.refresh_from_db()
    order = ExpungementOrder.objects.get()
    assert booking.sealed_at
    assert (order.kind, order.rule, order.booking) == ("seal", "Under 18 at booking: seal after 30 days", booking.pk)
    assert (order.requested_by, order.approved_by, order.approved_at) == (None, None, None)
    assert sweeping.sweep().done == 0
    assert proofs.steps(order)[0]["what"] == "Ordered"


def test_a_hold_and_an_order_that_waits_keep_a_booking_from_the_rules() -> None:
    booking = dismissed()
    hold = holds.set_hold(by=clerk(), booking=booking, reference="L-1", reason="A suit.")
    (left,) = sweeping.plan().waiting
    assert left.why_not == "A legal hold keeps it."
    assert sweeping.sweep().done == 0
    holds.lift(by=clerk(), hold=hold)
    waits = services.request(
        by=clerk(), booking=booking, order_number="O-1", reason="a judge", kind=ExpungementOrder.Kind.SEAL
    )
    assert sweeping.plan().waiting[0].why_not == "An order about it waits for a second clerk."
    services.withdraw(by=clerk(), order=waits)
    assert sweeping.sweep().done == 1


def test_what_two_clerks_unsealed_no_rule_seals_again_and_what_they_sealed_no_rule_expunges(queued: list) -> None:
    person = PersonFactory(date_of_birth=datetime.date(2010, 1, 1))
    booking = recorded_long_ago(enrol(1, booking=BookingFactory(person=person, booked_on=DAY)).booking)
    assert sweeping.sweep().done == 1
    run_queue(queued)
    unsealed(booking)
    assert sweeping.sweep().done == 0
    other = dismissed(2)
    sealed(other)
    assert [due.why_not for due in sweeping.plan().waiting] == ["It is sealed by order."]
    assert sweeping.sweep().done == 0


def test_nobody_makes_a_rule_act_at_once_by_what_they_write() -> None:
    """The objection window begins when it is on record, whatever day somebody writes."""
    by, ago = clerk(), datetime.date(2020, 1, 1)
    typed, matched, minor, charged = (enrol(number).booking for number in range(4))
    said = {"disposition": "dismissed", "disposed_on": ago, "court": "", "order_number": ""}
    dispositions.record(by=by, reported=dispositions.Reported(booking_number=typed.booking_number, **said))
    waiting = dispositions.record(by=by, reported=dispositions.Reported(booking_number="NOBODY-1", **said))
    dispositions.match(by=by, disposition=waiting, booking=matched)
    Booking.objects.filter(pk=minor.pk).update(booked_on=ago)
    recorded_long_ago(minor)
    told = {"family_name": "A", "given_names": "B", "sex": ""}
    edit_person(by=by, person=minor.person, date_of_birth=datetime.date(2010, 1, 1), **told)
    disposed("dismissed", DAY, charged)
    edit_booking(by=by, booking=charged, booked_on=None, height_in=None, weight_lb=None, charge="Theft", disposition="")
    plan = sweeping.plan()
    assert (plan.todo, plan.waiting) == ([], [])
    in_time = timezone.localdate() + datetime.timedelta(days=61)
    assert {due.booking for due in sweeping.plan(in_time).todo} == {typed.pk, matched.pk, minor.pk, charged.pk}


def test_a_juvenile_whose_charges_were_dismissed_is_expunged_rather_than_sealed() -> None:
    person = PersonFactory(date_of_birth=datetime.date(2010, 1, 1))
    disposed("dismissed", DAY, enrol(1, booking=BookingFactory(person=person, booked_on=DAY)).booking)
    assert sweeping.plan().by_rule == {"dismissed": 1}
    sweeping.sweep()
    assert not Person.objects.exists()


def test_the_record_of_a_sweep_names_nobody(queued: list) -> None:
    booking = dismissed()
    names = [booking.booking_number, booking.person.family_name, booking.person.person_id]
    sweeping.sweep()
    run_queue(queued)
    told = " ".join(f"{entry.act} {entry.details}" for entry in Entry.objects.all())
    assert not any(name in told for name in names)
    acts = list(Entry.objects.order_by("number").values_list("act", flat=True))
    assert acts == [
        "retention.sweep-started",
        "booking.expunged",
        "expungement.ordered-by-rule",
        "retention.swept",
        "expungement.completed",
        "expungement.certified",
    ]
