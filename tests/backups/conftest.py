"""A second, empty database beside the test's, to restore into; and the fake encoder, so that searches are exact."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from typing import Any

import pytest
from django.db import ProgrammingError, connection

from mugsearch import ownership
from mugsearch.gallery import live

Elsewhere = Callable[[], AbstractContextManager[str]]


@pytest.fixture(autouse=True)
def _fake(transactional_db: None, fake_encoder: object) -> Iterator[None]:
    """A restore lets its own process see the tables of a closed database; the next test's must not. And it wants to be
    alone: what a live server of a test before left connected is sent away."""
    before = deepcopy(connection.settings_dict)
    connection.close()
    with ownership.connected() as owner, owner.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND usename = session_user AND pid <> pg_backend_pid()"
        )
    live.reset()
    yield
    live.reset()
    _put_back(before)


@pytest.fixture
def elsewhere(transactional_db: None) -> Iterator[Elsewhere]:
    """`with elsewhere() as name:` everything in the block works on another database, empty at first. The vault, its
    keys and the index folder stay the test's own: they are today's."""
    yield from _beside("")


@pytest.fixture
def a_copy(transactional_db: None) -> Iterator[Elsewhere]:
    """The same, but that it has all tables already."""
    yield from _beside(f"TEMPLATE {connection.settings_dict['NAME']}")


def _beside(made_from: str) -> Iterator[Elsewhere]:
    name = f"drill_{os.getpid()}"
    before = deepcopy(connection.settings_dict)
    connection.close()
    _statement(f"DROP DATABASE IF EXISTS {name}")
    _statement(f"CREATE DATABASE {name} {made_from}")

    @contextmanager
    def there() -> Iterator[str]:
        connection.close()
        live.reset()
        connection.settings_dict["NAME"] = name
        try:
            yield name
        finally:
            live.reset()
            _put_back(before)

    yield there
    _put_back(before)
    _drop(name)


def _put_back(settings: dict[str, Any]) -> None:
    connection.close()
    connection.settings_dict.update(deepcopy(settings))


def _drop(name: str) -> None:
    """Autovacuum may be at work in it: nobody but a superuser may end that, and it ends by itself."""
    for _ in range(300):
        try:
            _statement(f"DROP DATABASE {name} WITH (FORCE)")
        except ProgrammingError:
            time.sleep(0.1)
        else:
            return
    _statement(f"DROP DATABASE {name} WITH (FORCE)")


def _statement(sql: str) -> None:
    with ownership.connected() as owner, owner._nodb_cursor() as cursor:
        cursor.execute(sql)
