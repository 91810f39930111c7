"""Signing in, for tests that do it by hand."""

import re
import threading
import time
from typing import Any

from allauth.mfa.totp.internal import auth as totp
from django.db import connection
from django.test import Client

from mugsearch.accounts import signing
from mugsearch.accounts.models import User
from tests import factories
from tests.factories import PASSWORD, code_of, second_factor


def with_factor(**kwargs: Any) -> User:
    user = factories.UserFactory(**kwargs)
    second_factor(user)
    return user


def give_password(client: Client, user: User, password: str = PASSWORD) -> Any:
    return client.post("/sign-in", {"username": user.username, "password": password})


def a_code_that_is_wrong(user: User) -> str:
    right = {code_of(user, later) for later in range(-3, 4)}
    return next(code for code in (f"{number:06}" for number in range(9)) if code not in right)


def is_in(client: Client) -> bool:
    return client.get("/account").status_code == 200


def at_once(what: Any, times: int) -> list[Any]:
    ready, answers = threading.Barrier(times), []

    def run() -> None:
        try:
            ready.wait()
            answers.append(what())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def enrol(client: Client, secret: str, later: int = 0) -> Any:
    code = totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30 + later))
    return client.post("/sign-in/enrol", {"code": code})


def shown_secret(client: Client) -> str:
    shown = client.get("/sign-in/enrol").content.decode()
    found = re.search(r'<p class="mono">([A-Z2-7 ]+)</p>', shown)
    assert found
    return found[1].replace(" ", "")


def fail(user: User, times: int) -> None:
    for _ in range(times):
        assert signing.check_password(user.username, "wrong") is None
