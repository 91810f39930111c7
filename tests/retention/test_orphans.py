"""Files and keys that no row speaks of are removed, and no others are."""

import datetime
import os
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.retention import orphans, tasks
from mugsearch.vault import services as vault
from tests.factories import EditFactory, ProbeFactory
from tests.gallery_rows import enrol
from tests.retention.arrange import requested

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    pass


def stored(settings: Any, name: UUID, *, days: float) -> UUID:
    owner = uuid4()
    vault.create_key(owner)
    if not vault.has_file(name):
        vault.store_file(owner, name, b"x")
    written = time.time() - days * 24 * 3600
    os.utime(settings.VAULT_FILES / name.hex[:2] / name.hex, (written, written))
    return name


def test_a_file_without_a_row_is_removed_after_a_day(settings: Any) -> None:
    old, young = stored(settings, uuid4(), days=1.1), stored(settings, uuid4(), days=0.9)
    tasks.sweep_orphans()
    assert not vault.has_file(old)
    assert vault.has_file(young)
    entry = Entry.objects.get(act="vault.swept")
    assert (entry.actor, entry.details) == (None, {"files": 1, "keys": 0})


def test_files_of_photographs_probes_edits_and_unfinished_expungements_stay(settings: Any) -> None:
    photo = enrol(1)
    order = requested(enrol(2).booking)
    order.files_left = [str(uuid4())]
    order.save()
    names = [photo.pk, ProbeFactory().pk, EditFactory().pk, UUID(order.files_left[0])]
    for name in names:
        stored(settings, name, days=30)
    assert orphans.sweep() == 0
    assert all(vault.has_file(name) for name in names)
    assert not Entry.objects.filter(act="vault.swept").exists()


def test_what_an_older_backup_does_not_know_is_left_for_a_week_after_its_restore(settings: Any) -> None:
    name = stored(settings, uuid4(), days=3)
    with audit.act("backup.restored", by=None):
        pass
    assert orphans.sweep() == 0
    with time_machine.travel(timezone.now() + orphans.AFTER_A_RESTORE + datetime.timedelta(minutes=1)):
        assert orphans.sweep() == 2  # with its key
    assert not vault.has_file(name)


def key(settings: Any, owner: UUID, *, days: float = 2) -> UUID:
    with time_machine.travel(time.time() - days * 24 * 3600):
        vault.create_key(owner)
    return owner


def test_a_key_without_a_row_is_destroyed_after_a_day(settings: Any) -> None:
    old, young = key(settings, uuid4()), key(settings, uuid4(), days=0.9)
    tasks.sweep_orphans()
    assert not vault.has_key(old)
    assert vault.has_key(young)
    assert Entry.objects.get(act="vault.swept").details == {"files": 0, "keys": 1}


def test_keys_of_bookings_probes_and_unfinished_expungements_stay(settings: Any) -> None:
    order = requested(enrol(2).booking)
    order.keys_left = [str(uuid4())]
    order.save()
    owners = [enrol(1).booking_id, ProbeFactory().pk, UUID(order.keys_left[0])]
    for owner in owners:
        key(settings, owner)
    assert orphans.sweep() == 0
    assert all(vault.has_key(owner) for owner in owners)


def test_neither_keys_nor_files_are_removed_when_suspiciously_many_keys_have_no_row(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(orphans, "MANY", 2)
    file, owners = stored(settings, uuid4(), days=2), [key(settings, uuid4()) for _ in range(3)]
    assert orphans.sweep() == 0
    assert vault.has_file(file)
    assert all(vault.has_key(owner) for owner in owners)
    assert "3 of 4 keys" in caplog.text


def test_none_is_removed_when_suspiciously_many_have_no_row(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(orphans, "MANY", 2)
    names = [stored(settings, uuid4(), days=2) for _ in range(3)]
    assert orphans.sweep() == 0
    assert all(vault.has_file(name) for name in names)
    assert "3 of 3 files and 0 of 3 keys belong to no row" in caplog.text


def test_half_written_files_and_left_over_uploads_go_after_a_day(settings: Any) -> None:
    stored(settings, uuid4(), days=0)  # so that the folders are there
    (folder,) = settings.VAULT_FILES.iterdir()
    paths = [folder / "x.1.part", folder / "y.1.part", settings.FILE_UPLOAD_TEMP_DIR / "a.upload"]
    for path, days in zip(paths, (1.1, 0.9, 1.1), strict=True):
        path.write_bytes(b"half a face")
        os.utime(path, (time.time() - days * 24 * 3600,) * 2)
    tasks.sweep_orphans()
    assert [path.exists() for path in paths] == [False, True, False]
