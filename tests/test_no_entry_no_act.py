"""Where the record can't be written, nothing is done and nothing is shown: 503 at every address that would record."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from psycopg import sql

from mugsearch import rights
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import add_agency, console
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.errors import WrongState
from mugsearch.gallery import encoding
from mugsearch.retention.models import ExpungementOrder
from reviews.models import Examination
from tests.factories import (
    PASSWORD,
    AgencyFactory,
    CaseFactory,
    ProbeFactory,
    UserFactory,
    clerk,
    second_factor,
    with_banner,
)
from tests.retention.arrange import a_life, held, requested
from tests.reviews.arrange import finished_search
from tests.triggers import as_owner

pytestmark = pytest.mark.django_db

# What forms and the API ask for, all at once: each takes what it knows.
SAID = {
    "reason": "Asked for by the court", "order_number": "26-CV-1", "kind": "expunge", "priority": "urgent",
    "reference": "PRES-2", "outcome": "no_use", "note": "Seen", "notes": "A mole", "conclusion": "-3", "position": "1",
    "face": "0", "case_number": "26-00001", "offence": "robbery", "legal_basis": "reasonable-suspicion",
    "source": "cctv-still", "source_detail": "Door", "attestation": "on", "attested": "on", "roles": ["examiner"],
    "active": "false", "username": "somebody.new", "full_name": "Some Body", "password": "a-long-new-password-7",
    "programme": "Facial comparison", "issued_by": "Academy", "hours": "80", "issued_on": "2026-01-01",
    "expires_on": "2026-12-31", "what": "Alibi", "where": "Report 7", "q": "a", "charge": "Arson",
}  # fmt: skip


Ids = dict[str, list[UUID]]


@pytest.fixture
def world(fake_encoder: Any) -> tuple[User, Ids]:
    """Somebody with every role, on the cases, and the ids of what there is to act on, by the word before them."""
    life = a_life()
    me = UserFactory(roles=list(Role), certified=True, agency=life.booking.agency)
    probe = ProbeFactory(case=CaseFactory(opened_by=me, agency=me.agency))
    of_others = finished_search(encoder=encoding.active())
    mine = Examination.objects.create(search=of_others, examiner=me)
    order = requested(life.booking)
    hold = held(a_life().booking)
    assert order.state == ExpungementOrder.State.REQUESTED
    search, lead = life.candidate.search, life.lead
    probe.case.members.add(clerk())
    search.probe.case.members.add(me)
    bookings = [life.booking.pk]
    return me, {
        "users": [clerk(agency=me.agency).pk],
        "examiners": [me.pk],
        "people": [life.booking.person_id],
        "bookings": bookings,
        "on": bookings,
        "photos": [life.photos[0].pk],
        "searches": [search.pk, of_others.pk],
        "probes": [search.probe_id, probe.pk],
        "cases": [search.probe.case_id, probe.case_id],
        "reviews": [mine.pk],
        "examinations": [mine.pk],
        "leads": [lead.pk],
        "expungements": [order.pk],
        "holds": [hold.pk],
    }


def patterns(resolver: URLResolver, before: str = "") -> Iterator[tuple[str, list[str]]]:
    """(the path with {} for each value, the kinds of values)."""
    for pattern in resolver.url_patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, path)
        elif isinstance(pattern, URLPattern):
            parts = path.replace("<", "\0").replace(">", "\0").split("\0")
            yield "{}".join(parts[::2]), [part.partition(":")[0] for part in parts[1::2]]


def addresses(ids: Ids) -> Iterator[str]:
    for path, kinds in patterns(get_resolver()):
        before = path.partition("{}")[0].strip("/").rpartition("/")[2]
        firsts = {"uuid": ids.get(before, [uuid4()]), "int": [1], "slug": ["acquitted"], "str": ["2026-11-23"]}
        for first in firsts[kinds[0]] if kinds else [None]:
            # What is second is a number, or something that isn't there.
            yield "/" + path.format(first, *(uuid4() if kind == "uuid" else 1 for kind in kinds[1:]))


NO_ACT = ("django_session", "django_migrations", "accounts_sitting", "limiting_window")


def everything() -> list[tuple[str, int, int]]:
    """How many rows there are in each table, and a number that changes when one does; without sessions, when these were
    last active, and how often something was asked for."""
    with connection.cursor() as cursor:
        cursor.execute(rights._TABLES)
        tables = [table for table, _ in cursor.fetchall() if table not in NO_ACT]
        one = "SELECT {name}, count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table} t"
        each = [sql.SQL(one).format(name=sql.Literal(name), table=sql.Identifier(name)) for name in tables]
        cursor.execute(sql.SQL(" UNION ALL ").join(each))
        return sorted(cursor.fetchall())


def revoked() -> None:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(f'REVOKE INSERT ON audit_entry FROM "{rights.role()}"')


def tried(browser: Client, method: str, address: str) -> tuple[int, int, bool]:
    """(status, entries written, whether anything but the record changed), all of it undone."""
    cookies = deepcopy(browser.cookies)
    undone = transaction.atomic()
    undone._from_testcase = True  # an act is the outermost transaction but for the test's own
    with undone:
        entries, before = Entry.objects.count(), None
        if not recordable():
            before = everything()
        answer = browser.generic("GET", address) if method == "GET" else browser.post(address, SAID)
        if answer.streaming:
            b"".join(answer.streaming_content)
        written = Entry.objects.count() - entries
        changed = before is not None and everything() != before
        transaction.set_rollback(True)
    browser.cookies = cookies  # it may have signed out
    return answer.status_code, written, changed


def recordable() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('audit_entry', 'INSERT')")
        return bool(cursor.fetchone()[0])


def test_every_address_that_would_record_answers_503_and_changes_nothing(
    world: tuple[User, Ids], page: Callable[[User], Client]
) -> None:
    me, ids = world
    browser = page(me)
    browser.raise_request_exception = False
    acts = [
        (method, address)
        for address in addresses(ids)
        for method in ("GET", "POST")
        if tried(browser, method, address)[1]
    ]
    assert len(acts) > 60, "fewer than there are: this shows less than it says"
    posts = {address for method, address in acts if method == "POST"}
    assert len(posts) > 15
    revoked()
    wrong = {}
    for method, address in acts:
        status, written, changed = tried(browser, method, address)
        if (status, written, changed) != (503, 0, False):
            wrong[f"{method} {address}"] = (status, written, changed)
    print(f"{len(acts)} acts, {len(posts)} of them POST")
    assert wrong == {}


# What shows no case, nobody's face, name or number, and no entry of the record.
UNRECORDED = {
    *("healthz", "banner", "locked"),
    *("account", "confirm", "enrol", "password", "tokens", "api_me", "api_sessions", "api_tokens"),  # one's own
    *("queue", "api_examination_queue", "api_examinations", "conclude"),  # one's own, and blind
    # Empty forms, whose answers are recorded; the picture of "new_edit" is a look of its own.
    *("assign_case", "disclosure", "disposition_file", "new_disposition", "new_edit", "new_expungement", "new_import"),
    *("new_probe", "people", "record_certificate", "verify_audit", "audit_timelines"),
    *("api_docs", "api_schema", "api_audit_signals", "verify_certificate"),
    *("policy", "api_policy", "api_policy_versions", "calibrations", "api_calibrations"),
    *("users", "user", "api_users", "api_user", "api_user_sessions"),  # accounts, to administrators
    *("audit_heads", "api_audit_heads", "audit_reviews", "api_audit_reviews", "saved_reviews", "api_saved_reviews"),
    *("search_repeats", "audit_search_repeats"),  # what moves on a page that is recorded
}


@pytest.mark.parametrize("left_out", [Role.AUDITOR, Role.EXAMINER])  # nobody is both
def test_whatever_shows_something_leaves_an_entry(
    left_out: Role, world: tuple[User, Ids], page: Callable[[User], Client]
) -> None:
    me, ids = world
    me.grants.filter(role=left_out).delete()
    browser = page(me)
    browser.raise_request_exception = False
    silent, recorded = set(), set()
    for address in addresses(ids):
        status, written, _ = tried(browser, "GET", address)
        if status == 200:
            (recorded if written else silent).add(resolve(address).view_name)
    assert len(recorded) > 40, "fewer than there are: this shows less than it says"
    assert silent <= UNRECORDED, silent - UNRECORDED


def test_an_act_and_its_refusal_are_nothing_without_an_entry() -> None:
    agencies, by = AgencyFactory._meta.model.objects, console()
    revoked()
    before = everything()
    with pytest.raises(audit.NotRecorded, match="Nothing was done or shown"):
        add_agency(by=by, code="shelbyville", name="Shelbyville")

    def refused() -> None:
        with audit.act("agency.added", by=None):
            AgencyFactory(code="ogdenville")
            raise WrongState("No.")

    for attempt in (
        refused,
        lambda: audit.record("thing.done", by=None),
        lambda: audit.refuse("thing.done", by=None, reason="not_allowed"),
    ):
        with pytest.raises(audit.NotRecorded):
            attempt()
    assert not agencies.filter(code__in=["shelbyville", "ogdenville"]).exists()
    assert everything() == before


def test_nobody_signs_in_and_no_guess_is_told_from_another() -> None:
    """A failure that can't be recorded isn't counted either, so a right password must not look like one."""
    user = UserFactory(roles=[Role.RECORDS])
    second_factor(user)
    browser = with_banner(Client())
    revoked()
    before = everything()
    right, wrong = (
        browser.post("/sign-in", {"username": user.username, "password": password})
        for password in (PASSWORD, "a wrong one")
    )
    assert (right.status_code, wrong.status_code) == (503, 503)
    # Apart from the token of forms, which is new in each answer.
    assert re.sub(r"\w{64}", "", right.text) == re.sub(r"\w{64}", "", wrong.text)
    assert browser.get("/sign-in/code").headers["Location"] == "/sign-in"
    assert everything() == before


def test_a_browser_is_not_sent_back_to_a_form_as_if_something_had_been_wrong_with_it(
    world: tuple[User, Ids], page: Callable[[User], Client]
) -> None:
    me, _ = world
    revoked()
    case = me.cases.first()
    assert case
    told = {"priority": "urgent", "reason": "A child is missing"}
    back = f"http://testserver/cases/{case.pk}"
    answer = page(me).post(f"/cases/{case.pk}/priority", told, headers={"referer": back})
    assert answer.status_code == 503
    assert "can't be recorded" in answer.text or "can&#x27;t be recorded" in answer.text
