"""SECURITY.md, Access: five failures lock an account until an administrator unlocks it."""

import datetime
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone

from mugsearch.accounts import factors, services, signing
from mugsearch.accounts.models import CONSOLE, Role, SignInFailure, User
from mugsearch.audit.models import Entry
from mugsearch.errors import NotAllowed
from tests import factories
from tests.accounts.arrange import (
    a_code_that_is_wrong,
    at_once,
    fail,
    give_password,
    is_in,
    with_factor,
)
from tests.factories import PASSWORD, code_of, sign_in, with_banner

pytestmark = pytest.mark.django_db


def test_after_five_failures_the_right_password_is_refused_also_a_day_later():
    user = with_factor()
    fail(user, 4)
    assert signing.check_password(user.username, PASSWORD) == user
    fail(user, 1)
    assert signing.check_password(user.username, PASSWORD) is None
    User.objects.filter(pk=user.pk).update(locked_at=timezone.now() - datetime.timedelta(hours=24))
    SignInFailure.objects.all().delete()
    assert signing.check_password(user.username, PASSWORD) is None
    locked = Entry.objects.get(act="account.locked")
    assert (locked.object_id, locked.details) == (str(user.pk), {"failures": 5})


def test_wrong_codes_count_with_wrong_passwords():
    user = with_factor()
    fail(user, 3)
    wrong = a_code_that_is_wrong(user)
    for _ in range(2):
        assert signing.check_factor(user, wrong) is None
    assert signing.check_password(user.username, PASSWORD) is None
    assert signing.check_factor(user, code_of(user)) is None


def test_a_right_password_does_not_forget_wrong_codes_but_being_in_does():
    user = with_factor()
    client = with_banner(Client())
    for _ in range(4):
        give_password(client, user)
        client.post("/sign-in/code", {"code": a_code_that_is_wrong(user)})
    assert SignInFailure.objects.filter(user=user).count() == 4
    sign_in(client, user)
    assert is_in(client)
    assert SignInFailure.objects.filter(user=user).count() == 0


def test_failures_of_more_than_fifteen_minutes_ago_do_not_count():
    user = with_factor()
    fail(user, 4)
    SignInFailure.objects.update(at=timezone.now() - datetime.timedelta(minutes=15, seconds=1))
    fail(user, 4)
    assert signing.check_password(user.username, PASSWORD) == user


@pytest.mark.django_db(transaction=True)
def test_of_twenty_at_once_no_more_than_five_are_evaluated(monkeypatch):
    user = with_factor()
    evaluated = []
    right = User.check_password
    monkeypatch.setattr(User, "check_password", lambda self, raw: evaluated.append(raw) or right(self, raw))
    at_once(lambda: signing.check_password(user.username, "wrong"), 20)
    assert len(evaluated) == 5
    assert Entry.objects.filter(act="account.locked").count() == 1


def test_unknown_wrong_disabled_and_locked_are_answered_alike():
    wrong, locked, disabled = with_factor(), with_factor(), with_factor(is_active=False)
    fail(locked, 5)
    answers = set()
    for username in (wrong.username, locked.username, disabled.username, "nobody", CONSOLE):
        client = with_banner(Client())
        answer = client.post("/sign-in", {"username": username, "password": "wrong"})
        body = re.sub(r'(token" value="|token" content="|CSRFToken": ")[^"]+', r"\1", answer.content.decode())
        answers.add((answer.status_code, body.replace(f'value="{username}"', "")))
    assert len(answers) == 1


def test_unknown_and_locked_take_as_long_as_wrong(settings, monkeypatch):
    """Each makes one digest of a password: that is what takes the time."""
    wrong, locked = with_factor(), with_factor()
    fail(locked, 5)
    made = []
    right = MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", lambda *told: made.append(1) or right(*told))
    for username in (wrong.username, locked.username, "nobody"):
        made.clear()
        signing.check_password(username, "wrong")
        assert len(made) == 1, username


@pytest.mark.parametrize("how", ["unknown", "locked", "disabled", "wrong"])
def test_whoever_tries_passwords_keeps_nobody_from_recording_for_as_long_as_one_is_compared(how, monkeypatch):
    user = with_factor(is_active=how != "disabled")
    if how == "locked":
        fail(user, 5)
    done = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", lambda *told: done.append("compared") or encode(*told))
    monkeypatch.setattr(signing.audit, "refuse", lambda *_, **__: done.append("recorded"))
    signing.check_password("nobody" if how == "unknown" else user.username, "wrong")
    assert done == ["compared", "recorded"]


