"""Whatever was under way when a booking is expunged: nothing of the person is written or returned afterwards."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from rest_framework.test import APIClient

from mugsearch.accounts.models import User
from mugsearch.errors import WrongState
from mugsearch.gallery import changes, encoding, live, locks
from mugsearch.gallery.models import Photo
from mugsearch.probes import ranking, working
from mugsearch.probes.models import Candidate, Search
from mugsearch.retention import queries, services, tasks
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from reviews.models import Examination
from reviews.order import candidate_at
from tests.factories import CandidateFactory, ProbeFactory, SearchFactory, clerk, examiner
from tests.fakes import FakeEncoder, synthetic_photo, synthetic_pixels
from tests.gallery_rows import enrol
from tests.retention.arrange import OPAQUE, approved, finish, requested

pytestmark = pytest.mark.django_db(transaction=True)

Elsewhere = Callable[..., "Future[Any]"]


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Run something in another thread, on a connection of its own."""
    with ThreadPoolExecutor(4) as pool:

        def run(work: Callable[..., Any], **kwargs: Any) -> "Future[Any]":
            def working_there() -> Any:
                try:
                    return work(**kwargs)
                finally:
                    connection.close()

            return pool.submit(working_there)

        yield run


def a_queued_search(person: int) -> Search:
    pixels = synthetic_pixels(person, variant=9)
    face = FakeEncoder().faces(pixels)[0]
    probe = ProbeFactory(faces=[{"face": face.to_dict(), "quality": {"score": 80, "reasons": [], "measures": {}}}])
    vault.create_key(probe.pk)
    vault.store_file(probe.pk, probe.pk, synthetic_photo(person, variant=9))
    queued = {"encoder": None, "generation": None, "gallery_size": None, "depth": None, "started_at": None}
    return SearchFactory(probe=probe, state=Search.State.QUEUED, finished_at=None, **queued)


def photos_found(search: Search) -> set[object]:
    working.run_search(search.pk)
    search.refresh_from_db()
    assert search.state == Search.State.DONE
    return set(search.candidates.values_list("photo", flat=True))


def test_a_search_queued_before_and_run_after_does_not_return_the_booking() -> None:
    photo, other = enrol(7), enrol(8)
    assert photos_found(a_queued_search(7)) == {photo.pk, other.pk}
    before = a_queued_search(7)
    order = approved(requested(photo.booking))
    assert photos_found(before) == {other.pk}
    tasks.prove_forgotten(str(order.pk))
    finish()
    assert photos_found(a_queued_search(7)) == {other.pk}
    order.refresh_from_db()
    assert order.state == ExpungementOrder.State.COMPLETE


def test_a_search_that_asked_the_index_before_writes_nothing_of_the_booking_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo, other = enrol(7), enrol(8)
    search, order = a_queued_search(7), requested(photo.booking)
    real = ranking.ask

    def expunged_meanwhile(*args: Any) -> Any:
        found = real(*args)
        assert len(found.hits) == 2
        approved(order)
        return found

    monkeypatch.setattr(ranking, "ask", expunged_meanwhile)
    assert photos_found(search) == {other.pk}


def test_an_expungement_waits_for_a_search_that_is_writing_and_takes_what_it_wrote_only_once_it_was_seen(
    elsewhere: Elsewhere,
) -> None:
    photo = enrol(7)
    order, search = requested(photo.booking), SearchFactory(encoder=encoding.active())
    seen, second = queries.preview(photo.booking).digest, clerk()
    with transaction.atomic():
        locks.writing()
        erasure = elsewhere(services.approve, by=second, order=order, seen=seen)
        with pytest.raises(TimeoutError):
            erasure.result(timeout=0.5)
        written = CandidateFactory(search=search, photo=photo)
    with pytest.raises(WrongState, match="It changed; look again"):
        erasure.result(timeout=10)
    assert Photo.objects.filter(pk=photo.pk).exists()
    approved(order, by=second)
    written.refresh_from_db()
    assert (written.photo_id, written.person_id) == (None, None)


def test_a_request_made_while_the_booking_is_being_erased_does_not_bring_its_number_back(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = enrol(7)
    order = requested(photo.booking)
    seen, second, third = queries.preview(photo.booking).digest, clerk(), clerk()
    erasing, go_on = Event(), Event()
    real = changes.drop

    def slow(*args: Any) -> int:
        erasing.set()
        assert go_on.wait(10)
        return real(*args)

    monkeypatch.setattr(changes, "drop", slow)
    erasure = elsewhere(services.approve, by=second, order=order, seen=seen)
    assert erasing.wait(10)
    late = elsewhere(services.request, by=third, booking=photo.booking, **OPAQUE)
    with pytest.raises(TimeoutError):
        late.result(timeout=0.5)
    go_on.set()
    erasure.result(timeout=10)
    with pytest.raises(WrongState, match="not here any more"):
        late.result(timeout=10)
    assert not ExpungementOrder.objects.exclude(booking=None).exists()


def test_what_an_examiner_posts_from_a_page_that_was_open_is_answered_clearly_and_not_stored(
    page: Callable[[User], Client], api: Callable[[User], APIClient]
) -> None:
    search, photo = SearchFactory(encoder=encoding.active()), enrol(7)
    gone, stays = CandidateFactory(search=search, rank=1, photo=photo), CandidateFactory(search=search, rank=2)
    mine = Examination.objects.create(search=search, examiner=examiner())
    places = {candidate_at(mine, position).pk: position for position in (1, 2)}
    said = {"position": places[gone.pk], "conclusion": "3", "notes": "A mole on the left cheek."}
    browser, client = page(mine.examiner), api(mine.examiner)
    assert browser.get(f"/reviews/{mine.pk}").status_code == 200
    approved(requested(photo.booking))
    answers = [
        browser.post(f"/reviews/{mine.pk}/findings", said),
        client.post(f"/api/v1/examinations/{mine.pk}/findings", said),
    ]
    for answer in answers:
        assert (answer.status_code, "expunged or sealed" in answer.content.decode()) == (409, True)
    assert browser.get(f"/reviews/{mine.pk}/candidates/{places[gone.pk]}.jpg").status_code == 404
    assert not mine.findings.exists()
    assert client.post(f"/api/v1/examinations/{mine.pk}/findings", said | {"position": places[stays.pk]})
    assert mine.findings.get().candidate_id == stays.pk


def test_of_two_clerks_who_approve_together_one_does(elsewhere: Elsewhere) -> None:
    photo = enrol(7)
    order = requested(photo.booking)
    seen = queries.preview(photo.booking).digest
    both = [
        elsewhere(services.approve, by=clerk(), order=ExpungementOrder.objects.get(pk=order.pk), seen=seen)
        for _ in range(2)
    ]
    failures = [future.exception(timeout=20) for future in both]
    assert sorted(type(failure).__name__ for failure in failures) == ["NoneType", "WrongState"]
    assert not Photo.objects.filter(pk=photo.pk).exists()
    assert not Candidate.objects.exists()
