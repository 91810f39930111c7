"""A scanner that can't find proves nothing: in each kind of place a marker is put there, and the hunt says where."""

import base64
import gzip
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import psycopg
import pytest
from django.conf import settings as live_settings
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import CommandError, call_command
from django.db import connection

from mugsearch import rights
from mugsearch.audit.models import Entry
from mugsearch.backups import database
from mugsearch.errors import BadInput, NotAllowed
from mugsearch.hunting import files, services
from mugsearch.hunting.markers import Marker, Sought
from mugsearch.hunting.report import Ages, Hunt
from mugsearch.retention import ageing
from tests import factories
from tests.processes import environment
from tests.triggers import as_owner

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def marker() -> str:
    """Of this test alone: other tests' rows and memory are on the same server."""
    return f"Quill{uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


def hunted(marker: "str | Marker", also: list[Path] | None = None) -> Hunt:
    sought = Marker.of_text(marker) if isinstance(marker, str) else marker
    return services.hunt(by=factories.administrator(), markers=[sought], also=also or [])


def found_in(done: Hunt) -> set[str]:
    return {place.name for place in done.places if place.finds}


# --- in the database ---


def test_it_finds_text_bytes_and_json_in_rows(marker: str) -> None:
    with as_owner(), connection.cursor() as cursor:
        for value, kind in ((marker, "text"), (marker.encode(), "bytea"), (f'{{"a": ["{marker}"]}}', "jsonb")):
            cursor.execute(f"CREATE TABLE planted (id int, what {kind})")
            cursor.execute("INSERT INTO planted VALUES (1, %s)", [value])
            done = hunted(marker)
            cursor.execute("DROP TABLE planted")
            assert "tables" in found_in(done), kind
            (rows,) = (place for place in done.in_plain if place.name == "tables")
            assert {where for where, _, _ in rows.finds} == {"planted"}


def test_it_finds_a_number_and_an_id_that_binary_columns_hold() -> None:
    booking = factories.BookingFactory()
    assert "tables" in found_in(hunted(str(booking.pk)))


def test_it_finds_a_name_that_statistics_keep_of_a_deleted_row(marker: str) -> None:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE planted AS SELECT %s AS what FROM generate_series(1, 50)", [marker])
        cursor.execute("ANALYZE planted")
        cursor.execute("DELETE FROM planted")
        done = hunted(marker)
        cursor.execute("DROP TABLE planted")
    assert "statistics" in {place.name for place in done.in_plain}


def test_it_finds_a_deleted_row_before_vacuum_and_in_the_write_ahead_log(marker: str) -> None:
    sought = {"database files", "write-ahead log"}
    for _ in range(5):  # the log is all databases' one, and another test's expungement may just have a new one begun
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("CREATE TABLE planted (what text)")
            cursor.execute("INSERT INTO planted VALUES (%s)", [marker])
            cursor.execute("DELETE FROM planted")
            _written_out()
            done = hunted(marker)
            cursor.execute("DROP TABLE planted")
        if sought <= {place.name for place in done.places if place.missed}:
            return  # on a server whose files the owner of the tables may not read the hunt says so
        if sought <= found_in(done):
            break
    assert sought <= found_in(done)
    assert {Ages.PAGES, Ages.WAL} <= done.ages
    assert "tables" not in found_in(done)


def test_it_finds_what_a_session_holds_although_it_is_compressed_there(marker: str) -> None:
    store = SessionStore()
    store["draft"] = f"{marker} " * 50
    store.save()
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SELECT session_data FROM django_session")
        assert marker not in cursor.fetchone()[0]
    assert "sessions" in {place.name for place in hunted(marker).in_plain}


# --- in files ---


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("vault/files/ab/photo", "photographs"),
        ("vault/keys/keys", "data keys"),
        ("index/faces.index", "index"),
        ("index/faces.index.old", "index"),
        ("staging/run/manifest.csv", "uploads"),
        ("uploads/tmp.upload", "uploads"),
        ("broker/queue/1.import.msg", "broker"),
        ("schedule/beat", "broker"),
        ("anything/else", "other files"),
    ],
)
def test_it_finds_a_file_in_plain(marker: str, where: str, place: str) -> None:
    path = Path(live_settings.VAR) / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(9 * 2**20 - 7) + marker.encode() + os.urandom(100))  # across the edge of two blocks
    done = hunted(marker)
    assert {found.name for found in done.in_plain} == {place}
    assert all(path.name in spot for found in done.in_plain for spot, _, _ in found.finds)


