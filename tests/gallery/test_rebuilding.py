"""The index is rebuilt in steps: it can be killed, expunged from and added to meanwhile, and people are told."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from mugsearch.audit.models import Entry
from mugsearch.engine import segments
from mugsearch.engine.index import FILE
from mugsearch.errors import Unavailable
from mugsearch.gallery import changes, encoding, filling, live, readiness, tasks, vectors
from mugsearch.gallery.models import Encoder, IndexState, Template
from mugsearch.probes import services, working
from mugsearch.probes.models import Search
from tests.factories import BookingFactory, PersonFactory
from tests.gallery.indexes import (
    PEOPLE,
    a_gallery,
    assert_it_answers_as_postgresql_says,
    delete,
    flip_in,
    folder,
    in_steps,
    state,
)
from tests.gallery_rows import enrol, vector_of
from tests.probes.test_searching import submitted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]

State = IndexState.State


class Killed(BaseException):
    """As kill -9: nothing in the product catches it."""


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
def test_a_half_built_index_that_was_damaged_is_begun_anew(read: list[int]) -> None:
    ids = a_gallery()
    (folder() / FILE).unlink()
    live.rebuild(encoding.active(), seconds=0)
    assert live._opened(encoding.active()).index.ids().tolist() == ids[:2]
    flip_in("codes")
    live.reset()
    assert (state().reached, state().live) == (0, 0)
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
    assert live.forget([ids[0], ids[5]]).generation == changes.latest()
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
    live.rebuild(encoding.active(), seconds=0)
    assert not state().complete  # so that a search in another process that has begun is made again
    assert in_steps() > 1
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
    with pytest.raises(readiness.NotReady, match="brought up to date at the moment: The index can't grow"):
        readiness.require_ready()
    tasks.rebuild_index()
    in_steps()
    readiness.require_ready()


@pytest.mark.parametrize("error", [Unavailable("The index can't be written (No space left)."), OSError(28, "No space")])
def test_when_the_disk_is_full_searches_are_refused_and_it_recovers_alone(
    error: Exception, queued: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_gallery()
    probe, another = submitted(3), submitted(4)
    search = services.search(by=probe.submitted_by, probe=probe, face=0)
    enrol(PEOPLE)

    def full(*args: Any) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(segments.IndexFile, "write", full)
        for _ in range(working.TRIES + 1):
            working.run_search(search.pk)
        search.refresh_from_db()
        assert search.state == Search.State.QUEUED
        with pytest.raises(readiness.NotReady, match="No space"):
            services.search(by=another.submitted_by, probe=another, face=0)
    tasks.rebuild_index()
    readiness.require_ready()
    working.run_search(search.pk)
    search.refresh_from_db()
    assert (search.state, search.gallery_size) == (Search.State.DONE, PEOPLE + 1)


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
    delete()
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


def test_a_vector_that_no_encoder_made_is_told_to_who_searches_and_its_photograph_to_the_log(caplog):
    photo = enrol(1)
    template = photo.templates.get()
    template.sealed_vector = vectors.sealed(photo, template.encoder, 3 * vector_of(template))
    template.save()
    with pytest.raises(live.NotReady, match="1 vectors were not made by an encoder"):
        live.catch_up(encoding.active())
    assert "not made by an encoder" in readiness.notice()
    assert str(photo.pk) in caplog.text
