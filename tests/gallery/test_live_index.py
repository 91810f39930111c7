from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.db import connection

from mugsearch.engine.index import FILE, FaceIndex
from mugsearch.errors import Unavailable
from mugsearch.gallery import changes, encoding, live
from mugsearch.gallery.models import GalleryChange, Photo, Template
from tests.fakes import person_vector
from tests.gallery_rows import enrol

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]


def ids_in_index() -> list[int]:
    return live.catch_up(encoding.active()).ids().tolist()


def ids_in_postgresql() -> list[int]:
    return list(Template.objects.order_by("pk").values_list("pk", flat=True))


def remove(template: Template) -> None:
    changes.drop([template])
    template.delete()


def test_what_was_committed_before_a_search_is_in_it():
    enrol(1)
    assert ids_in_index() == ids_in_postgresql()
    enrol(2)
    enrol(3)
    assert ids_in_index() == ids_in_postgresql()


def test_what_was_dropped_is_out_of_memory_and_disk_before_forget_returns():
    enrol(1)
    photo = enrol(2)
    live.save(encoding.active())
    template = photo.templates.get()
    gone = template.pk
    vector = person_vector(2).tobytes()
    saved = live._folder(encoding.active()) / FILE
    assert vector in saved.read_bytes()
    remove(template)
    live.forget([gone])
    assert vector not in saved.read_bytes()
    assert gone not in ids_in_index()


def test_forget_does_not_claim_what_is_not_so():
    template = enrol(1).templates.get()
    with pytest.raises(Unavailable, match="still in the index"):
        live.forget([template.pk])


def test_a_restart_uses_the_saved_index_and_catches_up():
    enrol(1)
    live.save(encoding.active())
    late = enrol(2).templates.get()
    live.reset()
    assert late.pk in ids_in_index()
    assert ids_in_index() == ids_in_postgresql()


@pytest.mark.parametrize("damage", ["missing", "cut", "bit flipped"])
def test_a_damaged_index_is_noticed_and_rebuilt(damage):
    enrol(1)
    enrol(2)
    live.save(encoding.active())
    saved = live._folder(encoding.active()) / FILE
    data = bytearray(saved.read_bytes())
    if damage == "missing":
        saved.unlink()
    elif damage == "cut":
        saved.write_bytes(data[:-40])
    else:
        data[len(data) // 2] ^= 1
        saved.write_bytes(data)
    live.reset()
    assert ids_in_index() == ids_in_postgresql()


def test_an_index_from_before_a_restored_backup_is_not_used():
    enrol(1)
    gone = enrol(2).templates.get()
    live.save(encoding.active())
    GalleryChange.objects.filter(template_id=gone.pk).delete()  # as if the backup were older
    gone.delete()
    live.reset()
    assert ids_in_index() == ids_in_postgresql()


def another_database(people: list[int]) -> list[int]:
    """What PostgreSQL looks like after a restore and new imports: the same numbers and ids, other people."""
    ids = ids_in_postgresql()
    Template.objects.all().delete()
    GalleryChange.objects.all().delete()
    Photo.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('gallery_template', 'id'), %s, false)", [min(ids)])
    for person in people:
        enrol(person)
    return ids


@pytest.mark.parametrize("worker", ["runs on", "is restarted"])
@pytest.mark.parametrize("people", [[101, 102], [101], [101, 102, 103]], ids=len)
def test_an_index_of_another_database_is_never_searched_even_if_every_number_in_it_agrees(people, worker):
    enrol(1)
    enrol(2)
    live.save(encoding.active())
    ids = another_database(people)
    assert ids_in_postgresql()[:2] == ids[: len(people)]
    if worker == "is restarted":
        live.reset()
    index = live.catch_up(encoding.active())
    assert index.search(person_vector(1), 1)[0].score < 0.5
    assert index.search(person_vector(101), 1)[0].id == ids[0]
    assert index.search(person_vector(101), 1)[0].score > 0.99
    assert ids_in_index() == ids_in_postgresql()


def test_an_index_rebuilt_for_another_database_replaces_the_one_on_disk():
    enrol(1)
    live.save(encoding.active())
    saved = live._folder(encoding.active()) / FILE
    another_database([101])
    live.save(encoding.active())
    assert person_vector(1).tobytes() not in saved.read_bytes()
    assert person_vector(101).tobytes() in saved.read_bytes()


def test_a_worker_that_runs_on_an_empty_gallery_takes_in_the_first_photo():
    index = live.catch_up(encoding.active())
    assert (index.generation, index.mark) == (0, "")
    enrol(1)
    assert live.catch_up(encoding.active()) is index
    assert len(index) == 1


def test_forget_claims_nothing_while_another_file_may_hold_the_vectors():
    template = enrol(1).templates.get()
    live.save(encoding.active())
    gone = template.pk
    remove(template)
    copy = live._folder(encoding.active()) / "faces.index.copy"
    copy.write_bytes(b"vectors")
    with pytest.raises(Unavailable, match="lies beside the index"):
        live.forget([gone])
    copy.unlink()
    live.forget([gone])


def test_what_a_killed_save_left_is_gone_once_the_index_is_loaded():
    enrol(1)
    live.save(encoding.active())
    folder = live._folder(encoding.active())
    for name in ("faces.index.old", "faces.index.new"):
        (folder / name).write_bytes(b"vectors")
    live.reset()
    ids_in_index()
    assert [file.name for file in folder.iterdir()] == [FILE]


@pytest.mark.parametrize("why", ["the encoder changed", "the check found a difference"])
def test_vectors_of_an_index_that_is_given_up_are_zeroed_in_memory(why):
    enrol(1)
    given_up = live.catch_up(encoding.active())  # held on to, as its memory is looked at afterwards
    memory = given_up._vectors()
    assert memory.any()
    if why == "the encoder changed":
        live.reset()
    else:
        Template.objects.all().delete()  # behind the log's back
        live.check(encoding.active())
    assert not memory.any()
    assert ids_in_index() == ids_in_postgresql()


@pytest.mark.django_db(transaction=True)
def test_a_photo_enrolled_during_the_nightly_check_is_no_false_alarm(monkeypatch):
    enrol(1)
    live.catch_up(encoding.active())
    ids, under_way = FaceIndex.ids, []

    def enrol_elsewhere():
        try:
            enrol(2)
        finally:
            connection.close()

    def enrol_meanwhile(index):
        found = ids(index)
        if not under_way:
            under_way.append(pool.submit(enrol_elsewhere))
            with suppress(TimeoutError):  # it has to wait for the check, or else would be done within this time
                under_way[0].result(timeout=1)
        return found

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(FaceIndex, "ids", enrol_meanwhile)
        assert live.check(encoding.active()) == (0, 0)
    under_way[0].result()
    assert ids_in_index() == ids_in_postgresql()
    assert Template.objects.count() == 2


def test_the_nightly_check_mends_a_difference():
    enrol(1)
    stray = enrol(2).templates.get()
    ids_in_index()
    Template.objects.filter(pk=stray.pk).delete()  # behind the log's back
    assert live.check(encoding.active()) == (0, 1)
    assert live.check(encoding.active()) == (0, 0)


def test_changes_are_numbered_without_gaps():
    for person in range(4):
        enrol(person)
    assert list(GalleryChange.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3, 4]
