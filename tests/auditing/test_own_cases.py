"""Nobody audits a case of their own: not by reading it, nor by disclosing it, nor by reviewing what points at it."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError
from django.test import Client
from rest_framework.test import APIClient

from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.auditing import reviews
from mugsearch.auditing.models import Remark
from mugsearch.errors import BadInput, NotAllowed
from mugsearch.probes.models import Case
from tests.auditing.test_reviews import MONDAY, drawn, explained
from tests.factories import CaseFactory, SearchFactory, UserFactory, auditor

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
Api = Callable[[User], APIClient]


def auditor_of(case: Case, *, still: bool) -> User:
    """Who is, or was, on it."""
    user: User = UserFactory(roles=[Role.AUDITOR, Role.INVESTIGATOR])
    case.members.add(user)
    if not still:
        case.members.remove(user)
    return user


@pytest.mark.parametrize("still", [True, False])
def test_who_is_or_was_on_a_case_is_refused_its_record_and_told_who_may_read_it(
    page: Page, api: Api, still: bool
) -> None:
    case, other = CaseFactory(number="26-00417"), CaseFactory(number="26-00418")
    me = auditor_of(case, still=still)
    for address in (f"/audit/cases/{case.pk}", "/audit/?case=26-00417", "/audit/export?case=26-00417"):
        answer = page(me).get(address)
        assert (answer.status_code, "Another auditor can" in answer.text) == (403, True), address
        refused = Entry.objects.latest("number")
        assert (refused.actor, refused.outcome, refused.case) == (me.pk, "refused", case.pk)
    for query in (f"?case={case.pk}", "?case_number=26-00417"):
        for address in ("/api/v1/audit", "/api/v1/audit/export"):
            assert "Another auditor can" in api(me).get(address + query).text, address
    for address in (f"/audit/cases/{other.pk}", "/audit/?case=26-00418", "/audit/"):
        assert page(me).get(address).status_code == 200
    assert page(auditor()).get(f"/audit/cases/{case.pk}").status_code == 200


def test_who_was_on_a_case_is_refused_what_the_record_has_of_something_in_it_too(page: Page, api: Api) -> None:
    own, other = SearchFactory(), SearchFactory()
    me = auditor_of(own.probe.case, still=False)
    for search in (own, other):
        for one in (search, search.probe, search.probe.case):
            audit.record("thing.viewed", by=None, obj=one, case=search.probe.case_id)
    for one in (own, own.probe, own.probe.case):
        for address in ("/audit/", "/audit/export"):
            assert page(me).get(f"{address}?object={one.pk}").status_code == 403, one
            refused = Entry.objects.latest("number")
            assert (refused.outcome, refused.case) == ("refused", own.probe.case_id)
        for address in ("/api/v1/audit", "/api/v1/audit/export"):
            assert "Another auditor can" in api(me).get(f"{address}?object={one.pk}").text, one
        assert page(auditor()).get(f"/audit/?object={one.pk}").status_code == 200
    for one in (other, other.probe, other.probe.case):
        assert page(me).get(f"/audit/?object={one.pk}").status_code == 200


@pytest.mark.parametrize("still", [True, False])
def test_an_item_of_a_case_one_is_or_was_on_needs_another_auditor_to_note_it_and_to_sign_the_week(
    page: Page, api: Api, still: bool
) -> None:
    search = SearchFactory()
    me, other = auditor_of(search.probe.case, still=still), auditor()
    sighting = drawn(signal="random", case=None, search=search, actor=search.requested_by)
    with pytest.raises(NotAllowed, match="a case you are or were on"):
        explained(me, sighting, own_reason="I know it well.")
    assert "a case you are or were on" in page(me).get(f"/audit/reviews/{MONDAY}").text
    explained(other, sighting)
    said = {"note": "All is well."}
    assert page(me).post(f"/audit/reviews/{MONDAY}", said).status_code == 403
    assert api(me).post(f"/api/v1/audit/reviews/{MONDAY}", said).status_code == 403
    assert "Another auditor has to sign it off" in page(me).get(f"/audit/reviews/{MONDAY}").text
    assert reviews.sign_off(by=other, day=MONDAY, note="All is well.").own_reason == ""


def test_where_nobody_else_audits_a_reason_is_kept_with_what_is_said_of_ones_own_case() -> None:
    case = CaseFactory()
    me, sighting = auditor_of(case, still=False), drawn(case=case)
    with pytest.raises(BadInput, match="a case you are or were on"):
        explained(me, sighting)
    with pytest.raises(IntegrityError, match="without a recorded reason"):
        Remark.objects.create(sighting=sighting, verdict="explained", note="x", by=me)
    assert explained(me, sighting, own_reason="There is no other.").own_reason
    with pytest.raises(BadInput, match="a case you are or were on"):
        reviews.sign_off(by=me, day=MONDAY, note="x")
    assert reviews.sign_off(by=me, day=MONDAY, note="x", own_reason="There is no other.").own_reason


def test_a_week_without_anything_of_ones_own_is_signed_off_by_whoever_also_investigates() -> None:
    me = auditor_of(CaseFactory(), still=True)
    explained(me, drawn())
    assert reviews.sign_off(by=me, day=MONDAY, note="x").own_reason == ""
