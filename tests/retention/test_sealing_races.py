"""Whatever was under way when a booking is sealed or held: nothing sealed is written, nothing held is sealed."""

from typing import Any

import pytest
from django.db import transaction

from mugsearch.errors import WrongState
from mugsearch.gallery import encoding, live, locks
from mugsearch.gallery.models import Booking, Photo
from mugsearch.probes import ranking
from mugsearch.probes.models import Candidate
from mugsearch.retention import holds, queries, services
from mugsearch.retention.models import ExpungementOrder, Hold
from tests.factories import BookingFactory, CandidateFactory, SearchFactory, clerk, examiner
from tests.gallery_rows import enrol
from tests.retention.arrange import OPAQUE, approved, held, requested, sealed
from tests.retention.test_races import Elsewhere, a_queued_search, elsewhere, photos_found
from tests.reviews.arrange import SAME, candidate, claim, find, finished_search

__all__ = ["elsewhere"]

pytestmark = pytest.mark.django_db(transaction=True)

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def seen(order: ExpungementOrder) -> str:
    preview = queries.of_order(order)
    assert preview
    return preview.digest


def test_a_search_queued_before_and_run_after_does_not_return_the_sealed_booking() -> None:
    photo, other = enrol(7), enrol(8)
    before = a_queued_search(7)
    sealed(photo.booking)
    assert photos_found(before) == {other.pk}


def test_a_search_that_asked_the_index_before_writes_nothing_of_the_sealed_booking_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo, other = enrol(7), enrol(8)
    search, order = a_queued_search(7), requested(photo.booking, kind=Kind.SEAL)
    real = ranking.ask

    def sealed_meanwhile(*args: Any) -> Any:
        found = real(*args)
        assert len(found.hits) == 2
        approved(order)
        return found

    monkeypatch.setattr(ranking, "ask", sealed_meanwhile)
    assert photos_found(search) == {other.pk}


def test_a_sealing_waits_for_a_search_that_is_writing_and_takes_what_it_wrote_only_once_it_was_seen(
    elsewhere: Elsewhere,
) -> None:
    photo = enrol(7)
    order, search = requested(photo.booking, kind=Kind.SEAL), SearchFactory(encoder=encoding.active())
    digest, second = seen(order), clerk()
    with transaction.atomic():
        locks.writing()
        sealing = elsewhere(services.approve, by=second, order=order, seen=digest)
        with pytest.raises(TimeoutError):
            sealing.result(timeout=0.5)
        written = CandidateFactory(search=search, photo=photo)
    with pytest.raises(WrongState, match="It changed; look again"):
        sealing.result(timeout=10)
    approved(order, by=second)
    written.refresh_from_db()
    assert (written.photo_id, written.person_id) == (None, None)


def test_of_a_sealing_and_an_expungement_approved_together_the_second_has_to_be_looked_at_again(
    elsewhere: Elsewhere,
) -> None:
    """Of one booking only one order waits at a time; of a person and one of the bookings two may have come to wait."""
    photo = enrol(7)
    seal = requested(photo.booking, kind=Kind.SEAL)
    erase = ExpungementOrder(agency_id=photo.booking.agency_id, requested_by=clerk(), whole_person=True, **OPAQUE)
    erase.booking = BookingFactory(person=photo.booking.person, agency=photo.booking.agency).pk
    erase.save()
    both = [elsewhere(services.approve, by=clerk(), order=order, seen=seen(order)) for order in (seal, erase)]
    failures = [one.exception(timeout=20) for one in both]
    assert None in failures
    assert all(failure is None or isinstance(failure, WrongState) for failure in failures)
    seal.refresh_from_db()
    erase.refresh_from_db()
    gone = not Booking.objects.filter(pk=photo.booking_id).exists()
    assert gone == (erase.state == State.APPROVED) or erase.state == State.COMPLETE
    if gone:
        assert (seal.booking, seal.state in (State.WITHDRAWN, State.APPROVED)) == (None, True)
    else:
        assert Booking.objects.get(pk=photo.booking_id).sealed_at


def test_of_a_hold_and_a_sealing_that_meet_one_comes_first(elsewhere: Elsewhere) -> None:
    photo = enrol(7)
    order = requested(photo.booking, kind=Kind.SEAL)
    digest, setter, second = seen(order), clerk(), clerk()
    said = {"reference": "PRES-1", "reason": "Civil suit"}
    with transaction.atomic():
        locks.erasing()
        hold = elsewhere(holds.set_hold, by=setter, booking=photo.booking, **said)
        sealing = elsewhere(services.approve, by=second, order=order, seen=digest)
        for waiting in (hold, sealing):
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
    hold.result(timeout=10)
    was_sealed = sealing.exception(timeout=10) is None
    assert Booking.objects.get(pk=photo.booking_id).sealed_at is not None or not was_sealed
    if not was_sealed:
        assert isinstance(sealing.exception(), WrongState)
    assert Hold.objects.in_force().count() == 1


def test_a_finding_saved_while_the_candidate_is_being_sealed_is_kept_or_refused_and_nobody_gets_an_error(
    elsewhere: Elsewhere,
) -> None:
    search, user = finished_search(candidates=2), examiner()
    examination = claim(user, search)
    place = candidate(search)
    assert place.photo
    order = requested(place.photo.booking, kind=Kind.SEAL)
    both = [
        elsewhere(services.approve, by=clerk(), order=order, seen=seen(order)),
        elsewhere(find, by=user, examination=examination, candidate=place, conclusion=SAME),
    ]
    approved_, found = (one.exception(timeout=20) for one in both)
    assert approved_ is None
    assert found is None or isinstance(found, WrongState)


def test_sealing_a_held_booking_twice_at_once_is_refused_twice(elsewhere: Elsewhere) -> None:
    photo = enrol(7)
    order = requested(photo.booking, kind=Kind.SEAL)
    held(photo.booking)
    digest = seen(order)
    both = [
        elsewhere(services.approve, by=clerk(), order=ExpungementOrder.objects.get(pk=order.pk), seen=digest)
        for _ in range(2)
    ]
    assert all(isinstance(one.exception(timeout=20), WrongState) for one in both)
    assert Photo.objects.filter(pk=photo.pk).exists()
    assert not Candidate.objects.filter(forgotten_at__isnull=False).exists()
