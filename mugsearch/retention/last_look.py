"""The last look after an expungement: whether any row of any table still speaks of what is gone.

Looked for are opaque ids: bookings, the person, photographs. Every column of every table that can hold one is read,
also of tables that are not there yet, but for those that keep ids for good and say nothing else of them.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from django.db import connection

# (table, column), and why ids of what is gone stay there.
KEPT: Final = {
    ("audit_entry", "object_id"),  # the record of what was done with it
    ("audit_entry", "details"),
    ("reviews_lineup", "photos"),  # an empty place, of which the page says that it was erased
    ("retention_expungementorder", "keys_left"),  # what orders look for themselves, until they are complete
    ("retention_expungementorder", "files_left"),
    ("retention_expungementorder", "sought"),
}
_ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@dataclass(frozen=True)
class Look:
    """`found`: those of the ids that a row speaks of."""

    tables: int
    columns: int
    found: frozenset[uuid.UUID]


def look(ids: Collection[uuid.UUID]) -> Look:
    """One walk over the database, for as many ids as there are."""
    found: set[uuid.UUID] = set()
    columns = _columns()
    for table, column, kind in columns:
        found |= _within(table, column, kind, list(ids))
    return Look(len({table for table, _, _ in columns}), len(columns), frozenset(found))


def _columns() -> list[tuple[str, str, str]]:
    """(table, column, type) of what can hold an id, quoted."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.relname, a.attname, t.typname FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
            WHERE c.relkind IN ('r', 'p', 'm') AND c.relnamespace = 'public'::regnamespace
            AND a.attnum > 0 AND NOT a.attisdropped
            AND t.typname IN ('uuid', '_uuid', 'text', '_text', 'varchar', '_varchar', 'json', 'jsonb')
            ORDER BY c.relname, a.attnum
            """
        )
        return [row for row in cursor.fetchall() if (row[0], row[1]) not in KEPT]


def _within(table: str, column: str, kind: str, ids: list[uuid.UUID]) -> set[uuid.UUID]:
    name, of = connection.ops.quote_name(column), connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        if kind == "uuid":
            cursor.execute(f"SELECT DISTINCT {name} FROM {of} WHERE {name} = ANY(%s)", [ids])  # noqa: S608
            return {found for (found,) in cursor.fetchall()}
        # A pattern before the expression: it is many times as quick, and few rows hold an id.
        cursor.execute(
            f"""
            SELECT DISTINCT hit.parts[1] FROM {of}, regexp_matches(lower({name}::text), '{_ID}', 'g') hit(parts)
            WHERE {name}::text LIKE '%%-____-____-____-____________%%' AND hit.parts[1] = ANY(%s)
            """,  # noqa: S608  names from PostgreSQL's catalogue
            [[str(one) for one in ids]],
        )
        return {uuid.UUID(found) for (found,) in cursor.fetchall()}