def test_a_log_is_a_place_that_ages_out(marker: str) -> None:
    log = Path(live_settings.VAR) / "log" / "web.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"somebody called {marker}\n")
    done = hunted(marker)
    assert Ages.LOGS in done.ages
    assert not done.in_plain


def test_it_finds_temporary_files_and_folders_that_were_named_besides(marker: str, tmp_path: Path) -> None:
    (tmp_path / "temporary" / "left.tmp").write_text(marker)
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "dump").write_text(marker)
    done = hunted(marker, also=[tmp_path / "backup"])
    assert {place.name for place in done.in_plain} == {"temporary files"}
    assert Ages.BACKUPS in done.ages


def test_it_finds_what_is_packed(marker: str) -> None:
    folder = Path(live_settings.VAR) / "exports"
    folder.mkdir()
    with zipfile.ZipFile(folder / "bundle.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("report.txt", marker * 9)
    (folder / "old.gz").write_bytes(gzip.compress(marker.encode() * 9))
    (place,) = hunted(marker).in_plain
    assert {where for where, _, _ in place.finds} == {"exports/bundle.zip, unpacked", "exports/old.gz, unpacked"}


def test_a_file_named_after_somebody_is_found_and_its_name_not_repeated(marker: str) -> None:
    folder = Path(live_settings.VAR) / "exports"
    folder.mkdir()
    (folder / f"{marker}.txt").write_text(marker)
    (place,) = hunted(marker).in_plain
    assert len(place.finds) == 2
    assert marker not in str(place)


# --- in memory and in the broker ---


HOLDING = "import sys; held = sys.stdin.readline().strip(); print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def holder(settings: Any, marker: str) -> Iterator[subprocess.Popen[str]]:
    """A process of ours that has the marker in its memory."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING], env=environment(settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    with process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{marker}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def test_it_finds_a_marker_in_the_memory_of_a_process_of_ours(holder: subprocess.Popen[str], marker: str) -> None:
    done = hunted(marker)
    (place,) = (place for place in done.places if place.name == "memory of processes")
    assert place.finds
    assert {f"({holder.pid})" in where for where, _, _ in place.finds} == {True}
    assert Ages.MEMORY in done.ages


def test_redis_is_read_in_every_type_it_has(marker: str, settings: Any) -> None:
    if not settings.CELERY_BROKER_URL.startswith("redis://"):
        pytest.skip("no Redis is the broker of this run")
    from redis import Redis

    server = Redis.from_url(settings.CELERY_BROKER_URL)
    key = f"planted-{uuid4().hex}"
    encoded = base64.b64encode(f'["x", "{marker}"]'.encode()).decode()
    ways = {
        "string": lambda: server.set(key, encoded),
        "list": lambda: server.rpush(key, "a", encoded),
        "set": lambda: server.sadd(key, encoded),
        "zset": lambda: server.zadd(key, {encoded: 1}),
        "hash": lambda: server.hset(key, "field", encoded),
        "stream": lambda: server.xadd(key, {"field": encoded}),
    }
    for kind, put in ways.items():
        put()
        done = hunted(marker)
        server.delete(key)
        (place,) = (place for place in done.in_plain if place.name == "Redis")
        assert {where.split()[-1] for where, _, _ in place.finds} == {f"({kind})"}


# --- forms ---


@pytest.mark.parametrize("written", ["O'Hara–Ünal", "O'HARA–ÜNAL", "o'hara–ünal"])
def test_a_name_is_found_however_it_is_written(written: str) -> None:
    sought = Sought([Marker.of_text("O'Hara–Ünal")])
    for data in (
        written.encode(),
        written.encode("utf-16-le"),
        written.encode("utf-16-be"),
        written.encode("utf-32-le"),
        b"O&#x27;Hara\xe2\x80\x93\xc3\x9cnal",
        b'"O\'Hara\\u2013\\u00dcnal"',
        b"q=O%27Hara%E2%80%93%C3%9Cnal",
        b"\\x" + written.encode().hex().encode(),
        *(base64.b64encode(before + written.encode() + b"and more") for before in (b"", b"a", b"ab", b"abc")),
    ):
        assert sought.within(b"..." + data + b"..."), data


def test_wherever_something_lies_it_is_found_once() -> None:
    rng = np.random.default_rng(5)
    piece = rng.bytes(40)
    sought = Sought([Marker.of_bytes(b"12345678"), Marker.of_bytes(piece)])
    hay = rng.bytes(3 * 2**20)
    for at in (0, 1, 2, 3, 2**20 - 41, 2**20 - 3, 2**20 - 1, 2**20, len(hay) - 40):
        data = hay[:at] + piece + hay[at + 40 :]
        assert sought.within(data) == {(2, "bytes"): 1}, at
        for edge in (at + 1, at + 20, at + 39):
            assert sought.in_blocks([data[:edge], data[edge:]]) == {(2, "bytes"): 1}, (at, edge)
    assert not sought.within(hay)


def test_a_photograph_is_recognised_by_any_larger_piece_of_it() -> None:
    rng = np.random.default_rng(6)
    photo, other = rng.bytes(30_000), rng.bytes(30_000)
    sought = Sought([Marker.of_file(photo)])
    assert sought.within(other + photo[12_000:15_000] + other)
    assert not sought.within(other)


def test_what_would_be_found_by_chance_is_refused() -> None:
    for make in (lambda: Marker.of_text("Lee"), lambda: Marker.of_bytes(b"1234"), lambda: Marker.of_file(bytes(9000))):
        with pytest.raises(BadInput):
            make()


def test_it_finds_a_row_inside_of_a_backup_of_the_database(marker: str, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE planted AS SELECT %s::text AS what", [marker])
        cursor.execute(f'GRANT SELECT ON planted TO "{rights.role()}"')
    try:
        with database.snapshot() as (name, _):
            database.dump(name, tmp_path / "backup" / "database.dump")
    finally:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("DROP TABLE planted")
    done = hunted(marker, also=[tmp_path / "backup"])
    (besides,) = (place for place in done.places if place.ages == Ages.BACKUPS)
    assert {where for where, _, _ in besides.finds} == {"database.dump, unpacked"}
    (tmp_path / "backup" / "database.dump").write_bytes(b"PGDMP and no more")
    (besides,) = (place for place in hunted(marker, also=[tmp_path / "backup"]).places if place.ages == Ages.BACKUPS)
    assert besides.missed == ["database.dump: it does not unpack"]


# --- the command ---


def test_the_command_says_where_by_number_never_what_and_fails(
    marker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (Path(live_settings.VAR) / "left").write_text(marker)
    lines = tmp_path / "markers"
    lines.write_text(f"Nowhere-to-be-found\n{marker}\n")
    with pytest.raises(SystemExit) as ended:
        call_command("hunt", lines=lines)
    shown = capsys.readouterr()
    assert ended.value.code == 1
    assert "marker 2 as utf-8, 1 x: left" in shown.out
    assert "IN PLAIN: other files." in shown.out
    assert marker not in shown.out + shown.err
    entry = Entry.objects.get(act="hunt.run")
    assert (entry.details["markers"], entry.details["in_plain"]) == (2, 1)
    assert marker not in str(entry.details)


def test_nothing_found_is_said_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("hunt", "Nowhere-to-be-found-at-all")
    assert "Nothing was found." in capsys.readouterr().out
    with pytest.raises(CommandError, match="by chance"):
        call_command("hunt", "Lee")


def test_only_administrators_and_auditors_may_hunt(marker: str) -> None:
    services.hunt(by=factories.auditor(), markers=[Marker.of_text(marker)])
    for other in (factories.clerk(), factories.examiner(), factories.investigator()):
        with pytest.raises(NotAllowed):
            services.hunt(by=other, markers=[Marker.of_text(marker)])


def _written_out() -> None:
    """What PostgreSQL has in memory goes to its files, so that it is these the marker is found in."""
    told = connection.get_connection_params()
    told = {name: told[name] for name in ("host", "port", "user", "password", "dbname") if told.get(name)}
    if files.embedded():
        told["user"] = "mugsearch_admin"
    with psycopg.connect(**told, autocommit=True) as own:
        own.execute("CHECKPOINT")


def test_a_place_that_the_hunt_calls_ageing_is_on_every_certificate() -> None:
    assert {one.value for one in Ages} == set(ageing.PLACES)


def test_no_process_of_ours_leaves_its_memory_on_a_disk_when_it_crashes() -> None:
    """The settings see to it, so that it holds however a process is started."""
    ask = "import django, resource; django.setup(); print(resource.getrlimit(resource.RLIMIT_CORE))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(0, 0)"
