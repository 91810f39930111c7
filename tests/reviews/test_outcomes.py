"""What became of a lead: recorded and corrected, overdue without one, and told to those who confirmed it if false."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, NotAllowed
from reviews import outcomes
from reviews.models import FalseLeadSeen, Lead, LeadOutcome
from tests.factories import examiner, investigator
from tests.reviews.arrange import claim, examine, finished_search
from tests.reviews.leads import a_lead, investigator_of, supervisor, withdrawn
from tests.reviews.test_database_rules import refused, sql

pytestmark = pytest.mark.django_db

TOLD = "A lead you confirmed was found false"


def said(lead: Lead, outcome: str = "false_lead", note: str = "") -> LeadOutcome:
    return outcomes.record_outcome(by=investigator_of(lead), lead=lead, outcome=outcome, note=note)


def test_an_investigator_on_the_case_records_an_outcome_and_a_later_one_corrects_it(page: Callable[[User], Any]):
    lead = a_lead()
    said(lead, "no_use", "he was abroad")
    said(lead, "false_lead", "his brother")
    assert [one.outcome for one in lead.outcomes.all()] == ["false_lead", "no_use"]
    latest = outcomes.latest(lead)
    assert latest
    assert latest.outcome == "false_lead"
    shown = page(investigator_of(lead)).get(f"/reviews/leads/{lead.pk}").text
    for part in ("he was abroad", "his brother", "Corrected since", "This lead was found false"):
        assert part in shown
    assert [entry.case for entry in Entry.objects.filter(act="lead-outcome.recorded")] == [
        lead.search.probe.case_id
    ] * 2


def test_nobody_else_records_an_outcome(page: Callable[[User], Any], api: Callable[[User], Any]):
    lead = a_lead()
    body = {"outcome": "no_use", "note": ""}
    for person, status in ((investigator(), 404), (lead.first.examiner, 403), (supervisor(), 403)):
        with pytest.raises(NotAllowed):
            outcomes.record_outcome(by=person, lead=lead, outcome="no_use")
        assert page(person).post(f"/reviews/leads/{lead.pk}/outcome", body).status_code == status
        assert api(person).post(f"/api/v1/leads/{lead.pk}/outcomes", body).status_code == status
        assert api(person).get(f"/api/v1/leads/{lead.pk}/outcomes").status_code == status
    assert not LeadOutcome.objects.exists()


def test_an_outcome_is_one_of_the_known_ones_with_a_note_of_text():
    lead = a_lead()
    for outcome, note in (("", ""), ("guilty", ""), ("no_use", "x" * 4001), ("no_use", "\x00")):
        with pytest.raises(BadInput):
            said(lead, outcome, note)


def test_it_is_recorded_on_the_page_and_over_the_api(page: Callable[[User], Any], api: Callable[[User], Any]):
    lead = a_lead()
    browser, client = page(investigator_of(lead)), api(investigator_of(lead))
    assert browser.post(f"/reviews/leads/{lead.pk}/outcome", {"outcome": ""}).status_code == 422
    assert browser.post(f"/reviews/leads/{lead.pk}/outcome", {"outcome": "no_use"}).status_code == 302
    assert client.post(f"/api/v1/leads/{lead.pk}/outcomes", {"outcome": "false_lead"}).status_code == 201
    assert [one["outcome"] for one in client.get(f"/api/v1/leads/{lead.pk}/outcomes").json()] == [
        "false_lead",
        "no_use",
    ]
    assert client.get(f"/api/v1/leads/{lead.pk}").json()["outcome"] == "false_lead"
    assert client.get("/api/v1/leads").json()["results"][0]["outcome"] == "false_lead"


def test_postgresql_refuses_to_change_or_delete_an_outcome_and_one_it_does_not_know():
    lead = a_lead()
    row = said(lead)
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE waits for no foreign key to be looked at
    for statement in (
        "UPDATE reviews_leadoutcome SET outcome = 'no_use'",
        "DELETE FROM reviews_leadoutcome",
        "TRUNCATE reviews_leadoutcome CASCADE",
    ):
        with refused("added, never changed"):
            sql(statement)
    row.pk, row.outcome = None, "guilty"
    with refused("lead_outcome_known"):
        row.save(force_insert=True)


def test_a_lead_found_false_is_marked_in_the_case_and_at_its_search(page: Callable[[User], Any]):
    lead = a_lead()
    browser = page(investigator_of(lead))
    case, search = f"/cases/{lead.search.probe.case_id}", f"/searches/{lead.search_id}"
    assert "found false" not in browser.get(case).text + browser.get(search).text
    said(lead)
    assert "Lead found false" in browser.get(case).text
    assert "The lead was found false" in browser.get(search).text
    said(lead, "no_use")
    assert "found false" not in browser.get(case).text + browser.get(search).text


# --- overdue ----------------------------------------------------------------------------------------


def test_a_lead_without_an_outcome_is_overdue_after_the_policys_days(
    page: Callable[[User], Any], api: Callable[[User], Any]
):
    lead = a_lead()
    mine, other = investigator_of(lead), investigator()
    later = timezone.now() + datetime.timedelta(days=31)
    assert not outcomes.overdue(mine)
    with time_machine.travel(later, tick=True):
        assert list(outcomes.overdue(mine)) == [lead]
        assert not outcomes.overdue(other)
        assert "No outcome for 30 days" in page(mine).get("/cases/").text
        assert [one["id"] for one in api(mine).get("/api/v1/leads/overdue").json()["results"]] == [str(lead.pk)]
        assert api(other).get("/api/v1/leads/overdue").json()["count"] == 0
        assert api(lead.first.examiner).get("/api/v1/leads/overdue").status_code == 403
        said(lead, "closed_without_result")
        assert not outcomes.overdue(mine)
        assert "No outcome for" not in page(mine).get("/cases/").text


def test_a_withdrawn_lead_is_not_overdue():
    lead = withdrawn(a_lead())
    with time_machine.travel(timezone.now() + datetime.timedelta(days=31), tick=True):
        assert not outcomes.overdue(investigator_of(lead))


# --- told to the examiners --------------------------------------------------------------------------


def test_both_who_confirmed_are_told_until_they_open_that_examination(
    page: Callable[[User], Any], api: Callable[[User], Any]
):
    lead = a_lead()
    first, second = lead.first.examiner, lead.second.examiner
    assert TOLD not in page(first).get("/reviews/").text
    said(lead, note="Zz-his brother")
    for person, examination in ((first, lead.first), (second, lead.second)):
        shown = page(person).get("/reviews/").text
        assert TOLD in shown
        assert str(examination.pk) in shown
        for secret in ("Zz-his brother", str(lead.pk), str(lead.search_id), lead.search.probe.case.number):
            assert secret not in shown

    opened = page(first).get(f"/reviews/{lead.first_id}").text
    assert "The lead you confirmed here was found false" in opened
    assert "Zz-his brother" not in opened
    assert api(second).get(f"/api/v1/examinations/{lead.second_id}").status_code == 200
    for person in (first, second):
        assert TOLD not in page(person).get("/reviews/").text
    assert FalseLeadSeen.objects.count() == 2


def test_nobody_is_told_of_a_false_lead_they_did_not_confirm(page: Callable[[User], Any]):
    search = finished_search()
    outvoted = examiner()
    examine(examiner(), search, same=(1,))
    examine(outvoted, search)
    examine(examiner(), search, same=(1,))
    lead = Lead.objects.get(search=search)
    said(lead)
    for person in (outvoted, examiner()):
        assert TOLD not in page(person).get("/reviews/").text
    assert "found false" not in page(outvoted).get(f"/reviews/{search.examinations.get(examiner=outvoted).pk}").text


def test_after_30_days_or_a_correction_it_is_not_told_any_more(page: Callable[[User], Any]):
    lead = a_lead()
    said(lead)
    with time_machine.travel(timezone.now() + datetime.timedelta(days=31), tick=True):
        assert not outcomes.found_false(lead.first.examiner)
    assert outcomes.found_false(lead.first.examiner)
    said(lead, "confirmed_by_other_evidence")
    assert not outcomes.found_false(lead.first.examiner)
    assert "found false" not in page(lead.first.examiner).get(f"/reviews/{lead.first_id}").text


def test_who_was_told_is_told_again_when_it_is_found_false_anew(page: Callable[[User], Any]):
    lead = a_lead()
    said(lead)
    page(lead.first.examiner).get(f"/reviews/{lead.first_id}")
    said(lead, "no_use")
    said(lead)
    assert TOLD in page(lead.first.examiner).get("/reviews/").text


def test_the_news_of_one_lead_says_nothing_of_another_search(page: Callable[[User], Any]):
    lead = a_lead()
    said(lead)
    waiting = finished_search()
    mine = claim(lead.first.examiner, waiting)
    assert "found false" not in page(lead.first.examiner).get(f"/reviews/{mine.pk}").text


def test_postgresql_refuses_that_another_examination_or_outcome_was_seen_and_any_change():
    lead, other = a_lead(), a_lead()
    fine, false = said(lead, "no_use"), said(lead)
    with refused("only who confirmed"):
        FalseLeadSeen.objects.create(outcome=fine, examination=lead.first)
    with refused("only who confirmed"):
        FalseLeadSeen.objects.create(outcome=false, examination=other.first)
    FalseLeadSeen.objects.create(outcome=false, examination=lead.first)
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE waits for no foreign key to be looked at
    for statement in (
        "UPDATE reviews_falseleadseen SET at = now()",
        "DELETE FROM reviews_falseleadseen",
        "TRUNCATE reviews_falseleadseen",
    ):
        with refused("added, never changed"):
            sql(statement)
