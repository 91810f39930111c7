"""How often: per person, per typed user name, per address; one entry a window; closed when it can't count."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mugsearch import limits, matrix
from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.errors import TooMany
from mugsearch.limiting import services, tasks
from mugsearch.limiting.models import Window
from mugsearch.probes.models import Probe, Search
from tests import factories
from tests.access.walking import filled, send
from tests.factories import PASSWORD, with_banner

pytestmark = pytest.mark.django_db
Page, Api = Callable[[User], Client], Callable[[User], APIClient]


@pytest.fixture
def most(settings: Any) -> Callable[[str, int, int], None]:
    """most("search", per person, per address); a day is one window, so that no test runs into the next."""
    settings.MUGSEARCH_LIMIT_WINDOW = 24 * 3600

    def set_to(kind: str, person: int, address: int) -> None:
        settings.MUGSEARCH_LIMITS = {**settings.MUGSEARCH_LIMITS, kind: (person, address)}

    return set_to


def refused() -> list[dict[str, Any]]:
    return list(Entry.objects.filter(act="limit.reached", outcome="refused").values_list("details", flat=True))


def test_every_limited_address_is_one_of_the_resolver() -> None:
    rows = {(endpoint.name, row.verb) for endpoint in matrix.endpoints() for row in matrix.rows_of(endpoint)}
    assert set(limits.LIMITED) <= rows


@pytest.mark.parametrize(("name", "verb"), sorted(limits.LIMITED))
def test_a_limit_holds_at_each_of_its_addresses_with_a_time_to_try_again(name, verb, most, page, api) -> None:
    kind = limits.LIMITED[name, verb]
    most(kind, 1, 10)
    endpoint = next(one for one in matrix.endpoints() if one.name == name)
    row = next(one for one in matrix.rows_of(endpoint) if one.verb == verb)
    if kind == "sign_in":
        client: Any = with_banner(Client())
    else:
        user = factories.UserFactory(roles=[min(row.roles)], certified=True)
        client = (api if name.startswith("api_") else page)(user)
    first, second = (send(client, verb, filled(endpoint)) for _ in range(2))
    assert first.status_code != 429
    assert second.status_code == 429
    assert 1 <= int(second["Retry-After"]) <= 24 * 3600
    assert "Try again at" in second.content.decode()
    assert [one["limit"] for one in refused()] == [kind]


def test_one_person_s_limit_is_nobody_else_s(most, page) -> None:
    most("search", 1, 100)
    me, other = page(factories.investigator()), page(factories.investigator())
    path = f"/probes/{uuid4()}/search"
    assert [me.post(path).status_code for _ in range(3)] == [404, 429, 429]
    assert other.post(path).status_code == 404


def test_a_person_s_limit_holds_whatever_a_header_says_the_address_begins_with(most, page) -> None:
    most("search", 1, 100)
    mine = page(factories.investigator())
    path = f"/probes/{uuid4()}/search"
    assert [mine.post(path, SCRIPT_NAME="/api").status_code for _ in range(2)] == [404, 429]


def test_a_person_s_pages_and_programs_count_together(most, page, api) -> None:
    most("search", 2, 100)
    user = factories.investigator()
    assert page(user).post(f"/probes/{uuid4()}/search").status_code == 404
    assert api(user).post(f"/api/v1/probes/{uuid4()}/searches").status_code == 404
    answer = api(user).post(f"/api/v1/probes/{uuid4()}/searches")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
    assert page(user).post(f"/probes/{uuid4()}/search").status_code == 429


def test_hitting_a_limit_is_one_entry_a_window_however_often(most, page) -> None:
    most("search", 1, 100)
    user = factories.investigator()
    client = page(user)
    for _ in range(6):
        client.post(f"/probes/{uuid4()}/search")
    entry = Entry.objects.get(act="limit.reached")
    assert entry.actor == user.pk
    assert entry.details == {"reason": "too_many", "limit": "search", "per": "user", "most": 1}


def test_what_is_over_the_limit_is_not_done(most, page) -> None:
    from tests.journeys.test_api_journey import PURPOSE

    most("upload", 1, 100)
    user = factories.investigator()
    client = page(user)
    client.post("/probes/new")
    body = {**PURPOSE, "attested": "on", "image": SimpleUploadedFile("x.png", b"x")}
    assert client.post("/probes/new", body).status_code == 429
    assert not Probe.objects.exists()
    assert not Entry.objects.filter(act="probe.submitted").exists()


def test_tries_to_sign_in_are_counted_before_the_password_is_looked_at(most) -> None:
    most("sign_in", 2, 100)
    user = factories.investigator()
    wrong = {"username": user.username.upper(), "password": "wrong"}
    assert [with_banner(Client()).post("/sign-in", wrong).status_code for _ in range(2)] == [200, 200]
    right = {"username": user.username, "password": PASSWORD}
    assert with_banner(Client()).post("/sign-in", right).status_code == 429
    assert Client().post("/api/v1/tokens", right, content_type="application/json").status_code == 429
    assert not Window.objects.filter(whose__contains=user.username).exists()  # it may be a password in the wrong box
    assert refused() == [{"reason": "too_many", "limit": "sign_in", "per": "name", "most": 2}]


def test_many_names_from_one_address_meet_its_limit_and_a_forged_header_does_not_help(most) -> None:
    most("sign_in", 100, 3)

    def attempt(n: int, **headers: str) -> int:
        return with_banner(Client()).post("/sign-in", {"username": f"n{n}", "password": "x"}, **headers).status_code

    assert [attempt(n) for n in range(4)] == [200, 200, 200, 429]
    assert attempt(5, HTTP_X_FORWARDED_FOR="203.0.113.9") == 429
    assert attempt(6, REMOTE_ADDR="203.0.113.9") == 200


def test_behind_the_proxy_the_address_is_the_one_it_wrote(most, settings) -> None:
    settings.BEHIND_PROXY = True
    most("sign_in", 100, 1)

    def attempt(forwarded: str) -> int:
        body = {"username": forwarded, "password": "x"}
        return with_banner(Client()).post("/sign-in", body, HTTP_X_FORWARDED_FOR=forwarded).status_code

    assert attempt("203.0.113.1") == 200
    assert attempt("198.51.100.7, 203.0.113.1") == 429  # what the client wrote before it counts for nothing
    assert attempt("203.0.113.2") == 200


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        (None, "unknown"),
    ],
)
def test_whoever_has_a_network_of_addresses_counts_as_one(address, counted) -> None:
    from mugsearch.audit.services import origin

    token = origin.set(address)
    try:
        services.by_address("search", None)
    finally:
        origin.reset(token)
    assert Window.objects.get().whose == f"address:{counted}"


def test_what_cannot_be_counted_is_not_done(page, api, monkeypatch) -> None:
    search = factories.SearchFactory()
    user, before = search.requested_by, Search.objects.count()

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise DatabaseError("the counter is gone")

    browser, program = page(user), api(user)
    monkeypatch.setattr(services, "connection", Broken())
    answer = browser.post(f"/probes/{search.probe_id}/search", {"face": 0, "list_size": 20})
    assert answer.status_code == 503
    answer = program.post(f"/api/v1/probes/{search.probe_id}/searches", {"face": 0}, format="json")
    assert answer.status_code == 503
    assert Search.objects.count() == before


def test_a_new_window_begins_from_nothing_and_old_ones_are_forgotten(most, monkeypatch) -> None:
    most("search", 1, 1)
    user = factories.investigator()
    services.by_user("search", user)
    with pytest.raises(TooMany):
        services.by_user("search", user)
    later = timezone.now() + 2 * services.KEPT
    monkeypatch.setattr(services.timezone, "now", lambda: later)
    services.by_user("search", user)
    assert Window.objects.count() == 2
    tasks.forget()
    assert Window.objects.get().began > later - services.KEPT


@pytest.mark.django_db(transaction=True)
def test_thirty_at_once_get_no_more_than_the_limit_and_leave_one_entry(most) -> None:
    most("search", 10, 1000)
    user = factories.investigator()
    done: list[bool] = []

    def one() -> None:
        try:
            services.by_user("search", user)
            done.append(True)
        except TooMany:
            done.append(False)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (done.count(True), done.count(False)) == (10, 20)
    assert len(refused()) == 1


def test_limits_are_set_where_the_operator_sets_everything_else() -> None:
    from mugsearch import settings as module

    assert set(module.MUGSEARCH_LIMITS) == {"sign_in", "upload", "search", "export"} == set(limits.LIMITED.values())
    assert all(person <= address for person, address in module.MUGSEARCH_LIMITS.values())


def test_asking_for_the_head_of_an_export_counts_as_the_export_it_makes(most, api) -> None:
    most("export", 1, 10)
    auditor = api(factories.auditor())
    assert [auditor.head("/api/v1/audit/export").status_code for _ in range(2)] == [200, 429]
