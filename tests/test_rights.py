"""The service's own sign-in to PostgreSQL can't change the record, and a process with a stronger one does not serve."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from psycopg import errors

from mugsearch import ownership, rights
from mugsearch.audit import services as audit
from mugsearch.audit.verify import verify
from mugsearch.errors import Unavailable
from mugsearch.launch.places import CHECKOUT
from tests.processes import environment
from tests.triggers import GUARDED, as_owner

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def service(settings: Any) -> Iterator[psycopg.Connection]:
    """Signed in as the service is in an installation: nobody stronger is behind it."""
    with psycopg.connect(environment(settings)["DATABASE_URL"], autocommit=True) as signed_in:
        yield signed_in


@pytest.fixture
def signed_in_as_service(settings: Any) -> Iterator[None]:
    """Django's connection of this process, too."""
    with _signed_in(rights.role()):
        yield


@contextmanager
def _signed_in(role: str) -> Iterator[None]:
    before = {name: connection.settings_dict[name] for name in ("USER", "OPTIONS")}
    connection.close()
    # Not as the tests' session, which acts as the service; the socket of the embedded server is among these, too.
    options = {name: value for name, value in connection.settings_dict["OPTIONS"].items() if name != "options"}
    connection.settings_dict.update(USER=role, OPTIONS=options)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


def owner_does(*statements: str) -> None:
    with ownership.connected() as owner, owner.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


# --- what the service may not do ---------------------------------------------------------------------

TRICKS = (
    "UPDATE audit_entry SET act = 'x'",
    "UPDATE audit_entry SET act = act WHERE false",
    "DELETE FROM audit_entry",
    "DELETE FROM audit_entry WHERE false",
    "TRUNCATE audit_entry",
    "TRUNCATE audit_entry CASCADE",
    "INSERT INTO audit_entry SELECT * FROM audit_entry ON CONFLICT (number) DO UPDATE SET act = 'x'",
    "SELECT * FROM audit_entry FOR UPDATE",
    "LOCK TABLE audit_entry IN ACCESS EXCLUSIVE MODE",
    "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
    "ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only",
    "ALTER TABLE audit_entry RENAME TO something_else",
    "ALTER TABLE audit_entry OWNER TO CURRENT_USER",
    "ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY",
    "DROP TRIGGER audit_entry_append_only ON audit_entry",
    "DROP TRIGGER audit_entry_no_truncate ON audit_entry",
    "CREATE TRIGGER mine BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()",
    "CREATE RULE mine AS ON INSERT TO audit_entry DO INSTEAD NOTHING",
    "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "ALTER FUNCTION audit_refuse_change() RENAME TO something_else",
    "DROP FUNCTION audit_refuse_change() CASCADE",
    "DROP TABLE audit_entry CASCADE",
    "DROP SCHEMA public CASCADE",
    "CREATE TABLE mine (number int)",
    "CREATE TABLE mine (number bigint REFERENCES audit_entry ON DELETE CASCADE)",
    "CREATE TEMPORARY TABLE audit_entry (number int)",
    "CREATE SCHEMA mine",
    "SET session_replication_role = replica",
    "SET LOCAL session_replication_role = replica",
    "SET ROLE {owner}",
    "SET SESSION AUTHORIZATION {owner}",
    "GRANT {owner} TO CURRENT_USER",
    "ALTER ROLE {service} SUPERUSER",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT ALL ON TABLES TO {service}",
    "CREATE ROLE mine SUPERUSER",
    "COPY audit_entry FROM PROGRAM 'true'",
    "COPY audit_entry TO '/tmp/record'",
    "DO $$ BEGIN EXECUTE 'ALTER TABLE audit_entry DISABLE TRIGGER USER'; END $$",
    "UPDATE pg_trigger SET tgenabled = 'D'",
    "DELETE FROM django_migrations",
    "INSERT INTO audit_archivedspan SELECT 1, 1, '', '', '', '', '', 0, '', now()",
)


def test_the_service_can_not_change_the_record_nor_what_keeps_it(service: Any) -> None:
    audit.record("thing.done", by=None)
    audit.record("thing.done", by=None)
    done = {}
    for trick in TRICKS:
        names = {"owner": f'"{ownership._owner()["USER"]}"', "service": f'"{rights.role()}"'}
        try:
            with service.transaction():
                service.execute(trick.format(**names))
        except errors.Error as refusal:
            # Permission denied, also to whom owns nothing; any other error would say that the trick is none.
            if refusal.sqlstate == "42501":
                continue
            done[trick] = refusal.sqlstate
        else:
            done[trick] = "done"
    assert done == {}
    verdict = verify()
    assert (verdict.intact, verdict.entries) == (True, 2)


def test_the_service_can_give_itself_no_right(service: Any) -> None:
    """PostgreSQL only warns that nothing was granted."""
    service.execute("GRANT ALL ON audit_entry TO CURRENT_USER")
    asked = "SELECT has_table_privilege('audit_entry', 'UPDATE'), has_table_privilege('audit_entry', 'DELETE')"
    assert service.execute(asked).fetchone() == (False, False)


