"""A legal hold keeps a booking from being sealed and expunged, says who set it and until when, and ends."""

import datetime
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, transaction
from django.utils import timezone

from mugsearch.accounts.models import Role
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import live
from mugsearch.gallery.models import Booking
from mugsearch.retention import holds, services
from mugsearch.retention.models import ExpungementOrder, Hold
from tests.factories import AgencyFactory, BookingFactory, UserFactory, auditor, clerk, examiner, investigator
from tests.gallery_rows import enrol
from tests.retention.arrange import approved, expunged, held, requested, sealed, unsealed

pytestmark = pytest.mark.django_db(transaction=True)

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State
DAY = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


@pytest.mark.parametrize("kind", [Kind.EXPUNGE, Kind.SEAL])
def test_an_order_about_a_held_booking_may_be_filed_and_not_approved(kind: Any) -> None:
    booking, setter = enrol(1).booking, clerk(full_name="Hanna Holder")
    held(booking, by=setter, last_day=timezone.localdate() + DAY)
    order = requested(booking, kind=kind)
    until = f"{timezone.localdate() + DAY:%-d %B %Y}"
    with pytest.raises(WrongState, match=f"Hanna Holder put a legal hold .PRES-1. on booking .* until {until}"):
        approved(order)
    order.refresh_from_db()
    assert order.state == State.REQUESTED
    assert Booking.objects.filter(pk=booking.pk, sealed_at=None).exists()


@pytest.mark.parametrize("kind", [Kind.EXPUNGE, Kind.SEAL])
def test_a_hold_set_between_request_and_approval_blocks_and_once_lifted_does_not(kind: Any) -> None:
    booking = enrol(1).booking
    order = requested(booking, kind=kind)
    hold = held(booking)
    with pytest.raises(WrongState, match="until it is lifted"):
        approved(order)
    holds.lift(by=clerk(), hold=hold)
    assert approved(order).state == State.APPROVED


def test_of_two_holds_both_have_to_end() -> None:
    booking = enrol(1).booking
    order, first, second = requested(booking), held(booking), held(booking, reference="PRES-2")
    for hold in (first, second):
        with pytest.raises(WrongState, match="legal hold"):
            approved(order)
        holds.lift(by=clerk(), hold=hold)
    approved(order)


def test_a_hold_on_one_booking_blocks_an_order_for_the_whole_person() -> None:
    photo = enrol(1)
    other = BookingFactory(person=photo.booking.person, agency=photo.booking.agency)
    order = requested(photo.booking, whole_person=True)
    held(other)
    with pytest.raises(WrongState, match=f"on booking {other.booking_number}"):
        approved(order)


def test_a_hold_does_not_keep_a_sealed_booking_from_being_unsealed() -> None:
    booking = enrol(1).booking
    sealed(booking)
    held(booking)
    unsealed(booking)


def test_a_hold_lasts_through_its_last_day_and_not_longer() -> None:
    booking = enrol(1).booking
    today = timezone.localdate()
    hold = held(booking, last_day=today)
    assert hold.last_day == today
    midnight = timezone.make_aware(datetime.datetime.combine(today + DAY, datetime.time()))
    for at, in_force in ((midnight - datetime.timedelta(seconds=1), True), (midnight, False)):
        with time_machine.travel(at, tick=False):
            assert (hold.is_in_force, Hold.objects.in_force().exists()) == (in_force, in_force)


def test_an_expired_hold_blocks_nothing_and_goes_with_the_booking() -> None:
    booking = enrol(1).booking
    hold = held(booking)
    with pytest.raises(DatabaseError, match="lifted once"), transaction.atomic():
        Hold.objects.filter(pk=hold.pk).update(ends_at=timezone.now())
    long_ago = {"set_at": timezone.now() - 9 * DAY, "ends_at": timezone.now() - DAY}
    Hold.objects.create(booking=booking, reference="old", reason="x", set_by=clerk(), **long_ago)
    holds.lift(by=clerk(), hold=hold)
    assert expunged(booking).counts["holds"] == 2
    assert not Hold.objects.exists()


def test_postgresql_neither_seals_nor_deletes_a_held_booking_nor_loses_the_hold() -> None:
    booking = BookingFactory()
    hold = held(booking)
    with pytest.raises(DatabaseError, match="neither sealed nor expunged"), transaction.atomic():
        Booking.objects.filter(pk=booking.pk).update(sealed_at=timezone.now())
    with pytest.raises(DatabaseError, match="neither sealed nor expunged"), transaction.atomic():
        Booking.objects.filter(pk=booking.pk)._raw_delete("default")
    with pytest.raises(DatabaseError, match="none in force is deleted"), transaction.atomic():
        Hold.objects.all().delete()
    holds.lift(by=clerk(), hold=hold)
    with pytest.raises(DatabaseError, match="lifted once"), transaction.atomic():
        Hold.objects.update(lifted_at=None, lifted_by=None)
    Booking.objects.filter(pk=booking.pk).update(sealed_at=timezone.now())


def test_only_records_staff_of_the_agency_set_and_lift_and_supervisors_see() -> None:
    booking = BookingFactory()
    supervisor = UserFactory(roles=[Role.SUPERVISOR])
    hold = held(booking)
    for person in (supervisor, investigator(), examiner(), auditor()):
        with pytest.raises(NotAllowed):
            held(booking, by=person)
        with pytest.raises(NotAllowed):
            holds.lift(by=person, hold=hold)
    stranger = clerk(agency=AgencyFactory(code="shelbyville"))
    with pytest.raises(WrongState, match="not here any more"):
        held(booking, by=stranger)
    with pytest.raises(NotAllowed):
        holds.lift(by=stranger, hold=hold)
    assert not Hold.objects.visible_to(stranger).exists()
    assert not Hold.objects.visible_to(investigator()).exists()
    assert Hold.objects.visible_to(supervisor).get() == hold


def test_a_hold_says_why_and_does_not_end_before_it_begins() -> None:
    booking = BookingFactory()
    for wrong in ({"reference": " "}, {"reason": ""}, {"last_day": timezone.localdate() - DAY}):
        with pytest.raises(BadInput):
            held(booking, **wrong)
    assert not Hold.objects.exists()


def test_a_hold_is_lifted_once() -> None:
    hold = held(BookingFactory())
    holds.lift(by=clerk(), hold=hold)
    with pytest.raises(WrongState, match="ended already"):
        holds.lift(by=clerk(), hold=hold)


def test_setting_lifting_and_being_refused_by_a_hold_are_on_record_and_name_nobody() -> None:
    booking = enrol(1, booking=BookingFactory(booking_number="CANARY-1")).booking
    order = requested(booking)
    hold = held(booking, reason="Canary sues the county")
    with pytest.raises(WrongState):
        approved(order)
    holds.lift(by=clerk(), hold=hold)
    said = list(Entry.objects.order_by("number").values_list("act", "outcome", "object_id"))
    assert said[1:] == [
        ("hold.set", "done", str(booking.pk)),
        ("expungement.approved", "refused", str(order.pk)),
        ("hold.lifted", "done", str(booking.pk)),
    ]
    assert "canary" not in str(list(Entry.objects.values_list("details", flat=True))).lower()
    assert services.look_up(by=clerk(), booking_number="CANARY-1") == booking
