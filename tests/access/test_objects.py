"""Objects by relationship, not by id: what is somebody's is, to everybody else, as if it weren't there.

Every address with an id is walked with the ids of one agency's world (tests.access.world): as somebody of the same role
in another case and in another agency, as every other role, and as a stranger.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from rest_framework.test import APIClient

from mugsearch import matrix
from mugsearch.accounts.models import Role, User
from mugsearch.matrix import Endpoint, Row
from tests import factories
from tests.access.walking import filled, is_api, send
from tests.access.world import World, a_world
from tests.factories import AgencyFactory, UserFactory
from tests.reviews.leads import a_lead

Page, Api = Callable[[User], Client], Callable[[User], APIClient]

# Ids of these say nothing about anybody's work: whoever the gate lets in may read any of them.
COMMON = {
    "download_policy",
    "api_policy_version",
    "retention_rule",
    "api_retention_rule",
    "audit_entry",
    "api_audit_entry",
    "audit_head",
    "api_audit_head",
}
# Nobody's but one's own, whatever one's role and agency.
OWN = {"remove_factor", "end_session", "end_token", "api_session", "api_token"}
# Administrators end anybody's sessions and tokens. A second factor they reset, at an address of its own.
ENDED_BY_ADMINISTRATORS = OWN - {"remove_factor"}
# Administrators administer every agency; there is none above them. Auditors audit every agency.
OF_EVERY_AGENCY = {Role.ADMINISTRATOR, Role.AUDITOR}
# A bundle is read in a transaction of its own, which nothing may have begun: tests/disclosure has somebody reach it.
OWN_TRANSACTION = {"disclosure_bundle", "api_disclosure"}
# These read the body before they look for the id, and answer a bad one alike: a body that gets past that.
BODIES = {
    "api_audit_review": {"note": "Looked at."},
    "api_match_disposition": {"booking_number": "B-1"},
    "api_dismiss_disposition": {"reason": "Sent by mistake."},
    "api_approve_expungement": {"seen": "0" * 64},
    "api_take_out": {"reason": "Missed two."},
}


@pytest.fixture
def world(fake_encoder: Any) -> World:
    return a_world()


def with_ids() -> Iterator[tuple[Endpoint, Row]]:
    for endpoint in matrix.endpoints():
        if endpoint.parameters:
            yield from ((endpoint, row) for row in matrix.rows_of(endpoint))


def is_shared(endpoint: Endpoint, row: Row, role: Role, *, same_agency: bool) -> bool:
    """Whether this role may reach what the address names, though it is somebody else's."""
    if role not in row.roles:
        return False
    if endpoint.name in OWN:
        return role == Role.ADMINISTRATOR and endpoint.name in ENDED_BY_ADMINISTRATORS
    if endpoint.name in COMMON or role in OF_EVERY_AGENCY:
        return True
    return same_agency and role in (Role.RECORDS, Role.SUPERVISOR)  # they share their agency's work


def clients(user: User, page: Page, api: Api) -> dict[bool, Any]:
    return {True: api(user), False: page(user)}


def plain(answer: Any, *addresses: str) -> str:
    """The body, without what differs from one request to the next."""
    text = answer.content.decode(errors="replace")
    for address in addresses:
        text = text.replace(address, "…")
    return re.sub(r"\b[0-9a-zA-Z]{64}\b", "", text)  # the token of a form is new each time


def asked(client: Any, endpoint: Endpoint, row: Row, address: str) -> Any:
    body = BODIES.get(endpoint.name) if row.verb != "GET" else None
    return send(client, row.verb, address, json.dumps(body).encode() if body else None)


