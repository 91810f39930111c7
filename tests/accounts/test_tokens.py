"""What a program may do with a token, and how it ends."""

import datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from mugsearch.accounts import idle, scopes, services, tokens
from mugsearch.accounts.models import ApiToken, Role, User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, NotAllowed
from tests import factories
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def program(user: User, *may: str, hours: int = 12) -> Client:
    """A program with a token of this user."""
    _, secret = tokens.make(by=user, name="nightly feed", scopes=may, hours=hours)
    return Client(headers={"Authorization": f"Token {secret}"})


def test_a_token_does_what_it_was_made_for_and_nothing_else() -> None:
    clerk = UserFactory(roles=[Role.RECORDS, Role.INVESTIGATOR])
    reader = program(clerk, "records:read")
    assert reader.get("/api/v1/bookings").status_code == 200
    assert reader.get("/api/v1/cases").status_code == 403
    assert reader.post("/api/v1/imports", {}).status_code == 403
    assert reader.get("/api/v1/me").json()["roles"] == ["records"]
    writer = program(clerk, "records:write")
    assert writer.get("/api/v1/bookings").status_code == 200
    assert writer.post("/api/v1/imports", {}).status_code == 400


def test_a_token_of_two_roles_sees_with_one_only_what_that_one_sees() -> None:
    """Auditors repeat any search, investigators those of their cases."""
    both = UserFactory(roles=[Role.INVESTIGATOR, Role.AUDITOR])
    search = factories.SearchFactory()
    path = f"/api/v1/searches/{search.pk}/repeats"
    assert program(both, "auditor:read").get(path).status_code == 200
    assert program(both, "investigator:read").get(path).status_code == 404


def test_what_is_sensitive_needs_its_own_scope_and_the_refusal_is_on_record() -> None:
    auditor = factories.auditor()
    assert program(auditor, "auditor:write").get("/api/v1/audit/export").status_code == 403
    refused = Entry.objects.filter(outcome="refused", actor=auditor.pk).latest("number")
    assert (refused.details["view"], refused.details["reason"]) == ("Export", "not_allowed")
    assert program(auditor, "auditor:read", "export").get("/api/v1/audit/export").status_code == 200
    clerk = factories.clerk()
    order = f"/api/v1/expungements/{clerk.pk}/approve"
    assert program(clerk, "records:write").post(order).status_code == 403
    assert program(clerk, "records:write", "purge").post(order).status_code == 400  # which says what is missing
    rejects = f"/api/v1/imports/{clerk.pk}/rejects"
    assert program(clerk, "records:write").get(rejects).status_code == 403
    assert program(clerk, "records:read", "export").get(rejects).status_code == 404  # there is no such import
    admin = factories.administrator()
    assert program(admin, "administrator:write").post("/api/v1/users").status_code == 403
    assert program(admin, "administrator:write", "accounts").post("/api/v1/users").status_code == 400


def test_nobody_makes_a_token_for_more_than_they_may() -> None:
    with pytest.raises(BadInput, match="records:read"):
        tokens.make(by=factories.investigator(), name="x", scopes=["records:read"])
    with pytest.raises(BadInput, match="scope"):
        tokens.make(by=factories.investigator(), name="x", scopes=[])
    assert Entry.objects.filter(act="token.made", outcome="refused").count() == 2


def test_a_role_that_is_taken_away_is_gone_from_tokens_too() -> None:
    clerk = factories.clerk()
    feed = program(clerk, "records:read")
    clerk.grants.all().delete()
    assert feed.get("/api/v1/bookings").status_code == 403


@pytest.mark.parametrize("ending", ["roles", "password", "disabled"])
def test_tokens_end_with_roles_passwords_and_accounts(ending: str) -> None:
    admin, user = factories.administrator(), factories.clerk()
    feed = program(user, "records:read")
    if ending == "roles":
        services.set_roles(by=admin, user=user, roles=[Role.RECORDS, Role.INVESTIGATOR])
    elif ending == "password":
        services.set_password(by=admin, user=user, password="another long passphrase")
    else:
        services.set_active(by=admin, user=user, active=False)
    assert feed.get("/api/v1/me").status_code == 401
    assert not ApiToken.objects.exists()


def test_a_token_ends_by_itself_and_none_lasts_longer_than_the_setting(settings: Any) -> None:
    user = factories.clerk()
    feed = program(user, "records:read", hours=1)
    ApiToken.objects.update(expiry=timezone.now() - datetime.timedelta(seconds=1))
    assert feed.get("/api/v1/me").status_code == 401
    settings.MUGSEARCH_TOKEN_MOST_DAYS = 2
    with pytest.raises(BadInput, match="48"):
        tokens.make(by=user, name="x", scopes=["records:read"], hours=49)


def test_only_a_digest_of_it_is_kept_and_the_record_names_it_by_id() -> None:
    made, secret = tokens.make(by=factories.clerk(), name="feed", scopes=["records:read"])
    row = ApiToken.objects.values().get()
    assert secret not in str(row)
    entry = Entry.objects.get(act="token.made")
    assert entry.details == {"token": str(made.id), "scopes": ["records:read"], "hours": 12}


