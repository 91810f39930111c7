"""Withdrawing a lead for want of a certificate, and telling those who opened it."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.probes.models import Case
from reviews import leads
from reviews.models import Lead, LeadView
from tests.factories import AgencyFactory, UserFactory, investigator
from tests.reviews.leads import a_lead, investigator_of, supervisor, withdrawn
from tests.reviews.test_database_rules import refused, sql

pytestmark = pytest.mark.django_db

REASON = "The academy has withdrawn its certificate 118"


def test_a_supervisor_withdraws_a_lead_with_a_reason_and_only_once():
    lead, by = a_lead(), supervisor()
    leads.withdraw(by=by, lead=lead, reason=REASON)
    assert (lead.withdrawn_why, lead.withdrawn_by, lead.withdrawn_reason) == ("certificate", by, REASON)
    assert lead.withdrawn_at
    entry = Entry.objects.get(act="lead.withdrawn", outcome="done")
    assert (entry.details, entry.case) == ({"why": "certificate"}, lead.search.probe.case_id)
    with pytest.raises(WrongState, match="already"):
        leads.withdraw(by=by, lead=lead, reason=REASON)


def test_nobody_else_withdraws_a_lead():
    lead = a_lead()
    on_case = supervisor()
    lead.search.probe.case.members.add(on_case)
    both = lead.first.examiner
    both.grants.create(role=Role.SUPERVISOR)
    elsewhere = supervisor(agency=AgencyFactory(code="shelbyville"))
    for person in (investigator_of(lead), lead.second.examiner, on_case, User.objects.get(pk=both.pk), elsewhere):
        with pytest.raises(NotAllowed):
            leads.withdraw(by=person, lead=lead, reason=REASON)
    lead.refresh_from_db()
    assert lead.withdrawn_at is None


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "a\x00b"])
def test_a_withdrawal_needs_a_reason(reason: str):
    with pytest.raises(BadInput, match="why the certificate"):
        leads.withdraw(by=supervisor(), lead=a_lead(), reason=reason)


def test_supervisors_see_who_confirmed_and_whether_a_certificate_covers_the_day(page: Callable[[User], Any]):
    lead, by = a_lead(), supervisor()
    shown = page(by).get("/reviews/leads").text
    assert lead.first.examiner.full_name in shown.replace("&#x27;", "'")
    assert "No certificate on record" not in shown
    for hidden in (lead.search.probe.case.number, str(lead.candidate_id), str(lead.search_id)):
        assert hidden not in shown
    lead.first.examiner.certificates.update(issued_on=timezone.localdate() + datetime.timedelta(days=1))
    assert page(by).get("/reviews/leads").text.count("No certificate on record") == 1


def test_a_certificate_revoked_after_the_examination_covers_it_and_one_revoked_before_does_not():
    lead = a_lead()
    at = lead.first.concluded_at
    assert at
    for revoked, covered in ((at + datetime.timedelta(days=1), True), (at - datetime.timedelta(days=1), False)):
        lead.first.examiner.certificates.update(revoked_at=revoked)
        assert leads.confirmed_by(lead)[0].covered is covered


def test_pages_and_api_withdraw_for_supervisors_and_nobody_else(
    page: Callable[[User], Any], api: Callable[[User], Any]
):
    one, other, by = a_lead(), a_lead(), supervisor()
    for person in (investigator_of(one), one.first.examiner):
        assert page(person).get("/reviews/leads").status_code == 403
        assert api(person).get("/api/v1/leads/confirmed").status_code == 403
        assert page(person).post(f"/reviews/leads/{one.pk}/withdraw", {"reason": REASON}).status_code == 403
        assert api(person).post(f"/api/v1/leads/{one.pk}/withdraw", {"reason": REASON}).status_code == 403
    stranger = supervisor(agency=AgencyFactory(code="shelbyville"))
    assert page(stranger).post(f"/reviews/leads/{one.pk}/withdraw", {"reason": REASON}).status_code == 404
    assert api(stranger).post(f"/api/v1/leads/{one.pk}/withdraw", {"reason": REASON}).status_code == 404

    assert page(by).post(f"/reviews/leads/{one.pk}/withdraw", {"reason": ""}).status_code == 422
    assert page(by).post(f"/reviews/leads/{one.pk}/withdraw", {"reason": REASON}).status_code == 302
    assert api(by).post(f"/api/v1/leads/{other.pk}/withdraw", {"reason": REASON}).status_code == 204
    assert api(by).post(f"/api/v1/leads/{other.pk}/withdraw", {"reason": REASON}).status_code == 409
    assert {row["withdrawn_why"] for row in api(by).get("/api/v1/leads/confirmed").json()["results"]} == {"certificate"}


def test_a_lead_withdrawn_for_a_certificate_says_so_and_shows_nobody(
    page: Callable[[User], Any], api: Callable[[User], Any]
):
    lead = a_lead()
    person = lead.candidate.person
    assert person
    leads.withdraw(by=supervisor(), lead=lead, reason=REASON)
    shown = page(investigator_of(lead)).get(f"/reviews/leads/{lead.pk}").text
    for part in ("This lead is withdrawn", "no valid certificate", REASON):
        assert part in shown
    for part in (person.person_id, "expunged"):
        assert part not in shown
    answer = api(investigator_of(lead)).get(f"/api/v1/leads/{lead.pk}").json()
    assert (answer["withdrawn_why"], answer["withdrawn_reason"], answer["person"]) == ("certificate", REASON, None)
    assert page(investigator_of(lead)).get(f"/reviews/leads/{lead.pk}/candidate.jpg").status_code == 404


def test_postgresql_refuses_a_withdrawal_without_a_why_and_another_why_later():
    lead = a_lead()
    only = Lead.objects.filter(pk=lead.pk)
    with refused("withdrawn_lead_says_why"):
        only.update(withdrawn_at=timezone.now())
    with refused("withdrawn_lead_says_why"):
        only.update(withdrawn_at=timezone.now(), withdrawn_why="certificate", withdrawn_reason=REASON)
    with refused("withdrawn_lead_says_why"):
        only.update(withdrawn_at=timezone.now(), withdrawn_why="certificate", withdrawn_by=supervisor())
    with refused("nothing else"):
        only.update(withdrawn_why="expunged")
    withdrawn(lead)
    with refused("nothing else"):
        only.update(withdrawn_why="certificate", withdrawn_by=supervisor(), withdrawn_reason=REASON)


# --- told -------------------------------------------------------------------------------------------


def test_who_opened_it_is_told_on_the_page_of_cases_until_they_open_it_withdrawn(page: Callable[[User], Any]):
    lead = a_lead()
    mine, colleague = investigator_of(lead), investigator()
    lead.search.probe.case.members.add(colleague)
    page(mine).get(f"/reviews/leads/{lead.pk}")
    assert "withdrawn" not in page(mine).get("/cases/").text
    leads.withdraw(by=supervisor(), lead=lead, reason=REASON)

    shown = page(mine).get("/cases/").text
    assert "1 lead you opened was withdrawn" in shown
    assert f"/reviews/leads/{lead.pk}" in shown
    assert "withdrawn" not in page(colleague).get("/cases/").text  # who never opened it has nothing to unlearn

    page(mine).get(f"/reviews/leads/{lead.pk}")
    assert "withdrawn" not in page(mine).get("/cases/").text


def test_opening_it_over_the_api_counts_and_the_api_lists_what_was_withdrawn(api: Callable[[User], Any]):
    lead = a_lead()
    client = api(investigator_of(lead))
    client.get(f"/api/v1/leads/{lead.pk}")
    client.get(f"/api/v1/leads/{lead.pk}")
    withdrawn(lead)
    assert [one["id"] for one in client.get("/api/v1/leads/withdrawn").json()["results"]] == [str(lead.pk)]
    assert api(investigator()).get("/api/v1/leads/withdrawn").json()["count"] == 0
    assert api(lead.first.examiner).get("/api/v1/leads/withdrawn").status_code == 403
    client.get(f"/api/v1/leads/{lead.pk}")
    assert client.get("/api/v1/leads/withdrawn").json()["count"] == 0
    assert LeadView.objects.count() == 2


def test_who_left_the_case_is_not_told(page: Callable[[User], Any]):
    lead = a_lead()
    mine = investigator_of(lead)
    page(mine).get(f"/reviews/leads/{lead.pk}")
    case, colleague = lead.search.probe.case, investigator()
    case.members.add(colleague)
    Case.objects.filter(pk=case.pk).update(responsible=colleague)
    case.members.remove(mine)
    withdrawn(lead)
    assert not leads.withdrawn_unread(mine)


def test_postgresql_refuses_a_look_that_was_none_and_any_change_of_one():
    lead, mine = a_lead(), UserFactory()
    with refused("says whether it was withdrawn"):
        LeadView.objects.create(lead=lead, viewer=mine, withdrawn=True)
    LeadView.objects.create(lead=lead, viewer=mine, withdrawn=False)
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE waits for no foreign key to be looked at
    for statement in (
        "UPDATE reviews_leadview SET withdrawn = true",
        "DELETE FROM reviews_leadview",
        "TRUNCATE reviews_leadview",
    ):
        with refused("added, never changed"):
            sql(statement)
    withdrawn(lead)
    with refused("says whether it was withdrawn"):
        LeadView.objects.create(lead=lead, viewer=UserFactory(), withdrawn=False)
