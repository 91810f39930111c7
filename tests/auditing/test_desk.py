"""The auditors' desk: who may read the record, finding entries in it, taking them along, and verifying it."""

import csv
import datetime
import io
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mugsearch import spreadsheet
from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.audit.verify import verify
from tests.factories import CaseFactory, administrator, auditor, clerk, examiner, investigator
from tests.reviews.arrange import finished_search
from tests.triggers import past_the_triggers

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
Api = Callable[[User], APIClient]

PAGES = ["/audit/", "/audit/1", "/audit/export", "/audit/verify", "/audit/timelines", "/audit/signals", "/audit/saved"]
PAGES += ["/audit/reviews", "/audit/reviews/2026-01-05"]
API = ["/api/v1/audit", "/api/v1/audit/1", "/api/v1/audit/export"]


def shown(page: Page, query: str = "") -> list[int]:
    """Numbers of the entries on the auditor's page, without those that other tests' arranging made."""
    response = page(auditor()).get(f"/audit/{query}")
    assert response.status_code == 200
    return [row["entry"].number for row in response.context["rows"]]


@pytest.mark.parametrize("address", PAGES)
def test_only_auditors_open_the_record(page: Page, address: str) -> None:
    audit.record("thing.done", by=None)
    for person in (investigator(), examiner(), clerk(), administrator()):
        assert page(person).get(address).status_code == 403
        assert Entry.objects.latest("number").outcome == "refused"
    assert page(auditor()).get(address).status_code == 200


@pytest.mark.parametrize("address", API)
def test_only_auditors_ask_for_the_record_through_the_api(api: Api, address: str) -> None:
    audit.record("thing.done", by=None)
    assert APIClient().get(address).status_code == 401
    for person in (investigator(), administrator()):
        assert api(person).get(address).status_code == 403
        assert api(person).post("/api/v1/audit/verify").status_code == 403
    assert api(auditor()).get(address).status_code == 200


def test_a_stranger_is_sent_to_the_sign_in() -> None:
    assert Client().get("/audit/").headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize("address", ["/audit/", "/audit/timelines", "/audit/reviews", "/audit/signals", "/audit/saved"])
def test_the_desk_says_on_which_of_its_pages_one_is(page: Page, address: str) -> None:
    text = page(auditor()).get(address).text
    assert f'<a class="button button--quiet" href="{address}" aria-current="page">' in text


def test_the_navigation_says_below_which_of_its_pages_one_is(page: Page) -> None:
    browser = page(auditor())
    for address, said in (("/audit/", "page"), ("/audit/timelines", "true"), ("/audit/reviews", "page")):
        found = [item for item in browser.get(address).context["navigation"] if item["current"]]
        label = "Reviews" if "reviews" in address else "Audit"
        assert [(item["label"], item["current"]) for item in found] == [(label, said)]


