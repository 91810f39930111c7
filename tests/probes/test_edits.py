"""Edits of a probe: made from the original, which stays as it is, by those on its case, and searched with."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone
from numpy.typing import NDArray

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.engine import edits, images
from mugsearch.errors import BadInput, NotAllowed, Unavailable, WrongState
from mugsearch.probes import editing, services, tasks, working
from mugsearch.probes.models import Probe, ProbeEdit, Search
from mugsearch.vault import services as vault
from tests.factories import EditFactory, ProbeFactory, SearchFactory, UserFactory, investigator
from tests.fakes import synthetic_pixels
from tests.gallery_rows import enrol
from tests.probes.test_repeating import repeated
from tests.probes.test_submitting import PURPOSE
from tests.reviews.test_database_rules import refused, sql

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]

Page = Callable[[User], Any]
LIGHTER = [{"brightness": 100}]


def dark(person: int) -> NDArray[np.uint8]:
    """So dark that no face is found; twice as bright it is the picture of the person."""
    return ((synthetic_pixels(person, variant=9).astype(np.uint16) + 1) // 2).astype(np.uint8)


def uploaded(pixels: NDArray[np.uint8]) -> Probe:
    me = investigator()
    purpose = replace(PURPOSE, case_number=f"26-{me.username}")
    probe = services.submit(by=me, purpose=purpose, image=images.encode_png(pixels))
    working.find_faces(probe.pk)
    probe.refresh_from_db()
    return probe


def edited(probe: Probe, steps: object = LIGHTER) -> ProbeEdit:
    made = editing.edit(by=probe.submitted_by, probe=probe, steps=steps)
    working.find_faces_of_edit(made.pk)
    made.refresh_from_db()
    return made


def searched(probe: Probe, **asked: Any) -> Search:
    search = services.search(by=probe.submitted_by, probe=probe, face=0, **asked)
    working.run_search(search.pk)
    search.refresh_from_db()
    return search


# --- making one ------------------------------------------------------------------------------------


def test_an_edit_is_a_new_image_with_its_steps_and_the_original_stays_byte_for_byte_as_it_was():
    probe = uploaded(dark(3))
    before = vault.read_file(probe.pk, probe.pk)
    made = edited(probe, [{"crop": [0, 0, 200, 300]}, *LIGHTER])
    assert vault.read_file(probe.pk, probe.pk) == before
    pixels = editing.stored(made)
    assert (pixels == edits.apply(edits.read(made.steps, width=240, height=320), editing.stored(probe))).all()
    assert (made.number, made.width, made.height) == (1, 200, 300)
    assert made.sha256 == edits.digest(pixels)
    assert made.words == "cropped to 200 × 300 pixels, brightness +100 %"


def test_an_edit_is_on_record_with_its_steps_and_both_digests():
    probe = uploaded(dark(3))
    made = edited(probe)
    entry = Entry.objects.of(probe).get(act="probe.edited")
    assert (entry.actor, entry.case, entry.outcome) == (probe.submitted_by_id, probe.case_id, "done")
    assert entry.details == {
        "edit": str(made.pk),
        "number": 1,
        "steps": LIGHTER,
        "sha256": made.sha256,
        "original_sha256": edits.digest(editing.stored(probe)),
    }


def test_an_edit_is_sealed_with_its_probe_s_key_so_that_it_goes_with_it():
    probe = uploaded(dark(3))
    made = edited(probe)
    vault.destroy_key(probe.pk)
    with pytest.raises(vault.KeyDestroyed):
        editing.stored(made)


def test_every_edit_is_made_of_the_original_never_of_another_edit():
    probe = uploaded(dark(3))
    edited(probe, [{"contrast": -60}])
    second = edited(probe)
    expected = edits.apply(edits.read(LIGHTER, width=240, height=320), editing.stored(probe))
    assert (editing.stored(second) == expected).all()


@pytest.mark.parametrize("role", [role for role in Role if role != Role.INVESTIGATOR])
def test_only_investigators_edit_and_the_refusal_is_recorded(role: Role):
    probe = uploaded(dark(3))
    other = UserFactory(roles=[role])
    probe.case.members.add(other)
    with pytest.raises(NotAllowed):
        editing.edit(by=other, probe=probe, steps=LIGHTER)
    assert Entry.objects.filter(act="probe.edited", outcome="refused", actor=other.pk).count() == 1


def test_nobody_edits_a_probe_of_a_case_they_are_not_on(page: Page, api: Page):
    probe = uploaded(dark(3))
    edited(probe)
    stranger = investigator()
    with pytest.raises(NotAllowed):
        editing.edit(by=stranger, probe=probe, steps=[{"contrast": 5}])
    new, made = f"/probes/{probe.pk}/edits/new", f"/api/v1/probes/{probe.pk}/edits"
    for answer in (
        page(stranger).get(new),
        page(stranger).post(new, {**NOTHING, "contrast": "5"}),
        page(stranger).get(f"/probes/{probe.pk}/edits/1.jpg"),
        api(stranger).get(made),
        api(stranger).post(made, {"steps": [{"contrast": 5}]}, format="json"),
        api(stranger).get(f"{made}/1.jpg"),
    ):
        assert answer.status_code == 404
    assert probe.edits.count() == 1


def test_an_image_has_ten_edits_and_no_two_of_them_alike():
    probe = uploaded(dark(3))
    for percent in range(1, 11):
        editing.edit(by=probe.submitted_by, probe=probe, steps=[{"brightness": percent}])
        if percent == 1:
            with pytest.raises(BadInput, match="Edit 1 was made in just this way"):
                editing.edit(by=probe.submitted_by, probe=probe, steps=[{"contrast": 0}, {"brightness": 1}])
    with pytest.raises(WrongState, match="at most 10"):
        editing.edit(by=probe.submitted_by, probe=probe, steps=[{"brightness": 11}])
    assert [one.number for one in probe.edits.all()] == list(range(1, 11))


@pytest.mark.django_db(transaction=True)
def test_edits_made_at_once_get_numbers_of_their_own():
    probe, failed = uploaded(dark(3)), []

    def make(percent: int) -> None:
        try:
            editing.edit(by=probe.submitted_by, probe=probe, steps=[{"brightness": percent}])
        except WrongState as error:
            failed.append(error.message)
        finally:
            connection.close()

    threads = [threading.Thread(target=make, args=[percent]) for percent in range(1, 13)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(one.number for one in probe.edits.all()) == list(range(1, 11))
    assert len(failed) == 2


# --- the worker ------------------------------------------------------------------------------------


def test_faces_are_found_on_an_edit_with_their_quality_where_the_original_has_none():
    probe = uploaded(dark(3))
    assert probe.state == Probe.State.NO_FACE
    made = edited(probe)
    assert made.state == Probe.State.READY
    assert 0 <= made.faces[0]["quality"]["score"] <= 100
    entry = Entry.objects.of(probe).filter(act="probe.faces-found").latest("number")
    assert entry.details == {"edit": str(made.pk), "faces": 1, "outcome": "ready"}


def test_a_small_crop_without_a_face_says_so_and_can_not_be_searched(page: Page):
    probe = uploaded(synthetic_pixels(3))
    made = edited(probe, [{"crop": [150, 200, 40, 40]}])
    assert made.state == Probe.State.NO_FACE
    shown = page(probe.submitted_by).get(f"/probes/{probe.pk}?edit=1")
    assert "No face was found on this edit" in shown.text
    with pytest.raises(WrongState, match="nothing to search with"):
        services.search(by=probe.submitted_by, probe=probe, face=0, edit=1)


def test_an_edit_whose_worker_was_killed_is_taken_up_again(queued: list[Any], monkeypatch: pytest.MonkeyPatch):
    probe = uploaded(dark(3))
    made = editing.edit(by=probe.submitted_by, probe=probe, steps=LIGHTER)
    with monkeypatch.context() as while_it_looks:
        while_it_looks.setattr(editing, "stored", kill)
        with pytest.raises(KeyboardInterrupt):
            working.find_faces_of_edit(made.pk)
    assert working.edits_left_behind() == []  # it may still be at work
    monkeypatch.setattr(working, "LOST_AFTER", timedelta(0))
    queued.clear()
    tasks.resume()
    assert ("mugsearch.probes.tasks.find_faces_of_edit", (str(made.pk),)) in queued
    tasks.find_faces_of_edit(str(made.pk))
    made.refresh_from_db()
    assert (made.state, made.attempts) == (Probe.State.READY, 2)
    assert working.edits_left_behind() == []


def kill(*args: object) -> None:
    raise KeyboardInterrupt


def test_an_edit_that_breaks_the_worker_does_not_loop(monkeypatch: pytest.MonkeyPatch):
    probe = uploaded(dark(3))
    made = editing.edit(by=probe.submitted_by, probe=probe, steps=LIGHTER)

    def gone(*args: object) -> None:
        raise Unavailable("The disk is gone.")

    monkeypatch.setattr(vault, "read_file", gone)
    for _ in range(4):
        working.find_faces_of_edit(made.pk)
    made.refresh_from_db()
    assert (made.state, made.failure, made.attempts) == (Probe.State.FAILED, "The disk is gone.", 3)


# --- searching with one ----------------------------------------------------------------------------


def test_a_search_with_an_edit_finds_who_the_original_does_not_show_and_says_with_what_it_was_made():
    photos = {person: enrol(person) for person in range(5)}
    probe = uploaded(dark(3))
    made = edited(probe, [{"crop": [8, 8, 200, 300]}, *LIGHTER])  # so that the face is elsewhere on the original
    search = searched(probe, edit=1)
    assert search.candidates.get(rank=1).photo == photos[3]
    assert search.edit == made
    entries = Entry.objects.of(search)
    assert entries.get(act="search.requested").details["edit"] == str(made.pk)
    assert entries.get(act="search.finished").details["edit_sha256"] == made.sha256


def test_a_repeat_is_made_with_the_same_edit():
    enrol(3)
    probe = uploaded(dark(3))
    edited(probe, [{"crop": [8, 8, 200, 300]}, *LIGHTER])
    repeat = repeated(searched(probe, edit=1))
    assert (repeat.state, repeat.differing) == (Search.State.DONE, 0)


def test_the_face_is_one_of_the_edit_s_and_the_edit_one_of_the_probe_s():
    probe, other = uploaded(synthetic_pixels(3, faces=2)), uploaded(dark(4))
    edited(probe, [{"crop": [0, 0, 60, 320]}])
    edited(other)
    edited(other, [{"brightness": 110}])
    with pytest.raises(BadInput, match="no such edit"):
        services.search(by=probe.submitted_by, probe=probe, face=0, edit=2)
    with pytest.raises(BadInput, match="one of the faces"):
        services.search(by=probe.submitted_by, probe=probe, face=1, edit=1)
    assert services.search(by=probe.submitted_by, probe=probe, face=1).edit is None


def test_the_same_face_is_searched_once_at_a_time_with_each_image():
    probe = uploaded(synthetic_pixels(3))
    edited(probe, [{"crop": [0, 0, 200, 320]}])
    edited(probe, [{"crop": [0, 0, 210, 320]}])
    for edit in (None, 1, 2):
        services.search(by=probe.submitted_by, probe=probe, face=0, edit=edit)
        with pytest.raises(WrongState, match="under way"):
            services.search(by=probe.submitted_by, probe=probe, face=0, edit=edit)
    failed = probe.searches.get(edit__number=1)
    Search.objects.filter(pk=failed.pk).update(state=Search.State.FAILED)
    services.try_again(by=probe.submitted_by, search=failed)


def test_where_the_face_is_on_the_original_is_known_from_a_search_with_an_edit():
    upside_down = np.ascontiguousarray(synthetic_pixels(3, size=(400, 300))[::-1, ::-1])
    probe = uploaded(upside_down)
    made = edited(probe, [{"rotate": 180}, {"crop": [4, 2, 300, 200]}])
    x, y, width, height = made.faces[0]["face"]["box"]
    search = services.search(by=probe.submitted_by, probe=probe, face=0, edit=1)
    expected = [400 - (x + 4) - width, 300 - (y + 2) - height, width, height]
    assert editing.box_of(search) == pytest.approx(expected)
    tile = editing.stored(probe)[round(expected[1]) :, round(expected[0]) :][: round(height), : round(width)]
    assert (tile[0] == [255, 0, 255]).all()
    assert (tile[-1] == [255, 0, 255]).all()


@pytest.mark.parametrize(
    ("faces", "edit_box", "pointed_out"),
    [
        ([[10, 10, 50, 50]], [12, 12, 50, 50], False),
        ([[10, 10, 50, 50]], [150, 200, 50, 50], True),
        ([], [9, 9, 50, 50], True),
        ([[10, 10, 50, 50], [99, 9, 9, 9]], [12, 12, 50, 50], True),
    ],
)
def test_the_face_is_pointed_out_where_the_original_alone_does_not_tell_it(
    faces: list[Any], edit_box: list[int], pointed_out: bool
):
    def found(box: list[int]) -> dict[str, Any]:
        return {"face": {"box": box}, "quality": {}}

    probe = ProbeFactory(faces=[found(box) for box in faces])
    search = SearchFactory(probe=probe, edit=EditFactory(probe=probe, faces=[found(edit_box)]))
    assert (editing.meant(search) is not None) is pointed_out


@pytest.mark.parametrize("box", [[-20.4, -9, 60, 60], [200, 300, 90, 90]])
def test_a_face_that_reaches_beyond_the_picture_is_pointed_out_as_far_as_it_is_on_it(box: list[float]):
    search = SearchFactory(probe=ProbeFactory(faces=[{"face": {"box": box}, "quality": {}}], width=240, height=320))
    x, y, width, height = editing.box_of(search) or (-1, -1, 0, 0)
    assert (x >= 0, y >= 0, x + width <= 240, y + height <= 320) == (True,) * 4
    assert min(width, height) > 0


def test_a_probe_that_was_emptied_breaks_nothing_that_points_out_faces():
    edit = EditFactory()
    search = SearchFactory(probe=edit.probe, edit=edit)
    ProbeEdit.objects.update(faces=[])
    search = Search.objects.get(pk=search.pk)
    assert (editing.box_of(search), editing.meant(search)) == (None, None)


# --- what PostgreSQL refuses -----------------------------------------------------------------------


def test_an_edit_stays_as_it_was_made():
    made = EditFactory(state=Probe.State.RECEIVED, faces=[])
    row = ProbeEdit.objects.filter(pk=made.pk)
    for change in (
        {"steps": [{"rotate": 5}]},
        {"probe": ProbeFactory()},
        {"made_by": investigator()},
        {"made_at": timezone.now()},
        {"number": 2},
        {"sha256": "0" * 64},
        {"width": 1},
        {"height": 1},
        {"id": uuid4()},
    ):
        with refused("an edit stays as it was made"):
            row.update(**change)
    assert row.update(state=Probe.State.READY, faces=[{"face": {}}]) == 1
    with refused("an edit stays as it was made"):
        row.update(faces=[{"face": {"box": [1, 2, 3, 4]}}])
    assert row.update(faces=[]) == 1  # when the probe is erased


def test_no_edit_is_deleted_or_taken_another_s_place():
    made = EditFactory()
    with refused("never deleted"):
        sql("DELETE FROM probes_probeedit")
    with refused("one_edit_per_number"):
        EditFactory(probe=made.probe, number=1, steps=[{"contrast": 1}])
    with refused("one_edit_of_the_same_steps"):
        EditFactory(probe=made.probe, number=2, steps=made.steps)
    for number in (0, 11):
        with refused("ten_edits"):
            EditFactory(probe=made.probe, number=number, steps=[{"contrast": number}])


def test_a_search_stays_with_its_edit_which_is_one_of_its_own_probe():
    other, probe = EditFactory(), ProbeFactory()
    mine, second = EditFactory(probe=probe), EditFactory(probe=probe)
    with refused("search_with_an_edit_of_its_probe"):
        SearchFactory(probe=probe, edit=other)
    for first in (None, mine):
        row = Search.objects.filter(pk=SearchFactory(probe=probe, edit=first, state=Search.State.FAILED).pk)
        for change in {None, mine, second} - {first}:
            with refused("a search stays"):
                row.update(edit=change)


def test_one_open_search_of_a_face_of_an_edit():
    probe = ProbeFactory()
    for edit in (None, EditFactory(probe=probe)):
        SearchFactory(probe=probe, edit=edit, state=Search.State.RUNNING)
        with refused("one_open_search_per_face"):
            SearchFactory(probe=probe, edit=edit, state=Search.State.QUEUED)


# --- pages and API ---------------------------------------------------------------------------------

NOTHING = dict.fromkeys(("rotate", "brightness", "contrast", "left", "right", "top", "bottom"), "0")


def test_an_investigator_edits_and_searches_on_the_pages(page: Page):
    probe = uploaded(dark(3))
    me = page(probe.submitted_by)
    assert "Edit a copy" in me.get(f"/probes/{probe.pk}").text
    form = me.get(f"/probes/{probe.pk}/edits/new").text
    assert "original never changes" in form
    assert "decide on the original" in form
    sent = {**NOTHING, "brightness": "100", "left": "10", "bottom": "12.5"}
    answer = me.post(f"/probes/{probe.pk}/edits/new", sent)
    made = probe.edits.get()
    assert answer["Location"] == f"/probes/{probe.pk}?edit=1"
    assert made.steps == [{"crop": [24, 0, 216, 280]}, {"brightness": 100}]
    waiting = me.get(answer["Location"]).text
    assert "Looking for faces" in waiting
    assert f'hx-get="/probes/{probe.pk}?edit=1"' in waiting
    working.find_faces_of_edit(made.pk)
    shown = me.get(answer["Location"]).text
    assert "cropped to 216 × 280 pixels, brightness +100 %" in shown
    assert "decide on the original" in shown


def test_a_search_with_an_edit_is_started_and_named_on_the_pages(page: Page):
    enrol(3)
    probe = uploaded(dark(3))
    edited(probe)
    me = page(probe.submitted_by)
    assert f'href="/probes/{probe.pk}?edit=1"' in me.get(f"/probes/{probe.pk}").text
    shown = me.get(f"/probes/{probe.pk}?edit=1").text
    assert '<input type="hidden" name="edit" value="1">' in shown
    assert f"/probes/{probe.pk}/edits/1.jpg" in shown
    answer = me.post(f"/probes/{probe.pk}/search", {"edit": "1", "face": "0", "list_size": "20"})
    search = Search.objects.get()
    assert (answer.status_code, search.edit.number) == (302, 1)
    for address in (f"/searches/{search.pk}", f"/cases/{probe.case_id}"):
        assert "brightness +100 %" in me.get(address).text
    assert "face 1 of edit 1" in me.get(f"/probes/{probe.pk}?edit=1").text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, "Change something"),
        ({"rotate": "181"}, "180"),
        ({"rotate": "1e999"}, "number"),
        ({"brightness": "x"}, "whole number"),
        ({"left": "60", "right": "60"}, "nothing would be left"),
        ({"top": "95"}, "32 pixels"),
        ({"contrast": ""}, "required"),
    ],
    ids=str,
)
def test_a_form_that_makes_no_edit_comes_back_with_what_to_change(change: dict[str, str], says: str, page: Page):
    probe = uploaded(dark(3))
    answer = page(probe.submitted_by).post(f"/probes/{probe.pk}/edits/new", {**NOTHING, **change})
    assert answer.status_code == 422
    assert says in answer.text
    assert not probe.edits.exists()


@pytest.mark.parametrize("edit", ["0", "2", "11", "-1", "x", "", "99999999999999999999"])
def test_whatever_names_no_edit_shows_the_original(edit: str, page: Page):
    probe = uploaded(synthetic_pixels(3))
    edited(probe, [{"contrast": 3}])
    answer = page(probe.submitted_by).get(f"/probes/{probe.pk}", {"edit": edit})
    assert answer.status_code == 200
    assert "Back to the original" not in answer.text
    assert page(probe.submitted_by).get(f"/probes/{probe.pk}/edits/{10**30}.jpg").status_code == 404


def test_everything_is_there_over_the_api(api: Page):
    enrol(3)
    probe = uploaded(dark(3))
    me, at = api(probe.submitted_by), f"/api/v1/probes/{probe.pk}"
    answer = me.post(f"{at}/edits", {"steps": LIGHTER}, format="json")
    assert (answer.status_code, answer.json()["number"], answer.json()["state"]) == (201, 1, "received")
    working.find_faces_of_edit(answer.json()["id"])
    (listed,) = me.get(f"{at}/edits").json()["results"]
    assert (listed["steps"], listed["words"], len(listed["faces"])) == (LIGHTER, "brightness +100 %", 1)
    picture = me.get(f"{at}/edits/1.jpg")
    assert picture["Content-Type"] == "image/jpeg"
    assert Entry.objects.filter(act="probe.viewed", details__edit=listed["id"]).count() == 1
    assert Entry.objects.get(act="edit.listed").details["shown"] == [listed["id"]]
    search = me.post(f"{at}/searches", {"face": 0, "edit": 1}, format="json").json()
    assert search["edit"] == 1
    assert me.get(f"/api/v1/searches/{search['id']}").json()["edit"] == 1


@pytest.mark.parametrize(
    "body", [{}, {"steps": "x"}, {"steps": [5]}, {"steps": [{"rotate": 1e308}]}, {"steps": [{"crop": [0, 0, 1, 1]}]}]
)
def test_a_program_is_told_what_is_wrong_with_its_steps(body: dict[str, Any], api: Page):
    probe = uploaded(dark(3))
    answer = api(probe.submitted_by).post(f"/api/v1/probes/{probe.pk}/edits", body, format="json")
    assert answer.status_code in (400, 422)
    assert not probe.edits.exists()


@pytest.mark.parametrize("edit", [0, 11, "x", 2])
def test_a_search_over_the_api_names_an_edit_there_is(edit: object, api: Page):
    probe = uploaded(synthetic_pixels(3))
    answer = api(probe.submitted_by).post(
        f"/api/v1/probes/{probe.pk}/searches", {"face": 0, "edit": edit}, format="json"
    )
    assert answer.status_code in (400, 422)
