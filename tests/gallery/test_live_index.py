"""The index a search is made with is PostgreSQL's gallery as of its last commit, and holds nobody who was erased."""

from contextlib import suppress
from datetime import date
from uuid import uuid4

import pytest
from django.db import connection

from mugsearch.engine.index import FILE
from mugsearch.errors import Unavailable
from mugsearch.gallery import changes, encoding, filling, live, services
from mugsearch.gallery.models import GalleryChange, Photo, Template
from mugsearch.probes import ranking
from mugsearch.probes.filters import Filters
from mugsearch.vault import services as vault
from tests.factories import BookingFactory, PersonFactory, clerk
from tests.fakes import person_vector, synthetic_photo
from tests.gallery.arrange import folder_of, import_folder, row
from tests.gallery_rows import enrol
from tests.triggers import as_owner

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]


def ids_in_index() -> list[int]:
    return live.catch_up(encoding.active()).ids().tolist()


def ids_in_postgresql() -> list[int]:
    return list(Template.objects.order_by("pk").values_list("pk", flat=True))


def saved() -> bytes:
    return (live._folder(encoding.active()) / FILE).read_bytes()


def remove(template: Template) -> int:
    """As an expungement would; its id."""
    gone = template.pk
    changes.drop([template])
    template.delete()
    return gone


def test_what_was_committed_before_a_search_is_in_it():
    enrol(1)
    assert ids_in_index() == ids_in_postgresql()
    enrol(2)
    enrol(3)
    assert ids_in_index() == ids_in_postgresql()


def test_a_search_that_finds_nothing_new_writes_nothing():
    enrol(1)
    ids_in_index()
    before = saved()
    ids_in_index()
    assert saved() == before


def test_what_was_dropped_is_out_of_the_file_before_forget_returns():
    enrol(1)
    template = enrol(2).templates.get()
    ids_in_index()
    vector = person_vector(2).tobytes()
    assert vector in saved()
    gone = remove(template)
    assert live.forget([gone]).generation == changes.latest()
    assert vector not in saved()
    assert gone not in ids_in_index()


def test_forget_does_not_claim_what_is_not_so():
    template = enrol(1).templates.get()
    ids_in_index()
    with pytest.raises(Unavailable, match="1 vectors are still in the index"):
        live.forget([template.pk])


def test_forget_claims_nothing_while_another_file_may_hold_the_vectors():
    gone = remove(enrol(1).templates.get())
    ids_in_index()
    copy = live._folder(encoding.active()) / "faces.index.copy"
    copy.write_bytes(b"vectors")
    with pytest.raises(Unavailable, match=r"lies beside the index.*faces\.index\.copy"):
        live.forget([gone])
    copy.unlink()
    live.forget([gone])


def test_a_lock_file_that_holds_something_is_no_lock_file():
    gone = remove(enrol(1).templates.get())
    ids_in_index()
    lock = live._folder(encoding.active()) / "vectors.lock"
    lock.write_bytes(b"vectors")
    with pytest.raises(Unavailable, match="lies beside the index"):
        live.forget([gone])


def test_a_restart_uses_the_index_on_disk_and_catches_up():
    enrol(1)
    ids_in_index()
    late = enrol(2).templates.get()
    live.reset()
    assert late.pk in ids_in_index()
    assert ids_in_index() == ids_in_postgresql()


def test_changes_are_numbered_without_gaps():
    for person in range(4):
        enrol(person)
    assert list(GalleryChange.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3, 4]


@pytest.mark.parametrize("how", ["well", "with an error"])
def test_vectors_that_are_unsealed_for_the_index_are_wiped_however_that_ends(how):
    templates = [enrol(person).templates.get() for person in range(3)]
    with suppress(RuntimeError), filling.unsealed(templates, encoding.active()) as (ids, rows, _):
        assert ids.tolist() == ids_in_postgresql()
        assert rows.any(axis=1).all()
        if how == "with an error":
            raise RuntimeError
    assert not rows.any()


# What searches filter by


def found_by(**filters) -> bool:
    """Whether a search that is narrowed so finds the one person there is."""
    return bool(
        live.catch_up(encoding.active()).search(person_vector(1), 1, where=ranking.where(Filters(**filters))).hits
    )


def test_the_index_knows_what_is_recorded_and_a_blank_hides_nobody():
    booking = BookingFactory(person=PersonFactory(sex="F", date_of_birth=date(1980, 5, 1)), booked_on=date(2020, 1, 2))
    enrol(1, booking=booking)
    assert found_by(
        sexes=("F",), born_from=1980, born_to=1980, booked_from=date(2020, 1, 2), booked_to=date(2020, 1, 2)
    )
    assert found_by(agencies=(booking.agency_id,))
    assert not found_by(sexes=("M",))
    assert not found_by(born_from=1981)
    assert not found_by(booked_to=date(2020, 1, 1))
    assert not found_by(agencies=(uuid4(),))


