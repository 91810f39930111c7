"""What every answer says to the browser and to caches, and the settings that nothing is served with."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from mugsearch import matrix, safe_settings
from mugsearch.accounts.models import Role, User
from tests import factories
from tests.access.walking import filled, send

pytestmark = pytest.mark.django_db
Page = Callable[[User], Client]

EVERYWHERE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOWHERE = ("object-src", "frame-src", "manifest-src", "worker-src", "frame-ancestors", "base-uri", "default-src")


def lacking(answer: Any) -> list[str]:
    wrong = [name for name, value in EVERYWHERE.items() if answer.headers.get(name) != value]
    policy = answer.headers.get("Content-Security-Policy", "")
    wrong += [f"CSP {name}" for name in NOWHERE if f"{name} 'none'" not in policy]
    wrong += ["CSP script-src"] if "script-src 'self';" not in policy + ";" else []
    wrong += ["unsafe-inline"] if "unsafe" in policy and answer.wsgi_request.path != "/api/v1/docs/" else []
    return wrong + ([] if "camera=()" in answer.headers.get("Permissions-Policy", "") else ["Permissions-Policy"])


def test_every_address_answers_everybody_with_every_header(page: Page) -> None:
    one = page(factories.UserFactory(roles=[role for role in Role if role != Role.AUDITOR], certified=True))
    auditor = page(factories.auditor())
    wrong = {}
    for endpoint in matrix.endpoints():
        for row in matrix.rows_of(endpoint):
            for who, client in (("signed in", one), ("auditor", auditor), ("stranger", Client())):
                if endpoint.name == "sign_out":
                    continue
                if found := lacking(send(client, row.verb, filled(endpoint))):
                    wrong[f"{who} {row.verb} {endpoint.path}"] = found
    assert wrong == {}


@pytest.mark.parametrize("path", ["/nothing", "/cases", "/media/x.jpg", "/sign-in/"])
def test_refusals_and_redirects_of_addresses_that_do_not_exist_have_them_too(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code in (301, 404)
    assert lacking(answer) == []


def test_over_https_the_browser_is_told_to_stay_there(settings) -> None:
    settings.SECURE_HSTS_SECONDS = 31536000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    answer = Client().get("/sign-in", secure=True)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    settings.SECURE_SSL_REDIRECT = True
    moved = Client().get("/sign-in")
    assert (moved.status_code, moved["Location"]) == (301, "https://testserver/sign-in")


def test_cookies_are_of_this_host_over_https_and_of_no_other_site_s_requests() -> None:
    ran = in_production(WHAT_PRODUCTION_SENDS, ALLOWED_HOSTS="mugs.example")
    assert ran.returncode == 0, ran.stderr
    session = ["__Host-sessionid", "Strict", True, True, "/", None]
    assert json.loads(ran.stdout) == [401, *session, "__Host-csrftoken", "Strict", True, "/", None, 31536000, True]


WHAT_PRODUCTION_SENDS = """
import django, json
from django.conf import settings as told
django.setup()
from django.test import Client
answer = Client().get("/api/v1/me", secure=True, HTTP_HOST="mugs.example")
status, policy = answer.status_code, answer.headers["Content-Security-Policy"]
session = [getattr(told, f"SESSION_COOKIE_{n}") for n in ("NAME", "SAMESITE", "SECURE", "HTTPONLY", "PATH", "DOMAIN")]
csrf = [getattr(told, f"CSRF_COOKIE_{n}") for n in ("NAME", "SAMESITE", "SECURE", "PATH", "DOMAIN")]
print(json.dumps([status, *session, *csrf, told.SECURE_HSTS_SECONDS, "upgrade-insecure-requests" in policy]))
"""


def test_signing_out_clears_what_the_browser_kept(page: Page) -> None:
    client = page(factories.investigator())
    assert "Clear-Site-Data" not in client.get("/cases/").headers
    assert client.post("/sign-out").headers["Clear-Site-Data"] == '"cache", "storage"'
    assert client.get("/cases/").status_code == 302


# --- cache deception: an address that looks like a file is no other address's page --------------------


@pytest.mark.parametrize(
    "suffix", ["/x.css", ".css", "%2fx.css", ";x.css", "%00.css", "%0a.css", "/..%2fstatic/x.css", "/%2e%2e/x.js"]
)
def test_an_address_that_looks_like_a_static_file_shows_no_case(suffix: str, page: Page) -> None:
    search = factories.SearchFactory()
    client = page(search.requested_by)
    for address in (f"/cases/{search.probe.case_id}", f"/probes/{search.probe_id}", f"/searches/{search.pk}", "/cases"):
        answer = client.get(address + suffix)
        assert answer.status_code == 404, address + suffix
        assert search.probe.case.number not in answer.content.decode()
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_query_makes_no_page_cacheable(page: Page) -> None:
    case = factories.ProbeFactory().case
    answer = page(case.opened_by).get(f"/cases/{case.pk}?x=y.css", HTTP_ACCEPT="text/css")
    assert answer.headers["Cache-Control"] == "no-store"


# --- images: only through a view that checks ----------------------------------------------------------


def test_no_file_of_the_vault_has_an_address(page: Page) -> None:
    probe = factories.ProbeFactory()
    client = page(probe.submitted_by)
    for path in ("", "/vault/files", "/static", "/media", "/var/vault/files", "/static/..%2fvault%2ffiles"):
        for name in (f"{probe.pk}", f"{probe.pk}.png", f"{probe.pk}/{probe.pk}", f"{str(probe.pk)[:2]}/{probe.pk}"):
            assert client.get(f"{path}/{name}").status_code == 404
    assert not hasattr(django_settings, "MEDIA_ROOT") or not django_settings.MEDIA_ROOT
    assert django_settings.STORAGES["default"]["BACKEND"].endswith("InMemoryStorage")


def test_two_people_at_the_address_of_one_image_each_get_what_they_may(page: Page, fake_encoder: Any) -> None:
    from mugsearch.probes import services
    from tests.fakes import synthetic_photo
    from tests.probes.test_submitting import PURPOSE

    me, other = factories.investigator(), factories.investigator()
    probe = services.submit(by=me, purpose=PURPOSE, image=synthetic_photo(7))
    mine, theirs = page(me), page(other)
    for _ in range(2):  # whoever asks first
        shown, refused = mine.get(f"/probes/{probe.pk}/image.jpg"), theirs.get(f"/probes/{probe.pk}/image.jpg")
        assert (shown.status_code, shown["Content-Type"], refused.status_code) == (200, "image/jpeg", 404)
        for answer in (shown, refused):
            assert lacking(answer) == []
        assert "ETag" not in shown.headers
        assert "Last-Modified" not in shown.headers


# --- settings that nothing is served with --------------------------------------------------------------


def errors() -> set[str]:
    found = run_checks(tags=["security"], include_deployment_checks=True)
    return {error.id for error in found if error.id.startswith("mugsearch")}


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"ALLOWED_HOSTS": ["a.example", "*"]}, "mugsearch.E001"),
        ({"BEHIND_PROXY": True, "ALLOWED_HOSTS": []}, "mugsearch.E002"),
        ({"USE_X_FORWARDED_HOST": True}, "mugsearch.E003"),
        ({"USE_X_FORWARDED_PORT": True}, "mugsearch.E003"),
        ({"CSRF_TRUSTED_ORIGINS": ["https://*.example"]}, "mugsearch.E004"),
        ({"INSECURE_HTTP": True, "ALLOWED_HOSTS": ["localhost", "mugs.example"]}, "mugsearch.E005"),
        ({"INSECURE_HTTP": True, "ALLOWED_HOSTS": ["10.0.0.1"]}, "mugsearch.E005"),
        ({"DEBUG": True}, "mugsearch.E006"),
    ],
)
def test_settings_that_let_strangers_in_are_named_and_stop_the_start(told, error, settings) -> None:
    settings.ALLOWED_HOSTS, settings.INSECURE_HTTP = ["mugs.example"], False
    assert errors() == set()
    safe_settings.require()
    for name, value in told.items():
        setattr(settings, name, value)
    assert errors() == {error}
    with pytest.raises(ImproperlyConfigured, match=error):
        safe_settings.require()


def test_plain_http_on_loopback_is_for_the_demo(settings) -> None:
    settings.INSECURE_HTTP = True
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "demo.localhost"]
    assert errors() == set()


def test_the_web_process_does_not_start_with_them() -> None:
    ran = in_production("import mugsearch.wsgi", ALLOWED_HOSTS="*")
    assert ran.returncode != 0
    assert "ALLOWED_HOSTS names every host" in ran.stderr


def in_production(program: str, **told: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, which knows nothing of the settings of tests."""
    environment = {**os.environ, "SECRET_KEY": "x", "DJANGO_SETTINGS_MODULE": "mugsearch.settings", **told}
    environment |= {"MUGSEARCH_MASTER_KEY": "11" * 32, "MUGSEARCH_SIGNING_KEY": "22" * 32}
    environment.pop("MUGSEARCH_INSECURE_HTTP", None)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_no_named_host_is_no_host(settings) -> None:
    settings.ALLOWED_HOSTS = []
    assert Client().get("/sign-in", HTTP_HOST="mugs.example").status_code == 400


