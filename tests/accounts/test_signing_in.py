"""SECURITY.md, Access: the banner, the second factor and its enrolment."""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver

from mugsearch.accounts import factors, services, sign_in_views, signing, sittings
from mugsearch.accounts.models import Role, Sitting
from mugsearch.audit.models import Entry
from mugsearch.demo import people
from mugsearch.errors import NotAllowed, WrongState
from tests import factories
from tests.accounts.arrange import (
    at_once,
    enrol,
    give_password,
    is_in,
    shown_secret,
    with_factor,
)
from tests.factories import PASSWORD, code_of, second_factor, sign_in, with_banner

pytestmark = pytest.mark.django_db


# ------------------------------------------------------------------ the banner


def test_no_password_is_looked_at_before_the_banner_is_acknowledged():
    user = with_factor()
    client = Client()
    assert give_password(client, user).headers["Location"] == "/banner"
    assert client.get("/sign-in/code").headers["Location"] == "/sign-in"
    assert Entry.objects.get().details["reason"] == "banner"


def test_the_banner_is_the_agencys_and_another_text_is_acknowledged_anew(settings):
    settings.MUGSEARCH_BANNER = "Only for the Springfield police."
    client = Client()
    assert "Only for the Springfield police." in client.get("/banner").content.decode()
    with_banner(client)
    assert client.get("/sign-in").status_code == 200
    settings.MUGSEARCH_BANNER = "Another text."
    assert client.get("/sign-in").headers["Location"] == "/banner"


def test_nothing_of_a_stranger_is_stored_before_a_right_password():
    client = Client()
    for path in ("/", "/sign-in?next=/cases/", "/sign-in/code", "/banner", "/locked"):
        client.get(path)
    with_banner(client)
    client.get("/sign-in?next=/cases/")
    give_password(client, with_factor(), "wrong")
    assert not Session.objects.exists()


def test_where_somebody_was_going_is_where_they_get_after_the_banner_the_password_and_the_code():
    user, client = with_factor(roles=[Role.ADMINISTRATOR]), Client()
    at = client.get("/users/?page=2").headers["Location"]
    at = client.get(at).headers["Location"]
    assert at == "/banner?next=%2Fusers%2F%3Fpage%3D2"
    at = client.post(at).headers["Location"]
    client.post(at, {"username": user.username, "password": PASSWORD})
    assert client.post("/sign-in/code", {"code": code_of(user)}).headers["Location"] == "/users/?page=2"
    assert client.get("/users/?page=2").status_code == 200


@pytest.mark.parametrize("going", ["https://example.org/", "//example.org", "/\\example.org", "javascript:alert(1)"])
def test_nobody_is_led_to_another_site_after_signing_in(going):
    user, client = with_factor(), with_banner(Client())
    client.post(f"/sign-in?{urlencode({'next': going})}", {"username": user.username, "password": PASSWORD})
    assert client.post("/sign-in/code", {"code": code_of(user)}).headers["Location"] == "/"


def test_the_banner_is_shown_to_whoever_signs_in_next_and_cannot_be_skipped_by_a_made_up_cookie(settings, monkeypatch):
    client = Client()
    sign_in(client, with_factor())
    client.post("/sign-out")
    assert client.get("/sign-in").headers["Location"] == "/banner"
    client.cookies[settings.BANNER_COOKIE_NAME] = sittings.banner_digest()
    assert client.get("/sign-in").headers["Location"] == "/banner"
    with_banner(client)
    assert client.get("/sign-in").status_code == 200
    monkeypatch.setattr(sign_in_views, "BANNER_SECONDS", -1)
    assert client.get("/sign-in").headers["Location"] == "/banner"


def test_the_record_says_which_banner_was_acknowledged():
    user = with_factor()
    sign_in(Client(), user)
    started = Entry.objects.get(act="session.started", outcome="done")
    assert (len(started.details["banner"]), started.details["factor"]) == (16, "totp")


# ------------------------------------------------------------------ the second factor


ALWAYS_OPEN = {"/banner", "/sign-in", "/sign-in/code", "/sign-in/enrol", "/locked", "/healthz", "/sign-out"}


