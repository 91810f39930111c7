"""What a security key has signed lets somebody in once."""

import json
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from mugsearch.accounts.models import Sitting, User
from mugsearch.audit.models import Entry
from tests import factories
from tests.accounts.arrange import give_password, is_in
from tests.accounts.security_key import SecurityKey, challenge_on
from tests.factories import signed_in, with_banner

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_key_s_answer_lets_somebody_in():
    user, key = _with_key()
    client = with_banner(Client())
    give_password(client, user)
    answer = key.signed(challenge_on(_get(client, "/sign-in/code")))
    assert _post(client, "/sign-in/code", answer).status_code == 302
    assert is_in(client)


def test_one_answer_that_is_sent_twice_at_once_lets_in_once():
    user, key = _with_key()
    client = with_banner(Client())
    give_password(client, user)
    answer = key.signed(challenge_on(_get(client, "/sign-in/code")))
    statuses = _both(user, lambda: _post(_same_session(client), "/sign-in/code", answer).status_code)
    assert 302 in statuses
    assert {*statuses} & {200, 400}  # the session that it was sent in may be another one by then
    assert Sitting.objects.filter(user=user).count() == 1
    started = Entry.objects.filter(act="session.started").values_list("outcome", flat=True)
    assert sorted(started) == ["done", "refused"]


def test_one_answer_that_is_sent_twice_at_once_confirms_once():
    user, key = _with_key()
    client = signed_in(Client(), user)
    answer = key.signed(challenge_on(_get(client, "/confirm")))
    _both(user, lambda: _post(_same_session(client), "/confirm", answer))
    confirmed = Entry.objects.filter(act="session.confirmed").values_list("outcome", flat=True)
    assert sorted(confirmed) == ["done", "refused"]


def test_a_key_that_is_registered_twice_at_once_is_one_key():
    user, key = factories.UserFactory(), SecurityKey()
    client = signed_in(Client(), user)
    answer = key.registered(challenge_on(_get(client, "/sign-in/enrol")))
    _both(user, lambda: _post(_same_session(client), "/sign-in/enrol", answer))
    assert user.authenticator_set.filter(type="webauthn").count() == 1


def _with_key() -> tuple[User, SecurityKey]:
    user, key = factories.UserFactory(), SecurityKey()
    key.belongs_to(user)
    return user, key


def _get(client: Client, path: str) -> Any:
    return client.get(path, secure=True)


def _post(client: Client, path: str, answer: dict[str, Any]) -> Any:
    return client.post(path, {"key": json.dumps(answer)}, secure=True)


def _same_session(client: Client) -> Client:
    other = Client()
    other.cookies.update(client.cookies)
    return other


def _both(user: User, what: Callable[[], Any]) -> list[Any]:
    """Both have read what they read before either is let go on."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(what())
        finally:
            connection.close()

    threads = [Thread(target=run) for _ in range(2)]
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        for thread in threads:
            thread.start()
        until = time.monotonic() + 20
        while _waiting() < 2 and time.monotonic() < until:
            time.sleep(0.05)
    for thread in threads:
        thread.join()
    return answers


def _waiting() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])
