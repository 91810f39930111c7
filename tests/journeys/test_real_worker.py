"""A search through the broker this run is configured with (a folder, or Redis), done by a real worker process."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.gallery import importing, live, manifest, sources
from mugsearch.gallery.models import ImportRun
from mugsearch.probes import services, tasks, working
from mugsearch.probes.models import Probe, Search
from tests import factories
from tests.probes.test_submitting import PURPOSE
from tests.processes import environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.models, pytest.mark.shared, pytest.mark.slow]


@pytest.fixture
def queued() -> None:
    """Instead of the fixture that catches messages: here they are sent."""


@pytest.fixture
def worker(settings: Any, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    from mugsearch.celery import app

    app.control.purge()
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "mugsearch.celery:app", "worker", "--pool=solo"]
    quietly = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-Q", "search", "--loglevel=ERROR"]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen([*command, *quietly], env=environment(settings), stdout=log, stderr=log)
        yield process
        process.terminate()
        process.wait(30)
    print((tmp_path / "worker.log").read_text())


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
        requested_at=timezone.now() - 2 * working.LOST_AFTER,
    )
    tasks.resume.delay()
    until(lost, Search.State.DONE)
