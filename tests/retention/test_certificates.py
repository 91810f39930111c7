"""What a certificate says, that it can be believed elsewhere and years later, and who is given one."""

import json
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone
from pypdf import PdfReader
from rest_framework.test import APIClient

from mugsearch.accounts.models import Agency, User
from mugsearch.audit.models import Entry
from mugsearch.errors import WrongState
from mugsearch.gallery import live
from mugsearch.retention import ageing, certificate_pdf, certificates, erasing, proofs
from mugsearch.retention.certificate_models import Certificate
from mugsearch.retention.models import ExpungementOrder
from mugsearch.retention.verify_certificate import Refused, attached, check, framed
from mugsearch.settings import kept_days
from mugsearch.vault import signing
from tests.factories import AgencyFactory, administrator, auditor, clerk, examiner, investigator, rename
from tests.gallery_rows import enrol
from tests.retention.arrange import (
    OPAQUE,
    a_life,
    another_booking,
    approved,
    expunged,
    proved,
    requested,
    sealed,
    unsealed,
)
from tests.retention.arrange_rules import disposed
from tests.triggers import as_owner, past_the_triggers

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
Api = Callable[[User], APIClient]
State = ExpungementOrder.State
VERIFIER = Path(erasing.__file__).with_name("verify_certificate.py")


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


@pytest.fixture
def order() -> ExpungementOrder:
    return expunged(a_life(booking_number="24-0001").booking)


@pytest.fixture
def file(order: ExpungementOrder) -> bytes:
    return certificates.signed(certificates.of(order))


def said_of(order: ExpungementOrder) -> dict[str, Any]:
    return certificates.read(certificates.of(order))


