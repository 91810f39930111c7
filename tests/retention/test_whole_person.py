"""One order about all bookings a person has when it is approved."""

import pytest

from mugsearch.errors import BadInput, WrongState
from mugsearch.gallery import live, suppression
from mugsearch.gallery.models import Booking, Person, Photo, Template
from mugsearch.retention import queries, services, tasks
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from tests.factories import BookingFactory, clerk
from tests.gallery_rows import enrol
from tests.retention.arrange import OPAQUE, a_life, another_booking, approved, expunged, requested, sealed, unsealed

pytestmark = pytest.mark.django_db(transaction=True)

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def three_bookings() -> list[Booking]:
    life = a_life()
    return [life.booking, *(another_booking(life.booking).booking for _ in range(2))]


def test_an_expungement_of_a_person_takes_all_three_bookings_and_the_person() -> None:
    bookings = three_bookings()
    ids = [booking.pk for booking in bookings]
    photos = list(Photo.objects.filter(booking__in=ids).values_list("pk", flat=True))
    order = expunged(bookings[1], whole_person=True)
    assert (order.counts["bookings"], order.counts["photos"], order.counts["people"]) == (3, 4, 1)
    assert (order.counts["keys"], order.counts["leads"]) == (4, 1)
    assert not Person.objects.filter(pk=bookings[0].person_id).exists()
    assert not Booking.objects.filter(pk__in=ids).exists()
    assert not any(vault.has_key(pk) for pk in ids)
    assert not any(vault.has_file(name) for name in photos)
    assert all(suppression.is_suppressed(one.agency_id, one.booking_number) for one in bookings)
    assert (order.state, order.keys_left, order.booking_number) == (State.COMPLETE, [], "")


def test_somebody_else_s_bookings_stay() -> None:
    bookings, other = three_bookings(), enrol(9)
    expunged(bookings[0], whole_person=True)
    assert Template.objects.filter(photo=other).exists()


def test_it_is_about_the_bookings_there_are_when_it_is_approved() -> None:
    first = enrol(7).booking
    order = requested(first, whole_person=True)
    seen = queries.of_order(order)
    assert seen
    BookingFactory(person=first.person, agency=first.agency)  # without a photograph
    with pytest.raises(WrongState, match="It changed"):
        services.approve(by=clerk(), order=order, seen=seen.digest)
    approved(order)
    assert order.counts["bookings"] == 2


def test_a_person_is_sealed_and_unsealed_as_one() -> None:
    bookings = three_bookings()
    ids = [booking.pk for booking in bookings]
    sealed(bookings[0])
    order = sealed(bookings[0], whole_person=True)
    assert order.counts["bookings"] == 2  # one was sealed before
    assert Booking.objects.filter(pk__in=ids, sealed_at__isnull=False).count() == 3
    assert unsealed(bookings[0], whole_person=True).counts["bookings"] == 3
    assert not Booking.objects.filter(sealed_at__isnull=False).exists()


def test_two_orders_that_would_be_about_the_same_booking_do_not_wait_together() -> None:
    first, second, _ = three_bookings()
    order = requested(first, whole_person=True)
    with pytest.raises(WrongState, match="waiting for approval"):
        requested(second, kind=Kind.SEAL)
    services.withdraw(by=clerk(), order=order)
    requested(second)
    with pytest.raises(WrongState, match="waiting for approval"):
        requested(first, whole_person=True)
    requested(first)


def test_an_order_about_a_booking_that_went_with_another_one_is_withdrawn_and_names_nothing() -> None:
    first, second, _ = three_bookings()
    whole = requested(first, whole_person=True)
    one = ExpungementOrder.objects.create(agency_id=second.agency_id, booking=second.pk, requested_by=clerk(), **OPAQUE)
    approved(whole)
    tasks.prove_forgotten(str(whole.pk))
    one.refresh_from_db()
    assert (one.state, one.booking, one.booking_number) == (State.WITHDRAWN, None, "")


def test_the_order_may_name_none_of_the_bookings() -> None:
    first = enrol(7).booking
    BookingFactory(person=first.person, agency=first.agency, booking_number="24-0777")
    with pytest.raises(BadInput, match="booking number"):
        requested(first, whole_person=True, reason="With 24-0777")