@pytest.mark.parametrize("enrolled", [True, False], ids=["with a factor", "without one"])
def test_a_session_that_has_only_its_password_reaches_nothing_but_signing_in(enrolled):
    user = factories.UserFactory(roles=[role for role in Role if role != Role.AUDITOR])
    if enrolled:
        second_factor(user)
    client = with_banner(Client())
    give_password(client, user)
    tried = set()
    for path in routes(get_resolver().url_patterns):
        for method in ("get", "post", "put", "delete"):
            if path in ALWAYS_OPEN or path == "/api/v1/tokens":
                continue
            answer = getattr(client, method)(path)
            tried.add(path)
            assert answer.status_code in (302, 401, 403, 405), (method, path, answer.status_code)
            if answer.status_code == 302:
                assert answer.headers["Location"].startswith("/sign-in"), (method, path)
    assert len(tried) > 100
    assert not Sitting.objects.exists()
    assert client.get("/sign-in/enrol").status_code == (302 if enrolled else 200)


def routes(patterns: Any, prefix: str = "") -> Any:
    some = {"uuid": "00000000-0000-4000-8000-000000000000", "int": "1", "str": "x", "slug": "x", "path": "x"}
    for pattern in patterns:
        route = prefix + re.sub(r"<(?:(\w+):)?\w+>", lambda match: some[match[1] or "str"], str(pattern.pattern))
        if hasattr(pattern, "url_patterns"):
            yield from routes(pattern.url_patterns, route)
        else:
            yield "/" + route


def test_a_session_from_before_second_factors_is_none():
    client = Client()
    client.force_login(factories.UserFactory())
    assert client.get("/").headers["Location"].startswith("/sign-in")
    assert client.get("/api/v1/me").status_code == 401


def test_one_code_works_once():
    user = with_factor()
    code = code_of(user)
    first, second = with_banner(Client()), with_banner(Client())
    for client in (first, second):
        give_password(client, user)
    assert first.post("/sign-in/code", {"code": code}).status_code == 302
    assert second.post("/sign-in/code", {"code": code}).status_code == 200
    assert (is_in(first), is_in(second)) == (True, False)


def test_a_code_of_before_the_one_that_was_taken_is_refused_and_the_next_is_not():
    user = with_factor()
    assert signing.check_factor(user, code_of(user)) == "totp"
    assert signing.check_factor(user, code_of(user, -1)) is None
    assert signing.check_factor(user, code_of(user, 1)) == "totp"


def test_a_code_that_is_too_old_or_not_yet_due_is_refused():
    user = with_factor()
    assert signing.check_factor(user, code_of(user, -2)) is None
    assert signing.check_factor(user, code_of(user, 3)) is None


@pytest.mark.django_db(transaction=True)
def test_of_two_who_send_the_same_code_at_once_one_gets_in():
    user = with_factor()
    code = code_of(user)
    assert sorted(map(str, at_once(lambda: signing.check_factor(user, code), 6))) == ["None"] * 5 + ["totp"]


def test_a_password_is_good_for_ten_minutes(monkeypatch):
    user = with_factor()
    client = with_banner(Client())
    give_password(client, user)
    code, now = code_of(user), time.time()
    monkeypatch.setattr("mugsearch.accounts.sign_in_views.time.time", lambda: now + 601)
    assert client.post("/sign-in/code", {"code": code}).headers["Location"] == "/sign-in"


def test_signing_out_forgets_a_password_that_was_given():
    user = with_factor()
    client = with_banner(Client())
    give_password(client, user)
    client.post("/sign-out")
    assert client.post("/sign-in/code", {"code": code_of(user)}).headers["Location"] == "/sign-in"
    assert client.get("/sign-in").headers["Location"] == "/banner"  # which whoever comes next has not seen


def test_a_new_password_ends_what_the_old_one_began():
    user = with_factor()
    client = with_banner(Client())
    give_password(client, user)
    services.set_password(by=factories.administrator(), user=user, password="another long passphrase")
    assert client.post("/sign-in/code", {"code": code_of(user)}).headers["Location"] == "/sign-in"


def test_secrets_of_second_factors_do_not_lie_in_plain_in_the_database():
    user = factories.UserFactory()
    client = with_banner(Client())
    give_password(client, user)
    secret = shown_secret(client)
    while_enrolling = str([session.get_decoded() for session in Session.objects.all()])
    enrol(client, secret)
    codes = re.findall(r"<li>(\d{10})</li>", client.get("/account/codes").content.decode())
    held = while_enrolling + str(list(Authenticator.objects.values_list("data", flat=True)))
    held += str([session.get_decoded() for session in Session.objects.all()])
    assert "enrolling" in while_enrolling
    assert len(codes) == 10
    assert [plain for plain in (secret, *codes) if plain in held] == []


def test_second_factors_outlive_another_master_key(settings):
    user = with_factor()
    settings.MUGSEARCH_MASTER_KEY_OLD = settings.MUGSEARCH_MASTER_KEY
    settings.MUGSEARCH_MASTER_KEY = secrets.token_hex(32)
    call_command("rotate_master_key", verbosity=0)
    settings.MUGSEARCH_MASTER_KEY_OLD = ""
    assert signing.check_factor(user, code_of(user)) == "totp"


