"""VACUUM and ANALYZE after rows have gone: what was removed leaves PostgreSQL's tables, indexes and statistics.

A session whose snapshot is older than the removal keeps the removed rows, and VACUUM calls that a success. So the word
of each table is read, from which transaction on rows had to be kept ("removable cutoff", PostgreSQL 15 and newer), and
compared with the transaction that removed them.

VACUUM closes the gaps in a page and does not put zeros into what is free then. Bytes of removed rows stay there until
others are written over them: see docs/retention.md for what these are.

Only the owner of the tables may do any of this: see `mugsearch.ownership`.
"""

import re
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.apps import apps
from django.db import NotSupportedError, OperationalError, ProgrammingError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from mugsearch import ownership
from mugsearch.errors import Unavailable

# The rooms whose rows speak of bookings, people and probes; and sessions, which hold what pages said.
ROOMS: Final = ("gallery", "probes", "reviews", "retention", "sessions")

_PAUSES: Final = (0.5, 2.0)  # seconds; most readers have ended by then
_TABLE = re.compile(r'vacuuming "(.+)"')
_CUTOFF = re.compile(r"removable cutoff: (\d+)")
_MISSED = re.compile(r"tuples missed: (\d+)")
_NUMBERS: Final = 2**32  # of transactions; after the largest they begin anew
_FROM_18: Final = 180000