def test_the_page_shows_a_new_token_once_and_lists_it(page: Any) -> None:
    user = factories.clerk()
    answer = page(user).post("/account/tokens", {"name": "feed", "scopes": ["records:read"], "hours": "12"})
    secret = answer.context["secret"]
    assert Client(headers={"Authorization": f"Token {secret}"}).get("/api/v1/me").status_code == 200
    again = page(user).get("/account/tokens").content.decode()
    assert "feed" in again
    assert secret not in again


def test_nobody_but_the_owner_and_an_administrator_ends_a_token(page: Any) -> None:
    owner = factories.clerk()
    for who, status in ((factories.clerk(), 404), (owner, 302), (factories.administrator(), 302)):
        made, _ = tokens.make(by=owner, name="feed", scopes=["records:read"])
        assert page(who).post(f"/account/tokens/{made.id}/end").status_code == status
        assert ApiToken.objects.filter(id=made.id).exists() is (status == 404)


def test_the_api_lists_only_one_s_own_and_ends_them(api: Any) -> None:
    owner, other = factories.clerk(), factories.clerk()
    made, _ = tokens.make(by=owner, name="feed", scopes=["records:read"])
    assert [one["id"] for one in api(owner).get("/api/v1/tokens").json()["results"]] == [str(made.id)]
    assert api(other).get("/api/v1/tokens").json()["results"] == []
    assert api(other).delete(f"/api/v1/tokens/{made.id}").status_code == 404
    assert api(owner).delete(f"/api/v1/tokens/{made.id}").status_code == 204


def test_every_scope_belongs_to_a_role_and_says_what_it_is_for() -> None:
    for whose, text in scopes.SCOPES.values():
        assert whose
        assert text
    assert {role for whose, _ in scopes.SCOPES.values() for role in whose} == set(Role)


def test_an_administrator_sees_whose_programs_have_tokens_and_no_token_itself(page: Any) -> None:
    owner = factories.clerk()
    made, secret = tokens.make(by=owner, name="nightly feed", scopes=["records:read"])
    shown = page(factories.administrator()).get(f"/users/{owner.pk}").content.decode()
    assert "nightly feed" in shown
    assert f"/account/tokens/{made.id}/end" in shown
    assert secret not in shown


def test_a_token_learns_of_no_session_or_other_token_and_ends_none_unless_made_for_accounts() -> None:
    clerk, admin = factories.clerk(), factories.administrator()
    factories.signed_in(Client(), clerk)
    sitting, (other, _) = clerk.sittings.get(), tokens.make(by=clerk, name="other", scopes=["records:write"])
    addresses = ("/api/v1/sessions", "/api/v1/tokens", f"/api/v1/sessions/{sitting.pk}", f"/api/v1/tokens/{other.id}")
    for leaked in (program(clerk, "records:read", "records:write", "purge"), program(admin, "administrator:write")):
        assert [leaked.get(path).status_code for path in addresses[:2]] == [403, 403]
        assert [leaked.delete(path).status_code for path in addresses[2:]] == [403, 403]
    warden = program(admin, "administrator:write", "accounts")
    assert [warden.delete(path).status_code for path in addresses[2:]] == [204, 204]
    own = program(clerk, "records:read")
    assert own.delete("/api/v1/tokens/current").status_code == 204
    assert own.get("/api/v1/me").status_code == 401


def test_a_password_that_is_too_old_opens_nothing_for_programs_either(settings: Any) -> None:
    user = factories.clerk()
    feed = program(user, "records:read")
    settings.MUGSEARCH_PASSWORD_MAX_DAYS = 365
    assert feed.get("/api/v1/bookings").status_code == 200
    User.objects.update(password_set_at=timezone.now() - datetime.timedelta(days=366))
    assert feed.get("/api/v1/bookings").status_code == 401
    factories.second_factor(user)
    answer = Client().post("/api/v1/tokens", factories.for_token(user), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


@pytest.mark.parametrize("change", [{"is_active": False}, {"locked_at": timezone.now()}, {"password": "another"}])
def test_nobody_gets_a_token_whose_account_was_changed_after_the_password_was_looked_at(change: dict[str, Any]) -> None:
    user = factories.clerk()
    User.objects.filter(pk=user.pk).update(**change)
    with pytest.raises(NotAllowed, match="changed"):
        tokens.make(by=user, name="x", scopes=["records:read"])
    assert not ApiToken.objects.exists()


def test_who_signs_in_for_programs_only_is_not_idle() -> None:
    user = factories.clerk()
    factories.second_factor(user)
    User.objects.update(created_at=timezone.now() - datetime.timedelta(days=400))
    assert user in idle.idle()
    Client().post("/api/v1/tokens", factories.for_token(user), content_type="application/json")
    ApiToken.objects.all().delete()  # they expire, and then nothing tells that they were used
    assert user not in idle.idle()


def test_whoever_examines_stays_blind_in_a_token_without_that_role() -> None:
    """A narrower token would otherwise see what the whole person must not."""
    both = UserFactory(roles=[Role.SUPERVISOR, Role.EXAMINER])
    assert program(UserFactory(roles=[Role.SUPERVISOR]), "supervisor:read").get("/api/v1/report").status_code == 200
    assert program(both, "supervisor:read").get("/api/v1/report").status_code == 403
    search = factories.SearchFactory(state="done")
    bundle = program(both, "supervisor:read", "supervisor:write", "export").post(
        f"/api/v1/searches/{search.pk}/disclosure"
    )
    assert (bundle.status_code, "have not concluded" in bundle.json()["detail"]) == (403, True)