# ------------------------------------------------------------------ enrolment


def test_the_first_sign_in_enrols_and_shows_the_recovery_codes_once():
    user = factories.UserFactory()
    client = with_banner(Client())
    assert give_password(client, user).headers["Location"] == "/sign-in/enrol"
    assert enrol(client, shown_secret(client)).headers["Location"] == "/account/codes"
    shown = re.findall(r"<li>(\d{10})</li>", client.get("/account/codes").content.decode())
    assert len(set(shown)) == 10
    assert re.findall(r"<li>(\d{10})</li>", client.get("/account/codes").content.decode()) == []
    assert Entry.objects.filter(act="factor.added", outcome="done", object_id=str(user.pk)).count() == 1


def test_a_wrong_code_enrols_nothing():
    user = factories.UserFactory()
    client = with_banner(Client())
    give_password(client, user)
    secret = shown_secret(client)
    assert enrol(client, secret, later=50).status_code == 422
    assert not factors.has_one(user)
    assert shown_secret(client) == secret


def test_whoever_only_knows_the_password_cannot_add_a_factor_beside_the_one_there_is():
    user = factories.UserFactory()
    client = with_banner(Client())
    give_password(client, user)
    secret = shown_secret(client)
    Authenticator.objects.create(user=user, type="webauthn", data={"name": "theirs", "credential": {}})
    assert enrol(client, secret).headers["Location"] == "/sign-in/code"
    code = totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30))
    with pytest.raises(WrongState):
        factors.add_app(by=user, secret=secret, code=code, enrolling=True)
    assert factors.kinds(user) == {"webauthn"}


def answer_of_a_key(**parts: bytes) -> str:
    sent = {name: base64.urlsafe_b64encode(value).decode() for name, value in parts.items()}
    return json.dumps({"id": "aa", "rawId": "aa", "type": "public-key", "response": sent, "clientExtensionResults": {}})


GARBAGE = [
    answer_of_a_key(clientDataJSON=b"[" * 3000, authenticatorData=bytes(37), signature=b"x", attestationObject=b"x"),
    answer_of_a_key(clientDataJSON=b'{"type": 1, "challenge": 5, "origin": 7}', authenticatorData=bytes(37),
                    signature=b"x", attestationObject=b"\xa0"),
    answer_of_a_key(clientDataJSON=b'{"type": "webauthn.get", "challenge": "eA", "origin": "x"}', signature=b"x",
                    authenticatorData=bytes(32) + b"\xc1" + bytes(4), attestationObject=b"\xa1"),
    answer_of_a_key(),
]  # fmt: skip


@pytest.mark.parametrize("sent", GARBAGE)
def test_what_no_security_key_answers_counts_as_a_wrong_code(sent: str):
    user = with_factor()
    client = with_banner(Client())
    give_password(client, user)
    assert client.post("/sign-in/code", {"key": sent}).status_code == 200
    assert user.failures.count() == 1


@pytest.mark.parametrize("sent", GARBAGE)
def test_what_no_security_key_answers_enrols_nothing(sent: str):
    user = factories.UserFactory()
    client = with_banner(Client())
    give_password(client, user)
    client.get("/sign-in/enrol")
    assert client.post("/sign-in/enrol", {"key": sent}).status_code == 422
    assert not factors.has_one(user)


def test_a_recovery_code_works_once():
    user = with_factor()
    code = RecoveryCodes.activate(user).generate_codes()[3]
    client = with_banner(Client())
    give_password(client, user)
    assert client.post("/sign-in/code", {"code": code}).status_code == 302
    assert is_in(client)
    assert signing.check_factor(user, code) is None
    assert factors.recovery_codes_left(user) == 9


def test_new_recovery_codes_end_the_old_ones(page):
    user = with_factor()
    old = RecoveryCodes.activate(user).generate_codes()[0]
    client = page(user)
    client.get("/account/codes")
    client.post("/account/codes")
    assert len(re.findall(r"<li>(\d{10})</li>", client.get("/account/codes").content.decode())) == 10
    assert signing.check_factor(user, old) is None


def test_the_last_factor_cannot_be_removed(page):
    user = with_factor()
    only = factors.of(user).get()
    with pytest.raises(NotAllowed):
        factors.remove(by=user, factor_id=only.pk)
    key = Authenticator.objects.create(user=user, type="webauthn", data={"name": "k", "credential": {}})
    page(user).post(f"/account/factors/{only.pk}/remove")
    assert [one.pk for one in factors.of(user)] == [key.pk]
    assert Entry.objects.filter(act="factor.removed", outcome="done").count() == 1


