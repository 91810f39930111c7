"""Old entries leave the database for a signed file, and the chain stays one; nothing else can be removed."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.utils import timezone

from mugsearch import failpoints
from mugsearch.accounts.services import console
from mugsearch.audit import services as audit
from mugsearch.audit.models import ArchivedSpan, Entry
from mugsearch.audit.verify import Head, verify
from mugsearch.auditing import archiving, heads, services
from mugsearch.errors import BadInput, NotAllowed, Unavailable, WrongState
from mugsearch.probes.models import Probe
from mugsearch.retention import purges
from mugsearch.settings import kept_days
from mugsearch.vault import services as vault
from mugsearch.vault import signing
from tests.audit.arrange import entries, old_entries, run, standalone
from tests.factories import auditor
from tests.reviews.arrange import finished_search
from tests.triggers import as_owner, past_the_triggers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _owner(transactional_db: None) -> Iterator[None]:
    """The command acts as the owner of the tables."""
    with as_owner():
        yield


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "shelf"


def archive(shelf: Path) -> ArchivedSpan:
    return archiving.archive(by=console(), folder=shelf)


def check_all(shelf: Path, tmp_path: Path, *arguments: object) -> str:
    """Archive and what is left, read as one chain by the program without Django."""
    live = tmp_path / f"live-{Entry.objects.latest('number').number}"
    services.export_chain(by=console(), path=live)
    said = standalone(shelf, live, "--key", signing.fingerprint(), *arguments)
    return said.stdout


def test_an_archive_and_what_is_left_are_one_chain(shelf: Path, tmp_path: Path) -> None:
    old_entries(40)
    entries(5)
    span = archive(shelf)
    assert (span.first, span.last) == (1, 40)
    assert Entry.objects.earliest("number").number == 41
    verdict = verify()
    assert (verdict.intact, verdict.archived) == (True, 40)
    said = check_all(shelf, tmp_path)
    assert "Intact." in said
    assert "entries fit together, 1 to" in said
    about = Entry.objects.get(act="audit.archived")
    assert about.details["sha256"] == span.sha256
    call_command("audit", "verify", "--against", f"40:{span.digest}")


def test_a_second_archive_goes_on_where_the_first_ended(shelf: Path, tmp_path: Path, settings: Any) -> None:
    old_entries(30, days=900)
    settings.MUGSEARCH_AUDIT_KEPT_DAYS = 800
    old_entries(20, days=500)
    entries(3)
    assert archive(shelf).last == 30
    settings.MUGSEARCH_AUDIT_KEPT_DAYS = 365
    # What came with the archiving is young, so the old entries before it go alone.
    assert (archive(shelf).first, ArchivedSpan.objects.latest("last").last) == (31, 50)
    assert verify().intact
    assert "Intact." in check_all(shelf, tmp_path)
    (shelf / "audit-000000000001-000000000030.jsonl").unlink()
    assert "check it with the archive" in check_all(shelf, tmp_path)


def test_the_archive_is_checked_against_heads_from_before(shelf: Path, tmp_path: Path) -> None:
    old_entries(40)
    entries(1)
    kept = Entry.objects.get(pk=20)
    archive(shelf)
    verdict = verify(against=Head(20, kept.digest))
    assert (verdict.intact, len(verdict.unchecked)) == (True, 1)
    assert "Intact." in check_all(shelf, tmp_path, "--against", f"20:{kept.digest}")
    assert "Entry 20: it is not the one" in check_all(shelf, tmp_path, "--against", f"20:{'0' * 64}")
    assert verify(against=Head(1, "0" * 64)).first_bad == 1
    assert verify(against=Head(40, "0" * 64)).first_bad == 40


def test_younger_entries_than_a_year_stay_and_no_setting_allows_less(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_entries(10, days=364)
    with pytest.raises(WrongState, match="nothing to archive"):
        archive(shelf)
    assert not shelf.exists()
    monkeypatch.setenv("MUGSEARCH_AUDIT_KEPT_DAYS", "364")
    with pytest.raises(ImproperlyConfigured, match="from 365"):
        kept_days("MUGSEARCH_AUDIT_KEPT_DAYS", 365, least=365, most=36500)


def test_postgresql_itself_refuses_to_archive_what_is_young(shelf: Path, settings: Any) -> None:
    old_entries(10, days=364)
    entries(1)
    settings.MUGSEARCH_AUDIT_KEPT_DAYS = 300
    with pytest.raises(IntegrityError, match="can't be archived"):
        archive(shelf)
    assert Entry.objects.filter(number__lte=10).count() == 10


DELETIONS = [
    "DELETE FROM audit_entry WHERE number = 1",
    "DELETE FROM audit_entry WHERE number = 5",
    "DELETE FROM audit_entry WHERE number <= 39",
    "DELETE FROM audit_entry WHERE number <= 41",
    "DELETE FROM audit_entry WHERE number BETWEEN 2 AND 40",
    "DELETE FROM audit_entry WHERE number > 40",
    "DELETE FROM audit_entry",
    "TRUNCATE audit_entry",
    "UPDATE audit_entry SET act = 'x' WHERE number <= 40",
]


@pytest.mark.parametrize("statement", DELETIONS)
def test_only_the_whole_of_an_archived_span_may_go(
    statement: str, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_entries(40)
    entries(5)
    stop_at(monkeypatch, "archive.recorded", shelf)
    count = Entry.objects.count()
    with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Entry.objects.count() == count
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_entry WHERE number <= 40")
    assert verify().intact


def test_a_role_that_does_not_own_the_table_removes_nothing_even_if_it_may_delete(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_entries(40)
    entries(5)
    stop_at(monkeypatch, "archive.recorded", shelf)
    role = "mugsearch_heads_test"
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if not cursor.fetchone()[0]:
            pytest.skip("only a superuser makes roles")
        cursor.execute(f"DROP ROLE IF EXISTS {role}")
        cursor.execute(f"CREATE ROLE {role}; GRANT SELECT, DELETE ON audit_entry TO {role}")
        cursor.execute(f"GRANT SELECT ON audit_archivedspan TO {role}")
        try:
            with pytest.raises(ProgrammingError, match="append-only"), transaction.atomic():
                cursor.execute(f"SET LOCAL ROLE {role}; DELETE FROM audit_entry WHERE number <= 40")  # noqa: S608
        finally:
            cursor.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert Entry.objects.filter(number__lte=40).count() == 40


def stop_at(monkeypatch: pytest.MonkeyPatch, name: str, shelf: Path) -> None:
    class Killed(BaseException):
        pass

    def come_by(reached: str) -> None:
        if reached == name:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(failpoints, "armed", come_by)
        with pytest.raises(Killed):
            archive(shelf)


@pytest.mark.parametrize("name", ["archive.written", "archive.recorded", "archive.removed"])
def test_killed_at_any_step_it_goes_on_and_nothing_is_lost(
    name: str, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_entries(40)
    entries(5)
    stop_at(monkeypatch, name, shelf)
    assert verify().intact
    assert Entry.objects.filter(number__lte=40).count() == 40
    assert archive(shelf).last == 40
    assert ArchivedSpan.objects.count() == 1
    assert verify().archived == 40
    assert "Intact." in check_all(shelf, tmp_path)


def test_of_two_who_archive_at_once_one_is_refused_and_nothing_is_doubled(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_entries(40)
    entries(1)
    at_it, go_on = threading.Event(), threading.Event()

    def wait(reached: str) -> None:
        if reached == "archive.written":
            at_it.set()
            assert go_on.wait(30)

    def first() -> None:
        try:
            with as_owner():
                archive(shelf)
        finally:
            connection.close()

    with monkeypatch.context() as patched:
        patched.setattr(failpoints, "armed", wait)
        thread = threading.Thread(target=first)
        thread.start()
        assert at_it.wait(30)
        with pytest.raises(WrongState, match="being archived already"):
            archive(tmp_path / "another-shelf")
        go_on.set()
        thread.join()
    assert not (tmp_path / "another-shelf").exists()
    assert ArchivedSpan.objects.get().last == 40
    acts = Entry.objects.filter(act__startswith="audit.archiv").order_by("number")
    assert list(acts.values_list("act", "outcome")) == [
        ("audit.archiving-begun", "done"),
        ("audit.archiving-begun", "refused"),
        ("audit.archived", "done"),
        ("audit.archived-removed", "done"),
    ]
    assert "Intact." in check_all(shelf, tmp_path)
    with pytest.raises(WrongState, match="nothing to archive"):
        archive(shelf)


def test_half_a_file_that_a_killed_one_left_is_written_anew(shelf: Path, tmp_path: Path) -> None:
    old_entries(40)
    entries(1)
    shelf.mkdir()
    (shelf / "audit-000000000001-000000000040.jsonl.part").write_bytes(b'{"half')
    archive(shelf)
    assert "Intact." in check_all(shelf, tmp_path)
    assert not list(shelf.glob("*.part"))


@pytest.mark.parametrize("harm", ["cut", "flip", "head"])
def test_nothing_is_removed_whose_file_can_not_be_read_back(
    harm: str, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_entries(40)
    entries(1)
    stop_at(monkeypatch, "archive.recorded", shelf)
    path = shelf / "audit-000000000001-000000000040.jsonl"
    whole = path.read_bytes()
    if harm == "cut":
        path.write_bytes(whole[:-1000])
    elif harm == "flip":
        path.write_bytes(whole.replace(b'"step":7', b'"step":8'))
    else:
        path.with_name("audit-000000000001-000000000040.head.json").unlink()
    with pytest.raises(Unavailable):
        archive(shelf)
    assert Entry.objects.filter(number__lte=40).count() == 40
    assert Entry.objects.latest("number").outcome == "refused"


def test_a_disk_that_is_full_removes_nothing(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_entries(40)
    entries(1)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mugsearch.auditing.chain_files.os.fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            archive(shelf)
    assert list(shelf.iterdir()) == []
    assert archive(shelf).last == 40


def test_a_beginning_that_was_removed_with_a_made_up_archive_is_found(shelf: Path, tmp_path: Path) -> None:
    old_entries(40)
    entries(5)
    kept = Entry.objects.get(pk=40)
    run("DELETE FROM audit_entry WHERE number <= 40")
    assert (verify().first_bad, verify().problem) == (1, "it is missing")
    with past_the_triggers():
        ArchivedSpan.objects.create(
            first=1, last=40, previous=audit.GENESIS, digest=kept.digest, chain="0" * 64, file="x", sha256="0" * 64,
            bytes=1, head="{}", recorded_at=timezone.now(),
        )  # fmt: skip
    assert verify().first_bad == 1
    assert "no entry of the record says so" in verify().problem
    with pytest.raises(CommandError, match=r"Entry 1: .* not signed by this installation"):
        call_command("audit", "verify")


def test_entries_are_needed_by_searches_that_are_not_over(shelf: Path) -> None:
    old_entries(40)
    entries(1)
    search = finished_search()
    Probe.objects.filter(pk=search.probe_id).update(submitted_at=Entry.objects.get(pk=1).at)
    planned = archiving.plan()
    assert planned.count == 0
    assert str(search.pk) in planned.because
    with pytest.raises(WrongState, match="whose examination is not over"):
        archive(shelf)


def test_only_administrators_archive_and_not_below_the_data(shelf: Path, settings: Any) -> None:
    old_entries(40)
    entries(1)
    with pytest.raises(NotAllowed):
        archiving.archive(by=auditor(), folder=shelf)
    with pytest.raises(BadInput, match="lost"):
        archive(settings.VAR / "archive")
    assert not shelf.exists()


def test_the_ledger_of_purges_knows_what_was_archived_and_replays_nothing_of_it(shelf: Path) -> None:
    old_entries(3)
    audit_old("hold.set")
    old_entries(3, days=480)
    entries(1)
    purges.follow()
    assert len(vault.purges()) == 1
    archive(shelf)
    purges.follow()
    assert len(vault.purges()) == 1
    assert purges.unknown_here() == []


def audit_old(act: str) -> None:
    last = Entry.objects.latest("number")
    columns = {
        **{name: getattr(last, name) for name in ("actor", "address", "outcome", "object_type", "object_id", "case")},
        "number": last.number + 1,
        "at": timezone.now() - timedelta(days=490),
        "act": act,
        "details": {"hold": "x", "last_day": ""},
        "previous": last.digest,
    }
    Entry.objects.create(**columns, digest=audit.digest_of(columns))


def test_the_command_says_what_would_go(shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("audit", "archive")
    assert "nothing to archive" in capsys.readouterr().out
    old_entries(40)
    entries(1)
    call_command("audit", "archive")
    assert "Entries 1 to 40 can be archived" in capsys.readouterr().out
    call_command("audit", "archive", str(shelf))
    assert "Entries 1 to 40 are in" in capsys.readouterr().out
    call_command("audit", "verify")
    assert "Entries 1 to 40 are in the archive" in capsys.readouterr().out


def test_a_head_after_archiving_is_of_the_same_chain(shelf: Path) -> None:
    old_entries(40)
    entries(1)
    first = Entry.objects.get(pk=1).digest
    archive(shelf)
    assert json.loads(heads.sign(by=None).document)["chain"] == first
