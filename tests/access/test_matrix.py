"""docs/access-matrix.csv: is it what the resolver says, and is what it says so?"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path
from django.utils import timezone
from django.views.decorators.http import require_GET
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from mugsearch import matrix, urls
from mugsearch.accounts.access import anybody, needs
from mugsearch.accounts.models import Role, Sitting, User
from mugsearch.audit.models import Entry
from tests import factories
from tests.access.walking import filled, is_api, send

Page, Api = Callable[[User], Client], Callable[[User], APIClient]


def test_the_file_is_what_the_resolver_and_the_gates_say() -> None:
    assert matrix.file().read_text() == matrix.text(), (
        f"An address, a verb, a role or a gate isn't as {matrix.FILE} says. {matrix.RENEW}"
    )


@require_GET
def without_a_gate(request: HttpRequest) -> HttpResponse:
    return HttpResponse("anything")


@needs(Role.RECORDS)
def of_any_verb(request: HttpRequest) -> HttpResponse:
    return HttpResponse("anything")


@anybody
@require_GET
def unlisted(request: HttpRequest) -> HttpResponse:
    return HttpResponse("anything")


class WithoutPermissions(APIView):
    def get(self, request: Any) -> Response:
        return Response()


class Site:
    """A URL configuration: the product's and one more address."""

    def __init__(self, view: Any) -> None:
        self.urlpatterns = [path("", include(urls)), path("one-more", view)]


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (without_a_gate, "/one-more has no gate"),
        (of_any_verb, "/one-more doesn't say which verbs"),
        (WithoutPermissions.as_view(), "/one-more has no gate"),
    ],
)
def test_a_view_without_a_declared_gate_or_verb_fails_the_run_and_is_named(view, said, settings) -> None:
    settings.ROOT_URLCONF = Site(view)
    with pytest.raises(matrix.Undeclared, match=said):
        matrix.text()
    with pytest.raises(CommandError, match=said):
        call_command("access_matrix")


def test_a_new_address_makes_the_comparison_fail(settings) -> None:
    settings.ROOT_URLCONF = Site(unlisted)
    assert matrix.text() != matrix.file().read_text()
    assert "/one-more,GET" in matrix.text()


def test_a_new_role_makes_the_comparison_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "COLUMNS", [*matrix.COLUMNS, "chief"])
    assert matrix.text() != matrix.file().read_text()


def rows_with_addresses() -> list[tuple[matrix.Row, str]]:
    return [(row, filled(endpoint)) for endpoint in matrix.endpoints() for row in matrix.rows_of(endpoint)]


# To sign out or end a token would end the walk.
ENDS_THE_SESSION = {"/sign-out", "/locked", "/api/v1/tokens/current"}


@pytest.mark.django_db
@pytest.mark.parametrize("role", Role)
def test_every_row_of_the_file_holds_for_somebody_with_only_this_role(role: Role, page: Page, api: Api) -> None:
    user = factories.UserFactory(roles=[role], certified=role == Role.EXAMINER)
    signed_in = {True: api(user), False: page(user)}
    wrong: dict[str, str] = {}
    for row, address in rows_with_addresses():
        if address in ENDS_THE_SESSION:
            continue
        refused_before = Entry.objects.filter(outcome="refused").count()
        answer = send(signed_in[is_api(address)], row.verb, address)
        may = row.anonymous or role in row.roles
        if may and (answer.status_code in (401, 403, 405) or answer.status_code >= 500):
            wrong[f"{row.verb} {address}"] = f"the file says yes, the answer is {answer.status_code}"
        elif not may and answer.status_code != 403:
            wrong[f"{row.verb} {address}"] = f"the file says no, the answer is {answer.status_code}"
        elif not may and Entry.objects.filter(outcome="refused").count() != refused_before + 1:
            wrong[f"{row.verb} {address}"] = "the refusal isn't one entry of the record"
    assert wrong == {}


@pytest.mark.django_db
def test_every_row_of_the_file_holds_for_somebody_without_a_role(page: Page, api: Api) -> None:
    user = factories.UserFactory()
    signed_in = {True: api(user), False: page(user)}
    wrong = {}
    for row, address in rows_with_addresses():
        if address in ENDS_THE_SESSION:
            continue
        status = send(signed_in[is_api(address)], row.verb, address).status_code
        if (status == 403) is not (row.roles != matrix.EVERY_ROLE and not row.anonymous) or status >= 500:
            wrong[f"{row.verb} {address}"] = status
    assert wrong == {}


