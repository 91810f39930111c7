"""An index that is missing, damaged, foreign or old is noticed and rebuilt in steps; until then nobody is answered."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from mugsearch.audit.models import Entry
from mugsearch.engine import segments
from mugsearch.engine.index import FILE, FaceIndex
from mugsearch.errors import Unavailable
from mugsearch.gallery import changes, checking, encoding, filling, live, readiness, tasks, vectors
from mugsearch.gallery.models import Encoder, IndexState, Template
from mugsearch.probes import services
from mugsearch.probes.models import Search
from tests.factories import BookingFactory, PersonFactory
from tests.fakes import person_vector
from tests.gallery_rows import enrol, vector_of
from tests.probes.test_searching import submitted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]

PEOPLE = 7
State = IndexState.State


class Killed(BaseException):
    """As kill -9: nothing in the product catches it."""


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes two templates, so a gallery of seven is not rebuilt by the way."""
    monkeypatch.setattr(filling, "BATCH", 2)
    monkeypatch.setattr(tasks, "SLICE", 0.0)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The templates whose vectors were unsealed, in that order."""
    done: list[int] = []
    unseal = vectors.unseal

    def counted(template: Template, into: Any) -> None:
        unseal(template, into)
        done.append(template.pk)

    monkeypatch.setattr(vectors, "unseal", counted)
    return done


def folder() -> Path:
    return live._folder(encoding.active())


def a_gallery(people: int = PEOPLE) -> list[int]:
    """Enrolled, and in an index on disk; the templates' ids."""
    ids = [enrol(person).templates.get().pk for person in range(people)]
    live.rebuild(encoding.active())
    return ids


def in_steps() -> int:
    """Do what the worker's messages do, one step each; how many."""
    steps = 1
    while not live.rebuild(encoding.active(), seconds=0):
        steps += 1
    return steps


def state() -> Any:
    return live._opened(encoding.active()).index.state()


def assert_it_answers_as_postgresql_says() -> None:
    index = live.catch_up(encoding.active())
    templates = list(Template.objects.select_related("photo").order_by("pk"))
    assert index.ids().tolist() == [template.pk for template in templates]
    for template in templates:
        best = index.search(vector_of(template), 1).hits[0]
        assert (best.id, best.score) == (template.pk, 1.0)
    assert checking.check(encoding.active()).all_is_well()
    readiness.require_ready()


# Every way of damaging it


def _flip(place: int) -> None:
    with (folder() / FILE).open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))


def _flip_in(region: str) -> None:
    held = live._opened(encoding.active()).index._file
    _flip(segments._HEADER + held._starts[region])


def _cut(length: int) -> None:
    with (folder() / FILE).open("r+b") as file:
        file.truncate(length)


def _put_a_foreign_one() -> None:
    live.reset()
    shutil.rmtree(folder())
    FaceIndex.create(folder(), dimension=128, encoder="of another encoder").close()


def _put_one_of_the_version_before() -> None:
    (folder() / FILE).write_bytes(b"\x93NUMPY" + person_vector(3).tobytes())
    (folder() / f"{FILE}.old").write_bytes(person_vector(3).tobytes())
    (folder() / f"{FILE}.new").write_bytes(person_vector(3).tobytes())


def _tear_the_header() -> None:
    with (folder() / FILE).open("r+b") as file:
        file.seek(20)
        file.write(b"\xff" * 30)


def _delete() -> None:
    (folder() / FILE).unlink()


