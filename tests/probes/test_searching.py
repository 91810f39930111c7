from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from mugsearch.audit.models import Entry
from mugsearch.engine import images
from mugsearch.errors import Unavailable
from mugsearch.gallery import changes, live
from mugsearch.gallery.models import Photo, Template
from mugsearch.probes import ranking, services, working
from mugsearch.probes.models import Candidate, Probe, Search
from tests import factories
from tests.fakes import person_vector, synthetic_photo
from tests.gallery_rows import enrol, vector_of
from tests.probes.test_submitting import PURPOSE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]


def submitted(person: int, *, faces: int = 1) -> Probe:
    me = factories.investigator()
    probe = services.submit(
        by=me,
        purpose=replace(PURPOSE, case_number=f"26-{me.username}"),
        image=synthetic_photo(person, variant=9, faces=faces),
    )
    working.find_faces(probe.pk)
    probe.refresh_from_db()
    return probe


def searched(person: int, *, list_size: int | None = None) -> Search:
    probe = submitted(person)
    search = services.search(by=probe.submitted_by, probe=probe, face=0, list_size=list_size)
    working.run_search(search.pk)
    search.refresh_from_db()
    return search


def test_faces_are_found_with_quality_and_reasons_before_anything_is_searched():
    probe = submitted(3)
    assert probe.state == Probe.State.READY
    (found,) = probe.faces
    assert 0 <= found["quality"]["score"] <= 100
    assert all(reason["sentence"] for reason in found["quality"]["reasons"])
    assert not Search.objects.exists()


def test_several_faces_are_left_for_the_investigator_to_pick_from():
    assert len(submitted(3, faces=2).faces) == 2


def test_an_image_without_a_face_says_so():
    assert submitted(3, faces=0).state == Probe.State.NO_FACE


def test_the_right_person_comes_first_and_the_search_says_what_it_searched():
    photos = {person: enrol(person) for person in range(5)}
    search = searched(3)
    assert search.state == Search.State.DONE
    best = search.candidates.get(rank=1)
    assert best.photo == photos[3]
    assert best.person == photos[3].booking.person
    assert search.gallery_size == 5
    assert search.generation == changes.latest()
    details = Entry.objects.of(search).get(act="search.finished").details
    assert details["gallery_size"] == 5
    assert details["probe_sha256"] == search.probe.sha256
    assert details["encoder_digest"] == search.encoder.digest
    assert details["threshold"] is None


def test_a_finished_search_has_the_proof_that_nobody_is_missing_on_its_list(monkeypatch):
    for person in range(120):
        enrol(person)
    monkeypatch.setattr(ranking, "DEPTH", 10)
    search = searched(3, list_size=10)
    assert (search.gallery_size, search.scanned, search.depth) == (120, 120, 10)
    assert 10 <= search.rescored < 120
    assert search.ceiling < search.candidates.get(rank=10).score
    details = Entry.objects.of(search).get(act="search.finished").details
    for number in ("scanned", "rescored", "ceiling", "depth"):
        assert details[number] == getattr(search, number)
    probe = person_vector(3, variant=9).astype(np.float64)
    scores = sorted(float(vector_of(one).astype(np.float64) @ probe) for one in Template.objects.all())
    assert scores[-1 - search.rescored] <= search.ceiling < scores[-10]


def test_the_record_of_a_search_does_not_tell_the_ranks():
    for person in range(12):
        enrol(person)
    search = searched(3)
    listed = Entry.objects.of(search).get(act="search.finished").details["candidates"]
    by_rank = [str(pk) for pk in search.candidates.order_by("rank").values_list("pk", flat=True)]
    assert listed == sorted(by_rank)
    assert listed != by_rank


def test_the_list_is_of_people_and_accounts_for_their_other_photos():
    first = enrol(3)
    second = enrol(3, variant=1, booking=first.booking)
    for person in range(10, 14):
        enrol(person)
    search = searched(3, list_size=3)
    assert search.candidates.count() == 3
    best = search.candidates.get(rank=1)
    sibling = best.siblings.get()
    assert {best.photo, sibling.photo} == {first, second}
    assert sibling.rank == 2
    assert best.score >= sibling.score


def test_a_sibling_beyond_the_search_depth_is_listed_as_not_returned(monkeypatch):
    near = enrol(3)
    far = enrol(40, booking=near.booking)  # an old photo that doesn't look like the person any more
    for person in range(10, 20):
        enrol(person)
    monkeypatch.setattr(ranking, "DEPTH", 1)
    search = searched(3, list_size=2)
    best = search.candidates.get(rank=1)
    assert best.photo == near
    sibling = best.siblings.get()
    assert sibling.photo == far
    if search.depth < search.gallery_size:
        assert sibling.rank is None or sibling.rank <= search.depth


