"""A backup that isn't whole, and a restore that shouldn't be: refused, with nothing touched."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from mugsearch import closed, ownership
from mugsearch.accounts.services import console
from mugsearch.backups import database, keyfiles, making, manifests, restoring
from mugsearch.errors import BadInput, Unavailable, WrongState
from mugsearch.gallery.models import Booking, Photo
from mugsearch.launch.held import Held
from mugsearch.vault import services as vault
from tests.backups.arrange import Drill, a_drill, restored
from tests.backups.conftest import Elsewhere
from tests.gallery_rows import enrol


def test_a_byte_that_changed_anywhere_in_the_backup_is_noticed_before_anything_is_touched(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any
) -> None:
    drill = a_drill(tmp_path)
    an_image = next((drill.data / "files").glob("??/*"))
    with elsewhere():
        for path in (drill.data / "database.dump", an_image, drill.data / "SHA256SUMS", drill.data / "manifest.json"):
            whole = path.read_bytes()
            at = len(whole) // 2
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(manifests.BackupDamaged):
                restored(drill)
            path.write_bytes(whole)
        an_image.unlink()
        with pytest.raises(manifests.BackupDamaged, match="missing"):
            restored(drill)
        assert closed.reason(settings.VAR) is None
        assert connection.introspection.table_names() == []


def test_a_database_with_something_in_it_is_replaced_only_when_that_is_said(tmp_path: Path, settings: Any) -> None:
    drill = a_drill(tmp_path)
    with pytest.raises(WrongState, match="--replace"):
        restored(drill)
    assert closed.reason(settings.VAR) is None
    assert Booking.objects.filter(pk=drill.living.booking_id).exists()


@pytest.fixture
def on_record() -> Iterator[Callable[[str, str], None]]:
    """Writes down that a migration was applied; it is forgotten again, for no test empties that table."""
    told: list[tuple[str, str]] = []

    def record(app: str, name: str) -> None:
        told.append((app, name))
        with ownership.acting():
            MigrationRecorder(connection).record_applied(app, name)

    yield record
    with ownership.acting():
        for app, name in told:
            MigrationRecorder(connection).record_unapplied(app, name)


def test_a_backup_of_a_newer_version_is_refused_and_one_of_a_version_that_ran_more_migrations_is_not(
    on_record: Callable[[str, str], None], elsewhere: Elsewhere, tmp_path: Path
) -> None:
    on_record("knox", "0009_extend_authtoken_field")  # of the versions before our own table of tokens
    older = a_drill(tmp_path / "older")
    on_record("gallery", "9999_not_made_yet")
    newer = a_drill(tmp_path / "newer")
    with elsewhere():
        with pytest.raises(BadInput, match=r"newer mugsearch \(it knows gallery\.9999_not_made_yet"):
            restored(newer)
        restored(older)
        assert Booking.objects.filter(pk=older.living.booking_id).exists()


def test_a_restore_is_given_up_only_as_long_as_nothing_was_replaced(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drill = a_drill(tmp_path)

    class Interrupted(BaseException):
        pass

    def interrupted(*_: object) -> None:
        raise Interrupted

    with elsewhere():
        for step, replaced in (("load", False), ("open_to_others", True)):
            with monkeypatch.context() as broken:
                broken.setattr(database, step, interrupted)
                with pytest.raises(Interrupted):
                    restored(drill)
            assert closed.reason(settings.VAR)
            if replaced:
                with pytest.raises(WrongState, match="replaced by the backup already"):
                    restoring.give_up()
            else:
                restoring.give_up()
            assert bool(closed.reason(settings.VAR)) is replaced


def test_nothing_is_restored_while_the_service_runs(elsewhere: Elsewhere, tmp_path: Path, settings: Any) -> None:
    drill = a_drill(tmp_path)
    (settings.VAR / "locks").mkdir(exist_ok=True)
    with elsewhere():
        with Held(settings.VAR / "locks" / "running") as running:
            assert running.alone_now()
            running.write("http://127.0.0.1:8000/")
            with pytest.raises(WrongState, match="running at http"):
                restored(drill)
        other = connection.copy()
        other.ensure_connection()
        with pytest.raises(WrongState, match="1 other session"):
            restored(drill)
        other.close()
        assert closed.reason(settings.VAR) is None


def test_who_connected_while_it_was_being_closed_sees_nothing_of_the_backup(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drill = a_drill(tmp_path)
    with elsewhere():
        other, close = connection.copy(), database.close_to_others

        def too_late() -> None:
            other.ensure_connection()
            close()

        with monkeypatch.context() as late:
            late.setattr(database, "close_to_others", too_late)
            with pytest.raises(WrongState, match="1 other session"):
                restored(drill)
        assert closed.reason(settings.VAR)
        assert not database.is_loaded()
        other.close()
        restored(drill)


def test_destroyed_keys_that_came_back_do_not_stay_when_a_restore_is_given_up(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drill = a_drill(tmp_path)
    (Path(settings.VAULT_KEYS) / "keys").unlink()

    class Killed(BaseException):
        pass

    def killed() -> None:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(keyfiles, "destroy_again", killed)
        with pytest.raises(Killed):
            restored(drill, keys=drill.keys, replace=True)
    assert vault.has_key(drill.life.booking.pk)
    restoring.give_up()
    assert not vault.has_key(drill.life.booking.pk)
    assert vault.has_key(drill.living.booking_id)


def test_a_backup_of_the_keys_is_read_where_it_lies_and_not_written_to(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Destroyed keys are alive in it: a copy of it would be left by whoever is killed."""
    drill = a_drill(tmp_path)
    before = (drill.keys / "keys").read_bytes()
    (Path(settings.VAULT_KEYS) / "keys").unlink()

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(manifests, "verified", killed)
    with elsewhere(), pytest.raises(Killed):
        restored(drill, keys=drill.keys)
    assert (drill.keys / "keys").read_bytes() == before
    copies = [path for path in Path(settings.VAR).rglob("*") if path.is_file() and path.read_bytes() == before]
    assert copies == []