@pytest.mark.parametrize("typed", ["console", "Console", "con\u017fole"])
def test_nobody_locks_the_console(typed):
    services.console()
    for _ in range(5):
        assert signing.check_password(typed, "wrong") is None
    assert User.objects.get(username=CONSOLE).locked_at is None
    assert {entry.details["reason"] for entry in Entry.objects.all()} == {"unknown"}


def test_a_name_that_nobody_has_is_not_recorded():
    with_banner(Client()).post("/sign-in", {"username": "my password", "password": "x"})
    entry = Entry.objects.get()
    assert (entry.actor, entry.object_id, entry.details) == (None, "", {"reason": "unknown"})


def test_an_administrator_unlocks_on_the_page_and_over_the_api(page, api):
    user, admin = with_factor(), factories.administrator()
    for unlock in (
        lambda: page(admin).post(f"/users/{user.pk}/unlock"),
        lambda: api(admin).post(f"/api/v1/users/{user.pk}/unlock"),
    ):
        fail(user, 5)
        assert signing.check_password(user.username, PASSWORD) is None
        assert unlock().status_code in (302, 204)
        assert signing.check_password(user.username, PASSWORD) == user
    unlocked = Entry.objects.filter(act="account.unlocked").values_list("actor", "object_id")
    assert list(unlocked) == [(admin.pk, str(user.pk))] * 2


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMINISTRATOR])
def test_nobody_else_unlocks(role, page, api):
    user, other = with_factor(), factories.UserFactory(roles=[role])
    fail(user, 5)
    assert page(other).post(f"/users/{user.pk}/unlock").status_code == 403
    assert api(other).post(f"/api/v1/users/{user.pk}/unlock").status_code == 403
    with pytest.raises(NotAllowed):
        signing.unlock(by=other, user=user)
    assert signing.check_password(user.username, PASSWORD) is None


def test_the_only_administrator_gets_back_in_by_the_commands():
    admin = with_factor(username="chief", roles=[Role.ADMINISTRATOR])
    fail(admin, 5)
    call_command("unlock", "chief")
    assert signing.check_password("chief", PASSWORD) == admin
    call_command("reset_second_factor", "chief")
    assert not factors.has_one(admin)
    console = User.objects.get(username=CONSOLE)
    assert {*Entry.objects.filter(actor=console.pk).values_list("act", flat=True)} == {
        "account.unlocked",
        "factor.reset",
    }
    with pytest.raises(CommandError):
        call_command("unlock", "chief")
    with pytest.raises(CommandError):
        call_command("unlock", "nobody")


def test_programs_give_password_and_code_at_once_and_are_refused_alike():
    user = with_factor()
    assert signing.check(user.username, PASSWORD, code_of(user)) == user
    said = set()
    for name, password, code in (
        (user.username, "wrong", code_of(user, 1)),
        (user.username, PASSWORD, a_code_that_is_wrong(user)),
        (user.username, PASSWORD, ""),
        ("nobody", PASSWORD, code_of(user, 1)),
        ("a\x00b", PASSWORD, ""),
    ):
        with pytest.raises(signing.WrongSignIn) as refused:
            signing.check(name, password, code)
        said.add(refused.value.message)
    assert len(said) == 1
    assert SignInFailure.objects.filter(user=user).count() == 3
    fail(user, 2)
    with pytest.raises(signing.WrongSignIn):
        signing.check(user.username, PASSWORD, code_of(user, 1))
    User.objects.get(pk=user.pk, locked_at__isnull=False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("there", [True, False])
def test_tries_of_one_name_wait_for_each_other_whether_or_not_there_is_such_an_account(there):
    """Else twenty at once would be answered one by one for a name that exists and together for one that doesn't."""
    name = with_factor().username if there else "nobody-of-this-name"

    def another(of: str) -> bool:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '300ms'")
                signing._by_name(of)
        except OperationalError:
            return False
        finally:
            connection.close()
        return True

    with transaction.atomic(), ThreadPoolExecutor(1) as elsewhere:
        signing._by_name(name)
        waited = [not elsewhere.submit(another, one).result() for one in (name, name.upper(), "another")]
    assert waited == [True, True, False]
