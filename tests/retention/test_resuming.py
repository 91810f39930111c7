"""An expungement killed between any two of its steps goes on and ends the same; it is never ahead of the truth."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app

from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.engine.index import FILE
from mugsearch.engine.segments import IndexFile
from mugsearch.errors import Unavailable
from mugsearch.gallery import changes, encoding, live, locks, suppression
from mugsearch.gallery.models import Booking, ImportRun, Photo, Suppression, Template
from mugsearch.retention import erasing, queries, services, tasks
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from tests.factories import clerk
from tests.gallery_rows import vector_of
from tests.retention.arrange import Life, a_life, approved, requested

pytestmark = pytest.mark.django_db(transaction=True)

State = ExpungementOrder.State


class Killed(BaseException):
    """Nothing in the product catches it, as nothing catches kill -9; open transactions are rolled back."""


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def run_queue(queued: list[tuple[str, tuple[Any, ...]]]) -> None:
    while queued:
        name, args = queued.pop(0)
        current_app.tasks[name](*args)


def run_to_the_end(order: ExpungementOrder, queued: list[tuple[str, tuple[Any, ...]]]) -> None:
    approved(order)
    run_queue(queued)


def kill_at(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, when: str, call: int
) -> tuple[list[str], Callable[[], None]]:
    """The `call`-th call of place.name kills, before or after it did its work. Returns what was reached, and undo."""
    real = getattr(place, name)
    reached: list[str] = []
    calls = 0

    def kills(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != call:
            return real(*args, **kwargs)
        if when == "after":
            real(*args, **kwargs)
        reached.append(name)
        raise Killed

    monkeypatch.setattr(place, name, kills)
    return reached, lambda: monkeypatch.setattr(place, name, real)


KILLS = [
    (locks, "erasing", "after", 1),
    (changes, "drop", "before", 1),
    (changes, "drop", "after", 1),
    (erasing, "record", "before", 1),
    (audit, "record", "after", 1),
    (erasing, "have_it_proved", "before", 1),
    (erasing, "have_it_proved", "after", 1),
    (vault, "destroy_key", "before", 1),
    (vault, "destroy_key", "after", 1),
    (erasing, "record", "after", 2),
    (vault, "remove_file", "before", 1),
    (vault, "remove_file", "after", 1),
    (vault, "remove_file", "after", 2),
    (erasing, "record", "after", 3),
    (erasing, "check_uploads", "before", 1),
    (erasing, "record", "after", 4),
    (live, "forget", "before", 1),
    # The index is being changed: announced, the rows overwritten, shown as gone, read back, the change ended.
    (IndexFile, "write_header", "after", 1),
    (IndexFile, "zero", "before", 1),
    (IndexFile, "zero", "after", 1),
    (IndexFile, "write_header", "after", 2),
    (IndexFile, "write", "after", 7),
    (IndexFile, "sync", "before", 2),
    (IndexFile, "require_zero", "before", 1),
    (IndexFile, "require_zero", "after", 1),
    (live, "forget", "after", 1),
    (erasing, "record", "before", 5),
    (erasing, "record", "after", 5),
]


@pytest.mark.parametrize(
    ("place", "name", "when", "call"), KILLS, ids=lambda part: getattr(part, "__name__", str(part))
)
def test_a_killed_expungement_goes_on_where_it_stopped(
    place: object, name: str, when: str, call: int, queued: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = a_life()
    live.catch_up(encoding.active())
    vectors = [vector_of(photo.templates.get()).tobytes() for photo in life.photos]
    order = requested(life.booking)
    reached, undo = kill_at(monkeypatch, place, name, when, call)
    with pytest.raises(Killed):
        run_to_the_end(order, queued)
    assert reached
    undo()
    queued.clear()  # the messages are lost with the broker
    live.reset()
    assert_not_ahead_of_the_truth(order, life)

    if order.state == State.REQUESTED:
        approved(order)
    tasks.resume()
    run_queue(queued)
    tasks.resume()
    run_queue(queued)
    assert_all_gone(order, life)
    saved = (live._folder(encoding.active()) / FILE).read_bytes()
    assert not any(vector in saved for vector in vectors)
    tasks.resume()
    assert queued == []


def assert_not_ahead_of_the_truth(order: ExpungementOrder, life: Life) -> None:
    order.refresh_from_db()
    assert order.state in (State.REQUESTED, State.APPROVED)
    rows = Template.objects.filter(photo__in=life.photos).count()
    assert rows == (0 if order.state == State.APPROVED else 2)
    if order.state != State.APPROVED:
        assert vault.has_key(life.booking.pk), "nothing is destroyed before the rows are gone"
        assert not Suppression.objects.exists()
    if order.key_destroyed_at:
        assert not vault.has_key(life.booking.pk)
    if order.files_removed_at:
        assert not any(vault.has_file(photo.pk) for photo in life.photos)
    if not order.key_destroyed_at and order.state == State.APPROVED:
        assert order.keys_left[0] == str(life.booking.pk)


def assert_all_gone(order: ExpungementOrder, life: Life) -> None:
    order.refresh_from_db()
    assert (order.state, order.troubles) == (State.COMPLETE, {})
    assert not Booking.objects.filter(pk=life.booking.pk).exists()
    assert not Photo.objects.filter(pk__in=[photo.pk for photo in life.photos]).exists()
    assert not vault.has_key(life.booking.pk)
    assert not any(vault.has_file(photo.pk) for photo in life.photos)
    assert live._beside(encoding.active()) == []
    assert suppression.is_suppressed(order.agency_id, life.booking.booking_number)
    assert Entry.objects.filter(act="booking.expunged").count() == 1
    assert Entry.objects.filter(act="expungement.completed").count() == 1


def test_running_every_step_twice_is_one_expungement(queued: list) -> None:
    life = a_life()
    order = approved(requested(life.booking))
    again = list(queued)
    run_queue(queued)
    queued.extend(again)
    tasks.erase(str(order.pk))
    run_queue(queued)
    assert_all_gone(order, life)


def test_a_step_that_fails_shows_on_the_order_and_is_tried_again(queued: list, monkeypatch: pytest.MonkeyPatch) -> None:
    life = a_life()

    def full(name: object) -> None:
        raise Unavailable("The file can't be overwritten.")

    with monkeypatch.context() as broken:
        broken.setattr(vault, "remove_file", full)
        order = approved(requested(life.booking))
    run_queue(queued)
    order.refresh_from_db()
    assert (order.state, order.troubles) == (State.APPROVED, {"files_removed_at": "The file can't be overwritten."})
    tasks.resume()
    run_queue(queued)
    assert_all_gone(order, life)


def test_an_unexpected_failure_does_not_put_the_row_it_is_about_into_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    life = a_life(booking_number="CANARY-1")

    def broken(*args: object) -> None:
        raise RuntimeError(f"Failing row contains ({life.booking.booking_number})")

    monkeypatch.setattr(changes, "drop", broken)
    order = requested(life.booking)
    with pytest.raises(Unavailable, match="nothing is gone"):
        approved(order)
    assert "erase_rows failed: RuntimeError" in caplog.text
    assert "CANARY" not in caplog.text


def test_a_key_or_file_that_is_still_there_keeps_the_order_open(queued: list, monkeypatch: pytest.MonkeyPatch) -> None:
    life = a_life()
    with monkeypatch.context() as broken:
        broken.setattr(vault, "destroy_key", lambda _: None)
        order = approved(requested(life.booking))
        run_queue(queued)
    order.refresh_from_db()
    assert (order.state, order.key_destroyed_at) == (State.APPROVED, None)
    assert "key is still there" in order.troubles["key_destroyed_at"]
    with monkeypatch.context() as broken:
        broken.setattr(vault, "remove_file", lambda _: None)
        tasks.erase(str(order.pk))
    order.refresh_from_db()
    assert order.files_removed_at is None
    assert "2 photographs are still on the disk" in order.troubles["files_removed_at"]


def test_an_order_waits_for_uploads_that_were_on_disk_at_the_time(queued: list, settings: Any) -> None:
    life = a_life()
    run = ImportRun.objects.create(agency=life.booking.agency, started_by=clerk(), staged=True)
    upload = settings.STAGING / str(run.pk)
    upload.mkdir(parents=True)
    order = approved(requested(life.booking))
    run_queue(queued)
    order.refresh_from_db()
    assert (order.state, order.uploads_left) == (State.APPROVED, [str(run.pk)])
    upload.rmdir()
    tasks.resume()
    run_queue(queued)
    assert_all_gone(order, life)


def test_nothing_is_destroyed_when_the_rows_could_not_be_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    life = a_life()
    order = requested(life.booking)

    def broken(*args: object) -> None:
        raise Unavailable("No.")

    monkeypatch.setattr(changes, "drop", broken)
    with pytest.raises(Unavailable):
        services.approve(by=clerk(), order=order, seen=queries.preview(life.booking).digest)
    order.refresh_from_db()
    assert (order.state, order.approved_by) == (State.REQUESTED, None)
    assert Entry.objects.latest("number").outcome == "refused"
    assert Template.objects.filter(photo__in=life.photos).count() == 2
    assert all(vault.read_file(life.booking.pk, photo.pk) for photo in life.photos)
