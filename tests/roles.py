"""The tests' database is made by the owner of the tables; what the tests do in it, they do with the service's rights.

The session is the owner's, and every connection begins as the service's role (SET ROLE): so a test can be the owner for
a moment, also within a transaction. Processes that tests start sign in as the service itself: see tests/processes.py.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations

from mugsearch import ownership, rights
from tests.triggers import switched


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Before the database is made."""
    connection.settings_dict.update(ownership._owner())


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """When it is made and migrated, which gave the service its rights."""
    options = connection.settings_dict["OPTIONS"]
    with django_db_blocker.unblock():
        connection.close()
    connection.settings_dict["OPTIONS"] = {**options, "options": as_service(options.get("options", ""))}
    yield
    with django_db_blocker.unblock():
        connection.close()
    connection.settings_dict["OPTIONS"] = options


def as_service(options: str = "") -> str:
    return f"{options} -c role={rights.role()}".strip()


def _flush_as_owner(self: Any, sql_list: list[str]) -> None:
    """Between tests: the service may empty no table, and some tables refuse it to whoever it is."""
    with ownership.connected() as owner, owner.cursor() as cursor:
        emptied = [statement.rstrip(";") for statement in sql_list]
        cursor.execute("; ".join(("BEGIN", *switched(off=True), *emptied, *switched(off=False), "COMMIT")))


DatabaseOperations.execute_sql_flush = _flush_as_owner  # type: ignore[method-assign]  # test database only
