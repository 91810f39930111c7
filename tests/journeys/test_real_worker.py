"""A search through the broker this run is configured with (a folder, or Redis), done by a real worker process."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.engine.index import FILE
from mugsearch.gallery import encoding, importing, live, manifest, readiness, sources
from mugsearch.gallery.models import ImportRun, Template
from mugsearch.probes import services, tasks, working
from mugsearch.probes.models import Probe, Search
from mugsearch.retention.models import ExpungementOrder
from tests import factories, hunting
from tests.gallery_rows import vector_of
from tests.probes.test_submitting import PURPOSE
from tests.processes import environment
from tests.retention.arrange import approved, finish, requested

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.models, pytest.mark.shared, pytest.mark.slow]


@pytest.fixture
def queued() -> None:
    """Instead of the fixture that catches messages: here they are sent."""


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """All processes of pytest have one broker: of two such tests at once each would take the other's messages."""
    folder = Path(os.environ["MUGSEARCH_VAR"])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "real-workers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# A step of a rebuild takes one vector, and its time.
IN_SMALL_STEPS = """
import sys, time, django
django.setup()
from celery.__main__ import main
from mugsearch.gallery import filling, tasks
read_on = filling.read_on
def slowly(*args):
    time.sleep(1.0)
    read_on(*args)
filling.BATCH, filling.read_on, tasks.SLICE = 1, slowly, 0.0
main()
"""


@pytest.fixture
def worker(settings: Any, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running(["-m", "celery"], settings, tmp_path / "worker.log") as process:
        yield process


@contextmanager
def running(program: list[str], settings: Any, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    from mugsearch.celery import app

    app.control.purge()
    command = [sys.executable, *program, "--quiet", "-A", "mugsearch.celery:app", "worker", "--pool=solo"]
    quietly = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-Q", "search", "--loglevel=ERROR"]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, *quietly], env=environment(settings), stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)
    print(log.read_text())


def until(row: Any, state: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        row.refresh_from_db()
        if row.state == state:
            return
        time.sleep(0.05)
    pytest.fail(f"after a minute it is still {row.state}")


@pytest.fixture
def gallery(shared: Path, tmp_path: Path) -> Path:
    folder = shared / "data" / "meds"
    lines = (folder / "manifest.csv").read_text().splitlines(keepends=True)
    live.reset()
    importing.run_here(
        by=factories.clerk(),
        agency=factories.AgencyFactory(),
        several=ImportRun.Several.ONLY,
        manifest=manifest.read("".join(lines[:4]).encode()),
        source=sources.Folder(folder),
    )
    return folder / lines[4].split(",")[0]


def test_messages_reach_the_worker_and_lost_ones_are_made_good(worker, gallery):
    me = factories.investigator()
    probe = services.submit(by=me, purpose=PURPOSE, image=gallery.read_bytes())
    until(probe, Probe.State.READY)
    search = services.search(by=me, probe=probe, face=0)
    until(search, Search.State.DONE)
    assert search.candidates.count() == 1

    # As after a flushed broker: the row is there, the message is not.
    lost = Search.objects.create(
        probe=probe,
        requested_by=me,
        face=0,
        list_size=20,
        policy_digest=probe.policy_digest,
        positive_rating=2,
        requested_at=timezone.now() - 2 * working.LOST_AFTER,
    )
    tasks.resume.delay()
    until(lost, Search.State.DONE)


def test_after_an_expungement_the_worker_holds_nothing_of_the_vector_in_memory_or_on_disk(worker, gallery, settings):
    """Its bytes are sought before, too, and found: else finding none would say nothing."""
    me, templates = factories.investigator(), list(Template.objects.order_by("pk"))
    gone, stays = (hunting.Traces(vector_of(template)[None]) for template in templates[:2])
    probe = services.submit(by=me, purpose=PURPOSE, image=gallery.read_bytes())
    until(probe, Probe.State.READY)
    until(services.search(by=me, probe=probe, face=0), Search.State.DONE)
    # The worker has made the index and read it: there they are, and nowhere else in its memory.
    in_the_file = {("float32", FILE), ("int8", FILE)}
    assert hunting.in_files(settings.INDEX_DIR, gone) == {"float32", "int8"}
    assert hunting.in_memory(worker.pid, gone) == in_the_file

    order = approved(requested(templates[0].photo.booking))
    deadline = time.monotonic() + 60
    while not ExpungementOrder.objects.filter(pk=order.pk, forgotten_at__isnull=False).exists():
        assert time.monotonic() < deadline, "the index was not proved"
        time.sleep(0.05)
    finish()  # the import worker's, of which there is none here
    until(order, ExpungementOrder.State.COMPLETE)
    assert order.checks["forgotten_at"] == {"vectors": 1, "searches": 1, "found": 0}
    assert hunting.in_files(settings.INDEX_DIR, gone) == set()
    assert hunting.in_memory(worker.pid, gone) == set()
    assert hunting.in_files(settings.INDEX_DIR, stays) == {"float32", "int8"}
    assert hunting.in_memory(worker.pid, stays) == in_the_file

    again = services.submit(by=me, purpose=PURPOSE, image=gallery.read_bytes())
    until(again, Probe.State.READY)
    search = services.search(by=me, probe=again, face=0)
    until(search, Search.State.DONE)
    assert search.gallery_size == len(templates) - 1
    assert hunting.in_memory(worker.pid, gone) == set()


def test_a_worker_whose_index_is_gone_makes_it_anew_and_lets_go_of_the_old_one(worker, gallery, settings):
    me = factories.investigator()
    probe = services.submit(by=me, purpose=PURPOSE, image=gallery.read_bytes())
    until(probe, Probe.State.READY)
    until(services.search(by=me, probe=probe, face=0), Search.State.DONE)
    index = live._folder(encoding.active()) / FILE
    index.unlink()
    search = services.search(by=me, probe=probe, face=0)
    until(search, Search.State.DONE)
    assert search.gallery_size == Template.objects.count()
    assert index.exists()
    assert f"{index} (deleted)" not in Path(f"/proc/{worker.pid}/maps").read_text()


def test_a_worker_rebuilds_its_index_between_other_work_and_searches_are_refused_until_then(
    gallery, settings, tmp_path
):
    me = factories.investigator()
    with running(["-c", IN_SMALL_STEPS], settings, tmp_path / "worker.log"):
        probe = services.submit(by=me, purpose=PURPOSE, image=gallery.read_bytes())
        until(probe, Probe.State.READY)
        # It looked at the index by itself when it started, and found faces in between.
        with pytest.raises(readiness.NotReady, match="The index is being rebuilt"):
            services.search(by=me, probe=probe, face=0)
        deadline = time.monotonic() + 60
        while readiness.rebuilding() and time.monotonic() < deadline:
            time.sleep(0.05)
        search = services.search(by=me, probe=probe, face=0)
        until(search, Search.State.DONE)
    assert search.gallery_size == Template.objects.count() == 3
