"""Signed heads leave the database, and against them no tampering stays hidden, nor from a program without Django."""

import ast
import json
import socket
import sys
import threading
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.audit.models import Delivery, Entry, SignedHead
from mugsearch.auditing import destinations, heads, services, tasks, verify_audit
from mugsearch.errors import NotAllowed
from mugsearch.vault import signing
from tests.audit.arrange import TAMPERINGS, cut_the_tail, entries, exported, rewrite_from, run, standalone
from tests.factories import administrator, auditor, clerk, examiner, investigator
from tests.triggers import as_owner, past_the_triggers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def outside(tmp_path: Path, settings: Any) -> Path:
    settings.MUGSEARCH_HEADS_DIR = str(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    return tmp_path / "outside"


def leave() -> SignedHead:
    head = heads.sign(by=None)
    heads.deliver()
    return head


def verified(*against: object) -> str:
    """What the command says: "" when everything fits."""
    try:
        call_command("audit", "verify", *(f"--against={one}" for one in against))
    except CommandError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_every_tampering_is_found_against_a_head_kept_outside_by_both_verifiers(
    tampering: str, outside: Path, tmp_path: Path
) -> None:
    tamper, first_bad = TAMPERINGS[tampering]
    entries(10)
    leave()
    untouched = exported(tmp_path / "before")
    assert verified(outside) == ""
    assert standalone(untouched, "--against", outside, "--key", signing.fingerprint()).returncode == 0

    tamper()
    tampered = exported(tmp_path / "after")  # before the verification, which is an entry, too
    assert f"NOT INTACT. Entry {first_bad}:" in verified(outside)
    said = standalone(tampered, "--against", outside, "--key", signing.fingerprint())
    assert (said.returncode, said.stdout.split(":")[0]) == (1, f"NOT INTACT  Entry {first_bad}"), said.stdout


def test_hourly_heads_say_between_which_entries_a_record_was_written_anew(outside: Path, tmp_path: Path) -> None:
    entries(4)
    leave()
    entries(4)
    leave()  # about entry 9: the first head was an entry too
    run("UPDATE audit_entry SET act = 'thing.undone' WHERE number = 7")
    with past_the_triggers():
        rewrite_from(7)
    assert "Entry 9: it is not the one whose digest was kept outside: it or one after entry 4" in verified(outside)
    assert "it or one after entry 4" in standalone(exported(tmp_path), "--against", outside).stdout


def test_a_forged_head_is_refused_by_both(outside: Path, tmp_path: Path) -> None:
    entries(10)
    leave()
    path = next(outside.iterdir())
    record = exported(tmp_path / "export")
    genuine = path.read_bytes()
    for forged in (genuine.replace(b'"number":10', b'"number":09'), genuine.replace(b'"number":10', b'"number":11')):
        assert forged != genuine
        path.write_bytes(forged)
        assert "The signature of" in verified(path)
        assert "The signature of" in standalone(record, "--against", path).stdout


def test_a_head_of_another_installation_is_refused(outside: Path, tmp_path: Path, settings: Any) -> None:
    entries(10)
    ours = signing.fingerprint()
    settings.MUGSEARCH_SIGNING_KEY = Ed25519PrivateKey.generate().private_bytes_raw().hex()
    leave()
    settings.MUGSEARCH_SIGNING_KEY = "b" * 64 if ours != signing.fingerprint() else ours
    record = exported(tmp_path)
    assert "another key" in verified(outside)
    said = standalone(record, "--against", outside, "--key", signing.fingerprint())
    assert (said.returncode, "another key" in said.stdout) == (1, True)


def test_a_head_of_another_record_signed_with_the_same_key_does_not_fit(outside: Path, tmp_path: Path) -> None:
    entries(3)
    leave()
    run("DELETE FROM audit_entry")
    entries(5)
    assert "Entry 1: it is not the one whose digest was kept outside" in verified(outside)
    assert "Entry 1: it is not the one" in standalone(exported(tmp_path), "--against", outside).stdout


def test_a_folder_of_heads_with_one_missing_or_one_too_many_is_refused(outside: Path, tmp_path: Path) -> None:
    for _ in range(3):
        entries(2)
        leave()
    record = exported(tmp_path / "export")
    assert verified(outside) == ""
    (outside / "notes.txt").write_text("x")
    assert "notes.txt doesn't belong" in verified(outside)
    assert "notes.txt doesn't belong" in standalone(record, "--against", outside).stdout
    (outside / "notes.txt").unlink()
    second = sorted(outside.iterdir())[1]
    (outside / second.name.replace("head-000002", "head-000004")).write_bytes(second.read_bytes())
    assert "a second head number 2" in verified(outside)
    (outside / second.name.replace("head-000002", "head-000004")).unlink()
    second.unlink()
    assert "Head number 2 is missing" in verified(outside)
    assert "Head number 2 is missing" in standalone(record, "--against", outside).stdout


def test_a_head_is_a_file_with_the_number_the_digest_the_time_and_the_key(outside: Path) -> None:
    last = entries(3)[-1]
    head = leave()
    path = outside / f"head-000001-3-{head.at:%Y%m%dT%H%M%SZ}.json"
    said = json.loads(path.read_bytes())["head"]
    assert (said["number"], said["digest"], said["key"]) == (3, last.digest, signing.fingerprint())
    entry = Entry.objects.latest("number")
    assert (entry.act, entry.details["number"], entry.details["digest"]) == ("head.signed", 3, last.digest)


def test_one_leaves_every_hour_and_no_more_often(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries(1)
    tasks.send_heads()
    tasks.send_heads()
    assert len(list(outside.iterdir())) == 1
    later = timezone.now() + timedelta(minutes=60)
    monkeypatch.setattr(timezone, "now", lambda: later)
    tasks.send_heads()
    assert len(list(outside.iterdir())) == 2
    assert verified(outside) == ""


def test_nothing_leaves_an_empty_record() -> None:
    tasks.send_heads()
    assert not SignedHead.objects.exists()


def test_a_destination_that_fails_is_shown_tried_again_and_holds_up_no_act(outside: Path) -> None:
    outside.rmdir()
    entries(1)
    with pytest.raises(CommandError, match="not reached every destination"):
        call_command("audit", "head")
    (status,) = heads.statuses()
    assert (status.waiting, status.last, "Is its volume mounted?" in status.trouble) == (1, None, True)
    assert not outside.exists()  # no folder is made where a volume should be
    entries(1)
    outside.mkdir()
    heads.deliver()
    (status,) = heads.statuses()
    assert (status.waiting, status.trouble) == (0, "")
    assert status.last == SignedHead.objects.get()
    assert Delivery.objects.get().tries == 2


def test_a_full_disk_leaves_no_half_head(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries(1)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mugsearch.durable.os.fsync", full)
        leave()
    assert list(outside.iterdir()) == []
    assert "No space left" in heads.statuses()[0].trouble
    heads.deliver()
    assert len(list(outside.iterdir())) == 1


def test_a_file_of_the_same_name_is_never_written_over(outside: Path) -> None:
    entries(1)
    head = heads.sign(by=None)
    (outside / destinations.name_of(head)).write_text("something else")
    heads.deliver()
    assert (outside / destinations.name_of(head)).read_text() == "something else"
    assert "there already" in heads.statuses()[0].trouble


def test_a_head_goes_by_e_mail_with_the_file_attached(outside: Path, settings: Any, tmp_path: Path) -> None:
    settings.MUGSEARCH_HEADS_EMAIL = ["court@example.org"]
    entries(3)
    head = leave()
    (message,) = mail.outbox
    assert message.to == ["court@example.org"]
    assert f"3:{head.digest}" in message.body
    (tmp_path / "attached.json").write_text(message.attachments[0][1])
    assert verified(tmp_path / "attached.json") == ""
    assert not any(status.waiting for status in heads.statuses())


@pytest.mark.parametrize("kind", ["udp", "tcp", "socket"])
def test_a_head_goes_to_syslog_as_one_line_that_can_be_checked(
    kind: str, outside: Path, settings: Any, tmp_path: Path
) -> None:
    taken: list[bytes] = []
    if kind == "socket":
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        server.bind(str(tmp_path / "log"))
        settings.MUGSEARCH_HEADS_SYSLOG = str(tmp_path / "log")
    else:
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 0))
        settings.MUGSEARCH_HEADS_SYSLOG = f"{'tcp://' if kind == 'tcp' else ''}127.0.0.1:{server.getsockname()[1]}"
    server.settimeout(10)

    def serve() -> None:
        if kind == "tcp":
            taken.append(server.accept()[0].makefile("rb").read())
        else:
            taken.append(server.recv(65536))

    if kind == "tcp":
        server.listen()
    waiting = threading.Thread(target=serve)
    waiting.start()
    entries(3)
    leave()
    waiting.join()
    server.close()
    assert taken[0].rstrip(b"\n").count(b"\n") == 0
    assert taken[0].startswith(b"<109>mugsearch: audit head {")
    (tmp_path / "from-syslog.json").write_bytes(taken[0].partition(b"audit head ")[2])
    assert verified(tmp_path / "from-syslog.json") == ""


def test_a_syslog_that_is_not_there_is_trouble_of_its_own(outside: Path, settings: Any) -> None:
    settings.MUGSEARCH_HEADS_SYSLOG = "tcp://127.0.0.1:1"
    entries(1)
    leave()
    folder, syslog = heads.statuses()
    assert (folder.waiting, syslog.waiting) == (0, 1)
    assert "refused" in syslog.trouble.lower()
    settings.MUGSEARCH_HEADS_SYSLOG = "nonsense"
    heads.deliver()
    assert "has to be HOST:PORT" in heads.statuses()[1].trouble


def test_a_folder_on_the_volume_of_the_data_is_cautioned_against(settings: Any, outside: Path) -> None:
    assert "same volume" in destinations.configured()[0].caution
    settings.MUGSEARCH_HEADS_DIR = "/proc"  # another one, for sure
    assert destinations.configured()[0].caution == ""


@pytest.mark.parametrize("statement", ["UPDATE audit_signedhead SET digest = ''", "DELETE FROM audit_signedhead"])
def test_postgresql_refuses_to_change_a_head(statement: str, outside: Path) -> None:
    entries(1)
    leave()
    refused = pytest.raises(ProgrammingError, match="append-only")
    with as_owner(), refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_auditors_and_administrators_sign_a_head_and_nobody_else() -> None:
    entries(1)
    for person in (investigator(), examiner(), clerk()):
        with pytest.raises(NotAllowed):
            heads.sign(by=person)
    assert Entry.objects.latest("number").outcome == "refused"
    for person in (auditor(), administrator()):
        assert heads.sign(by=person).serial


def test_an_export_is_checked_with_the_head_beside_it(tmp_path: Path) -> None:
    entries(20)
    written = services.export_chain(by=auditor(), path=tmp_path)
    assert (written.first, written.last) == (1, 21)
    assert {path.name for path in tmp_path.iterdir()} == {
        written.path.name,
        written.path.name.replace(".jsonl", ".head.json"),
        "verify_audit.py",
    }
    said = standalone(tmp_path, "--key", signing.fingerprint())
    assert said.returncode == 0, said.stdout
    assert "21 entries fit together" in said.stdout
    lines = written.path.read_bytes().splitlines(keepends=True)
    for cut in (lines[:-1], lines[1:], lines[:5] + lines[6:]):
        written.path.write_bytes(b"".join(cut))
        assert standalone(tmp_path).returncode == 1


def test_a_part_is_exported_and_heads_about_later_entries_say_nothing_about_it(tmp_path: Path, outside: Path) -> None:
    entries(20)
    leave()
    services.export_chain(by=auditor(), path=tmp_path / "part.jsonl", first=5, last=9)
    said = standalone(tmp_path / "part.jsonl", "--against", outside)
    assert said.returncode == 0, said.stdout
    assert "5 entries fit together, 5 to 9" in said.stdout
    assert "2 entries that heads are about are not in these files" in said.stdout


def test_an_export_writes_over_nothing_and_is_an_entry(tmp_path: Path) -> None:
    entries(2)
    call_command("audit", "export", str(tmp_path / "a.jsonl"))
    assert Entry.objects.latest("number").act == "audit.exported"
    with pytest.raises(CommandError, match="there already"):
        call_command("audit", "export", str(tmp_path / "a.jsonl"))
    with pytest.raises(CommandError, match="In the database are the entries 1 to"):
        call_command("audit", "export", str(tmp_path / "b.jsonl"), "--to", "999")


def test_the_tail_that_was_cut_before_an_export_shows_against_a_head_from_outside(
    tmp_path: Path, outside: Path
) -> None:
    entries(10)
    leave()
    cut_the_tail()
    services.export_chain(by=auditor(), path=tmp_path / "cut.jsonl")
    assert standalone(tmp_path / "cut.jsonl").returncode == 0
    # The entry about the export took the place of entry 8.
    said = standalone(tmp_path / "cut.jsonl", "--against", outside).stdout
    assert "NOT INTACT  Entry 9: it is missing: there were 10 entries once" in said


def test_the_verifier_imports_nothing_but_the_standard_library_and_cryptography() -> None:
    tree = ast.parse(Path(verify_audit.__file__).read_text())
    found = {one.module or "" for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)}
    found |= {name.name for one in ast.walk(tree) if isinstance(one, ast.Import) for name in one.names}
    assert {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names) == {"cryptography"}


def test_reading_an_entry_in_a_file_needs_no_json_writer(tmp_path: Path) -> None:
    """Whoever checks in another language cuts the end off and hashes the rest."""
    audit.record("thing.done", by=None, value=0.1, text="é\u2028")
    line = exported(tmp_path).read_bytes()
    assert sha256(line[:-78] + b"}").hexdigest() == Entry.objects.get().digest
