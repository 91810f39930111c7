"""PostgreSQL's own programs, from the wheel: out of a snapshot into one file, and back, into older servers, too."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from django.db import connection

from mugsearch.errors import Unavailable
from mugsearch.launch.postgres import programs

_BLOCK = 2**20  # bytes
# Sessions and tokens would sign people in again who have been signed out; they are made anew.
_WITHOUT_DATA = ("django_session", "accounts_apitoken", "accounts_sitting")
_ENVIRONMENT = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "options": "PGOPTIONS",
}
# Where the closed service finds no table: see `closed_to_others`.
_CLOSED = "mugsearch_closed"
# Made in the transaction of the load: while it is there, what is in the database is a backup that isn't purged yet.
_LOADED = "mugsearch_loaded"
_A_MARK = re.compile(rb"ALTER TABLE ONLY \S+ ALTER COLUMN \S+ SET \(pg_attver=\d+\);\n")
_BEGIN = f"BEGIN; DROP SCHEMA IF EXISTS public, {_LOADED} CASCADE; CREATE SCHEMA public; CREATE SCHEMA {_LOADED};\n"


@contextmanager
def snapshot() -> Iterator[tuple[str, Any]]:
    """(its name for pg_dump, a cursor that sees the same)."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SELECT pg_export_snapshot()")
            yield cursor.fetchone()[0], cursor
    finally:
        other.close()


def dump(name: str, to: Path) -> tuple[int, str]:
    """The database as of this snapshot: size and SHA-256 of the file. Not durable yet. Raises Unavailable, OSError."""
    without = [f"--exclude-table-data={table}" for table in _WITHOUT_DATA]
    command = ["--format=custom", "--compress=gzip:1", "--no-owner", "--no-privileges", "--no-comments", *without]
    size, digest = 0, sha256()
    with to.open("xb") as file, _started("pg_dump", *command, f"--snapshot={name}") as process:
        while block := _out(process).read(_BLOCK):
            file.write(block)
            digest.update(block)
            size += len(block)
        _require_well(process, "The database can't be read for the backup")
    return size, digest.hexdigest()


def load(dump_file: Path) -> None:
    """In place of all that is in the schema `public`, in one transaction: killed, everything is as it was before."""
    # Not psql's --single-transaction, which commits also when whoever writes to it is killed in the middle.
    quietly = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null")
    read = _started("pg_restore", "--file=-", "--no-owner", "--no-privileges", "--no-comments", str(dump_file))
    with read as script, _started("psql", *quietly, stdin=subprocess.PIPE) as psql:
        into = _pipe(psql.stdin)
        try:
            into.write(_BEGIN.encode())
            into.writelines(_without_one_servers_own(_out(script)))
            while block := _out(script).read(_BLOCK):
                into.write(block)
            _require_well(script, "The database's backup can't be read")
            into.write(b"COMMIT;\n")
            into.close()
        except BrokenPipeError:
            script.kill()
        _require_well(psql, "The database can't be loaded; it is as it was (restore --give-up opens it)")


def _without_one_servers_own(script: IO[bytes]) -> Iterator[bytes]:
    """The script's lines up to the first rows, without what other servers don't know: a setting that is newer than
    some, and a mark of columns that Debian's 15 keeps for itself, but pg_dump of 18 writes down."""
    for line in script:
        if line != b"SET transaction_timeout = 0;\n" and not _A_MARK.fullmatch(line):
            yield line
        if line.startswith(b"COPY "):
            return


def in_use() -> int:
    """How many other sessions are connected to this database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def is_ours() -> bool:
    """Whether this user may close it and empty it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_has_role(datdba, 'MEMBER') FROM pg_database WHERE datname = current_database()")
        return bool(cursor.fetchone()[0])


def is_empty() -> bool:
    """Whether nothing has ever been done in it."""
    if "audit_entry" not in connection.introspection.table_names():
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOT EXISTS (SELECT FROM audit_entry)")
        return bool(cursor.fetchone()[0])


def close_to_others() -> None:
    """Whoever connects from now on finds no table, wherever that process runs; it outlasts everything but `open_`."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {_name()} SET search_path = {_CLOSED}")


def is_loaded() -> bool:
    """Whether a backup was loaded into it that `open_to_others` hasn't been told of."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [_LOADED])
        return bool(cursor.fetchone()[0])


def open_to_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {_LOADED}")
        cursor.execute(f"ALTER DATABASE {_name()} RESET search_path")


def see_it_closed() -> None:
    """This process goes on seeing the tables."""
    connection.close()
    options = connection.settings_dict["OPTIONS"]
    given = f"{options.get('options', '')} -c search_path=public".strip()
    connection.settings_dict["OPTIONS"] = {**options, "options": given}


def _name() -> str:
    return str(connection.ops.quote_name(connection.settings_dict["NAME"]))


def _started(program: str, *arguments: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    given = {_ENVIRONMENT[name]: str(value) for name, value in connection.get_connection_params().items()
             if name in _ENVIRONMENT and value}  # fmt: skip
    environ = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PGCLIENTENCODING": "UTF8", "PGCONNECT_TIMEOUT": "10", **given}
    return subprocess.Popen(
        [str(programs() / program), *arguments], env=environ, stdin=stdin, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def _out(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    return _pipe(process.stdout)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise TypeError("the program was started without this pipe")
    return pipe


def _require_well(process: "subprocess.Popen[bytes]", sentence: str) -> None:
    """The last line only, and no detail: what PostgreSQL says of an error quotes rows."""
    said = process.stderr.read().decode(errors="replace") if process.stderr else ""
    if process.wait() != 0:
        lines = [line for line in said.splitlines() if "error" in line.lower()] or said.splitlines()
        raise Unavailable(f"{sentence}: {lines[0].strip() if lines else 'no reason was given'}")