def test_the_service_empties_no_table_and_deletes_nothing_that_is_written_once(service: Any) -> None:
    tables = {table for (table, _) in service.execute(rights._TABLES).fetchall()}
    assert set(GUARDED) | set(rights.ADDED_ONLY) | set(rights.NEVER_DELETED) <= tables
    for table in tables:
        with pytest.raises(errors.InsufficientPrivilege):
            service.execute(f"TRUNCATE {table} CASCADE")
    for table in (*rights.ADDED_ONLY, *rights.NEVER_DELETED, *rights.READ_ONLY):
        with pytest.raises(errors.InsufficientPrivilege):
            service.execute(f"DELETE FROM {table}")  # noqa: S608  a name of ours
    for table in rights.ADDED_ONLY:
        named = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1"
        (column,) = service.execute(named, [table]).fetchone()
        with pytest.raises(errors.InsufficientPrivilege):
            service.execute(f'UPDATE {table} SET "{column}" = "{column}"')  # noqa: S608


def test_every_table_whose_triggers_refuse_every_change_is_narrowed_for_the_service_too() -> None:
    """By the triggers' own bits: on each row, before, delete and update with one function and no condition."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgtype & 27 = 27 AND tgqual IS NULL"
        )
        refused = {table for (table,) in cursor.fetchall()}
    # These let some changes through.
    partly = {"probes_sealedplace", "retention_hold", "reviews_finding", "reviews_lead", *rights.NEVER_DELETED}
    assert refused - partly == set(rights.ADDED_ONLY) | set(rights.READ_ONLY) - {"django_migrations"}


def test_a_table_that_comes_later_is_not_open_to_the_service_by_itself(service: Any) -> None:
    owner_does("CREATE TABLE later (number int)")
    try:
        with pytest.raises(errors.InsufficientPrivilege):
            service.execute("SELECT * FROM later")
        call_command("migrate", verbosity=0, interactive=False)
        assert service.execute("SELECT * FROM later").fetchall() == []
    finally:
        owner_does("DROP TABLE later")


# --- what does not start -----------------------------------------------------------------------------


def test_the_services_own_role_is_narrow(signed_in_as_service: None) -> None:
    rights.require_narrow()


def test_the_owner_of_the_tables_does_not_serve() -> None:
    with ownership.acting(), pytest.raises(ImproperlyConfigured, match="owns tables") as refusal:
        rights.require_narrow()
    assert "MUGSEARCH_OWNER_DATABASE_URL" in str(refusal.value)
    assert "the database" in str(refusal.value)
    assert "functions" in str(refusal.value)


def test_nor_does_one_that_can_become_the_owner() -> None:
    """The tests' own session: it acts as the service, and the owner is behind it."""
    with pytest.raises(ImproperlyConfigured, match="owns tables"):
        rights.require_narrow()