def verified(path: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output, in a Python of its own that finds no other program of ours."""
    command = [sys.executable, str(VERIFIER), str(path), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


# --- what it says -----------------------------------------------------------------------------------------------------


def test_it_has_every_step_with_its_time_and_what_was_checked_and_the_numbers(order: ExpungementOrder) -> None:
    said = said_of(order)
    assert said["order"]["number"] == OPAQUE["order_number"]
    steps = {step["step"]: step for step in said["steps"]}
    assert list(steps)[:2] == ["requested", "approved"]
    for name in erasing.STEPS[ExpungementOrder.Kind.EXPUNGE]:
        assert steps[name]["at"] == proofs.utc(getattr(order, name))
    assert "2 data keys overwritten" in steps["key_destroyed_at"]["checked"]
    assert "2 vectors in the index" in steps["forgotten_at"]["checked"]
    assert steps["forgotten_at"]["numbers"]["vectors"] == 2
    assert steps["verified_at"]["numbers"] == order.checks["verified_at"]
    assert "columns of" in steps["verified_at"]["checked"]
    assert {line["what"]: line["count"] for line in said["counts"]}["photos"] == 2
    assert said["completed_at"] == proofs.utc(order.completed_at)


def test_every_step_of_an_expungement_has_its_words() -> None:
    assert erasing.STEPS[ExpungementOrder.Kind.EXPUNGE] == tuple(proofs.EXPUNGED)
    assert erasing.STEPS[ExpungementOrder.Kind.SEAL] == tuple(proofs.SEALED)


def test_it_names_nobody_and_has_no_identifier_but_the_order_s() -> None:
    life = a_life(booking_number="CANARY-24-0001", charge="Canary of the second degree")
    rename(life.booking.person_id, family_name="Canaryfamily", person_id="CANARY-P-1")
    first, second = clerk(full_name="Canary Clerk"), clerk(full_name="Canary Other")
    ids = {str(one.pk) for one in (life.booking, life.booking.person, *life.photos, life.lead, first, second)}
    order = requested(life.booking, by=first, reason="Canary words somebody typed")
    made = certificates.of(proved(approved(order, by=second)))
    for text in (certificates.signed(made).decode(), text_of(certificate_pdf.printed(made))):
        assert "canary" not in text.lower()
        assert not [one for one in ids if one in text]
    found = re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", bytes(made.document).decode())
    assert set(found) == {str(order.pk)}


def test_a_step_s_numbers_are_on_it_and_nothing_but_numbers_and_codes() -> None:
    checks = {"found": 0, "vectors": 3, "how": "searched", "who": "Ann Lee", "which": str(uuid4()), "many": ["x"]}
    assert proofs._numbers_only(checks) == {"found": 0, "vectors": 3, "how": "searched"}


def test_it_says_by_which_day_what_still_ages_out_is_gone(order: ExpungementOrder, settings: Any) -> None:
    assert order.completed_at
    until = {place["place"]: place["until"] for place in said_of(order)["ages_out"]}
    assert set(until) == {"wal", "pages", "backups", "keys_backups", "memory", "logs"}
    assert until["wal"] == (order.completed_at + timedelta(days=7)).date().isoformat()
    assert until["backups"] == until["keys_backups"] == (order.completed_at + timedelta(days=35)).date().isoformat()
    assert until["memory"] == (order.completed_at + timedelta(days=1)).date().isoformat()
    assert until["pages"] is None
    settings.MUGSEARCH_BACKUPS_KEPT_DAYS = 90
    later = {place["place"]: place["until"] for place in ageing.ages_out(order.completed_at)}
    assert later["backups"] == (order.completed_at + timedelta(days=90)).date().isoformat()


def test_of_a_sealing_it_says_what_is_kept_and_that_nothing_ages_out() -> None:
    booking = enrol(1).booking
    said = said_of(sealed(booking))
    assert said["ages_out"] == []
    assert any("Nothing was destroyed" in sentence for sentence in said["kept"])
    assert [step["step"] for step in said["steps"]] == ["requested", "approved", "sealed", "forgotten_at"]
    back = said_of(unsealed(booking))
    assert [step["step"] for step in back["steps"]] == ["requested", "approved", "unsealed"]
    assert back["title"] == "Certificate of unsealing"


def test_of_a_whole_person_it_says_how_many_bookings() -> None:
    booking = enrol(1).booking
    another_booking(booking)
    said = said_of(expunged(booking, whole_person=True))
    assert said["order"]["whole_person"] is True
    assert said["statement"].startswith("2 bookings of one person")


def test_of_an_expungement_whose_ids_an_earlier_version_forgot_it_says_that_the_last_look_had_nothing_to_look_for() -> (
    None
):
    order = approved(requested(enrol(1).booking))
    ExpungementOrder.objects.filter(pk=order.pk).update(sought={})
    steps = {step["step"]: step for step in said_of(proved(order))["steps"]}
    assert steps["verified_at"]["numbers"]["ids"] == 0
    for looked in ("leavings_gone_at", "verified_at"):
        assert "nothing to look for" in steps[looked]["checked"]


def test_the_keys_of_dispositions_and_rejected_rows_are_counted_with_those_of_the_booking() -> None:
    booking = disposed("acquitted", timezone.localdate())
    step = said_of(expunged(booking))["steps"][3]
    assert (step["step"], step["numbers"]["keys"]) == ("key_destroyed_at", 3)
    assert step["checked"].startswith("3 data keys overwritten")


# --- once, with the completion, and for good --------------------------------------------------------------------------


def test_an_order_is_never_complete_without_its_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(message: bytes) -> bytes:
        raise WrongState("No key.")

    order = approved(requested(enrol(1).booking))
    with monkeypatch.context() as broken_key:
        broken_key.setattr(signing, "sign", broken)
        proved(order)
    assert (order.state, order.verified_at, Certificate.objects.count()) == (State.APPROVED, None, 0)
    assert order.troubles == {"verified_at": "No key."}
    with pytest.raises(WrongState, match="not complete"):
        certificates.of(order)
    assert proved(order).state == State.COMPLETE
    assert Certificate.objects.get().order_id == order.pk


def test_it_is_made_once_and_the_audit_has_its_digest(order: ExpungementOrder) -> None:
    made = certificates.of(order)
    assert certificates.of(order) == made
    entry = Entry.objects.get(act="expungement.certified")
    assert entry.object_id == str(order.pk)
    assert entry.details == {
        "sha256": sha256(bytes(made.document)).hexdigest(),
        "signed_with": sha256(bytes(made.public_key)).hexdigest(),
    }


def test_postgresql_refuses_to_change_or_remove_one_and_to_certify_what_is_not_complete(
    order: ExpungementOrder,
) -> None:
    for sql in (
        "UPDATE retention_certificate SET document = 'x'",
        "DELETE FROM retention_certificate",
        "TRUNCATE retention_certificate",
    ):
        refused = pytest.raises(DatabaseError, match="neither changed nor removed")
        with as_owner(), refused, connection.cursor() as cursor:
            cursor.execute(sql)
    waiting = requested(enrol(2).booking)
    with pytest.raises(DatabaseError, match="only a complete order"), transaction.atomic():
        Certificate.objects.create(order=waiting, document=b"{}", signature=bytes(64), public_key=bytes(32))


def test_the_same_bytes_are_handed_out_also_under_a_new_key_and_a_new_name(
    order: ExpungementOrder, file: bytes, settings: Any, api: Api
) -> None:
    printed = certificate_pdf.printed(certificates.of(order))
    old = signing.fingerprint()
    settings.MUGSEARCH_SIGNING_KEY = "7" * 64
    Agency.objects.update(name="Shelbyville")
    reader = api(clerk())
    assert reader.get(f"/api/v1/expungements/{order.pk}/certificate").content == file
    assert reader.get(f"/api/v1/expungements/{order.pk}/certificate.pdf").content == printed
    assert check(file, old)
    with pytest.raises(Refused, match="another key"):
        check(file, signing.fingerprint())


def test_a_sealing_completed_before_there_were_certificates_is_certified_when_it_is_asked_for() -> None:
    order = sealed(enrol(1).booking)
    with past_the_triggers():
        Certificate.objects.all().delete()
    before = Entry.objects.count()
    said = said_of(order)
    assert said["completed_at"] == proofs.utc(order.completed_at)
    assert Entry.objects.count() == before + 1
    assert Certificate.objects.count() == 1


@pytest.mark.parametrize("typed", ["0", "-1", "4000", "soon", "3.5", ""])
def test_days_that_nobody_can_promise_stop_the_start_with_a_clear_line(
    typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUGSEARCH_WAL_KEPT_DAYS", typed)
    with pytest.raises(ImproperlyConfigured, match="MUGSEARCH_WAL_KEPT_DAYS has to be a number of days"):
        kept_days("MUGSEARCH_WAL_KEPT_DAYS", 7)
    monkeypatch.setenv("MUGSEARCH_WAL_KEPT_DAYS", " 14 ")
    assert kept_days("MUGSEARCH_WAL_KEPT_DAYS", 7) == 14


# --- checking it without this system ----------------------------------------------------------------------------------


def test_the_verifier_believes_the_json_and_the_pdf_and_prints_what_was_signed(
    order: ExpungementOrder, file: bytes, tmp_path: Path
) -> None:
    (tmp_path / "c.json").write_bytes(file)
    (tmp_path / "c.pdf").write_bytes(certificate_pdf.printed(certificates.of(order)))
    typed = ":".join(signing.fingerprint()[place : place + 2].upper() for place in range(0, 64, 2))
    for name in ("c.json", "c.pdf"):
        code, out = verified(tmp_path / name, "--key", typed)
        assert (code, out.splitlines()[-1]) == (0, "Everything fits.")
        for part in (
            OPAQUE["order_number"],
            "Data keys destroyed",
            "write-ahead log",
            certificates.digest(certificates.of(order)),
        ):
            assert part in out
    assert "compare it with the fingerprint" in verified(tmp_path / "c.json")[1]
    assert "nor any other file" in verified(tmp_path / "c.pdf")[1]
    assert verified(tmp_path / "c.json", "--key", "0" * 64)[0] == 1


def test_what_is_attached_is_found_whatever_bytes_it_is_packed_in() -> None:
    ends = set()
    for number in range(3000):
        said = b"certificate %d" % number
        packed = zlib.compress(said)
        ends.add(packed[-1:])
        pdf = b"%PDF-1.7\n<</Type /EmbeddedFile>>\nstream\n" + packed + b"\nendstream\n%%EOF"
        assert attached(pdf) == said
    assert {b"\r", b"\n"} <= ends
    hidden = pdf.replace(b"/Type /Embedded", b"/Type\n/Embedded")
    for wrong in (
        b"%PDF-1.7\n",
        pdf + pdf,
        pdf + hidden,
        pdf.replace(packed, packed[:-3]),
        pdf.replace(packed, b"x" + packed),
    ):
        with pytest.raises(Refused):
            attached(wrong)


def values(said: Any) -> Iterator[str]:
    """Every field of it, as it is written in the file."""
    for value in said.values() if isinstance(said, dict) else said:
        if isinstance(value, dict | list):
            yield from values(value)
        else:
            yield json.dumps(value, ensure_ascii=False)


def test_the_verifier_refuses_one_of_which_any_field_was_changed(order: ExpungementOrder, file: bytes) -> None:
    said = said_of(order)
    changed = 0
    for value in set(values(said)):
        for other in ('"changed"', "12345"):
            forged = file.replace(value.encode(), other.encode(), 1)
            assert forged != file
            with pytest.raises(Refused):
                check(forged, None)
            changed += 1
    assert changed > 80


def test_the_verifier_refuses_any_changed_byte_and_anything_added(file: bytes) -> None:
    for place in range(0, len(file), 7):
        forged = bytearray(file)
        forged[place] ^= 1
        with pytest.raises(Refused):
            check(bytes(forged), None)
    for forged in (file + b"\n", b" " + file, file[:-1], b"", b"{}", file.replace(b",\n", b",\n\n", 1)):
        with pytest.raises(Refused):
            check(forged, None)


def test_one_that_somebody_else_signed_is_told_by_the_key(order: ExpungementOrder, settings: Any) -> None:
    published = signing.fingerprint()
    settings.MUGSEARCH_SIGNING_KEY = "9" * 64
    document = bytes(certificates.of(order).document).replace(b"26-CV-0417", b"26-CV-0418")
    forged = framed(document, signing.public_key(), signing.sign(document))
    assert check(forged, None)
    with pytest.raises(Refused, match="another key"):
        check(forged, published)


def test_what_else_the_key_has_signed_is_no_certificate(order: ExpungementOrder) -> None:
    head = b'{\n "format": "mugsearch-disclosure/2",\n "search": "x"\n}'
    with pytest.raises(Refused, match="no certificate"):
        check(framed(head, signing.public_key(), signing.sign(head)), None)
    twice = b'{"format":"mugsearch-certificate/1","a":1,"a":2}'
    with pytest.raises(Refused, match="twice"):
        check(framed(twice, signing.public_key(), signing.sign(twice)), None)


def test_no_character_of_it_steers_the_terminal_of_the_verifier(tmp_path: Path) -> None:
    booking = enrol(1).booking
    Agency.objects.filter(pk=booking.agency_id).update(name="Spring\x1b[2Jfield\u202e")
    (tmp_path / "c.json").write_bytes(certificates.signed(certificates.of(expunged(booking))))
    code, out = verified(tmp_path / "c.json")
    assert code == 0
    assert "\x1b" not in out
    assert "\u202e" not in out


# --- on paper ---------------------------------------------------------------------------------------------------------


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)


def test_the_pdf_has_the_signed_file_attached_and_the_same_bytes_whenever_it_is_made(
    order: ExpungementOrder, file: bytes
) -> None:
    made = certificates.of(order)
    first = certificate_pdf.printed(made)
    [attached] = re.findall(rb"/Type /EmbeddedFile.*?stream\n(.*?)\nendstream", first, re.DOTALL)
    assert zlib.decompress(attached) == file
    with time_machine.travel(time.time() + 400 * 24 * 3600):
        assert certificate_pdf.printed(made) == first


def test_the_pdf_prints_long_numbers_and_names_of_every_script_and_both_times(settings: Any) -> None:
    settings.TIME_ZONE = "America/Detroit"
    booking = enrol(1).booking
    name = "Ayuntamiento de São João, Полиция, Αστυνομία, Mauna ʻŌlelo 中"
    Agency.objects.filter(pk=booking.agency_id).update(name=name)
    order = expunged(booking, order_number="W" * 64)
    text = text_of(certificate_pdf.printed(certificates.of(order)))
    assert "Полиция, Αστυνομία, Mauna ʻŌlelo [U+4E2D]" in " ".join(text.split())
    assert "WWW" in text
    assert re.search(r"\d\d:\d\d:\d\d UTC", text)
    assert re.search(r"\d\d:\d\d:\d\d E[SD]T", text)
    assert certificates.digest(certificates.of(order))[:8] in text
    assert signing.fingerprint()[:8] in text


# --- who is given one -------------------------------------------------------------------------------------------------


def test_records_staff_and_auditors_of_the_agency_are_given_it_and_each_time_is_on_record(
    order: ExpungementOrder, file: bytes, page: Page, api: Api
) -> None:
    for reader in (clerk(), auditor(), auditor(agency=None)):
        before = Entry.objects.count()
        browser, program = page(reader), api(reader)
        assert OPAQUE["order_number"] in browser.get(f"/expungements/{order.pk}/certificate").content.decode()
        assert browser.get(f"/expungements/{order.pk}/certificate.json").content == file
        got = browser.get(f"/expungements/{order.pk}/certificate.pdf")
        assert got.content.startswith(b"%PDF")
        assert got.headers["Content-Disposition"] == f'attachment; filename="certificate-{order.pk}.pdf"'
        assert program.get(f"/api/v1/expungements/{order.pk}/certificate").content == file
        assert program.get(f"/api/v1/expungements/{order.pk}/certificate.pdf").content == got.content
        acts = list(
            Entry.objects.filter(number__gt=before, actor=reader.pk, object_id=str(order.pk)).order_by("number")
        )
        assert [entry.act for entry in acts if entry.act.startswith("expungement.cert")] == [
            "expungement.certificate-viewed",
            *["expungement.certificate-downloaded"] * 4,
        ]
        assert acts[-1].details == {"form": "pdf", "sha256": certificates.digest(certificates.of(order))}


def test_to_everybody_else_there_is_no_such_certificate(order: ExpungementOrder, page: Page, api: Api) -> None:
    elsewhere = AgencyFactory(code="shelbyville")
    strangers = [(person, 403) for person in (investigator(), examiner(), administrator())]
    colleagues = [(person, 404) for person in (clerk(agency=elsewhere), auditor(agency=elsewhere))]
    for person, status in (*strangers, *colleagues):
        for pk in (order.pk, uuid4()):
            for end in ("certificate", "certificate.json", "certificate.pdf"):
                assert page(person).get(f"/expungements/{pk}/{end}").status_code == status
            for end in ("certificate", "certificate.pdf"):
                assert api(person).get(f"/api/v1/expungements/{pk}/{end}").status_code == status
    assert Client().get(f"/expungements/{order.pk}/certificate.pdf").status_code == 302
    assert APIClient().get(f"/api/v1/expungements/{order.pk}/certificate").status_code == 401
    assert not Entry.objects.filter(act__endswith="certificate-downloaded").exists()


def test_there_is_none_before_the_order_is_complete(page: Page, api: Api) -> None:
    order = approved(requested(enrol(1).booking))
    assert page(clerk()).get(f"/expungements/{order.pk}/certificate.pdf").status_code == 409
    assert api(clerk()).get(f"/api/v1/expungements/{order.pk}/certificate").status_code == 409


def test_an_auditor_finds_it_from_the_record(order: ExpungementOrder, page: Page) -> None:
    entry = Entry.objects.get(act="expungement.certified")
    text = page(auditor()).get(f"/audit/{entry.number}").content.decode()
    assert f'href="/expungements/{order.pk}/certificate"' in text


def test_the_verifier_is_handed_out_beside_it(page: Page) -> None:
    given = page(auditor()).get("/expungements/verify_certificate.py")
    assert given.content == VERIFIER.read_bytes()