@pytest.mark.django_db
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("agency", ["springfield", "shelbyville"])
def test_what_is_somebody_else_s_answers_like_what_does_not_exist(
    role: Role, agency: str, world: World, page: Page, api: Api
) -> None:
    other = UserFactory(roles=[role], certified=role == Role.EXAMINER, agency=AgencyFactory(code=agency))
    sent = clients(other, page, api)
    wrong: dict[str, Any] = {}
    for endpoint, row in with_ids():
        if is_shared(endpoint, row, role, same_agency=agency == world.agency.code):
            continue
        theirs, nothing = world.address(endpoint), filled(endpoint)
        client = sent[is_api(theirs)]
        answer, absent = asked(client, endpoint, row, theirs), asked(client, endpoint, row, nothing)
        expected = 404 if role in row.roles else 403
        if not answer.status_code == absent.status_code == expected:
            wrong[f"{row.verb} {endpoint.path}"] = (answer.status_code, absent.status_code)
        elif plain(answer, theirs) != plain(absent, nothing):
            wrong[f"{row.verb} {endpoint.path}"] = "the bodies differ"
    assert wrong == {}


@pytest.mark.django_db
def test_a_stranger_learns_of_nothing_that_exists(world: World) -> None:
    for endpoint, row in with_ids():
        theirs, nothing = world.address(endpoint), filled(endpoint)
        client = APIClient() if is_api(theirs) else Client()
        answer, absent = asked(client, endpoint, row, theirs), asked(client, endpoint, row, nothing)
        assert answer.status_code == absent.status_code in (302, 401), theirs
        assert plain(answer, theirs) == plain(absent, nothing)


@pytest.mark.django_db
@pytest.mark.usefixtures("fake_encoder")
def test_what_is_somebody_else_s_is_not_reached_through_what_is_one_s_own(page: Page, api: Api) -> None:
    """An address with two ids: one's own case or lead, and in it what belongs to another."""
    mine, world = a_lead(), a_world()
    sent = clients(mine.search.requested_by, page, api)
    own = {"case_id": mine.search.probe.case_id, "lead_id": mine.pk}
    own |= {"cases": own["case_id"], "leads": own["lead_id"]}
    mixed = World(world.agency, world.ids | own, world.holders)
    outer = World(world.agency, own, world.holders)
    wrong, walked = {}, set()
    for endpoint, row in with_ids():
        if len(endpoint.parameters) < 2 or not outer.knows_some_of(endpoint):
            continue
        theirs, nothing = mixed.address(endpoint), outer.address(endpoint)
        client = sent[is_api(theirs)]
        answer, absent = asked(client, endpoint, row, theirs), asked(client, endpoint, row, nothing)
        walked.add(endpoint.name)
        if not answer.status_code == absent.status_code == 404 or plain(answer, theirs) != plain(absent, nothing):
            wrong[f"{row.verb} {endpoint.path}"] = (answer.status_code, absent.status_code)
    assert wrong == {}
    assert {"end_sharing", "api_case_member", "lineup", "api_lineup", "lineup_photo", "api_lineup_photo"} <= walked


@contextmanager
def undone() -> Iterator[None]:
    """What is sent leaves no trace in PostgreSQL: the next request finds the world as it was."""
    block: Any = transaction.atomic()
    block._from_testcase = True  # an act asks to be outermost; Django's own tests say so with this
    with block:
        yield
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_somebody_reaches_every_id_that_is_walked(world: World, page: Page, api: Api) -> None:
    """Without this the tests above could pass over ids that nobody reaches."""
    sent = {role: clients(user, page, api) for role, user in world.holders.items()}
    unreached = {}
    for endpoint, row in with_ids():
        if endpoint.name in OWN_TRANSACTION:
            continue
        theirs, nothing = world.address(endpoint), filled(endpoint)
        told = {}
        for role in sorted(row.roles):
            with undone():
                there = asked(sent[role][is_api(theirs)], endpoint, row, theirs).status_code
            with undone():
                absent = asked(sent[role][is_api(theirs)], endpoint, row, nothing).status_code
            told[role.value] = (there, absent)
        if not any(there != 404 and absent == 404 for there, absent in told.values()):
            unreached[f"{row.verb} {endpoint.path}"] = told
    assert unreached == {}