@pytest.mark.django_db
def test_whatever_the_file_calls_sensitive_waits_until_a_stale_session_has_confirmed(page: Page, api: Api) -> None:
    wrong, long_ago = {}, timezone.now() - timedelta(minutes=15)
    for row, address in rows_with_addresses():
        if row.sensitive is None:
            continue
        user = factories.UserFactory(roles=[min(row.roles)], certified=True)
        client = (api if is_api(address) else page)(user)
        Sitting.objects.filter(user=user).update(confirmed_at=long_ago)
        answer = send(client, row.verb, address)
        if is_api(address):
            waits = answer.status_code == 403 and answer.json()["code"] == "confirm_first"
        else:
            waits = answer.status_code == 302 and answer["Location"].startswith("/confirm?")
        if not waits:
            wrong[f"{row.verb} {address}"] = answer.status_code
    assert wrong == {}


OPEN = {"/healthz", "/sign-out", "/banner", "/sign-in", "/sign-in/code", "/sign-in/enrol", "/locked", "/api/v1/tokens"}


@pytest.mark.django_db
def test_a_stranger_is_sent_to_sign_in_everywhere_but_where_the_file_says_anonymous() -> None:
    wrong = {}
    for row, address in rows_with_addresses():
        answer = send(APIClient() if is_api(address) else Client(), row.verb, address)
        if row.anonymous and is_api(address):
            fits = answer.status_code == 400  # it asks for user name, password and code
        elif row.anonymous:
            fits = answer.status_code == 200 or answer["Location"].startswith(("/banner", "/sign-in"))
        elif is_api(address):
            fits = answer.status_code == 401
        else:
            fits = answer.status_code == 302 and answer["Location"].startswith("/sign-in")
        if not fits:
            wrong[f"{row.verb} {address}"] = answer.status_code
    assert wrong == {}
    assert {row.endpoint for row in matrix.rows() if row.anonymous} == OPEN


@pytest.mark.django_db
def test_no_address_takes_a_verb_that_the_file_does_not_list(page: Page, api: Api) -> None:
    """As somebody who holds every role that can be held together, so that the gate isn't what refuses."""
    user = factories.UserFactory(roles=[role for role in Role if role != Role.AUDITOR], certified=True)
    audits = factories.UserFactory(roles=[role for role in Role if role != Role.EXAMINER])
    clients = [{True: api(one), False: page(one)} for one in (user, audits)]
    taken = {}
    for endpoint in matrix.endpoints():
        rows = matrix.rows_of(endpoint)
        examines = all(Role.AUDITOR not in row.roles for row in rows)
        address = filled(endpoint)
        for verb in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - {row.verb for row in rows}:
            open_to_all = any(row.anonymous for row in rows)  # sign-in sends on whoever is signed in
            client = Client() if open_to_all else clients[not examines][is_api(address)]
            status = send(client, verb, address).status_code
            if status not in (401, 403, 405):
                taken[f"{verb} {address}"] = status
    assert taken == {}


# All that an administrator reaches beyond what anybody who is signed in does: people, the agency's rules, and whether
# heads of the record leave.
ADMINISTRATION = tuple(
    start + what for start in ("", "/api/v1") for what in ("/users", "/certificates", "/policy", "/audit/heads")
)


def test_an_administrator_has_no_access_to_casework() -> None:
    reached = {
        row.endpoint for row in matrix.rows() if Role.ADMINISTRATOR in row.roles and row.roles != matrix.EVERY_ROLE
    }
    assert reached - {"/api/v1/calibrations"} == {one for one in reached if one.startswith(ADMINISTRATION)}
    casework = ("cases", "probes", "searches", "leads", "reviews", "examinations", "people", "bookings", "photos")
    assert not [one for one in reached for word in casework if f"/{word}" in one]


@pytest.mark.django_db
def test_an_administrator_sees_no_case_probe_search_or_examination_of_anybody() -> None:
    from mugsearch.probes.models import Case, Probe, Search
    from reviews.models import Examination, Lead

    search = factories.SearchFactory()
    admin = factories.administrator(agency=search.probe.case.agency)
    search.probe.case.members.add(admin)  # not even one who was put on the case
    for model in (Case, Probe, Search, Examination, Lead):
        assert not model.objects.visible_to(admin).exists()