def test_a_time_at_the_edge_of_the_calendar_is_answered(page: Page, api: Api, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"  # there the first day of the calendar begins before it
    assert api(auditor()).get("/api/v1/audit?since=0001-01-01T00:00").status_code == 400
    for query in ("since=0001-01-01T00:00", "before=9999-12-31T23:59"):
        assert page(auditor()).get(f"/audit/?{query}").status_code == 200


def test_reading_the_record_is_an_entry_with_the_filters_as_ids(page: Page) -> None:
    case, reader = CaseFactory(number="26-00417"), auditor(full_name="Rita Reader")
    page(reader).get(f"/audit/?case=26-00417&actor={reader.pk}&outcome=done")
    entry = Entry.objects.latest("number")
    assert (entry.act, entry.actor, entry.case) == ("audit.read", reader.pk, case.pk)
    assert entry.details == {"cases": [str(case.pk)], "actor": str(reader.pk), "outcome": "done"}
    assert "26-00417" not in entry.canonical().decode()


def test_looking_at_exporting_and_verifying_are_entries_too(page: Page) -> None:
    audit.record("thing.done", by=None)
    browser = page(auditor())
    browser.get("/audit/1")
    assert Entry.objects.latest("number").object_id == "1"
    b"".join(browser.get("/audit/export?to=jsonl"))
    assert Entry.objects.latest("number").act == "audit.exported"
    browser.post("/audit/verify")
    entry = Entry.objects.latest("number")
    assert (entry.act, entry.details["intact"], entry.details["entries"]) == ("audit.verified", True, entry.number - 1)


def test_entries_are_shown_newest_first_with_names_from_today(page: Page) -> None:
    person, case = investigator(full_name="Mika Sundberg"), CaseFactory(number="26-00417")
    first = audit.record("probe.submitted", by=person, case=case.pk)
    second = audit.record("search.finished", by=None)
    gone = audit.record("thing.done", by=User(pk=uuid4()))
    response = page(auditor()).get("/audit/")
    assert [row["entry"].number for row in response.context["rows"]] == [gone.number, second.number, first.number]
    assert [row["who"] for row in response.context["rows"]] == ["Unknown account", "The system", "Mika Sundberg"]
    assert "26-00417" in response.content.decode()
    assert "Mika" not in json.dumps(list(Entry.objects.values("details", "object_id", "act")))


def test_entries_are_found_by_person_case_act_outcome_object_and_time(page: Page) -> None:
    person, case = investigator(), CaseFactory(number="26-00417")
    mine = audit.record("probe.submitted", by=person, obj=case, case=case.pk).number
    refused = audit.refuse("page.opened", by=investigator(), reason="not_allowed").number
    assert shown(page, f"?actor={person.pk}") == [mine]
    assert shown(page, "?case=26-00417") == [mine]
    assert shown(page, "?act=probe.submitted") == [mine]
    assert shown(page, "?outcome=refused") == [refused]
    assert shown(page, f"?object={str(case.pk).upper()}") == [mine]
    now = timezone.now().astimezone(datetime.UTC)
    hour_ago, soon = (f"{now + datetime.timedelta(hours=h):%Y-%m-%dT%H:%M}" for h in (-1, 1))
    assert {mine, refused} <= set(shown(page, f"?since={hour_ago}&before={soon}"))
    assert shown(page, f"?before={hour_ago}") == []
    assert shown(page, f"?since={soon}") == []


def test_times_are_asked_by_the_clock_of_the_installation(page: Page, settings: Any) -> None:
    settings.TIME_ZONE = "America/New_York"
    audit.record("thing.done", by=None)
    there = timezone.now().astimezone(ZoneInfo("America/New_York"))
    assert shown(page, f"?since={there - datetime.timedelta(minutes=2):%Y-%m-%dT%H:%M}") == [1]
    assert shown(page, f"?since={there + datetime.timedelta(minutes=2):%Y-%m-%dT%H:%M}") == []


def test_a_person_is_found_by_name_user_name_or_as_the_system(page: Page) -> None:
    mika = investigator(full_name="Mika Sundberg", username="msund")
    mine = audit.record("probe.submitted", by=mika).number
    system = audit.record("search.finished", by=None).number
    for typed in ("sundb", "MSUND", str(mika.pk)):
        assert shown(page, f"?actor={typed}") == [mine]
    assert shown(page, "?actor=system") == [system]
    assert "Nobody has this name" in page(auditor()).get("/audit/?actor=nobody").text


def test_a_family_of_acts_is_one_filter(page: Page) -> None:
    asked = audit.record("search.requested", by=None).number
    done = audit.record("search.finished", by=None).number
    audit.record("probe.submitted", by=None)
    assert shown(page, "?act=search.") == [done, asked]


def test_a_kind_of_object_needs_its_id(page: Page) -> None:
    case = CaseFactory()
    number = audit.record("case.viewed", by=None, obj=case).number
    assert shown(page, f"?kind=probes.case&object={case.pk}") == [number]
    assert shown(page, f"?kind=probes.search&object={case.pk}") == []
    assert page(auditor()).get("/audit/?kind=probes.case").status_code == 422


def test_an_unknown_case_number_shows_nothing_and_says_why(page: Page) -> None:
    audit.record("thing.done", by=None)
    response = page(auditor()).get("/audit/?case=nobody-knows")
    assert response.context["rows"] == []
    assert "No case has this number" in response.content.decode()


BACKWARDS = "since=2026-02-01&before=2026-01-01"


@pytest.mark.parametrize("query", ["act=x", "outcome=x", "object=Garland", "since=x", BACKWARDS])
def test_a_filter_that_makes_no_sense_is_answered_with_what_to_correct(page: Page, query: str) -> None:
    response = page(auditor()).get(f"/audit/?{query}")
    assert response.status_code == 422
    assert response.context["form"].errors


def test_a_long_record_is_cut_into_pages_that_neither_repeat_nor_skip(page: Page) -> None:
    for number in range(120):
        audit.record("thing.done", by=None, step=number)
    browser, seen, address = page(auditor()), [], "/audit/?act=thing.done"
    while address:
        response = browser.get(address)
        seen += [row["entry"].number for row in response.context["rows"]]
        older = response.context["page"].older
        address = f"/audit/?act=thing.done&older_than={older}" if older else ""
    assert seen == list(range(120, 0, -1))
    newer = browser.get(f"/audit/?act=thing.done&newer_than={seen[50]}").context
    assert [row["entry"].number for row in newer["rows"]] == seen[:50]
    assert newer["page"].newer is None


def test_an_entry_shows_its_canonical_form_digest_and_neighbours(page: Page) -> None:
    entries = [audit.record("thing.done", by=None, step=number) for number in range(3)]
    response = page(auditor()).get("/audit/2")
    text = response.content.decode()
    assert entries[1].digest in text
    assert entries[1].previous in text
    assert response.context["canonical"] == entries[1].canonical().decode()
    assert (response.context["before"], response.context["after"]) == (1, 3)
    assert page(auditor()).get("/audit/999999").status_code == 404
    assert page(auditor()).get(f"/audit/{10**30}").status_code == 404


def test_json_lines_hold_what_an_independent_verifier_needs(page: Page) -> None:
    for number in range(3):
        audit.record("thing.done", by=None, step=number)
    lines = b"".join(page(auditor()).get("/audit/export?to=jsonl")).decode().splitlines()
    assert len(lines) == 3
    for line in lines:
        said = json.loads(line)
        digest = said.pop("digest")
        plain = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert __import__("hashlib").sha256(plain).hexdigest() == digest


def test_an_export_keeps_to_the_filters_and_no_cell_is_a_formula(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    audit.record("=HYPERLINK(1)", by=None)
    audit.record("thing.done", by=None)
    response = page(auditor()).get("/audit/export?to=csv")
    assert "attachment" in response.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(b"".join(response).decode())))
    assert [row["act"] for row in rows] == ["thing.done", "'=HYPERLINK(1)"]
    some = b"".join(page(auditor()).get("/audit/export?to=csv&act=thing.done")).decode()
    assert some.count("\n") == 2
    assert page(auditor()).get("/audit/export?to=xml").status_code == 422
    formulas = (["=1"], ["+1"], ["-1"], ["@x"], ["\tx"], ["\x00=1"])
    assert [line[0] for line in spreadsheet.lines(formulas)] == ["'"] * 6


