import pytest

from mugsearch.engine.index import FILE
from mugsearch.errors import Unavailable
from mugsearch.gallery import changes, encoding, live
from mugsearch.gallery.models import GalleryChange, Template
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