def test_nobody_removes_the_factor_of_somebody_else(page):
    user, other = with_factor(), with_factor()
    page(user).post(f"/account/factors/{factors.of(other).get().pk}/remove")
    assert factors.has_one(other)


def test_an_administrator_resets_a_lost_factor_and_the_next_sign_in_enrols_anew(page, api):
    user, admin = with_factor(), factories.administrator()
    theirs = page(user)
    assert page(admin).post(f"/users/{user.pk}/reset-second-factor").status_code == 302
    assert not is_in(theirs)
    client = with_banner(Client())
    assert give_password(client, user).headers["Location"] == "/sign-in/enrol"
    second_factor(user)
    assert api(admin).delete(f"/api/v1/users/{user.pk}/second-factor").status_code == 204
    assert Entry.objects.filter(act="factor.reset", outcome="done", object_id=str(user.pk)).count() == 2


def test_nobody_else_resets_factors_and_administrators_not_their_own(page, api):
    user, admin = with_factor(), factories.administrator()
    second_factor(admin)
    for role in (role for role in Role if role != Role.ADMINISTRATOR):
        other = factories.UserFactory(roles=[role])
        assert page(other).post(f"/users/{user.pk}/reset-second-factor").status_code == 403
        assert api(other).delete(f"/api/v1/users/{user.pk}/second-factor").status_code == 403
    assert api(admin).delete(f"/api/v1/users/{admin.pk}/second-factor").status_code == 403
    assert factors.has_one(user)
    assert factors.has_one(admin)


# ------------------------------------------------------------------ the demo


def test_the_code_is_shown_in_the_demo_and_nowhere_else(settings):
    user = with_factor()
    client = with_banner(Client())
    give_password(client, user)
    assert code_of(user) not in client.get("/sign-in/code").content.decode()
    settings.MUGSEARCH_DEMO = True
    elsewhere = with_banner(Client(REMOTE_ADDR="203.0.113.5", headers={"Host": "localhost"}))
    give_password(elsewhere, user)
    assert elsewhere.get("/sign-in/code").context["demo_code"] is None
    assert client.get("/sign-in/code", headers={"X-Forwarded-For": "203.0.113.5"}).context["demo_code"] is None
    shown = re.search(r'<strong class="mono">(\d{6})</strong>', client.get("/sign-in/code").content.decode())[1]
    assert client.post("/sign-in/code", {"code": shown}).status_code == 302


def test_a_demo_of_a_version_without_codes_says_where_they_are_once_it_is_upgraded(tmp_path: Path):
    sign_ins = tmp_path / "demo.txt"
    sign_ins.write_text("Sign in with the password of-before as\n  ivy\n")
    for _start in range(2):
        made = people.ensure(factories.AgencyFactory(), sign_ins)
    assert sign_ins.read_text() == f"Sign in with the password of-before as\n  ivy\n{people.CODE}\n"
    assert all(map(factors.has_one, made.values()))


@pytest.mark.parametrize(
    ("told", "refused"),
    [
        ({"MUGSEARCH_INSECURE_HTTP": "1", "ALLOWED_HOSTS": "localhost,127.0.0.1"}, False),
        ({"ALLOWED_HOSTS": "localhost"}, True),
        ({"MUGSEARCH_INSECURE_HTTP": "1", "ALLOWED_HOSTS": "mugshots.example"}, True),
    ],
)
def test_the_demo_s_codes_are_refused_where_others_could_see_them(told, refused):
    environ = {**os.environ, "MUGSEARCH_INSECURE_HTTP": "", "MUGSEARCH_DEMO": "1", **told}
    environ["DJANGO_SETTINGS_MODULE"] = "mugsearch.settings"
    ran = subprocess.run(
        [sys.executable, "-c", "import mugsearch.settings"], env=environ, capture_output=True, text=True, check=False
    )
    assert ("MUGSEARCH_DEMO shows" in ran.stderr) == refused
    assert (ran.returncode != 0) == refused


@pytest.mark.parametrize(("name", "value"), [("MUGSEARCH_SIGN_IN_TRIES", "6"), ("MUGSEARCH_IDLE_MINUTES", "0")])
def test_no_setting_makes_a_limit_looser_than_the_rules_allow(name, value):
    environ = {**os.environ, name: value}
    ran = subprocess.run(
        [sys.executable, "-c", "import mugsearch.settings"], env=environ, capture_output=True, text=True, check=False
    )
    assert f"{name} has to be a number from 1 to" in ran.stderr
