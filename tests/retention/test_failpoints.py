"""kill -9 at every failpoint of a purge, in a process of its own; what goes on then ends as if nothing had been."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.management import call_command
from django.db import connection

from mugsearch.audit.models import Entry
from mugsearch.gallery import encoding, live
from mugsearch.gallery.models import Photo, Template
from mugsearch.retention import tasks
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from tests.factories import clerk
from tests.processes import environment
from tests.retention.arrange import a_life, approved, requested

pytestmark = pytest.mark.django_db(transaction=True)

State = ExpungementOrder.State

# All that an unkilled purge comes by, in its order: a booking of two photographs, the last one of its person. A name
# that comes again is killed at each time.
FAILPOINTS = [
    "rows.dropped", "erased_at.verified", "erased_at.saved", "erased_at.committed",
    "key.listed", "key.destroyed", "key.listed", "key.destroyed",
    "key_destroyed_at.verified", "key_destroyed_at.saved", "key_destroyed_at.committed",
    "file.overwritten", "file.overwritten", "file.removed", "file.overwritten", "file.removed",
    "files_removed_at.verified", "files_removed_at.saved", "files_removed_at.committed",
    "uploads_gone_at.verified", "uploads_gone_at.saved", "uploads_gone_at.committed",
    "index.zeroed", "index.changed", "index.proved",
    "forgotten_at.verified", "forgotten_at.saved", "forgotten_at.committed",
    "message.taken", "file.overwritten", "leavings_gone_at.done",
    "leavings_gone_at.verified", "leavings_gone_at.saved", "leavings_gone_at.committed",
    "vacuumed_at.done", "vacuumed_at.verified", "vacuumed_at.saved", "vacuumed_at.committed",
    "verified_at.done", "verified_at.verified", "verified_at.saved", "verified_at.committed",
]  # fmt: skip
EACH = [(name, FAILPOINTS[: place + 1].count(name)) for place, name in enumerate(FAILPOINTS)]

Purge = Callable[[ExpungementOrder, str, int], dict[str, Any]]


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


@pytest.fixture(autouse=True)
def broker(settings: Any) -> Path:
    folder = settings.VAR / "broker"
    for name in ("queue", "control"):
        (folder / name).mkdir(parents=True)
    queue, control = str(folder / "queue"), str(folder / "control")
    folders = {"data_folder_in": queue, "data_folder_out": queue, "control_folder": control}
    settings.CELERY_BROKER_URL, settings.CELERY_BROKER_TRANSPORT_OPTIONS = "filesystem://", folders
    return folder / "queue"


@pytest.fixture(scope="module")
def killing() -> Iterator[list[Any]]:
    """The process that forks purges, once a test has started it: it needs the settings of a test."""
    started: list[Any] = []
    yield started
    for process in started:
        process.stdin.close()
        process.wait(20)


@pytest.fixture
def purge(killing: list[Any], settings: Any) -> Purge:
    if not killing:
        command = [sys.executable, "-m", "tests.retention.killing"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        killing.append(subprocess.Popen(command, env=environment(settings), **pipes))

    def carry_out(order: ExpungementOrder, kill_at: str, nth: int) -> dict[str, Any]:
        asked = {
            "var": str(settings.VAR),
            "broker": settings.CELERY_BROKER_TRANSPORT_OPTIONS,
            "order": str(order.pk),
            "by": str(clerk(agency=order.agency).pk),
            "kill_at": kill_at,
            "nth": nth,
        }
        killing[0].stdin.write(f"{json.dumps(asked)}\n")
        killing[0].stdin.flush()
        answer: dict[str, Any] = json.loads(killing[0].stdout.readline())
        return answer

    return carry_out


def a_purge(broker: Path) -> tuple[ExpungementOrder, list[Photo]]:
    """Requested, of a booking that the index holds, and a message about one of its photographs is in the broker."""
    life = a_life()
    live.catch_up(encoding.active())
    live.reset()
    vault.store_view(life.booking.pk, life.photos[0].pk, "thumb", b"a thumbnail")
    said = json.dumps({"body": "", "headers": {"argsrepr": f"('{life.photos[0].pk}',)"}})
    (broker / "1.import.msg").write_text(said)
    return requested(life.booking), life.photos


def state(order: ExpungementOrder, settings: Any) -> dict[str, Any]:
    """All there is, apart from times and ids, and from what a step couldn't look at twice."""
    order.refresh_from_db()
    row = {field.attname: getattr(order, field.attname) for field in order._meta.fields}
    fields = {name: value for name, value in row.items() if not name.endswith(("_at", "_by_id"))}
    for name in ("id", "agency_id", "generation"):
        fields.pop(name)
    fields["checks"] = {step: sorted(checked) for step, checked in order.checks.items()}
    with connection.cursor() as cursor:
        rows = {}
        for table in connection.introspection.table_names(cursor):
            if table.startswith("accounts_"):  # who approves, after it was killed before
                continue
            cursor.execute(f'SELECT count(*) FROM "{table}"')  # noqa: S608  names from PostgreSQL's catalogue
            rows[table] = cursor.fetchone()[0]
    index = live.catch_up(encoding.active())
    destroyed = {owner for owner, _ in vault.destroyed(datetime(2020, 1, 1, tzinfo=UTC))}
    return {
        "order": fields,
        "steps": {name: value is not None for name, value in row.items() if name.endswith("_at")},
        "rows": rows,
        # An index whose writer was killed is made anew; that is all one may see of it.
        "acts": Counter(Entry.objects.exclude(act="index.rebuilt").values_list("act", "outcome")),
        "files": len(vault.files()),
        "keys": len(vault.keys()),
        "destroyed": len(destroyed),
        "index": (index.state().live, len(index.ids())),
        "templates": Template.objects.count(),
        "messages": sorted(path.name for path in (settings.VAR / "broker").rglob("*") if path.is_file()),
    }


