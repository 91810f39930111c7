"""A backup while the service is at work: whatever it catches, a restore of it is whole and shows nothing expunged."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from mugsearch.accounts.services import console
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.auditing.verify_audit import read_head
from mugsearch.backups import database, folders, making
from mugsearch.errors import Unavailable
from mugsearch.gallery.models import Booking, Photo
from mugsearch.retention import erasing
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from mugsearch.vault import signing
from tests.backups.arrange import Drill, a_drill, restored
from tests.backups.conftest import Elsewhere
from tests.gallery_rows import enrol
from tests.processes import environment
from tests.retention.arrange import approved, requested


@pytest.mark.parametrize("when", ["before the dump", "after the dump", "between two images"])
def test_a_booking_expunged_while_a_backup_is_made_is_not_shown_by_its_restore(
    when: str, elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [enrol(person) for person in range(1, 7)]
    victim = max(photos, key=lambda photo: photo.pk)  # its file would be copied last
    done: list[object] = []

    def another_process_expunges() -> None:
        with ThreadPoolExecutor(1) as pool:
            done.append(pool.submit(on_a_connection_of_its_own).result())

    def on_a_connection_of_its_own() -> object:
        try:
            return approved(requested(victim.booking))  # complete it is when the dump's snapshot is gone
        finally:
            connection.close()

    def first(real: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        def step(*args: Any) -> Any:
            result = real(*args) if after else None
            if not done:
                another_process_expunges()
            return result if after else real(*args)

        return step

    if when == "between two images":
        monkeypatch.setattr(vault, "copy_file", first(vault.copy_file))
    else:
        monkeypatch.setattr(database, "dump", first(database.dump, after=when == "after the dump"))
    made = making.make(by=console(), home=tmp_path / "data")
    assert done
    assert (made.files, made.erased) == (5, 1), "the snapshot still has the row; the image is gone, rightly"
    with elsewhere():
        restored(Drill(None, "", victim, photos[0], made.folder, tmp_path))  # type: ignore[arg-type]
        assert not Booking.objects.filter(pk=victim.booking_id).exists()
        assert Photo.objects.count() == 5
        for photo in Photo.objects.all():
            assert vault.read_file(photo.booking_id, photo.pk)


def test_a_backup_is_described_with_a_signed_head_of_its_record(tmp_path: Path) -> None:
    audit.record("thing.done", by=None)
    folder = making.make(by=console(), home=tmp_path / "data").folder
    said = json.loads((folder / "manifest.json").read_bytes())
    head = read_head(said["signed_head"].encode(), {signing.fingerprint()})
    assert f"{head.number}:{head.digest}" == said["audit"]


def test_an_expungement_that_was_under_way_in_the_backup_goes_on(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = enrol(7)
    with monkeypatch.context() as broken:
        broken.setattr(erasing, "carry_out", lambda _: None)
        order = approved(requested(photo.booking))
    data = making.make(by=console(), home=tmp_path / "data").folder
    assert vault.has_key(photo.booking_id)
    with elsewhere():
        restored(Drill(None, "", photo, photo, data, tmp_path))  # type: ignore[arg-type]
        assert not vault.has_key(photo.booking_id)
        assert ExpungementOrder.objects.get(pk=order.pk).state == ExpungementOrder.State.COMPLETE


def test_a_backup_is_on_record_with_what_it_holds(tmp_path: Path) -> None:
    drill = a_drill(tmp_path)
    entry = Entry.objects.get(act="backup.made")
    assert entry.details["files"] == len(list((drill.data / "files").glob("??/*")))
    assert entry.details["head"].partition(":")[0] == str(entry.number - 1)
    assert Entry.objects.filter(act="keys.backed-up").count() == 1


KILLED = """
    import os, signal, sys
    from pathlib import Path
    import django
    django.setup()
    from mugsearch.accounts.services import console
    from mugsearch.backups import making, manifests
    manifests.write = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    making.make(by=console(), home=Path(sys.argv[1]))
"""


def test_a_killed_backup_leaves_nothing_that_looks_like_one_and_the_next_removes_it(
    tmp_path: Path, settings: Any
) -> None:
    enrol(7)
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)],
        env=environment(settings), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert killed.returncode == -9, killed.stderr
    assert folders.all_in(tmp_path, folders.DATA) == []
    assert len(list(tmp_path.iterdir())) == 1
    assert len(folders.remove_leftovers(tmp_path, folders.DATA)) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_that_looks_like_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol(7)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "sync_file_system", full)
    with pytest.raises(Unavailable, match="No space left"):
        making.make(by=console(), home=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Entry.objects.get(act="backup.made").outcome == "refused"
