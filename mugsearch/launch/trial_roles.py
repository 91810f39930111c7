"""Two roles on a real server for the tests, whose databases are thrown away afterwards.

They are given a superuser's DATABASE_URL and nothing else; what they show is to hold for the roles of an installation.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from mugsearch.launch import CannotStart
from mugsearch.launch.environment import OWNERS

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import SQL, Composed

#: Holds what was given, for a test that has to do what an operator does.
GIVEN = "TRIAL_DATABASE_URL"
OWNER, SERVICE = "mugsearch_trial_owner", "mugsearch_trial_service"


def with_trial_roles(environ: Mapping[str, str]) -> dict[str, str]:
    """Where the environment names a server and no owner: the same with the two roles, which are made if need be.

    Raises:
        CannotStart: the role that is given may not make roles.
    """
    url = environ.get("DATABASE_URL", "")
    if not url or any(environ.get(name) for name in OWNERS):
        return dict(environ)
    _make(url)
    return {**environ, "DATABASE_URL": _as(url, SERVICE), OWNERS[0]: _as(url, OWNER), GIVEN: url}


def _make(url: str) -> None:
    import psycopg
    from psycopg import errors, sql

    password = urlsplit(url).password
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            for role, attributes in ((OWNER, "LOGIN CREATEDB"), (SERVICE, "LOGIN")):
                # Two runs may begin at once; both are served by either's role.
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    _tolerating(connection, sql.SQL(f"CREATE ROLE {role} {attributes}"))
                if password:
                    given = sql.Literal(unquote(password))
                    _tolerating(connection, sql.SQL(f"ALTER ROLE {role} PASSWORD {{}}").format(given))
            # As the embedded server's owner.
            _tolerating(connection, sql.SQL(f"GRANT pg_monitor, pg_checkpoint, {SERVICE} TO {OWNER}"))
    except errors.InsufficientPrivilege as error:
        raise CannotStart(
            "The tests need two roles. Give a superuser's DATABASE_URL, or set MUGSEARCH_OWNER_DATABASE_URL, too."
        ) from error


def _tolerating(connection: "Connection[Any]", statement: "SQL | Composed") -> None:
    from psycopg import errors

    # The last is "tuple concurrently updated": another run did it.
    with suppress(errors.DuplicateObject, errors.UniqueViolation, errors.InternalError_), connection.transaction():
        connection.execute(statement)


def _as(url: str, role: str) -> str:
    parts = urlsplit(url)
    secret = f":{quote(unquote(parts.password), safe='')}" if parts.password else ""
    server = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"{role}{secret}@{server}", parts.path, parts.query, parts.fragment))