def test_a_key_file_that_is_there_is_never_replaced_by_a_backup_of_it(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any
) -> None:
    drill = a_drill(tmp_path)
    before = (Path(settings.VAULT_KEYS) / "keys").read_bytes()
    with elsewhere(), pytest.raises(BadInput, match="without --keys"):
        restored(drill, keys=drill.keys)
    assert (Path(settings.VAULT_KEYS) / "keys").read_bytes() == before


def test_data_and_keys_do_not_lie_in_one_folder_nor_in_the_services_own(tmp_path: Path, settings: Any) -> None:
    enrol(7)
    making.make(by=console(), home=tmp_path / "data")
    with pytest.raises(BadInput, match="place of their own"):
        making.make_of_keys(by=console(), home=tmp_path / "data")
    making.make_of_keys(by=console(), home=tmp_path / "keys")
    with pytest.raises(BadInput, match="place of their own"):
        making.make(by=console(), home=tmp_path / "keys")
    for own in (settings.VAR / "backups", settings.VAULT_KEYS):
        with pytest.raises(BadInput, match="inside"):
            making.make(by=console(), home=Path(own))


def test_an_image_that_was_lost_stops_the_backup_unless_it_is_asked_for_without_it(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    photo = enrol(7)
    vault.remove_file(photo.pk)
    with pytest.raises(Unavailable, match="1 images are missing"):
        making.make(by=console(), home=tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []
    made = making.make(by=console(), home=tmp_path / "data", without_lost=True)
    assert (made.files, made.lost) == (0, 1)
    with elsewhere():
        restored(Drill(None, "", photo, photo, made.folder, tmp_path))  # type: ignore[arg-type]
        assert Photo.objects.filter(pk=photo.pk).exists()


def test_no_key_and_no_master_key_is_in_a_backup_of_the_data(tmp_path: Path, settings: Any) -> None:
    drill = a_drill(tmp_path)
    everything = b"".join(path.read_bytes() for path in drill.data.rglob("*") if path.is_file())
    slots = (drill.keys / "keys").read_bytes()
    wrapped = [slots[at + 36 : at + 96] for at in range(512, len(slots), 128) if any(slots[at : at + 128])]
    assert len(wrapped) > 3
    assert not any(one in everything for one in wrapped if any(one))
    for folder in (drill.data, drill.keys):
        text = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        assert settings.MUGSEARCH_MASTER_KEY.encode() not in text
        assert bytes.fromhex(settings.MUGSEARCH_MASTER_KEY) not in text


def test_where_a_file_stands_in_the_way_of_a_backup_nobody_waits_for_another_one(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(Unavailable, match="can't be written"):
        making.make(by=console(), home=tmp_path / "data")


def test_what_one_server_writes_down_and_others_do_not_know_is_not_loaded() -> None:
    script = (
        b"SET transaction_timeout = 0;\nSET lock_timeout = 0;\nCREATE TABLE public.one (\n    a integer\n);\n"
        b"ALTER TABLE ONLY public.one ALTER COLUMN a SET (pg_attver=1766842176);\n"
        b"COPY public.one (a) FROM stdin;\nSET transaction_timeout = 0;\n"
    )
    rest = BytesIO(script)
    loaded = b"".join(database._without_one_servers_own(rest)) + rest.read()
    assert b"pg_attver" not in loaded
    assert loaded.count(b"transaction_timeout") == 1
    assert len(loaded.splitlines()) == len(script.splitlines()) - 2