@pytest.mark.parametrize("sex", ["", "U"])
def test_somebody_whose_sex_is_not_known_is_found_whatever_was_asked_for(sex):
    enrol(1, booking=BookingFactory(person=PersonFactory(sex=sex)))
    assert found_by(sexes=("M",))
    assert found_by(sexes=("F",))


def test_a_correction_by_a_clerk_reaches_the_index():
    booking = BookingFactory(person=PersonFactory(sex="M", date_of_birth=date(1980, 5, 1)), booked_on=date(2020, 1, 2))
    enrol(1, booking=booking)
    assert found_by(sexes=("M",))
    about = {"family_name": "A", "given_names": "B"}
    services.edit_person(
        by=clerk(agency=booking.agency), person=booking.person, **about, date_of_birth=date(1990, 1, 1), sex="F"
    )
    assert not found_by(sexes=("M",))
    assert not found_by(born_from=1980, born_to=1980)
    assert found_by(sexes=("F",), born_from=1990, born_to=1990)
    more = {"height_in": None, "weight_lb": None, "charge": "", "disposition": ""}
    services.edit_booking(by=clerk(agency=booking.agency), booking=booking, booked_on=date(2021, 1, 2), **more)
    assert not found_by(booked_to=date(2020, 12, 31))
    assert found_by(booked_from=date(2021, 1, 2))


def test_a_correction_that_no_search_filters_by_is_no_change_of_the_gallery():
    photo = enrol(1)
    person = photo.booking.person
    about = {"given_names": person.given_names, "date_of_birth": None, "sex": ""}
    services.edit_person(by=clerk(agency=person.agency), person=person, family_name="Another", **about)
    assert GalleryChange.objects.count() == 1


def test_what_a_later_import_fills_in_reaches_the_index(tmp_path):
    folder = folder_of(tmp_path, {"1.png": synthetic_photo(1)})
    import_folder([row("1.png")], folder)
    assert found_by(sexes=("M",), born_from=1980, born_to=1980)
    import_folder([row("1.png", sex="F", date_of_birth="1990-01-01", booked_on="2021-01-02")], folder)
    assert Photo.objects.count() == 1
    assert not found_by(sexes=("M",))
    assert not found_by(born_from=1980, born_to=1980)
    assert not found_by(booked_to=date(2020, 12, 31))
    assert found_by(sexes=("F",), born_from=1990, born_to=1990, booked_from=date(2021, 1, 2))


# Another database


def another_database(people: list[int]) -> list[int]:
    """What PostgreSQL looks like after a restore and new imports: the same numbers and ids, other people."""
    ids = ids_in_postgresql()
    Template.objects.all().delete()
    GalleryChange.objects.all().delete()
    Photo.objects.all().delete()
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('gallery_template', 'id'), %s, false)", [min(ids)])
    for person in people:
        enrol(person)
    return ids


@pytest.mark.parametrize("worker", ["runs on", "is restarted"])
@pytest.mark.parametrize("people", [[101, 102], [101], [101, 102, 103]], ids=len)
def test_an_index_of_another_database_is_never_searched_even_if_every_number_in_it_agrees(people, worker):
    enrol(1)
    enrol(2)
    ids_in_index()
    ids = another_database(people)
    assert ids_in_postgresql()[:2] == ids[: len(people)]
    if worker == "is restarted":
        live.reset()
    index = live.catch_up(encoding.active())
    assert index.search(person_vector(1), 1).hits[0].score < 0.5
    assert index.search(person_vector(101), 1).hits[0].id == ids[0]
    assert index.search(person_vector(101), 1).hits[0].score > 0.99
    assert ids_in_index() == ids_in_postgresql()
    assert person_vector(1).tobytes() not in saved()


def test_an_index_from_before_a_restored_backup_is_not_used():
    enrol(1)
    gone = enrol(2).templates.get()
    ids_in_index()
    GalleryChange.objects.filter(template_id=gone.pk).delete()  # as if the backup were older
    gone.delete()
    live.reset()
    assert ids_in_index() == ids_in_postgresql()


def test_a_worker_that_runs_on_an_empty_gallery_takes_in_the_first_photo():
    index = live.catch_up(encoding.active())
    assert (index.state().generation, index.state().mark) == (0, "")
    enrol(1)
    assert live.catch_up(encoding.active()) is index
    assert index.state().live == 1


def test_a_photo_whose_key_is_destroyed_before_the_index_has_read_it_is_left_out():
    gone, stays = enrol(1), enrol(2)
    vault.destroy_key(gone.booking_id)
    assert ids_in_index() == [stays.templates.get().pk]


def test_a_vector_that_does_not_open_stops_the_index_instead_of_missing_somebody_in_silence(caplog):
    template = enrol(1).templates.get()
    sealed = bytearray(template.sealed_vector)
    sealed[40] ^= 1
    Template.objects.filter(pk=template.pk).update(sealed_vector=bytes(sealed))
    with pytest.raises(Unavailable, match="damaged or was moved"):
        ids_in_index()
    assert str(template.photo_id) in caplog.text