def test_the_verdict_is_shown_with_entries_and_head(page: Page) -> None:
    entry = audit.record("thing.done", by=None)
    text = page(auditor()).post("/audit/verify").content.decode()
    assert "intact" in text.lower()
    assert f"1:{entry.digest}" in text


def test_the_page_names_the_first_bad_entry(page: Page) -> None:
    for _ in range(3):
        audit.record("thing.done", by=None)
    tamper(2)
    response = page(auditor()).post("/audit/verify")
    assert response.context["verdict"].first_bad == 2
    assert "Entry 2" in response.content.decode()


def test_the_page_verifies_against_a_head_kept_outside(page: Page) -> None:
    entry = audit.record("thing.done", by=None)
    browser = page(auditor())
    assert browser.post("/audit/verify", {"against": f"1:{entry.digest}"}).context["verdict"].intact
    assert not browser.post("/audit/verify", {"against": f"1:{'0' * 64}"}).context["verdict"].intact
    assert browser.post("/audit/verify", {"against": "nonsense"}).status_code == 422


def test_the_api_reads_filters_pages_and_verifies(api: Api) -> None:
    case = CaseFactory(number="26-00417")
    for number in range(3):
        audit.record("thing.done", by=None, case=case.pk, step=number)
    client = api(auditor())
    first = client.get("/api/v1/audit", {"case_number": "26-00417", "size": 2}).json()
    assert [entry["number"] for entry in first["results"]] == [3, 2]
    rest = client.get("/api/v1/audit", {"case": case.pk, "act": "thing.done", "older_than": first["older_than"]}).json()
    assert [entry["number"] for entry in rest["results"]] == [1]
    assert rest["older_than"] is None
    assert client.get("/api/v1/audit", {"actor": "x"}).status_code == 400
    assert client.get("/api/v1/audit/2").json()["canonical"] == Entry.objects.get(pk=2).canonical().decode()
    assert client.get("/api/v1/audit/999999").status_code == 404
    head = verify().kept_head
    verdict = client.post("/api/v1/audit/verify", {"against": str(head)}, format="json").json()
    assert verdict == {
        "intact": True,
        "entries": verify().entries - 1,
        "head": verdict["head"],
        "first_bad": None,
        "problem": "",
    }
    assert client.post("/api/v1/audit/verify", {"against": "x"}, format="json").status_code == 422
    lines = b"".join(client.get("/api/v1/audit/export", {"act": "thing.done"})).decode().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [3, 2, 1]


