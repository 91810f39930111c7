"""Runs of the import worker: uploads, take-overs, full disks, killed processes, two at once."""

import os
import subprocess
import sys
import textwrap
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone

from mugsearch.accounts.services import console
from mugsearch.engine import images
from mugsearch.errors import Unavailable
from mugsearch.gallery import (
    changes,
    chunks,
    encoding,
    importing,
    services,
    staging,
    tasks,
)
from mugsearch.gallery.models import (
    Booking,
    GalleryChange,
    ImportRun,
    Person,
    Photo,
    Template,
)
from mugsearch.vault import services as vault
from tests.factories import AgencyFactory, clerk
from tests.fakes import synthetic_photo
from tests.gallery.arrange import (
    assert_the_vault_holds_what_postgresql_says,
    csv_of,
    folder_of,
    import_folder,
    people,
    row,
    staged,
    staging_folders,
)
from tests.processes import environment

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]


def test_an_upload_is_staged_closed_to_others_and_gone_when_the_run_ends() -> None:
    run = staged()
    folder = Path(configured.STAGING) / str(run.pk)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (run.state, run.rows) == (ImportRun.State.QUEUED, 6)
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.enrolled) == (ImportRun.State.DONE, 6)
    assert not folder.exists()


def test_an_import_that_was_started_is_handed_to_the_worker(
    queued: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = staged()
    assert queued == [("mugsearch.gallery.tasks.run_import", (str(run.pk),))]


def test_the_same_run_twice_is_one_effect() -> None:
    run = staged()
    importing.run(run.pk)
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.enrolled, run.already, Photo.objects.count()) == (6, 0, 6)


def test_a_run_that_is_alive_is_left_alone_and_a_dead_one_is_found(queued: list[Any]) -> None:
    run = staged()
    runs = ImportRun.objects.filter(pk=run.pk)
    runs.update(state=ImportRun.State.RUNNING, alive_at=timezone.now(), runner=uuid.uuid4())
    tasks.resume()
    importing.run(run.pk)
    assert not queued
    assert not Photo.objects.exists()
    runs.update(alive_at=timezone.now() - timedelta(seconds=61))
    tasks.resume()
    assert queued == [("mugsearch.gallery.tasks.run_import", (str(run.pk),))]
    importing.run(run.pk)
    run.refresh_from_db()
    assert run.enrolled == 6


def test_a_run_that_waits_is_nudged_once_a_minute(queued: list[Any]) -> None:
    run = staged()
    tasks.resume()
    assert not queued  # its own message is on its way
    ImportRun.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(seconds=20))
    tasks.resume()
    tasks.resume()
    assert len(queued) == 1


def test_who_was_thought_dead_can_t_write_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    run = staged(4)
    monkeypatch.setattr(importing, "CHUNK", 2)
    announce = chunks._announce
    theirs, their_booking = uuid.uuid4(), uuid.uuid4()

    def taken_over_at_the_second_chunk(this: ImportRun, runner: uuid.UUID, *args: Any) -> None:
        announce(this, runner, *args)
        if this.rows_done == 2:  # and the other worker is in the middle of a chunk, too
            vault.create_key(their_booking)
            vault.store_file(their_booking, theirs, b"not committed yet")
            in_flight = {"photos": [str(theirs)], "bookings": [str(their_booking)]}
            ImportRun.objects.filter(pk=this.pk).update(runner=uuid.uuid4(), unwritten=in_flight)

    monkeypatch.setattr(chunks, "_announce", taken_over_at_the_second_chunk)
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.rows_done, Photo.objects.count()) == (ImportRun.State.RUNNING, 2, 2)
    assert staging_folders() == [str(run.pk)]
    assert vault.read_file(their_booking, theirs) == b"not committed yet"
    vault.remove_file(theirs)
    vault.destroy_key(their_booking)
    assert_the_vault_holds_what_postgresql_says()


def test_a_full_disk_pauses_the_worker_s_run_and_it_goes_on_by_itself(
    monkeypatch: pytest.MonkeyPatch, queued: list[Any]
) -> None:
    run = staged()
    store = vault.store_file

    def full(*args: Any) -> None:
        raise Unavailable("The file can't be stored (No space left on device). Nothing was saved.")

    monkeypatch.setattr(vault, "store_file", full)
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.rows_done) == (ImportRun.State.QUEUED, 0)
    assert "No space" in run.failure
    monkeypatch.setattr(vault, "store_file", store)
    ImportRun.objects.filter(pk=run.pk).update(alive_at=timezone.now() - timedelta(seconds=61))
    tasks.resume()
    assert len(queued) == 1
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.enrolled, run.failure) == (ImportRun.State.DONE, 6, "")


