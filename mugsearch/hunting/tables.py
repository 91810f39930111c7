"""Every table of the database, as text and as PostgreSQL sends it in binary, and what its statistics hold.

COPY streams: neither side ever holds more than a block of it. As text a number, an id or a day is found, and bytes as
hex; in binary text and JSON are what they are, without any escaping.
"""

from collections.abc import Iterable, Iterator

import psycopg
from django.db import connection
from psycopg import sql

from mugsearch.hunting.markers import Sought
from mugsearch.hunting.report import Ages, Place, Progress

_BLOCK = 2**20
_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_toast%'
    ORDER BY pg_table_size(c.oid), 1, 2
"""


def look(sought: Sought, progress: Progress) -> Iterator[Place]:
    rows = Place("tables")
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        tables: list[tuple[str, str]] = cursor.fetchall()
    for schema, table in tables:
        progress(f"table {table}")
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))
        _read(rows, table, query, sought, rows=True)
    yield rows
    yield _sessions(sought)
    statistics = Place("statistics")
    progress("pg_stats")
    for view in ("pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"):
        _read(statistics, view, sql.SQL("SELECT * FROM {}").format(sql.Identifier(view)), sought, binary=False)
    # The views leave out what the role may not read; the table behind them is for superusers.
    _read(statistics, "pg_statistic", sql.SQL("SELECT * FROM pg_statistic"), sought, binary=False)
    yield statistics
    activity = Place("last statements", Ages.MEMORY)
    _read(activity, "pg_stat_activity", sql.SQL("SELECT query FROM pg_stat_activity"), sought)
    yield activity


def _sessions(sought: Sought) -> Place:
    """What people's sessions hold: in the table it is compressed."""
    from django.contrib.sessions.models import Session

    place = Place("sessions")
    for number, session in enumerate(Session.objects.iterator(), start=1):
        text = repr(session.get_decoded()).encode()
        place.read(len(text), 1)
        place.found(f"session {number}", sought.within(text))
    return place


def _read(
    place: Place, name: str, query: sql.Composable, sought: Sought, *, binary: bool = True, rows: bool = False
) -> None:
    for form in (sql.SQL("text"), sql.SQL("binary"))[: 1 + binary]:
        statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT {})").format(query, form)
        try:
            # Django's cursor has no COPY; this is psycopg's own, of the same connection.
            connection.ensure_connection()
            with connection.connection.cursor() as cursor:
                with cursor.copy(statement) as copy:
                    place.found(name, sought.in_blocks(_blocks(copy, place)))
                if rows and form == sql.SQL("text"):
                    place.read(0, cursor.rowcount)
        except psycopg.Error as error:
            place.missed.append(f"{name} ({type(error).__name__})")
            return


def _blocks(copy: Iterable["bytes | memoryview"], place: Place) -> Iterator[bytes]:
    """Few large ones of many small ones: one comes for each row."""
    waiting = bytearray()
    for part in copy:
        waiting += part
        if len(waiting) >= _BLOCK:
            place.read(len(waiting))
            yield bytes(waiting)
            waiting.clear()
    place.read(len(waiting))
    yield bytes(waiting)