def test_the_command_prints_the_head_and_checks_against_one(capsys: pytest.CaptureFixture[str]) -> None:
    entry = audit.record("thing.done", by=None)
    call_command("audit", "verify")
    out = capsys.readouterr().out
    assert "Intact. Entries: 1" in out
    assert f"Head: 1:{entry.digest}" in out
    call_command("audit", "verify", "--against", f"1:{entry.digest}")
    with pytest.raises(CommandError, match="Entry 1:") as failed:
        call_command("audit", "verify", "--against", f"1:{'0' * 64}")
    assert failed.value.returncode == 1
    with pytest.raises(CommandError, match="NUMBER:DIGEST"):
        call_command("audit", "verify", "--against", "x")


def test_the_command_fails_and_names_the_first_bad_entry() -> None:
    for _ in range(3):
        audit.record("thing.done", by=None)
    tamper(2)
    with pytest.raises(CommandError, match="Entry 2: its contents don't match") as failed:
        call_command("audit", "verify")
    assert failed.value.returncode == 1


def tamper(number: int) -> None:
    with past_the_triggers(), connection.cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET act = 'thing.undone' WHERE number = %s", [number])


def test_an_auditor_comes_from_an_entry_to_the_search_and_repeats_it(page: Page, api: Api) -> None:
    search = finished_search(filters={"sexes": ["F"]}, gallery_size=300_000, scanned=1204, rescored=1204)
    entry = audit.record("search.finished", by=None, obj=search, case=search.probe.case_id)
    reader = auditor(full_name="Rita Reader")
    address = f"/audit/searches/{search.pk}"
    assert f'href="{address}"' in page(reader).get(f"/audit/{entry.number}").text

    text = page(reader).get(address).text
    assert Entry.objects.of(search).latest("number").act == "search.viewed"
    assert "1,204 of 300,000 photographs were compared" in text
    assert "Sex, as recorded: F" in text
    for one in search.candidates.select_related("person"):
        for secret in (str(one.pk), str(one.photo_id), str(one.person), f"{one.score:.2f}"):
            assert secret not in text

    answer = page(reader).post(f"{address}/repeats")
    assert answer.headers["Location"] == f"{address}#repeats"
    repeat = search.repeats.get()
    assert repeat.requested_by == reader
    moving = page(reader).get(f"{address}/repeats").text
    assert f'hx-get="{address}/repeats"' in moving
    assert "Rita Reader" in moving
    assert api(reader).get(f"/api/v1/searches/{search.pk}/repeats").json()["results"][0]["id"] == str(repeat.pk)


def test_only_auditors_see_a_search_at_the_desk(page: Page) -> None:
    search = finished_search()
    for person in (search.requested_by, examiner(), clerk(), administrator()):
        assert page(person).get(f"/audit/searches/{search.pk}").status_code == 403
        assert page(person).post(f"/audit/searches/{search.pk}/repeats").status_code == 403
    assert page(auditor()).get(f"/audit/searches/{uuid4()}").status_code == 404
    assert not search.repeats.exists()
