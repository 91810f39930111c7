"""What the service's role may do in PostgreSQL, given after every migration and looked at whenever a process starts.

It may read and write rows; of what is written once it may only add. It owns nothing, so it can't switch a trigger off
or replace its function: for that there is the owner (`mugsearch.ownership`). Whatever is found in the code, the record
of acts can't be changed with the service's own sign-in.
"""

import time
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, transaction
from psycopg import sql

from mugsearch.errors import Unavailable

# Written once: PostgreSQL refuses the rest by triggers, too, to whoever it is.
ADDED_ONLY: Final = (
    "audit_entry",
    "audit_signedhead",
    "auditing_draw",
    "auditing_remark",
    "auditing_sighting",
    "auditing_signoff",
    "probes_calibration",
    "probes_policyversion",
    "probes_prioritychange",
    "retention_certificate",
    "reviews_adjudication",
    "reviews_evidence",
    "reviews_falseleadseen",
    "reviews_leadoutcome",
    "reviews_leadview",
    "reviews_lineup",
)
# Changed as the triggers allow, never deleted.
NEVER_DELETED: Final = (
    "audit_delivery",
    "auditing_savedreview",
    "probes_candidate",
    "probes_membership",
    "probes_probeedit",
    "probes_repeat",
    "reviews_examination",
    "trials_subject",
    "trials_trial",
    "trials_trialphoto",
)
# What is archived only the owner says: a false span would make the record look broken for good.
READ_ONLY: Final = ("audit_archivedspan", "django_migrations")

# Any fixed number will do; it only has to differ from the other advisory locks (see gallery.locks).
_LOCK: Final = 0x6D756708
_ROWS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_TABLES: Final = (
    "SELECT relname, oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
)
_PATIENCE: Final = 40.0  # seconds: less than gunicorn lets a process take to start


def of(table: str) -> tuple[str, ...]:
    """What the service may do with the rows of a table."""
    if table in READ_ONLY:
        return _ROWS[:1]
    if table in ADDED_ONLY:
        return _ROWS[:2]
    return _ROWS[:3] if table in NEVER_DELETED else _ROWS


def grant(role: str) -> None:
    """As the owner. Takes away what is not in the list, and gives what is; nothing to tables that come later."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_user = %s, quote_ident(current_database())", [role])
        owns_them, database = cursor.fetchone()
        if owns_them:
            return  # no other role is set up; whoever serves says so and refuses
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        if not cursor.rowcount:
            raise Unavailable(f'PostgreSQL has no role "{role}" yet: CREATE ROLE "{role}" LOGIN PASSWORD \'…\';')
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])  # two that migrate
        for statement in _statements(database):
            cursor.execute(sql.SQL(statement).format(role=sql.Identifier(role)))
        cursor.execute(_TABLES)
        for table, _ in cursor.fetchall():
            given = sql.SQL("GRANT {} ON TABLE public.{} TO {}")
            cursor.execute(given.format(sql.SQL(", ".join(of(table))), sql.Identifier(table), sql.Identifier(role)))


def _statements(database: str) -> tuple[str, ...]:
    return (
        f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
        f"REVOKE ALL ON DATABASE {database} FROM {{role}}",
        f"GRANT CONNECT ON DATABASE {database} TO {{role}}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC, {role}",
        "GRANT USAGE ON SCHEMA public TO {role}",
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, {role}",
        "REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, {role}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
    )


@dataclass(frozen=True)
class Fault:
    """What is wrong, and the statement or command that mends it."""

    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what} ({self.mend})"


def require_narrow() -> None:
    """For whatever serves, before it does. Waits a while for a database that isn't there yet.

    Raises ImproperlyConfigured with every fault and what mends it.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            found = faults()
            break
        except OperationalError as error:
            if time.monotonic() > until:
                raise ImproperlyConfigured("PostgreSQL can't be reached, see DATABASE_URL.") from error
            time.sleep(1)
    connection.close()
    if found:
        lines = "".join(f"\n  - {fault}" for fault in found)
        raise ImproperlyConfigured(
            "mugsearch does not serve: the role of DATABASE_URL must not be able to change the record, and has to be "
            f'able to write it.{lines}\nSee docs/operator.md, "Two roles in PostgreSQL".'
        )


def faults() -> list[Fault]:
    """Of the role that this process is connected as, and of each it could turn itself into."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 'audit_entry' IN (SELECT relname FROM ({_TABLES}) AS tables), session_user")  # noqa: S608
        migrated, role = cursor.fetchone()
        if not migrated:
            return [Fault("there are no tables yet", "./run manage migrate")]
        return [*_powers(cursor, role), *_privileges(cursor, role), *_lacking(cursor), *_triggers(cursor)]


# Also without INHERIT, because of SET ROLE. A superuser is a member of everything.
_MINE = """
    mine AS (
        SELECT * FROM pg_roles WHERE rolname IN (session_user, current_user) OR pg_has_role(session_user, oid, 'MEMBER')
    )
"""
_POWERS = f"""
    WITH {_MINE}
    SELECT rolname, 'is a superuser', 'NOSUPERUSER' FROM mine WHERE rolsuper
    UNION ALL SELECT rolname, 'may make roles', 'NOCREATEROLE' FROM mine WHERE rolcreaterole
    UNION ALL SELECT rolname, 'may make databases', 'NOCREATEDB' FROM mine WHERE rolcreatedb
    UNION ALL SELECT rolname, 'may replicate the database', 'NOREPLICATION' FROM mine WHERE rolreplication
    UNION ALL SELECT rolname, 'passes by row security', 'NOBYPASSRLS' FROM mine WHERE rolbypassrls
