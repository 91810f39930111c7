"""A person whose three bookings are expunged one after another: found by those that are left, and then by nothing."""

from pathlib import Path
from uuid import uuid4

import pytest

from mugsearch.gallery import live
from mugsearch.gallery.models import Person, Photo
from mugsearch.hunting import services as hunting
from mugsearch.hunting.markers import Marker
from mugsearch.probes.models import Candidate, Search
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from tests.factories import BookingFactory, PersonFactory, administrator, rename
from tests.gallery_rows import enrol
from tests.retention.arrange import expunged
from tests.retention.test_races import a_queued_search, photos_found

pytestmark = pytest.mark.django_db(transaction=True)

VEGA = 7  # how the person looks


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live.reset()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # the hunt reads all of it


@pytest.fixture
def words() -> dict[str, str]:
    """Of this test alone, so that nothing else on the server can be taken for them."""
    return {name: f"Quill{uuid4().hex[:12]}" for name in ("family_name", "given_names", "person_id")}


@pytest.fixture
def bookings(words: dict[str, str]) -> list[Photo]:
    person = PersonFactory()
    rename(person.pk, **words)
    return [enrol(VEGA, variant=number, booking=BookingFactory(person=person)) for number in range(3)]


def searched() -> Search:
    search = a_queued_search(VEGA)
    photos_found(search)
    return search


def photos_of(search: Search, person: object) -> set[object]:
    """Those of the person that the list shows: the place and what is beside it."""
    (place,) = Candidate.objects.filter(search=search, person=person)
    return {place.photo_id, *place.siblings.values_list("photo", flat=True)}


def test_the_person_is_found_by_what_is_left_and_with_the_last_booking_name_and_key_are_gone(
    bookings: list[Photo], words: dict[str, str]
) -> None:
    somebody_else, person = enrol(8), bookings[0].booking.person_id
    left = {photo.pk for photo in bookings}
    assert photos_of(searched(), person) == left
    for photo in bookings[:2]:
        assert expunged(photo.booking).state == ExpungementOrder.State.COMPLETE
        left.remove(photo.pk)
        assert photos_of(searched(), person) == left
        (known,) = Person.objects.identified(words["person_id"])
        assert (known.family_name, known.given_names) == (words["family_name"], words["given_names"])

    assert expunged(bookings[2].booking).state == ExpungementOrder.State.COMPLETE
    assert photos_found(a_queued_search(VEGA)) == {somebody_else.pk}
    assert not Person.objects.identified(words["person_id"]).exists()
    assert not vault.has_key(person)
    done = hunting.hunt(by=administrator(), markers=[Marker.of_text(word) for word in words.values()], also=[])
    assert [(place.name, place.finds) for place in done.in_plain] == []
    assert not Candidate.objects.filter(person=person).exists(), "nor on any list of before"
    assert Candidate.objects.filter(rank=1, forgotten_at__isnull=False).count() == 3
