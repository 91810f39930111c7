"""Requests that no person makes by hand."""

import base64
import io
from typing import Any

import pytest
from django.test import Client

from mugsearch.accounts import factors, services
from mugsearch.accounts.models import Role
from mugsearch.audit.models import Entry
from mugsearch.requests import in_utf_8
from tests import factories
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


def ask_for_token(user: Any, **told: Any) -> Any:
    return Client().post("/api/v1/tokens", {**factories.for_token(user), **told}, content_type="application/json")


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"code": "0000000"}, {"username": "a\x00b"}])
def test_a_token_needs_password_and_code_and_a_refusal_is_on_record(wrong: dict[str, str]) -> None:
    user = factories.investigator()
    factories.second_factor(user)
    answer = ask_for_token(user, **wrong)
    if "username" in wrong:
        assert answer.status_code == 400  # nobody can store it, so nobody is called that
    else:
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_sign_in")
        assert Entry.objects.filter(act="token.made", outcome="refused").count() == 1
    assert ask_for_token(user).status_code == 201


def test_a_password_alone_gives_no_token() -> None:
    user = factories.investigator()
    basic = "Basic " + base64.b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
    assert Client().post("/api/v1/tokens", HTTP_AUTHORIZATION=basic).status_code == 400
    assert Client().get("/api/v1/me", HTTP_AUTHORIZATION=basic).status_code == 401
    factories.second_factor(user)
    told = {name: value for name, value in factories.for_token(user).items() if name != "code"}
    assert Client().post("/api/v1/tokens", told, content_type="application/json").status_code == 400


def test_a_user_name_with_a_null_byte_is_just_a_wrong_one() -> None:
    client = factories.with_banner(Client())
    assert client.post("/sign-in", {"username": "a\x00b", "password": "x"}).status_code == 200


def test_tokens_end_with_a_new_password_another_role_a_reset_and_the_account() -> None:
    admin = factories.administrator()
    for ending in (
        lambda user: services.set_password(by=admin, user=user, password="another long passphrase"),
        lambda user: services.set_roles(by=admin, user=user, roles=[Role.RECORDS]),
        lambda user: factors.reset(by=admin, user=user),
        lambda user: services.set_active(by=admin, user=user, active=False),
    ):
        user = factories.investigator()
        factories.second_factor(user)
        token = {"HTTP_AUTHORIZATION": f"Token {ask_for_token(user).json()['token']}"}
        assert Client().get("/api/v1/me", **token).status_code == 200
        ending(user)
        assert Client().get("/api/v1/me", **token).status_code == 401


@pytest.mark.parametrize("path", ["/probes/new", "/gallery/imports/new", "/sign-in", "/api/v1/tokens"])
def test_a_stranger_s_large_body_is_turned_away_before_it_is_read(path, settings):
    body = b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    read = []

    class Body(io.BytesIO):
        def read(self, *args):
            read.append(args)
            return super().read(*args)

    response = Client(enforce_csrf_checks=True).generic(
        "POST", path, body, "application/x-www-form-urlencoded", **{"wsgi.input": Body(body)}
    )
    assert response.status_code == 413
    assert read == []


def test_deep_json_is_a_bad_request(api):
    admin = api(factories.administrator())
    response = admin.post("/api/v1/users", "[" * 200_000, content_type="application/json")
    assert response.status_code == 400


def test_a_client_may_ask_for_what_the_schema_promises(api):
    assert api(factories.auditor()).get("/api/v1/audit/export", HTTP_ACCEPT="text/csv").status_code == 200


def test_the_same_role_twice_is_one_role(api):
    agency = factories.AgencyFactory()
    new = {"username": "n", "full_name": "N", "agency": agency.code, "password": "a long enough passphrase"}
    made = api(factories.administrator()).post("/api/v1/users", {**new, "roles": ["records"] * 2}, format="json")
    assert made.json()["roles"] == ["records"]


@pytest.mark.parametrize(
    ("behind", "forwarded", "expected"),
    [
        (False, "203.0.113.9", "127.0.0.1"),
        (True, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (True, "not an address", None),
        (True, "", "127.0.0.1"),
    ],
)
def test_the_record_holds_the_client_s_address_and_believes_only_the_proxy(settings, behind, forwarded, expected):
    settings.BEHIND_PROXY = behind
    Client().post("/sign-in", {"username": "x", "password": "y"}, HTTP_X_FORWARDED_FOR=forwarded)
    assert Entry.objects.get().address == expected


def test_an_act_that_breaks_leaves_an_entry_and_nothing_else():
    from mugsearch.accounts.models import Agency
    from mugsearch.audit import services as audit

    def breaking() -> None:
        with audit.act("agency.added", by=None):
            Agency.objects.create(code="x", name="x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaking()
    assert not Agency.objects.exists()
    entry = Entry.objects.get()
    assert (entry.outcome, entry.details) == ("failed", {"reason": "ZeroDivisionError"})


@pytest.mark.parametrize("text", ["\\ud800", "a\\u0000b"])
def test_text_that_nobody_can_store_is_a_bad_request_wherever_it_stands(api: Any, text: str) -> None:
    client = api(UserFactory(roles=[Role.ADMINISTRATOR]))
    for body in (f'{{"agency": "{text}"}}', f'{{"{text}": 1}}', f'{{"roles": [{{"x": ["{text}"]}}]}}'):
        answer = client.post("/api/v1/users", body, content_type="application/json")
        assert (answer.status_code, "NUL or half a character" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("multipart/form-data; boundary=x; charset=hex", "multipart/form-data; boundary=x"),
        ("text/plain;charset=utf-7", "text/plain"),
        ("application/json; Charset = rot13; a=b", "application/json; a=b"),
        ("multipart/form-data; boundary=charset", "multipart/form-data; boundary=charset"),
        ("", ""),
    ],
)
def test_requests_are_read_as_utf_8_whatever_codec_they_name(sent: str, read: str) -> None:
    seen: list[str] = []
    in_utf_8(lambda environ, _: seen.append(environ["CONTENT_TYPE"]))({"CONTENT_TYPE": sent}, None)
    assert seen == [read]
