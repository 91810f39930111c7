"""Which passwords are taken, how one changes one's own, and who is disabled for not coming."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.accounts import idle, passwords, services, tokens
from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput
from tests import factories
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

LONG = "a sentence of more than sixty-four characters that somebody can keep in mind"


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("eleven char", "at least 12"),
        ("twelve chars", None),
        (LONG, None),
        (LONG * 2, None),
        ("all small letters and blanks", None),  # no rule of composition
        ("123456789012", "common|numeric"),
        ("password1234", "common"),
        ("wilhelmina-x", "similar"),
        ("密码是一句很长的句子好记", None),
    ],
)
def test_a_password_is_long_and_not_common_and_that_is_all(password: str, why: str | None) -> None:
    admin, user = factories.administrator(), UserFactory(username="wilhelmina")
    if why:
        with pytest.raises(BadInput, match=why):
            services.set_password(by=admin, user=user, password=password)
    else:
        services.set_password(by=admin, user=user, password=password)
        user.refresh_from_db()
        assert user.check_password(password)


def test_one_changes_one_s_own_password_and_other_sessions_and_tokens_end(page: Any) -> None:
    user = factories.clerk()
    here, elsewhere = page(user), page(user)
    tokens.make(by=user, name="feed", scopes=["records:read"])
    sent = here.post("/account/password", {"current": PASSWORD, "password": LONG, "again": LONG})
    assert sent.status_code == 302
    user.refresh_from_db()
    assert user.check_password(LONG)
    assert here.get("/gallery/people/").status_code == 200
    assert elsewhere.get("/gallery/people/").status_code == 302
    assert not user.auth_token_set.exists()
    assert Entry.objects.filter(act="user.password-changed", outcome="done", actor=user.pk).count() == 1


@pytest.mark.parametrize(("password", "again"), [("short", "short"), (LONG, LONG + "x"), (PASSWORD, PASSWORD)])
def test_a_password_that_is_not_taken_is_explained_and_the_old_one_stays(password: str, again: str, page: Any) -> None:
    user = factories.clerk()
    sent = {"current": PASSWORD, "password": password, "again": again}
    assert page(user).post("/account/password", sent).status_code == 422
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_whoever_sits_at_an_open_session_needs_the_old_password_and_guessing_it_locks_the_account(page: Any) -> None:
    user = factories.clerk()
    client = page(user)
    for tries in range(1, 6):
        answer = client.post("/account/password", {"current": f"guess {tries}", "password": LONG, "again": LONG})
        assert answer.status_code == 422
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert user.locked_at
    assert client.get("/account").status_code == 302


def test_passwords_do_not_age_unless_the_agency_says_so(page: Any, settings: Any) -> None:
    user = factories.clerk()
    User.objects.update(password_set_at=timezone.now() - datetime.timedelta(days=366))
    assert page(user).get("/gallery/people/").status_code == 200
    settings.MUGSEARCH_PASSWORD_MAX_DAYS = 365
    sent = page(user).get("/gallery/people/")
    assert (sent.status_code, sent["Location"]) == (302, "/account/password")
    assert page(user).get("/account/password").status_code == 200
    passwords.change(by=user, password=LONG, here=None)
    assert page(user).get("/gallery/people/").status_code == 200


def days_ago(days: int) -> datetime.datetime:
    return timezone.now() - datetime.timedelta(days=days)


def test_who_did_not_come_for_ninety_days_is_disabled_and_that_is_on_record() -> None:
    factories.administrator()
    gone, new, recent, back, served = (factories.clerk() for _ in range(5))
    User.objects.filter(pk__in=[gone.pk, recent.pk, back.pk, served.pk]).update(created_at=days_ago(400))
    User.objects.filter(pk__in=[gone.pk, back.pk]).update(last_login=days_ago(91))
    User.objects.filter(pk=recent.pk).update(last_login=days_ago(89))
    User.objects.filter(pk=back.pk).update(enabled_at=days_ago(1))
    made, _ = tokens.make(by=served, name="feed", scopes=["records:read"])
    type(made).objects.update(used_at=days_ago(3))
    assert idle.disable() == 1
    assert set(User.objects.filter(is_active=False)) == {gone}
    entry = Entry.objects.get(act="user.disabled", object_id=str(gone.pk))
    assert entry.details == {"reason": "idle", "days": 90}
    assert new.is_active


def test_the_last_administrator_is_never_disabled_for_not_coming() -> None:
    first, second = factories.administrator(), factories.administrator()
    User.objects.update(created_at=days_ago(400))
    assert idle.disable() == 1
    left = User.objects.people().filter(is_active=True, grants__role=Role.ADMINISTRATOR)
    assert left.count() == 1
    assert left.get() in (first, second)
    assert idle.disable() == 0


def test_who_was_enabled_again_is_not_disabled_the_next_night() -> None:
    admin, user = factories.administrator(), factories.clerk()
    User.objects.filter(pk=user.pk).update(created_at=days_ago(400))
    assert idle.disable() == 1
    services.set_active(by=admin, user=user, active=True)
    assert idle.disable() == 0
