"""Independent evidence: who records it, what it has to say, and that it stays."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.probes import policy
from reviews import evidence, leads, outcomes
from reviews.models import Evidence
from tests.factories import investigator, rename
from tests.reviews.leads import SOURCE, a_lead, investigator_of, recorded, supervisor, withdrawn
from tests.reviews.test_database_rules import refused, sql

pytestmark = pytest.mark.django_db

FORM = {"kind": "physical", "source": SOURCE, "obtained_on": "2026-01-05", "attested": "on"}


def test_an_investigator_on_the_case_records_evidence_and_the_service_says_who_and_when():
    lead = a_lead()
    before = timezone.now()
    row = recorded(lead)
    assert (row.recorded_by, row.kind, row.source) == (investigator_of(lead), "physical", SOURCE)
    assert before <= row.attested_at <= row.recorded_at <= timezone.now()
    entry = Entry.objects.get(act="evidence.recorded", outcome="done")
    assert (entry.case, entry.object_id) == (lead.search.probe.case_id, str(lead.pk))
    assert SOURCE not in str(entry.details)


def test_nobody_else_records_evidence():
    lead = a_lead()
    for person in (investigator(), lead.first.examiner, supervisor()):
        with pytest.raises(NotAllowed):
            evidence.record_evidence(
                by=person, lead=lead, kind="witness", source="x", obtained_on=timezone.localdate(), attested=True
            )
    assert not Evidence.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "saying"),
    [
        ({"attested": False}, "face recognition"),
        ({"kind": "face-recognition"}, "kinds of evidence"),
        ({"kind": ""}, "kinds of evidence"),
        ({"source": "   "}, "where the evidence comes from"),
        ({"source": "x" * 2001}, "where the evidence comes from"),
        ({"source": "a\x00b"}, "where the evidence comes from"),
        ({"obtained_on": timezone.localdate() + datetime.timedelta(days=2)}, "future"),
    ],
)
def test_evidence_without_kind_source_day_or_attestation_is_none(wrong: dict[str, Any], saying: str):
    lead = a_lead()
    with pytest.raises(BadInput, match=saying):
        recorded(lead, **wrong)
    assert not Evidence.objects.exists()


def test_a_withdrawn_lead_takes_no_evidence():
    with pytest.raises(WrongState, match="withdrawn"):
        recorded(withdrawn(a_lead()))


def test_postgresql_refuses_to_change_or_delete_evidence_or_to_add_it_to_a_withdrawn_lead():
    lead = a_lead()
    row = recorded(lead)
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE waits for no foreign key to be looked at
    for statement in (
        "UPDATE reviews_evidence SET source = 'other'",
        "DELETE FROM reviews_evidence",
        "TRUNCATE reviews_evidence",
    ):
        with refused("added, never changed"):
            sql(statement)
    withdrawn(lead)
    row.pk = None
    with refused("takes no evidence"):
        row.save(force_insert=True)


def test_it_is_recorded_on_the_leads_page_and_what_is_missing_is_said_there(page: Callable[[User], Any]):
    lead = a_lead()
    browser, at = page(investigator_of(lead)), f"/reviews/leads/{lead.pk}"
    assert "Locked until independent evidence" in browser.get(at).text
    assert browser.post(f"{at}/evidence", {**FORM, "attested": ""}).status_code == 422
    assert not Evidence.objects.exists()

    assert browser.post(f"{at}/evidence", FORM).status_code == 302
    shown = browser.get(at).text
    assert SOURCE in shown
    assert policy.current().evidence["physical"].split(":")[0] in shown
    assert "Export a line-up" in shown


def test_only_investigators_on_the_case_reach_it(page: Callable[[User], Any], api: Callable[[User], Any]):
    lead = a_lead()
    for person, status in ((investigator(), 404), (lead.first.examiner, 403), (supervisor(), 403)):
        assert page(person).post(f"/reviews/leads/{lead.pk}/evidence", FORM).status_code == status
        assert api(person).post(f"/api/v1/leads/{lead.pk}/evidence", FORM).status_code == status
        assert api(person).get(f"/api/v1/leads/{lead.pk}/evidence").status_code == status


def test_it_is_recorded_and_read_over_the_api(api: Callable[[User], Any]):
    lead = a_lead()
    client, at = api(investigator_of(lead)), f"/api/v1/leads/{lead.pk}/evidence"
    body = {"kind": "records", "source": "Toll road account", "obtained_on": "2026-01-05", "attested": True}
    assert client.post(at, body, format="json").status_code == 201
    assert client.post(at, {**body, "attested": False}, format="json").status_code == 422
    (row,) = client.get(at).json()
    assert (row["kind"], row["source"], row["recorded_by"]) == (
        "records",
        "Toll road account",
        investigator_of(lead).full_name,
    )


def test_a_policy_without_kinds_of_evidence_keeps_the_usual_ones_and_an_empty_list_is_refused():
    raw = _policy()
    del raw["evidence"]
    assert "witness" in policy._validated(raw, "0").evidence
    with pytest.raises(ValueError, match="evidence"):
        policy._validated({**raw, "evidence": {}}, "0")


@pytest.mark.parametrize(("key", "wrong"), [("lead_days", 0), ("lead_days", 366), ("lineup_fillers", 2)])
def test_a_policy_with_impossible_numbers_is_refused(key: str, wrong: int):
    assert policy._validated(_policy(), "0").lead_days == 30
    with pytest.raises(ValueError, match=key):
        policy._validated({**_policy(), key: wrong}, "0")


def _policy() -> dict[str, Any]:
    import tomllib
    from pathlib import Path

    from django.conf import settings

    return tomllib.loads(Path(settings.MUGSEARCH_POLICY).read_text())


@pytest.mark.parametrize("says", ["Saw {family} at the bank", "Booked as {number}", "Known as {person}"])
def test_what_is_written_about_a_lead_names_nobody_because_it_outlives_an_expungement(says: str):
    lead = a_lead()
    photo = lead.candidate.photo
    assert photo
    booking = photo.booking
    rename(booking.person_id, family_name="O'Hallor")
    text = says.format(
        family="o'hallor", number=booking.booking_number.replace("-", " "), person=booking.person.person_id
    )
    by = investigator_of(lead)
    with pytest.raises(BadInput, match="Leave out"):
        recorded(lead, source=text)
    with pytest.raises(BadInput, match="Leave out"):
        outcomes.record_outcome(by=by, lead=lead, outcome="no_use", note=text)
    with pytest.raises(BadInput, match="Leave out"):
        leads.withdraw(by=supervisor(), lead=lead, reason=text)