@pytest.mark.parametrize(
    ("too_much", "back", "said"),
    [
        ("GRANT UPDATE ON audit_entry TO {}", "REVOKE UPDATE ON audit_entry FROM {}", "UPDATE on audit_entry"),
        ("GRANT UPDATE (act) ON audit_entry TO {}", "REVOKE UPDATE (act) ON audit_entry FROM {}", "UPDATE on audit"),
        ("GRANT UPDATE ON audit_entry TO PUBLIC", "REVOKE UPDATE ON audit_entry FROM PUBLIC", "UPDATE on audit_entry"),
        ("GRANT DELETE ON audit_entry TO {}", "REVOKE DELETE ON audit_entry FROM {}", "DELETE on audit_entry"),
        ("GRANT TRUNCATE ON audit_entry TO {}", "REVOKE TRUNCATE ON audit_entry FROM {}", "TRUNCATE on audit_entry"),
        ("GRANT TRIGGER ON audit_entry TO {}", "REVOKE TRIGGER ON audit_entry FROM {}", "TRIGGER on audit_entry"),
        ("GRANT TRUNCATE ON probes_search TO {}", "REVOKE TRUNCATE ON probes_search FROM {}", "TRUNCATE on probes"),
        ("GRANT CREATE ON SCHEMA public TO {}", "REVOKE CREATE ON SCHEMA public FROM {}", "may make tables"),
        (
            "GRANT INSERT ON audit_archivedspan TO {}", "REVOKE INSERT ON audit_archivedspan FROM {}",
            "INSERT on audit_archivedspan",
        ),
        (
            "ALTER TABLE reviews_examination DISABLE TRIGGER USER",
            "ALTER TABLE reviews_examination ENABLE TRIGGER USER",
            "triggers of reviews_examination are switched off",
        ),
        ("REVOKE INSERT ON audit_entry FROM {}", "GRANT INSERT ON audit_entry TO {}", "lacks INSERT on audit_entry"),
        (
            "ALTER TABLE audit_entry DISABLE TRIGGER USER", "ALTER TABLE audit_entry ENABLE TRIGGER USER",
            "switched off",
        ),
        (
            "ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_no_truncate",
            "ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_no_truncate",
            "switched off",
        ),
        (
            "ALTER TABLE audit_entry ENABLE REPLICA TRIGGER audit_entry_append_only",
            "ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only",
            "switched off",
        ),
    ],
)  # fmt: skip
def test_a_role_that_may_do_too_much_or_too_little_does_not_serve(
    too_much: str, back: str, said: str, signed_in_as_service: None
) -> None:
    role = f'"{rights.role()}"'
    owner_does(too_much.format(role))
    try:
        with pytest.raises(ImproperlyConfigured, match=said) as refusal:
            rights.require_narrow()
    finally:
        owner_does(back.format(role))
    assert "docs/operator.md" in str(refusal.value)
    rights.require_narrow()


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("SUPERUSER", "is a superuser"),
        ("CREATEROLE", "may make roles"),
        ("CREATEDB", "may make databases"),
        ("BYPASSRLS", "passes by row security"),
        ("REPLICATION", "may replicate"),
        ("IN ROLE pg_write_all_data", "pg_write_all_data"),
        ("IN ROLE pg_execute_server_program", "pg_execute_server_program"),
    ],
)
def test_a_role_with_power_over_the_server_does_not_serve(attribute: str, said: str) -> None:
    """A role of its own for the moment: other runs of the tests share the service's."""
    given = os.environ.get("TRIAL_DATABASE_URL")
    if not given:
        pytest.skip("needs a server that is given as a superuser's")
    role = f"mugsearch_trial_{uuid4().hex[:8]}"
    with psycopg.connect(given, autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE {role} LOGIN {attribute}")
        try:
            with _signed_in(role), pytest.raises(ImproperlyConfigured, match=said):
                rights.require_narrow()
        finally:
            superuser.execute(f"DROP ROLE {role}")


def test_a_role_for_which_a_superuser_has_switched_all_triggers_off_does_not_serve() -> None:
    given = os.environ.get("TRIAL_DATABASE_URL")
    if not given:
        pytest.skip("needs a server that is given as a superuser's")
    role = f"mugsearch_trial_{uuid4().hex[:8]}"
    with psycopg.connect(given, autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE {role} LOGIN")
        superuser.execute(f"ALTER ROLE {role} SET session_replication_role = replica")
        try:
            with _signed_in(role), pytest.raises(ImproperlyConfigured, match="are switched off"):
                rights.require_narrow()
        finally:
            superuser.execute(f"DROP ROLE {role}")


def test_a_database_without_tables_is_not_served_from(signed_in_as_service: None) -> None:
    owner_does("ALTER TABLE audit_entry RENAME TO gone")
    try:
        with pytest.raises(ImproperlyConfigured, match="no tables yet"):
            rights.require_narrow()
    finally:
        owner_does("ALTER TABLE gone RENAME TO audit_entry")


STARTS = {
    "web": ["-c", "import mugsearch.wsgi"],
    "worker": ["-m", "celery", "--quiet", "-A", "mugsearch.celery:app", "worker", "--pool=solo", "-Q", "nothing"],
    "scheduler": [
        "-m",
        "celery",
        "--quiet",
        "-A",
        "mugsearch.celery:app",
        "beat",
        "--pidfile=",
        "--schedule={tmp}/beat",
    ],
}


@pytest.mark.parametrize("which", STARTS)
def test_however_it_is_started_it_refuses_as_the_owner_and_says_how_to_mend_it(
    which: str, settings: Any, tmp_path: Any
) -> None:
    told = environment(settings)
    name = connection.settings_dict["NAME"]
    base, mark, query = told["MUGSEARCH_OWNER_DATABASE_URL"].partition("?")
    told["DATABASE_URL"] = f"{base.rpartition('/')[0]}/{name}{mark}{query}"
    command = [part.format(tmp=tmp_path) for part in STARTS[which]]
    done = subprocess.run(
        [sys.executable, *command], env=told, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=90
    )
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "mugsearch does not serve" in said
    assert "MUGSEARCH_OWNER_DATABASE_URL" in said


def test_the_web_process_starts_as_the_service(settings: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import mugsearch.wsgi; print('serves')"], env=environment(settings), cwd=CHECKOUT,
        capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
    assert done.stdout == "serves\n", done.stderr


# --- the owner ---------------------------------------------------------------------------------------


def test_without_the_owner_an_expungement_waits_and_says_what_is_missing(settings: Any) -> None:
    settings.MUGSEARCH_OWNER_DATABASE = {}
    with pytest.raises(Unavailable, match="MUGSEARCH_OWNER_DATABASE_URL isn't given"), ownership.connected():
        pass


def test_a_service_role_that_is_not_there_yet_is_asked_for(settings: Any) -> None:
    with ownership.acting(), pytest.raises(Unavailable, match='CREATE ROLE "nobody_yet"'):
        rights.grant("nobody_yet")


def test_within_a_block_the_tests_are_the_owner_and_afterwards_the_service_again() -> None:
    def current() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            return str(cursor.fetchone()[0])

    assert current() == rights.role()
    with as_owner():
        assert current() == ownership._owner()["USER"]
    assert current() == rights.role()
