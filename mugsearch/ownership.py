"""The role that owns the database, its schema and its tables: whom it is lent to, and for what.

The service connects as another one (DATABASE_URL), which owns nothing: see `mugsearch.rights`. As the owner act
migrations, backups, restores and hunts, which are commands, and one step of an expungement, the VACUUM, in a worker
that does nothing else. Only these are given MUGSEARCH_OWNER_DATABASE_URL.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from mugsearch.errors import Unavailable

_WHO = ("USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
_acting = False


def given() -> bool:
    return bool(settings.MUGSEARCH_OWNER_DATABASE)


@contextmanager
def connected() -> Iterator[BaseDatabaseWrapper]:
    """A connection of its own, as the owner, to the database that this process is connected to. Raises Unavailable."""
    own = connection.copy()
    if not _acting:
        own.settings_dict.update(_owner())
    try:
        yield own
    finally:
        own.close()


@contextmanager
def acting() -> Iterator[None]:
    """For a command: all that this process does in the block, it does as the owner. Not within a transaction.

    Where no owner is given, DATABASE_URL's role does it; PostgreSQL refuses if it may not.
    """
    global _acting
    if _acting or not given():
        yield
        return
    before = deepcopy({name: connection.settings_dict[name] for name in _WHO})
    connection.close()
    connection.settings_dict.update(_owner())
    _acting = True
    try:
        yield
    finally:
        _acting = False
        connection.close()
        connection.settings_dict.update(before)


def _owner() -> dict[str, Any]:
    if not given():
        raise Unavailable(
            "MUGSEARCH_OWNER_DATABASE_URL isn't given to this process, and only the owner of the tables may do this."
        )
    owner = settings.MUGSEARCH_OWNER_DATABASE
    return {name: deepcopy(owner.get(name) or ({} if name == "OPTIONS" else "")) for name in _WHO}
