"""The auditors' desk for programs: timelines, weeks, saved reviews and sightings, as the pages have them."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.auditing import drawing
from mugsearch.auditing.models import Draw, SavedReview
from tests.auditing.test_reviews import DAY, MONDAY, drawn, explained
from tests.factories import (
    CaseFactory,
    PhotoFactory,
    UserFactory,
    administrator,
    auditor,
    clerk,
    examiner,
    investigator,
)
from tests.reviews.arrange import candidate, claim, find, finished_search

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
Api = Callable[[User], APIClient]
TIMELINES = "/api/v1/audit/timelines"


def last() -> tuple[Any, ...]:
    entry = Entry.objects.latest("number")
    return entry.act, entry.actor, entry.case, entry.object_id, entry.details


def test_a_case_is_told_from_upload_to_outcome_with_the_numbers_of_its_entries(page: Page, api: Api) -> None:
    who, case, reader = investigator(full_name="Mika Sundberg"), CaseFactory(number="26-00417"), auditor()
    made = [audit.record(act, by=who, case=case.pk) for act in ("probe.submitted", "search.viewed", "search.requested")]
    told = api(reader).get(f"{TIMELINES}/cases/{case.pk}").json()
    recorded = last()
    assert [step["number"] for step in told["results"]] == [made[0].number, made[2].number]
    step = told["results"][0]
    assert (step["who"], step["said"], step["case_number"]) == ("Mika Sundberg", "uploaded a probe image", "26-00417")
    with_looks = api(reader).get(f"{TIMELINES}/cases/{case.pk}?looks=true").json()["results"]
    assert made[1].number in [step["number"] for step in with_looks]
    page(reader).get(f"/audit/cases/{case.pk}")
    assert last() == recorded, "the page's entry says the same"


def test_a_persons_timeline_is_read_in_parts_the_latest_first(api: Api) -> None:
    who = investigator()
    numbers = [audit.record("search.requested", by=who, step=step).number for step in range(5)]
    program, found = api(auditor()), []
    address = f"{TIMELINES}/users/{who.pk}?size=2"
    told = program.get(address).json()
    while True:
        found += [step["number"] for step in told["results"]]
        if told["older_than"] is None:
            break
        told = program.get(f"{address}&older_than={told['older_than']}").json()
    assert found == numbers[::-1]
    newer = program.get(f"{address}&newer_than={numbers[0]}").json()
    assert [step["number"] for step in newer["results"]] == [numbers[2], numbers[1]]
    assert program.get(f"{address}&newer_than=1&older_than=5").status_code == 400
    assert Entry.objects.latest("number").act == "audit.timeline-read"


def test_who_looked_a_booking_up_is_told_and_nothing_of_whose_it_is(api: Api) -> None:
    photo, reader = PhotoFactory(), auditor()
    seen = audit.record("booking.viewed", by=clerk(), obj=photo.booking)
    answer = api(reader).get(f"{TIMELINES}/bookings/{photo.booking_id}")
    assert [step["number"] for step in answer.json()["results"]] == [seen.number]
    for secret in (photo.booking.booking_number, photo.booking.person.family_name, str(photo.booking.person_id)):
        assert secret not in answer.text
    for nothing in (f"bookings/{uuid4()}", f"cases/{uuid4()}", f"users/{uuid4()}"):
        assert api(reader).get(f"{TIMELINES}/{nothing}").status_code == 404


def test_a_number_or_a_name_leads_to_the_ids_and_looking_is_an_entry(api: Api) -> None:
    case, booking, reader = CaseFactory(number="26-00417"), PhotoFactory().booking, auditor(full_name="Rita Reader")
    program = api(reader)
    found = program.get(TIMELINES, {"case": "26-00417"}).json()
    assert [one["id"] for one in found["cases"]] == [str(case.pk)]
    assert Entry.objects.latest("number").details["shown"] == [str(case.pk)]
    assert program.get(TIMELINES, {"user": "rita"}).json()["users"][0]["id"] == str(reader.pk)
    assert program.get(TIMELINES, {"booking": booking.booking_number}).json()["booking"] == str(booking.pk)
    assert Entry.objects.latest("number").object_id == str(booking.pk)
    type(booking).objects.filter(pk=booking.pk).update(sealed_at=timezone.now())
    assert program.get(TIMELINES, {"booking": booking.booking_number}).json()["booking"] is None
    for wrong in ({}, {"case": "1", "user": "2"}, {"case": "\x00"}):
        assert program.get(TIMELINES, wrong).status_code == 400


def test_programs_too_learn_nothing_of_examinations_under_way_in_cases_of_their_own(api: Api) -> None:
    search = finished_search()
    me = UserFactory(roles=[Role.AUDITOR, Role.INVESTIGATOR])
    search.probe.case.members.add(me)
    first = examiner()
    find(first, claim(first, search), candidate(search), "3")
    mine = api(me).get(f"{TIMELINES}/users/{first.pk}?looks=true").json()
    assert (mine["hides"], "finding.saved" in str(mine["results"])) == (True, False)
    anothers = api(auditor()).get(f"{TIMELINES}/users/{first.pk}").json()
    assert (anothers["hides"], "finding.saved" in str(anothers["results"])) == (False, True)
    refused = api(me).get(f"{TIMELINES}/cases/{search.probe.case_id}")
    assert (refused.status_code, "Another auditor can" in refused.text) == (403, True)


def test_the_weeks_there_are_to_review_are_listed_with_what_is_overdue_and_signed_off(api: Api) -> None:
    by = auditor()
    explained(by, drawn())
    program = api(by)
    program.post(f"/api/v1/audit/reviews/{MONDAY}", {"note": "Looked through."}, format="json")
    this = drawing.monday(timezone.localdate())
    Draw.objects.get_or_create(day=this - 21 * DAY, defaults={"searches": 0, "policy_digest": "0" * 64})
    told = program.get("/api/v1/audit/reviews").json()
    overdue = [week["monday"] for week in told["results"] if week["is_overdue"]]
    assert {str(this - 21 * DAY), str(this - 14 * DAY)} <= set(overdue)
    signed = [week for week in told["results"] if week["monday"] == str(MONDAY)]
    assert all(week["signed_off"]["by"] == str(by.pk) for week in signed)
    assert told["not_drawn_since"] == str(Draw.objects.latest("day").day)


def test_filters_are_saved_under_a_name_read_as_entries_and_put_away_once(api: Api, page: Page) -> None:
    by, who = auditor(), investigator(username="mika")
    program = api(by)
    asked = {"name": "Mika's refusals", "days": 7, "filters": {"actor": "mika", "outcome": "refused"}}
    saved = program.post("/api/v1/audit/saved", asked, format="json")
    assert (saved.status_code, saved.json()["filters"]) == (201, asked["filters"])
    assert program.post("/api/v1/audit/saved", asked, format="json").status_code == 409
    assert [one["name"] for one in program.get("/api/v1/audit/saved").json()["results"]] == ["Mika's refusals"]
    assert "Mika&#x27;s refusals" in page(by).get("/audit/saved").text
    refused = audit.refuse("page.opened", by=who, reason="not_allowed")
    audit.record("search.requested", by=who)
    address = f"/api/v1/audit/saved/{saved.json()['id']}"
    assert [entry["number"] for entry in program.get(f"{address}/entries").json()["results"]] == [refused.number]
    assert last()[0] == "audit.read"
    assert last()[4]["actor"] == str(who.pk)
    assert program.post(f"{address}/put-away").status_code == 204
    assert program.post(f"{address}/put-away").status_code == 409
    assert program.get(f"{address}/entries").status_code == 404


def test_a_saved_review_keeps_no_object_and_no_filter_that_there_is_not(api: Api) -> None:
    program = api(auditor())
    for filters in ({"object": str(uuid4())}, {"booking": "24-1"}, {"case": str(uuid4())}):
        asked = {"name": "x", "days": 7, "filters": filters}
        assert program.post("/api/v1/audit/saved", asked, format="json").status_code == 422, filters
    for wrong in ({"filters": {"family": "search"}}, {"days": 0}, {"signal": "none"}, {"filters": {"case": "\x00"}}):
        asked = {"name": "x", "days": 7} | wrong
        assert program.post("/api/v1/audit/saved", asked, format="json").status_code == 400, wrong
    assert not SavedReview.objects.exists()


def test_what_a_signal_pointed_at_is_listed_with_what_was_said_of_it_and_that_is_an_entry(api: Api) -> None:
    by, sighting = auditor(), drawn()
    explained(by, sighting)
    program = api(by)
    told = program.get("/api/v1/audit/sightings", {"signal": "case-searches", "days": 366}).json()
    assert [(one["id"], one["remarks"][0]["note"]) for one in told["results"]] == [(str(sighting.pk), "A large case.")]
    assert (last()[0], last()[4]) == ("signals.read", {"signal": "case-searches", "days": 366})
    assert program.get("/api/v1/audit/sightings", {"signal": "pair", "days": 366}).json()["results"] == []
    saved = program.post("/api/v1/audit/saved", {"name": "x", "days": 7, "signal": "pair"}, format="json").json()
    assert program.get(f"/api/v1/audit/saved/{saved['id']}/entries").status_code == 404


def test_only_auditors_programs_are_told(api: Api) -> None:
    case, saved = CaseFactory(), SavedReview.objects.create(name="x", days=7, by=auditor())
    addresses = (
        *(TIMELINES, f"{TIMELINES}/cases/{case.pk}", f"{TIMELINES}/users/{case.opened_by_id}"),
        *("/api/v1/audit/reviews", "/api/v1/audit/saved", f"/api/v1/audit/saved/{saved.pk}/entries"),
        "/api/v1/audit/sightings",
    )
    for person in (case.opened_by, examiner(), clerk(), administrator()):
        for address in addresses:
            assert api(person).get(address).status_code == 403, (person.roles, address)
        assert api(person).post("/api/v1/audit/saved", {"name": "y", "days": 7}).status_code == 403
        assert api(person).post(f"/api/v1/audit/saved/{saved.pk}/put-away").status_code == 403