@dataclass(frozen=True)
class Vacuumed:
    """`cutoffs`: of each table, and of what lies beside it, the transaction from which on removed rows were kept.
    `log_gone`: whether the server has no file of the write-ahead log any more from before the run ended."""

    tables: int
    cutoffs: tuple[int, ...]
    log_gone: bool = False

    def removed(self, by: int) -> bool:
        """Whether all rows are out of the tables that this transaction, or one before it, removed."""
        return all(0 < (cutoff - by) % _NUMBERS < _NUMBERS // 2 for cutoff in self.cutoffs)

    def require_removed(self, by: int) -> None:
        if not self.removed(by):
            raise Unavailable(
                f"The database keeps the removed rows for {_holder()}. They go by themselves when that has ended; if "
                "it goes on for an hour, tell the operator."
            )


def tables() -> list[str]:
    """All of the rooms, also those between two models."""
    found = (one for room in ROOMS for one in apps.get_app_config(room).get_models(include_auto_created=True))
    return sorted({one._meta.db_table for one in found})


def removed_by(act: str, ids: Iterable[UUID]) -> dict[UUID, int]:
    """{order or probe: the transaction that removed its rows}: the one that wrote the entry of it into the audit, which
    nobody changes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT object_id::uuid, xmin::text::bigint FROM audit_entry WHERE act = %s AND outcome = 'done'"
            " AND object_id = ANY(%s)",
            [act, [str(one) for one in ids]],
        )
        return dict(cursor.fetchall())


def run(removals: Collection[int]) -> Vacuumed:
    """Not within a transaction. Once more, a little later, where rows are kept that one of these transactions removed.

    Raises Unavailable when PostgreSQL left a table out or doesn't say what it did.
    """
    with ownership.connected() as owner:
        done = _run(owner)
        for pause in _PAUSES:
            if all(map(done.removed, removals)):
                break
            time.sleep(pause)
            done = _run(owner)
        return done


def _run(owner: BaseDatabaseWrapper) -> Vacuumed:
    everything = tables()
    said = _said(owner, f"VACUUM (VERBOSE, INDEX_CLEANUP ON, ANALYZE) {', '.join(map(_quoted, everything))}")
    cutoffs = dict(_cutoffs(said))
    if left_out := set(everything).difference(table.rpartition(".")[2] for table in cutoffs):
        raise Unavailable(
            f"PostgreSQL did not say what it did with {len(left_out)} tables: MUGSEARCH_OWNER_DATABASE_URL has to own "
            "them, and to be answered in English (see docs/operator.md)."
        )
    _forget_statistics(owner, everything)
    # Where the database isn't the service's own that is in vain, and what statistics were there go with autovacuum.
    _said(owner, "VACUUM pg_catalog.pg_statistic")
    return Vacuumed(tables=len(everything), cutoffs=tuple(cutoffs.values()), log_gone=_log_gone(owner))


def _said(owner: BaseDatabaseWrapper, statement: str) -> list[str]:
    heard: list[str] = []

    def listen(diagnostic: Any) -> None:
        heard.append(diagnostic.message_primary or "")

    owner.ensure_connection()
    session: Any = owner.connection
    session.add_notice_handler(listen)
    try:
        with owner.cursor() as cursor:
            cursor.execute(statement)
    finally:
        session.remove_notice_handler(listen)
    return heard


def _cutoffs(said: list[str]) -> Iterator[tuple[str, int]]:
    """(table, cutoff) of each table, and of each that holds the long values of one."""
    for text in said:
        table, cutoff, missed = _TABLE.search(text), _CUTOFF.search(text), _MISSED.search(text)
        if missed and int(missed[1]):
            raise Unavailable("Somebody was reading a page with removed rows, so they are still there.")
        if table and cutoff:
            yield table[1], int(cutoff[1])


def _holder() -> str:
    """In words: who keeps removed rows from going. Of other roles PostgreSQL may tell nothing."""
    with ownership.connected() as owner, owner.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()")
        if cursor.fetchone()[0]:
            return "a prepared transaction"
        cursor.execute("SELECT count(*) FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL")
        if cursor.fetchone()[0]:
            return "a replication slot or a reader that began before"
        cursor.execute(
            "SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)"
        )
        since = cursor.fetchone()[0]
    return f"a reader that began at {since:%H:%M:%S} on {since:%-d %b}" if since else "a reader that began before"


def _log_gone(owner: BaseDatabaseWrapper) -> bool:
    """Have a new file of the log begun and the older ones removed, where we may: on the embedded server. Elsewhere the
    log ages out as its operator has set up, and the certificate says by when."""
    try:
        with owner.cursor() as cursor:
            cursor.execute("SHOW wal_recycle")
            if cursor.fetchone()[0] != "off":  # old files get later names and keep their bytes until they are used
                return False
            cursor.execute("SELECT pg_walfile_name(pg_switch_wal())")
            (last,) = cursor.fetchone()
            cursor.execute("CHECKPOINT")
            cursor.execute("SELECT count(*) FROM pg_ls_waldir() WHERE name <= %s AND name ~ '^[0-9A-F]{24}$'", [last])
            return not cursor.fetchone()[0]
    except ProgrammingError:  # we may not
        return False


def _forget_statistics(owner: BaseDatabaseWrapper, of: list[str]) -> None:
    """ANALYZE leaves a table without rows its old statistics, with values of the rows that are gone."""
    for table in of:
        with owner.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_stats WHERE schemaname = 'public' AND tablename = %s LIMIT 1", [table])
            kept = cursor.fetchone()
        if kept and _is_empty(owner, table):
            try:
                _forget_statistics_of(owner, table)
            except OperationalError as error:
                raise Unavailable("The statistics of an empty table could not be removed; it was in use.") from error


def _forget_statistics_of(owner: BaseDatabaseWrapper, table: str) -> None:
    owner.ensure_connection()
    session: Any = owner.connection
    with session.transaction(), owner.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        cursor.execute(f"LOCK TABLE {_quoted(table)} IN ACCESS EXCLUSIVE MODE")
        if not _is_empty(owner, table):
            return
        cursor.execute(_VALUES, [table])
        columns = cursor.fetchall()
        if session.info.server_version >= _FROM_18:
            for column, _ in columns:
                cursor.execute("SELECT pg_clear_attribute_stats('public', %s, %s, false)", [table, column])
            return
        for column, type_ in columns:  # one that gets its own type loses its statistics
            with suppress(NotSupportedError), session.transaction():  # a trigger looks at it: then they stay
                cursor.execute(f"ALTER TABLE {_quoted(table)} ALTER COLUMN {_quoted(column)} TYPE {type_}")


# Columns that tell anything but which row is meant.
_VALUES = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute a
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND NOT EXISTS (
        SELECT FROM pg_constraint WHERE conrelid = attrelid AND contype IN ('p', 'f') AND attnum = ANY(conkey))
"""


def _is_empty(owner: BaseDatabaseWrapper, table: str) -> bool:
    with owner.cursor() as cursor:
        cursor.execute(f"SELECT NOT EXISTS (SELECT FROM {_quoted(table)})")  # noqa: S608  a name of ours
        return bool(cursor.fetchone()[0])


def _quoted(name: str | None) -> str:
    return connection.ops.quote_name(name or "")