DAMAGES = {
    "deleted": _delete,
    "folder deleted": lambda: shutil.rmtree(folder()),
    "empty": lambda: _cut(0),
    "cut in the header": lambda: _cut(100),
    "cut after the header": lambda: _cut(segments._HEADER),
    "cut in the rows": lambda: _cut((folder() / FILE).stat().st_size // 2),
    "cut at its end": lambda: _cut((folder() / FILE).stat().st_size - 1),
    "header torn": _tear_the_header,
    **{
        f"a bit of {region} flipped": lambda region=region: _flip_in(region)
        for region in ("ids", "scales", "errors", "facts", "codes", "vectors", "sums")
    },
    "of another encoder": _put_a_foreign_one,
    "of the version before": _put_one_of_the_version_before,
    "zeros": lambda: (folder() / FILE).write_bytes(bytes((folder() / FILE).stat().st_size)),
}


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


def test_only_the_rows_that_were_lost_are_read_again(read: list[int]) -> None:
    people = segments.BLOCK + 3  # two blocks, the first with some rows in it
    ids = a_gallery(people)
    _flip_in("vectors")
    live.reset()
    read.clear()
    live.catch_up(encoding.active())
    assert sorted(read) == ids[: segments.BLOCK]
    entry = Entry.objects.get(act="index.mended")
    assert (entry.details["missing"], entry.details["superfluous"]) == (segments.BLOCK, 0)


@pytest.mark.usefixtures("small_steps")
def test_when_many_rows_were_lost_searches_are_refused_until_they_are_read_again() -> None:
    a_gallery()
    _flip_in("vectors")
    live.reset()
    with pytest.raises(live.NotReady):
        live.catch_up(encoding.active())
    assert live._opened(encoding.active()).index.ids().tolist() == []
    in_steps()
    assert_it_answers_as_postgresql_says()


# Steps


@pytest.mark.usefixtures("small_steps")
def test_a_killed_rebuild_goes_on_where_it_was(read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    ids = a_gallery()
    (folder() / FILE).unlink()
    read.clear()
    for _ in range(2):
        assert not live.rebuild(encoding.active(), seconds=0)
    with monkeypatch.context() as killing:
        killing.setattr(filling, "_facts", _killed)
        with pytest.raises(Killed):
            live.rebuild(encoding.active(), seconds=0)
    live.reset()
    assert (state().reached, state().complete, state().live) == (ids[3], False, 4)
    read.clear()
    in_steps()
    assert read == ids[4:]
    assert_it_answers_as_postgresql_says()


def _killed(*args: Any) -> Any:
    raise Killed


@pytest.mark.usefixtures("small_steps")
def test_rows_that_a_half_built_index_lost_are_read_again(read: list[int]) -> None:
    ids = a_gallery()
    (folder() / FILE).unlink()
    live.rebuild(encoding.active(), seconds=0)
    _flip_in("codes")
    live.reset()
    assert state().reached == ids[1]
    assert live._opened(encoding.active()).index.ids().tolist() == ids[:2]
    in_steps()
    assert_it_answers_as_postgresql_says()


@pytest.mark.usefixtures("small_steps")
def test_an_expungement_during_a_rebuild_is_proved_at_once_and_stays() -> None:
    ids = a_gallery()
    (folder() / FILE).unlink()
    live.rebuild(encoding.active(), seconds=0)
    read_already, not_yet = Template.objects.get(pk=ids[0]), Template.objects.get(pk=ids[5])
    vector = vector_of(read_already).tobytes()
    assert vector in (folder() / FILE).read_bytes()
    changes.drop([read_already, not_yet])
    Template.objects.filter(pk__in=[ids[0], ids[5]]).delete()
    assert live.forget([ids[0], ids[5]]) == changes.latest()
    assert not state().complete
    assert vector not in (folder() / FILE).read_bytes()
    in_steps()
    assert live.catch_up(encoding.active()).ids().tolist() == [ids[1], ids[2], ids[3], ids[4], ids[6]]
    assert_it_answers_as_postgresql_says()


@pytest.mark.usefixtures("small_steps")
def test_what_is_committed_during_a_rebuild_is_in_it(read: list[int]) -> None:
    ids = a_gallery()
    hole = Template.objects.get(pk=ids[1])
    changes.drop([hole])
    hole.delete()
    (folder() / FILE).unlink()
    live.rebuild(encoding.active(), seconds=0)
    assert state().reached == ids[2]
    enrol(PEOPLE)
    # Its number was given out long ago, and its import commits only now.
    hole.pk = ids[1]
    hole.save(force_insert=True)
    changes.put([hole])
    in_steps()
    assert ids[1] in read
    assert_it_answers_as_postgresql_says()


def test_the_last_step_does_not_end_a_rebuild_while_something_is_being_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_gallery(2)
    (folder() / FILE).unlink()
    put = filling._put

    def committed_meanwhile(*args: Any) -> None:
        put(*args)
        monkeypatch.setattr(filling, "_put", put)
        enrol(PEOPLE)

    monkeypatch.setattr(filling, "_put", committed_meanwhile)
    live._step(encoding.active())
    assert not state().complete
    live._step(encoding.active())
    assert state().complete
    assert (state().generation, state().live) == (3, 3)


@pytest.mark.usefixtures("small_steps")
def test_an_index_that_is_far_behind_is_brought_up_in_steps_and_nobody_sees_half(queued: list[Any]) -> None:
    a_gallery(2)
    for person in range(2, PEOPLE):
        enrol(person)
    with pytest.raises(live.NotReady):
        live.catch_up(encoding.active())
    assert in_steps() > 2
    assert_it_answers_as_postgresql_says()
    assert IndexState.objects.get().why == "far_behind"


@pytest.mark.usefixtures("small_steps")
def test_corrections_during_a_rebuild_reach_the_index_too() -> None:
    booking = BookingFactory(person=PersonFactory(sex="M"))
    enrol(50, booking=booking)
    a_gallery()
    (folder() / FILE).unlink()
    live.rebuild(encoding.active(), seconds=0)
    booking.person.sex = "F"
    booking.person.save()
    changes.put_again(people=[booking.person.pk])
    in_steps()
    assert_it_answers_as_postgresql_says()


def test_a_small_gallery_is_rebuilt_by_the_way_and_never_refuses() -> None:
    a_gallery()
    (folder() / FILE).unlink()
    assert_it_answers_as_postgresql_says()
    assert not IndexState.objects.exists()


# What people are told


@pytest.fixture
def half_way(small_steps: None) -> IndexState:
    """Taken up a minute ago, four of seven read."""
    a_gallery()
    (folder() / FILE).unlink()
    for _ in range(2):
        live.rebuild(encoding.active(), seconds=0)
    now = timezone.now()
    IndexState.objects.update(started_at=now - timedelta(seconds=60), updated_at=now, begun_with=0)
    return IndexState.objects.get()


def test_the_refusal_says_how_far_it_is(half_way: IndexState) -> None:
    with pytest.raises(readiness.NotReady) as refused:
        readiness.require_ready()
    assert refused.value.message == (
        "The index is being rebuilt: 57 %, about 45 seconds. Nothing was stored; try again then."
    )
    assert refused.value.retry_after == 45


def test_when_the_worker_is_dead_the_refusal_says_so(half_way: IndexState) -> None:
    IndexState.objects.update(updated_at=timezone.now() - timedelta(minutes=7))
    with pytest.raises(readiness.NotReady, match="for 7 minutes nothing was heard of it; have the search worker"):
        readiness.require_ready()


def test_a_refusal_does_not_outlast_its_cause(half_way: IndexState) -> None:
    """The worker died between finishing the index and saying so."""
    in_steps()
    IndexState.objects.update(state=State.REBUILDING, updated_at=timezone.now() - timedelta(minutes=7))
    tasks.rebuild_index()
    readiness.require_ready()


def test_what_stops_a_rebuild_is_shown_and_it_goes_on_when_that_is_over(
    half_way: IndexState, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise Unavailable("The index can't grow (No space left on device).")

    with monkeypatch.context() as broken:
        broken.setattr(filling, "read_on", full)
        tasks.rebuild_index(True)
    with pytest.raises(readiness.NotReady, match="can't be rebuilt at the moment: The index can't grow"):
        readiness.require_ready()
    tasks.rebuild_index()
    in_steps()
    readiness.require_ready()


def test_the_rebuild_of_another_encoder_stops_nobody(half_way: IndexState) -> None:
    Encoder.objects.update(state=Encoder.State.RETIRED)
    readiness.require_ready()


def test_an_investigator_sees_why_searches_wait(half_way: IndexState, page: Any) -> None:
    probe = submitted(3)
    client = page(probe.submitted_by)
    words = "The index is being rebuilt: 57 %"
    assert words in client.get(f"/probes/{probe.pk}").content.decode()
    in_steps()
    search = services.search(by=probe.submitted_by, probe=probe, face=0)
    assert words not in client.get(f"/probes/{probe.pk}").content.decode()
    (folder() / FILE).unlink()
    live.rebuild(encoding.active(), seconds=0)
    assert "The index is being rebuilt: 28 %" in client.get(f"/searches/{search.pk}").content.decode()


def test_a_refused_search_leaves_an_entry(half_way: IndexState) -> None:
    probe = submitted(3)
    with pytest.raises(readiness.NotReady):
        services.search(by=probe.submitted_by, probe=probe, face=0)
    entry = Entry.objects.filter(act="search.requested").latest("number")
    assert (entry.outcome, entry.details["reason"]) == ("refused", "index_rebuilding")


def test_a_rebuild_leaves_one_entry_with_its_reason(half_way: IndexState) -> None:
    before = Entry.objects.filter(act="index.rebuilt").count()
    live.reset()  # the process that noticed it is not the one that ends it
    in_steps()
    entry = Entry.objects.filter(act="index.rebuilt").latest("number")
    assert Entry.objects.filter(act="index.rebuilt").count() == before + 1
    assert (entry.details["why"], entry.details["vectors"]) == ("missing", PEOPLE)
    assert entry.details["generation"] == changes.latest()


# Messages


def test_a_rebuild_sends_itself_again_and_the_clock_starts_no_second_one(
    half_way: IndexState, queued: list[Any], read: list[int]
) -> None:
    queued.clear()
    tasks.rebuild_index()  # the clock's
    assert (queued, read) == ([], [])
    IndexState.objects.update(updated_at=timezone.now() - 2 * readiness.BUSY)
    tasks.rebuild_index()
    assert len(read) == 2
    assert queued == [("mugsearch.gallery.tasks.rebuild_index", (True,))]


@pytest.mark.usefixtures("small_steps")
def test_the_search_worker_looks_at_its_index_when_it_starts_and_other_workers_do_not(queued: list[Any]) -> None:
    a_gallery()
    _delete()
    live.reset()

    class Worker:
        class app:  # noqa: N801
            class amqp:  # noqa: N801
                class queues:  # noqa: N801
                    consume_from: Any = {"import": None}

    tasks.look_after_the_index(Worker)
    readiness.require_ready()
    Worker.app.amqp.queues.consume_from = {"search": None}
    tasks.look_after_the_index(Worker)
    assert readiness.rebuilding() is not None
    assert queued == [("mugsearch.gallery.tasks.rebuild_index", (True,))]


def test_the_same_message_twice_changes_nothing() -> None:
    a_gallery()
    tasks.rebuild_index()
    before = (folder() / FILE).read_bytes()
    tasks.rebuild_index()
    tasks.rebuild_index(True)
    assert (folder() / FILE).read_bytes() == before


# At a terminal


def test_the_command_goes_on_with_a_rebuild(half_way: IndexState, capsys: Any, read: list[int]) -> None:
    call_command("rebuild_index")
    said = capsys.readouterr()
    assert "The index is whole: 7 vectors, as of change 7" in said.out
    assert len(read) == 3
    assert_it_answers_as_postgresql_says()


def test_the_command_makes_a_whole_index_anew_when_asked(read: list[int], capsys: Any) -> None:
    a_gallery()
    read.clear()
    call_command("rebuild_index")
    assert read == []
    call_command("rebuild_index", "--anew")
    assert len(read) == PEOPLE
    assert Entry.objects.filter(act="index.rebuilt").latest("number").details["why"] == "asked_for"
    assert_it_answers_as_postgresql_says()