"""  # noqa: S608  nothing of anybody's is in it
_OWNED = f"""
    WITH {_MINE}
    SELECT DISTINCT rolname, what FROM mine JOIN (
        SELECT datdba AS owner, 'the database' AS what FROM pg_database WHERE datname = current_database()
        UNION ALL SELECT nspowner, 'the schema public' FROM pg_namespace WHERE nspname = 'public'
        UNION ALL SELECT relowner, 'tables' FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT proowner, 'functions' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ) AS things ON owner = mine.oid ORDER BY 1, 2
"""  # noqa: S608
_LENT = f"""
    WITH {_MINE}
    SELECT rolname FROM mine WHERE rolname = ANY(ARRAY['pg_write_all_data', 'pg_read_server_files',
        'pg_write_server_files', 'pg_execute_server_program', 'pg_maintain', 'pg_database_owner'])
"""  # noqa: S608


def _powers(cursor: Any, role: str) -> list[Fault]:
    other = f'name a role of the service\'s own in DATABASE_URL, and "{role}" in MUGSEARCH_OWNER_DATABASE_URL'
    cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = session_user")
    if cursor.fetchone()[0]:
        return [Fault(f'"{role}" is a superuser', other)]
    found = []
    cursor.execute(_POWERS)
    for name, what, attribute in cursor.fetchall():
        mend = f'ALTER ROLE "{role}" {attribute};' if name == role else f'REVOKE "{name}" FROM "{role}";'
        found.append(Fault(f'"{name}" {what}', mend))
    cursor.execute(_OWNED)
    for name, what in cursor.fetchall():
        found.append(Fault(f'"{name}" owns {what}', other if name == role else f'REVOKE "{name}" FROM "{role}";'))
    cursor.execute(_LENT)
    found += [
        Fault(f'"{role}" is a member of {name}', f'REVOKE {name} FROM "{role}";') for (name,) in cursor.fetchall()
    ]
    return found


_TOO_MUCH = f"""
    WITH {_MINE}
    SELECT DISTINCT relname, privilege FROM mine, pg_class,
        unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) AS privilege
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT (relowner = mine.oid)
        AND CASE WHEN privilege IN ('INSERT', 'UPDATE', 'REFERENCES')
            THEN has_any_column_privilege(mine.oid, pg_class.oid, privilege)
            ELSE has_table_privilege(mine.oid, pg_class.oid, privilege) END
    ORDER BY 1, 2
"""  # noqa: S608


def _privileges(cursor: Any, role: str) -> list[Fault]:
    again = "./run manage migrate"
    cursor.execute(_TOO_MUCH)
    found = [
        Fault(f'"{role}" has {privilege} on {table}', f'REVOKE {privilege} ON {table} FROM "{role}"; or {again}')
        for table, privilege in cursor.fetchall()
        if privilege not in of(table)
    ]
    cursor.execute("SELECT has_schema_privilege('public', 'CREATE')")
    if cursor.fetchone()[0]:
        found.append(Fault(f'"{role}" may make tables and functions in the schema public', again))
    if connection.connection.info.server_version >= 150000:
        cursor.execute("SELECT has_parameter_privilege('session_replication_role', 'SET')")
        if cursor.fetchone()[0]:
            mend = f'REVOKE SET ON PARAMETER session_replication_role FROM "{role}";'
            found.append(Fault(f'"{role}" may switch triggers off for its session', mend))
    return found


def _lacking(cursor: Any) -> list[Fault]:
    cursor.execute(_TABLES)
    for table, oid in cursor.fetchall():
        for privilege in of(table):
            cursor.execute("SELECT has_table_privilege(%s::oid, %s)", [oid, privilege])
            if not cursor.fetchone()[0]:
                return [Fault(f"it lacks {privilege} on {table}, and maybe more", "./run manage migrate")]
    return []


# Bits of tgtype: 1 for each row, 2 before, 8 delete, 16 update, 32 truncate. Enabled: O, origin, or A, always.
_GUARDS = """
    SELECT coalesce(bit_or(tgtype) FILTER (WHERE tgtype & 3 = 3) & 24 = 24, false)
       AND coalesce(bit_or(tgtype) FILTER (WHERE tgtype & 3 = 2) & 32 = 32, false)
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relname = 'audit_entry' AND relnamespace = 'public'::regnamespace AND NOT tgisinternal
        AND tgenabled IN ('O', 'A')
"""


# Other tables' keep examiners apart and cases whole. A superuser may also have set this for the role.
_SWITCHED_OFF = """
    SELECT DISTINCT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = 'public'::regnamespace
        AND (tgenabled NOT IN ('O', 'A') OR current_setting('session_replication_role') = 'replica')
    ORDER BY 1
"""


def _triggers(cursor: Any) -> list[Fault]:
    cursor.execute(_GUARDS)
    kept = cursor.fetchone()[0]
    cursor.execute(_SWITCHED_OFF)
    tables = [table for (table,) in cursor.fetchall()]
    if not kept and "audit_entry" not in tables:
        return [Fault("triggers that keep the record from being changed are missing", "./run manage migrate --plan")]
    if not tables:
        return []
    again = f"ALTER TABLE {tables[0]} ENABLE TRIGGER USER" if len(tables) == 1 else "ALTER TABLE … ENABLE TRIGGER USER"
    return [
        Fault(
            f"triggers of {', '.join(tables[:3])}{' and others' if len(tables) > 3 else ''} are switched off",
            f"find out who did that, then as the owner: {again}; and RESET session_replication_role for this role",
        )
    ]


def role() -> str:
    """The one that the service connects as."""
    return str(settings.MUGSEARCH_SERVICE_ROLE)
