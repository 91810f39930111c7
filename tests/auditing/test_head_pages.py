"""Auditors and administrators see how the heads leave, sign one, and take it along; nobody else does."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry, SignedHead
from mugsearch.auditing import heads
from mugsearch.vault import signing
from tests.factories import administrator, auditor, clerk, examiner, investigator

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
Api = Callable[[User], APIClient]


def test_only_auditors_and_administrators_open_the_heads(page: Page, api: Api) -> None:
    audit.record("thing.done", by=None)
    heads.sign(by=None)
    for person in (investigator(), examiner(), clerk()):
        for address in ("/audit/heads", "/audit/heads/1"):
            assert page(person).get(address).status_code == 403
            assert api(person).get(f"/api/v1{address}").status_code == 403
        assert page(person).post("/audit/heads").status_code == 403
        assert api(person).post("/api/v1/audit/heads").status_code == 403
    assert SignedHead.objects.count() == 1
    for person in (auditor(), administrator()):
        assert page(person).get("/audit/heads").status_code == 200
        assert api(person).get("/api/v1/audit/heads").status_code == 200


def test_a_button_signs_a_head_and_its_file_can_be_taken_along(page: Page, tmp_path: Any, queued: list[Any]) -> None:
    audit.record("thing.done", by=None)
    reader = auditor()
    browser = page(reader)
    answer = browser.post("/audit/heads", follow=True)
    assert "Head 1 is signed" in answer.text
    assert ("mugsearch.auditing.tasks.send_heads", ()) in queued
    assert Entry.objects.latest("number").actor == reader.pk
    file = browser.get("/audit/heads/1")
    assert "head-000001-1-" in file.headers["Content-Disposition"]
    (tmp_path / "head.json").write_bytes(file.content)
    assert Entry.objects.latest("number").act == "head.downloaded"
    call_command("audit", "verify", "--against", str(tmp_path / "head.json"))
    assert browser.get("/audit/heads/2").status_code == 404


def test_the_page_says_which_destination_fails_and_how_long_nothing_left(page: Page, settings: Any) -> None:
    settings.MUGSEARCH_HEADS_DIR = str(settings.VAR / "not-mounted")
    audit.record("thing.done", by=None)
    heads.sign(by=None)
    heads.deliver()
    for address, person in (
        ("/audit/heads", administrator()),
        ("/audit/heads", auditor()),
        ("/audit/verify", auditor()),
    ):
        text = page(person).get(address).text
        assert "no head arrives" in text
        assert "Is its volume mounted?" in text
        assert "None yet" in text


def test_a_folder_beside_the_data_is_cautioned_against_on_the_page(page: Page) -> None:
    assert "protects against little" in page(administrator()).get("/audit/heads").text


def test_programs_are_told_of_every_destination(api: Api) -> None:
    audit.record("thing.done", by=None)
    client = api(administrator())
    made = client.post("/api/v1/audit/heads")
    assert (made.status_code, made.json()["number"]) == (201, 1)
    heads.deliver()
    said = client.get("/api/v1/audit/heads").json()
    assert said["key"] == signing.fingerprint()
    (folder,) = said["destinations"]
    assert (folder["destination"], folder["last"]["serial"], folder["waiting"], folder["late"]) == (
        "folder",
        1,
        0,
        False,
    )
    assert client.get("/api/v1/audit/heads/1").json()["head"]["digest"] == made.json()["digest"]


def test_an_empty_record_has_no_head_yet(page: Page) -> None:
    person = administrator()
    assert "None has been signed yet" in page(person).get("/audit/heads").text
