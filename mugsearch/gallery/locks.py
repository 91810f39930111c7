"""Two advisory locks of PostgreSQL, held to the end of the transaction.

`writing` is taken shared by whoever writes rows about gallery people (import, picking a face, a search writing its
candidates, a hold) and exclusively by an expungement or a sealing: whatever was under way ends before the purge reads,
and what comes after sees its result.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from django.db import connection

# Any fixed numbers will do; they only have to differ from each other and from audit.services.CHAIN_LOCK.
_GALLERY = 0x6D756702
_CHANGES = 0x6D756703
_REENCODING = 0x6D756704
_SWEEPING = 0x6D756705
_FINISHING = 0x6D756706
_ARCHIVING = 0x6D75670B


def writing() -> None:
    _lock("pg_advisory_xact_lock_shared", _GALLERY)


def erasing() -> None:
    _lock("pg_advisory_xact_lock", _GALLERY)


def numbering_changes() -> None:
    """Held while numbers of GalleryChange are given out, so that they become visible in their order."""
    _lock("pg_advisory_xact_lock", _CHANGES)


def reencoding_alone() -> AbstractContextManager[bool]:
    """True for one process at a time, across transactions; False when another is at it."""
    return _alone(_REENCODING)


def sweeping_alone() -> AbstractContextManager[bool]:
    """The same for the sweep of what the rules of retention say."""
    return _alone(_SWEEPING)


def finishing_alone() -> AbstractContextManager[bool]:
    """The same for what is done for many expungements at once, such as VACUUM."""
    return _alone(_FINISHING)


def archiving_alone() -> AbstractContextManager[bool]:
    """The same for taking old entries out of the record."""
    return _alone(_ARCHIVING)


def sweep_under_way() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database()) AND (classid, objid) = (0, %s))",
            [_SWEEPING],
        )
        return bool(cursor.fetchone()[0])


@contextmanager
def _alone(key: int) -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        alone = bool(cursor.fetchone()[0])
    try:
        yield alone
    finally:
        if alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


def _lock(function: str, key: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [key])