def test_a_small_depth_is_deepened_until_the_list_is_full(monkeypatch):
    first = enrol(3)
    for variant in range(1, 6):
        enrol(3, variant=variant, booking=first.booking)
    for person in range(10, 15):
        enrol(person)
    monkeypatch.setattr(ranking, "DEPTH", 2)
    assert searched(3, list_size=5).candidates.count() == 5


def test_an_empty_gallery_gives_an_empty_list_and_no_error():
    search = searched(3)
    assert search.state == Search.State.DONE
    assert search.candidates.count() == 0


def test_the_same_message_twice_is_one_search():
    enrol(3)
    search = searched(3)
    working.run_search(search.pk)
    assert Candidate.objects.filter(search=search).count() == 1
    assert Entry.objects.of(search).filter(act="search.finished").count() == 1


def test_what_was_deleted_since_the_index_was_asked_is_not_listed():
    """A stale index can't show anybody: the rows are read again when the list is written."""
    gone, stays = enrol(3), enrol(4)
    encoder = Template.objects.get(photo=gone).encoder
    live.catch_up(encoder)
    Template.objects.filter(photo=gone).delete()  # without telling the index
    Photo.objects.filter(pk=gone.pk).delete()
    search = searched(3)
    assert [candidate.photo for candidate in search.candidates.all()] == [stays]


def test_a_search_whose_worker_died_is_taken_up_again(queued):
    enrol(3)
    probe = submitted(3)
    search = services.search(by=probe.submitted_by, probe=probe, face=0)
    long_ago = timezone.now() - timedelta(minutes=5)
    Search.objects.filter(pk=search.pk).update(
        state=Search.State.RUNNING, started_at=long_ago, requested_at=long_ago, attempts=1
    )
    assert working.searches_left_behind() == [search.pk]
    working.run_search(search.pk)
    search.refresh_from_db()
    assert search.state == Search.State.DONE


def test_while_the_index_is_rebuilt_a_search_waits_and_loses_no_try(monkeypatch):
    enrol(3)
    probe = submitted(3)
    search = services.search(by=probe.submitted_by, probe=probe, face=0)

    def rebuilding(*args: object, **kwargs: object) -> None:
        raise live.NotReady("The index is being rebuilt.")

    monkeypatch.setattr(live, "catch_up", rebuilding)
    for _ in range(5):
        working.run_search(search.pk)
    search.refresh_from_db()
    assert (search.state, search.attempts) == (Search.State.QUEUED, 0)
    monkeypatch.undo()
    working.run_search(search.pk)
    search.refresh_from_db()
    assert (search.state, search.attempts) == (Search.State.DONE, 1)


def test_a_search_never_takes_its_list_from_an_index_that_another_process_is_changing(monkeypatch):
    """The other one's step ends between our catching up and our question, with half of an import taken in."""
    photo = enrol(3)
    probe = submitted(3)
    search = services.search(by=probe.submitted_by, probe=probe, face=0)
    find, steps = ranking.deep_enough, []

    def half_of_an_import(index, vector, **asked):
        if not steps:
            template = photo.templates.get()
            with index.change() as change:
                change.drop([template.pk])
                change.complete, change.generation = False, change.generation + 1
            steps.append(find(index, vector, **asked))
            live.start_over(template.encoder)
            return steps[0]
        return find(index, vector, **asked)

    monkeypatch.setattr(ranking, "deep_enough", half_of_an_import)
    working.run_search(search.pk)
    search.refresh_from_db()
    assert steps[0].hits == []
    assert [candidate.photo for candidate in search.candidates.all()] == [photo]


def test_a_search_that_keeps_failing_ends_after_three_tries_and_can_be_tried_again(monkeypatch):
    enrol(3)
    probe = submitted(3)
    search = services.search(by=probe.submitted_by, probe=probe, face=0)

    def broken(*args: object, **kwargs: object) -> None:
        raise Unavailable("The disk is gone.")

    monkeypatch.setattr(live, "catch_up", broken)
    for _ in range(5):
        working.run_search(search.pk)
    search.refresh_from_db()
    assert (search.state, search.failure, search.attempts) == (Search.State.FAILED, "The disk is gone.", 3)
    assert Entry.objects.of(search).filter(act="search.failed").count() == 1
    monkeypatch.undo()
    services.try_again(by=probe.submitted_by, search=search)
    assert Search.objects.get(pk=search.pk).state == Search.State.QUEUED


def test_an_image_that_breaks_the_worker_does_not_loop(monkeypatch):
    probe = services.submit(by=factories.investigator(), purpose=PURPOSE, image=synthetic_photo(3))

    def crash(*args: object) -> None:
        raise RuntimeError("poison")

    monkeypatch.setattr(images, "read_png", crash)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            working.find_faces(probe.pk)
    working.find_faces(probe.pk)
    probe.refresh_from_db()
    assert probe.state == Probe.State.FAILED
    assert "three times" in probe.failure
