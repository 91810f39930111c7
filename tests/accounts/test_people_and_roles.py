import datetime

import pytest
from django.test import Client
from django.utils import timezone

from mugsearch.accounts import services
from mugsearch.accounts.models import Role, RoleGrant, User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, NotAllowed, WrongState
from tests import factories
from tests.accounts.arrange import at_once
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

NEW = {"username": "new", "full_name": "New Person", "password": "a long enough passphrase", "roles": [Role.EXAMINER]}


def test_an_administrator_adds_a_user_who_can_sign_in():
    user = services.add_user(by=factories.administrator(), agency=factories.AgencyFactory(), **NEW)
    assert Client().login(username="new", password=NEW["password"])
    assert user.has_role(Role.EXAMINER)
    assert Entry.objects.of(user).get().act == "user.added"


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMINISTRATOR])
def test_nobody_else_adds_users(role):
    with pytest.raises(NotAllowed):
        services.add_user(by=factories.UserFactory(roles=[role]), agency=factories.AgencyFactory(), **NEW)
    assert not User.objects.filter(username="new").exists()


def test_user_names_differ_by_more_than_case():
    factories.UserFactory(username="NEW")
    with pytest.raises(WrongState):
        services.add_user(by=factories.administrator(), agency=factories.AgencyFactory(), **NEW)


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_add_one_name_at_once_add_one_person_and_one_is_told():
    by, agency, names = [factories.administrator() for _ in range(6)], factories.AgencyFactory(), ["Bob", "bob"] * 3

    def add() -> str:
        try:
            services.add_user(by=by.pop(), agency=agency, **{**NEW, "username": names.pop()})
        except WrongState as error:
            return error.message
        return "added"

    answers = at_once(add, 6)
    assert answers.count("added") == 1
    assert {answer.lower() for answer in answers} == {"added", "there is already a user bob."}
    assert User.objects.filter(username__iexact="bob").count() == 1
    assert Entry.objects.filter(act="user.added", outcome="refused").count() == 5


@pytest.mark.parametrize("password", ["short", "password1234"])
def test_weak_passwords_are_refused(password):
    with pytest.raises(BadInput):
        services.add_user(
            by=factories.administrator(), agency=factories.AgencyFactory(), **{**NEW, "password": password}
        )


def test_a_disabled_account_holds_no_role_and_cannot_sign_in():
    user = factories.examiner()
    services.set_active(by=factories.administrator(), user=user, active=False)
    assert not user.has_role(Role.EXAMINER)
    assert not user.may_examine()
    assert not Client().login(username=user.username, password=PASSWORD)


def test_administrators_cannot_give_themselves_roles():
    me = factories.administrator()
    with pytest.raises(NotAllowed):
        services.set_roles(by=me, user=me, roles=[Role.INVESTIGATOR])
    assert set(RoleGrant.objects.filter(user=me).values_list("role", flat=True)) == {Role.ADMINISTRATOR}


def test_only_a_valid_certificate_lets_an_examiner_examine():
    today = timezone.localdate()
    day = datetime.timedelta(days=1)
    someone = factories.UserFactory(roles=[Role.EXAMINER])
    assert not someone.may_examine()
    expired = factories.CertificateFactory(examiner=someone, issued_on=today - 400 * day, expires_on=today - day)
    assert not someone.may_examine()
    factories.CertificateFactory(examiner=someone, issued_on=today + day, expires_on=today + 2 * day)
    assert not someone.may_examine()
    valid = factories.CertificateFactory(examiner=someone, expires_on=today)
    assert someone.may_examine()
    services.revoke_certificate(by=factories.administrator(), certificate=valid)
    assert not someone.may_examine()
    assert expired.revoked_at is None


def test_a_certificate_without_the_role_is_not_enough():
    assert not factories.UserFactory(roles=[Role.SUPERVISOR], certified=True).may_examine()


def test_signing_in_and_failing_to_are_both_on_record():
    user = factories.UserFactory()
    factories.second_factor(user)
    client = factories.with_banner(Client())
    client.post("/sign-in", {"username": user.username, "password": "wrong"})
    factories.sign_in(client, user)
    client.post("/sign-out")
    acts = list(Entry.objects.order_by("number").values_list("act", "outcome", "actor"))
    assert acts == [
        ("session.started", "refused", None),
        ("session.password-given", "done", None),
        ("session.started", "done", user.pk),
        ("session.ended", "done", user.pk),
    ]


def test_nothing_but_sign_in_and_health_answers_a_stranger():
    from django.urls import get_resolver

    open_to_all = {"/banner", "/healthz", "/locked"}  # the address that was asked for is no part of what they say
    client = Client()
    tried = 0
    for pattern in _routes(get_resolver().url_patterns):
        response = client.get(pattern)
        tried += 1
        if pattern not in open_to_all:
            assert response.status_code in (301, 302, 401, 403, 405), (pattern, response.status_code)
            if response.status_code in (301, 302):
                assert response.headers["Location"].startswith(("/sign-in", "/banner")), pattern
    assert tried > 40


def _routes(patterns, prefix=""):
    import re

    some = {"uuid": "00000000-0000-4000-8000-000000000000", "int": "1", "str": "x", "slug": "x", "path": "x"}
    for pattern in patterns:
        route = prefix + re.sub(r"<(?:(\w+):)?\w+>", lambda match: some[match[1] or "str"], str(pattern.pattern))
        if hasattr(pattern, "url_patterns"):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield "/" + route


def test_the_api_gives_a_token_for_password_and_code_and_ends_it():
    user = factories.investigator()
    factories.second_factor(user)
    client = Client()
    made = client.post("/api/v1/tokens", factories.for_token(user), content_type="application/json")
    assert made.status_code == 201
    token = {"HTTP_AUTHORIZATION": f"Token {made.json()['token']}"}
    assert client.get("/api/v1/me", **token).json()["roles"] == ["investigator"]
    assert client.delete("/api/v1/tokens/current", **token).status_code == 204
    assert client.get("/api/v1/me", **token).status_code == 401


@pytest.mark.parametrize("path", ["/users/", "/audit/"])
def test_a_page_without_the_role_is_refused_and_on_record(path, page):
    user = factories.investigator()
    response = page(user).get(path)
    assert response.status_code == 403
    assert "role" in response.content.decode()
    assert Entry.objects.filter(actor=user.pk, outcome="refused").exists()