_unkilled: dict[str, Any] = {}


@pytest.fixture
def unkilled(purge: Purge, broker: Path, settings: Any) -> dict[str, Any]:
    """How a purge ends that nobody kills; the first test that asks makes one, and clears everything away."""
    if not _unkilled:
        order, _ = a_purge(broker)
        assert purge(order, "nowhere", 1)["exit"] == 0
        _unkilled.update(state(order, settings))
        live.reset()
        call_command("flush", interactive=False, verbosity=0)
        for folder in ("vault", "index"):
            shutil.rmtree(settings.VAR / folder)
        vault._key_store.cache_clear()
    return _unkilled


def test_an_unkilled_purge_comes_by_every_failpoint_in_order(purge: Purge, broker: Path, settings: Any) -> None:
    order, _ = a_purge(broker)
    assert purge(order, "nowhere", 1) == {"signal": 0, "exit": 0, "reached": FAILPOINTS}
    order.refresh_from_db()
    assert order.state == State.COMPLETE


@pytest.mark.parametrize(("name", "nth"), EACH)
def test_a_purge_killed_at_a_failpoint_ends_as_one_that_was_not(
    name: str, nth: int, purge: Purge, broker: Path, settings: Any, queued: list, unkilled: dict[str, Any]
) -> None:
    order, photos = a_purge(broker)
    died = purge(order, name, nth)
    assert (died["signal"], died["reached"][-1]) == (9, name)
    assert died["reached"].count(name) == nth
    not_ahead_of_the_truth(order, photos)
    if order.state == State.REQUESTED:
        approved(order)
    for _ in range(2):
        tasks.resume()
        while queued:
            task, args = queued.pop(0)
            current_app.tasks[task](*args)
    assert state(order, settings) == unkilled


def not_ahead_of_the_truth(order: ExpungementOrder, photos: list[Photo]) -> None:
    order.refresh_from_db()
    templates = Template.objects.filter(photo__in=photos).count()
    assert templates == (2 if order.state == State.REQUESTED else 0)
    if order.state == State.REQUESTED:
        assert all(vault.read_file(photo.booking_id, photo.pk) for photo in photos), "nothing is destroyed yet"
    if order.key_destroyed_at:
        assert not vault.has_key(photos[0].booking_id)
    if order.files_removed_at:
        assert not any(vault.has_file(photo.pk) for photo in photos)
    assert (order.state == State.COMPLETE) == bool(order.verified_at) == bool(order.completed_at)
