"""Whatever happens to the file of the index is noticed, and it never gives a wrong answer."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from mugsearch.engine.index import FILE
from mugsearch.gallery import changes, encoding, live, readiness, tasks
from mugsearch.gallery.models import Template
from mugsearch.probes.models import Search
from tests.gallery.indexes import (
    DAMAGES,
    PEOPLE,
    a_gallery,
    assert_it_answers_as_postgresql_says,
    flip_in,
    folder,
    in_steps,
)
from tests.gallery_rows import enrol, vector_of
from tests.probes.test_searching import submitted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_noticed_at_start_and_answers_as_before(damage: str) -> None:
    ids = a_gallery()
    late = enrol(PEOPLE).templates.get()
    DAMAGES[damage]()
    live.reset()
    tasks.rebuild_index(True)  # what the worker sends itself when it starts
    assert live.catch_up(encoding.active()).ids().tolist() == [*ids, late.pk]
    assert [file.name for file in folder().iterdir() if file.suffix != ".lock"] == [FILE]
    assert_it_answers_as_postgresql_says()


@pytest.mark.parametrize("damage", ["deleted", "cut after the header", "cut in the rows", "zeros", "header torn"])
def test_damage_to_the_file_of_a_running_worker_is_noticed_by_its_next_search(damage: str) -> None:
    a_gallery()
    DAMAGES[damage]()
    assert_it_answers_as_postgresql_says()


@pytest.mark.parametrize("damage", ["deleted", "header torn", "a bit of codes flipped", "of the version before"])
@pytest.mark.usefixtures("small_steps")
def test_searches_are_refused_until_a_large_index_is_whole_again(damage: str, api: Any, queued: list[Any]) -> None:
    a_gallery()
    probe = submitted(3)
    DAMAGES[damage]()
    live.reset()
    tasks.rebuild_index(True)
    assert ("mugsearch.gallery.tasks.rebuild_index", (True,)) in queued
    client = api(probe.submitted_by)
    refused = client.post(f"/api/v1/probes/{probe.pk}/searches", {"face": 0}, format="json")
    assert (refused.status_code, refused.data["code"]) == (503, "index_rebuilding")
    assert int(refused.headers["Retry-After"]) > 0
    assert "Nothing was stored" in refused.data["detail"]
    assert not Search.objects.exists()
    with pytest.raises(live.NotReady):
        live.catch_up(encoding.active())
    in_steps()
    answered = client.post(f"/api/v1/probes/{probe.pk}/searches", {"face": 0}, format="json")
    assert answered.status_code == 201
    assert_it_answers_as_postgresql_says()


@pytest.mark.usefixtures("small_steps")
def test_a_search_that_finds_the_index_damaged_has_the_rebuild_begun(
    queued: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    a_gallery()
    (folder() / FILE).unlink()  # while the worker runs
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(live.NotReady):
        live.catch_up(encoding.active())
    assert queued == [("mugsearch.gallery.tasks.rebuild_index", (True,))]
    assert readiness.rebuilding() is not None
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(live.NotReady):
        live.catch_up(encoding.active())
    assert len(queued) == 1


def test_an_old_index_put_back_catches_up_with_what_was_changed_since() -> None:
    ids = a_gallery()
    old = (folder() / FILE).read_bytes()
    gone = Template.objects.get(pk=ids[2])
    changes.drop([gone])
    gone.delete()
    enrol(PEOPLE)
    live.catch_up(encoding.active())
    live.reset()
    (folder() / FILE).write_bytes(old)
    assert_it_answers_as_postgresql_says()


def test_an_index_put_back_under_a_running_worker_is_the_one_that_forgets(tmp_path: Path) -> None:
    ids = a_gallery()
    shutil.copy(folder() / FILE, tmp_path / FILE)
    shutil.move(tmp_path / FILE, folder() / FILE)  # another file by the same name, as rsync puts it there
    gone = Template.objects.get(pk=ids[2])
    vector = vector_of(gone).tobytes()
    changes.drop([gone])
    gone.delete()
    assert vector in (folder() / FILE).read_bytes()
    live.forget([ids[2]])
    assert vector not in (folder() / FILE).read_bytes()
    assert_it_answers_as_postgresql_says()


@pytest.mark.usefixtures("small_steps")
def test_an_old_index_put_back_that_is_far_behind_is_not_searched_before_it_is_current() -> None:
    a_gallery(2)
    old = (folder() / FILE).read_bytes()
    for person in range(2, PEOPLE):
        enrol(person)
    live.reset()
    (folder() / FILE).write_bytes(old)
    with pytest.raises(live.NotReady):
        live.catch_up(encoding.active())
    in_steps()
    assert_it_answers_as_postgresql_says()


@pytest.mark.usefixtures("small_steps")
def test_after_damage_searches_are_refused_until_all_is_read_again() -> None:
    a_gallery()
    flip_in("vectors")
    live.reset()
    with pytest.raises(live.NotReady):
        live.catch_up(encoding.active())
    assert live._opened(encoding.active()).index.ids().tolist() == []
    in_steps()
    assert_it_answers_as_postgresql_says()