def test_a_row_that_kills_every_worker_ends_the_run_visibly(monkeypatch: pytest.MonkeyPatch) -> None:
    run = staged()

    def killed(*args: Any, **kwargs: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(importing._Attempt, "_go_on", killed)
    for _ in range(importing.TRIES):
        with pytest.raises(SystemExit):
            importing.run(run.pk)
        ImportRun.objects.filter(pk=run.pk).update(alive_at=timezone.now() - timedelta(seconds=61))
    importing.run(run.pk)
    run.refresh_from_db()
    assert run.state == ImportRun.State.FAILED
    assert "stopped 3 times" in run.failure
    assert not staging_folders()


def test_a_run_of_a_command_that_died_is_ended_with_advice(tmp_path: Path) -> None:
    run = import_folder([row("a.png")], folder_of(tmp_path, {"a.png": synthetic_photo(1)}))
    long_ago = timezone.now() - timedelta(seconds=61)
    ImportRun.objects.filter(pk=run.pk).update(state=ImportRun.State.RUNNING, alive_at=long_ago)
    tasks.resume()
    run.refresh_from_db()
    assert (run.state, run.failure) == (ImportRun.State.FAILED, importing.INTERRUPTED)


def test_uploaded_files_are_never_taken_for_others_of_the_same_name_in_another_folder() -> None:
    sheet = csv_of([row("2024/front.png"), row("2025/front.png", "P-2", "B-2")])
    files = [SimpleUploadedFile("front.png", synthetic_photo(5))]
    run = services.start_import(by=clerk(), several=ImportRun.Several.ONLY, manifest_file=sheet, photos=files)
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.enrolled, run.rejected) == (0, 2)
    assert "have to come in a ZIP" in run.rejects.all()[0].reason


def test_an_expungement_can_see_an_upload_from_its_first_byte_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its run is committed, and without making anybody wait while a large upload is written."""
    write, seen = staging._write, []

    def look_and_write(*args: Any) -> None:
        seen.append((len(staging.present()), ImportRun.objects.count()))
        write(*args)

    monkeypatch.setattr(staging, "_write", look_and_write)
    run = staged()
    assert seen == [(1, 0), (1, 0)]
    assert staging.present() == [str(run.pk)]


def test_uploads_of_processes_that_died_are_swept_away(queued: list[Any]) -> None:
    run = staged()
    root = Path(configured.STAGING)
    (root / str(uuid.uuid4())).mkdir()
    old = root / str(uuid.uuid4())
    old.mkdir()
    os.utime(old, (0, 0))
    tasks.resume()
    assert len(staging_folders()) == 2
    assert str(run.pk) in staging_folders()


KILLED = """
    import os, signal, sys
    import django
    django.setup()
    from pathlib import Path
    from mugsearch.accounts.models import Agency
    from mugsearch.engine import encoders
    from mugsearch.gallery import changes, importing, manifest, sources
    from mugsearch.gallery.models import Photo, ImportRun
    from mugsearch.accounts.services import console
    from mugsearch.vault import services as vault
    from tests.fakes import FakeEncoder
    from django.conf import settings

    encoders.ENCODERS["fake"] = lambda argument: FakeEncoder()
    settings.MUGSEARCH_ENCODER = "fake"
    importing.CHUNK = 4
    importing.CHUNK_SECONDS = 1000  # however slow the machine is
    where = sys.argv[1]
    module, name = {"file": (vault, "store_file"), "change": (changes, "put"), "end": (importing, "_end")}[where]
    real, calls = getattr(module, name), []

    def deadly(*args, **kwargs):
        calls.append(1)
        if len(calls) == {"file": 6, "change": 2, "end": 1}[where]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(module, name, deadly)
    if len(sys.argv) > 2:
        importing.run(sys.argv[2])
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("where", "in_before"), [("file", 4), ("change", 4), ("end", 10)])
def test_a_worker_killed_at_any_point_loses_nothing_and_doubles_nothing(
    where: str, in_before: int, tmp_path: Path, settings: Any
) -> None:
    run = staged(10)
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), where, str(run.pk)],
        env=environment(settings),
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    run.refresh_from_db()
    assert (run.state, run.rows_done, Photo.objects.count()) == (ImportRun.State.RUNNING, in_before, in_before)
    ImportRun.objects.filter(pk=run.pk).update(alive_at=timezone.now() - timedelta(seconds=61))
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.rows_done, run.enrolled, run.already) == (ImportRun.State.DONE, 10, 10, 0)
    assert (Photo.objects.count(), Template.objects.count()) == (10, 10)
    assert [change.number for change in GalleryChange.objects.all()] == list(range(1, 11))
    assert changes.latest() == 10
    assert_the_vault_holds_what_postgresql_says()
    for photo in Photo.objects.all():
        images.read_png(vault.read_file(photo.booking_id, photo.pk))
    assert not staging_folders()


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_the_same_rows_at_once_take_each_photo_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, photos = people(12, per_person=2)
    folder_of(tmp_path, photos)
    monkeypatch.setattr(importing, "CHUNK", 3)
    by, agency = console(), AgencyFactory()
    encoding.active()
    store = chunks._store

    def slowly(*args: Any) -> Any:
        time.sleep(0.1)  # wide enough for the other one's transaction to fall into
        return store(*args)

    monkeypatch.setattr(chunks, "_store", slowly)

    def one(order: int) -> ImportRun:
        try:
            return import_folder(rows[::order], tmp_path, by=by, agency=agency)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as both:
        runs = list(both.map(one, (1, -1)))  # the other one backwards, so that they meet
    assert [run.rows_done for run in runs] == [24, 24]
    assert sum(run.enrolled for run in runs) == sum(run.already for run in runs) == 24
    assert (Person.objects.count(), Booking.objects.count(), Photo.objects.count()) == (12, 24, 24)
    assert [change.number for change in GalleryChange.objects.all()] == list(range(1, 25))
    assert_the_vault_holds_what_postgresql_says()