@pytest.mark.django_db
@pytest.mark.usefixtures("fake_encoder")
def test_an_inner_id_is_one_of_the_outer_one(page: Page, api: Api) -> None:
    """Of two things that are both one's own, neither answers for what belongs to the other."""
    second, world = a_lead(), a_world()
    owner = world.owner
    second.search.probe.case.members.add(owner)
    sent = clients(owner, page, api)
    lineup, member, edit = world.ids["lineup_id"], world.ids["end_sharing", "user_id"], 1
    right, wrong = {}, {}
    for outer, answers in ((world.ids, right), ({"leads": second.pk, "probes": second.search.probe_id}, wrong)):
        for address in (
            f"/probes/{outer['probes']}/edits/{edit}.jpg",
            f"/api/v1/probes/{outer['probes']}/edits/{edit}.jpg",
            f"/reviews/leads/{outer['leads']}/lineups/{lineup}",
            f"/api/v1/leads/{outer['leads']}/lineups/{lineup}",
            f"/api/v1/leads/{outer['leads']}/lineups/{lineup}/1.jpg",
        ):
            answers[address] = sent[is_api(address)].get(address).status_code
    assert set(wrong.values()) == {404}, wrong
    assert set(right.values()) == {200}, right
    elsewhere = second.search.probe.case_id
    assert sent[True].delete(f"/api/v1/cases/{elsewhere}/members/{member}").status_code == 404
    assert sent[False].post(f"/cases/{elsewhere}/members/{member}/end").status_code == 404


# --- more than was asked for ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_a_body_says_beyond_what_is_asked_for_changes_nothing(world: World, api: Api) -> None:
    from mugsearch.probes.models import Case, Membership, Probe, Search

    owner, mine = world.owner, api(world.owner)
    other = factories.investigator()
    case, probe = Case.objects.get(pk=world.ids["cases"]), Probe.objects.get(pk=world.ids["probes"])
    extra = {
        "id": str(case.pk),
        "case": str(factories.CaseFactory().pk),
        "agency": str(AgencyFactory(code="shelbyville").pk),
        "by": str(other.pk),
        "added_by": str(other.pk),
        "requested_by": str(other.pk),
        "responsible": str(other.pk),
        "state": "done",
        "priority": "urgent",
        "positive_rating": 1,
        "policy_digest": "0" * 64,
        "trial": 1,
        "is_active": True,
        "since": "2000-01-01T00:00:00Z",
    }
    answer = mine.post(f"/api/v1/cases/{case.pk}/share", {**extra, "username": other.username}, format="json")
    assert answer.status_code == 204
    made = Membership.objects.get(case=case, user=other)
    assert (made.added_by, made.since.year > 2000) == (owner, True)
    case.refresh_from_db()
    assert (case.priority, case.responsible, case.agency) == ("normal", owner, world.agency)

    before = set(Search.objects.values_list("pk", flat=True))
    answer = mine.post(f"/api/v1/probes/{probe.pk}/searches", {**extra, "face": 0}, format="json")
    if answer.status_code == 201:
        search = Search.objects.exclude(pk__in=before).get()
        assert (search.requested_by, search.state, search.trial_id) == (owner, "queued", None)
        assert search.policy_digest != "0" * 64
        assert search.probe.case == case
    else:
        assert answer.status_code == 503, answer.json()


@pytest.mark.django_db
def test_nobody_gives_themselves_a_role_or_an_agency_by_a_field_that_is_not_asked_for(api: Api) -> None:
    admin, clerk = factories.administrator(), factories.clerk()
    body = {"active": True, "roles": ["administrator"], "agency": "x", "username": "root", "password": "x" * 20}
    assert api(admin).put(f"/api/v1/users/{clerk.pk}/active", body, format="json").status_code == 200
    fresh = User.objects.get(pk=clerk.pk)
    assert (sorted(fresh.roles), fresh.username, fresh.password) == (["records"], clerk.username, clerk.password)
    booking = factories.BookingFactory()
    elsewhere = AgencyFactory(code="shelbyville")
    sent = {"agency": str(elsewhere.pk), "id": str(factories.BookingFactory().pk), "sealed_at": None}
    assert api(clerk).patch(f"/api/v1/bookings/{booking.pk}", sent, format="json").status_code in (200, 422)
    booking.refresh_from_db()
    assert booking.agency.code == "springfield"