@pytest.mark.parametrize("behind", [True, False])
def test_a_forwarded_host_is_not_believed(behind: bool, settings) -> None:
    settings.BEHIND_PROXY, settings.ALLOWED_HOSTS = behind, ["mugs.example"]
    answer = Client().get("/cases/", HTTP_HOST="evil.example", HTTP_X_FORWARDED_HOST="mugs.example")
    assert answer.status_code == 400
    answer = Client().get("/cases/", HTTP_HOST="mugs.example", HTTP_X_FORWARDED_HOST="evil.example")
    assert "evil" not in answer["Location"]


# --- requests of other sites ---------------------------------------------------------------------------


def test_no_page_takes_a_post_without_its_token(page: Page) -> None:
    user = factories.UserFactory(roles=[role for role in Role if role != Role.AUDITOR], certified=True)
    client = page(user)
    forged = Client(enforce_csrf_checks=True)
    forged.cookies = client.cookies
    taken = {}
    for endpoint in matrix.endpoints():
        for row in matrix.rows_of(endpoint):
            if row.verb == "GET" or row.anonymous or endpoint.name == "api_tokens":
                continue
            if Role.AUDITOR in row.roles and len(row.roles) == 1:
                continue
            status = send(forged, row.verb, filled(endpoint)).status_code
            if status == 415:
                status = forged.post(filled(endpoint)).status_code
            if status != 403:
                taken[f"{row.verb} {endpoint.path}"] = status
    assert taken == {}
    assert page(user).get(f"/cases/{uuid4()}").status_code == 404  # the session itself is a good one
