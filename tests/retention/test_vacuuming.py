"""What an expungement removed is out of PostgreSQL's tables and statistics before the order says so."""

import json
import time
from collections.abc import Collection, Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.db import connection

from mugsearch.audit import services as audit
from mugsearch.gallery import live
from mugsearch.gallery.identity import Sealed
from mugsearch.gallery.models import Booking
from mugsearch.probes import policy
from mugsearch.retention import finishing, probe_erasing, tasks, vacuuming
from mugsearch.retention.models import ExpungementOrder, ProbeErasure
from tests.factories import BookingFactory, ProbeFactory
from tests.gallery_rows import enrol
from tests.processes import environment
from tests.retention.arrange import a_life, approved, finish, proved, requested
from tests.triggers import as_owner

pytestmark = pytest.mark.django_db(transaction=True)

State = ExpungementOrder.State


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


@pytest.fixture
def reader(settings: Any) -> Iterator[psycopg.Connection]:
    """Somebody else's session, which only reads, in one snapshot."""
    with psycopg.connect(environment(settings)["DATABASE_URL"]) as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        other.read_only = True
        yield other


def test_a_reader_that_began_before_keeps_the_order_open_and_is_named_until_it_ends(reader: Any) -> None:
    booking = a_life().booking
    reader.execute("SELECT 1")
    order = proved(approved(requested(booking)), patience=0)
    assert (order.state, order.vacuumed_at) == (State.APPROVED, None)
    assert order.leavings_gone_at
    assert set(order.troubles) == {"vacuumed_at"}
    assert "keeps the removed rows for a reader that began at" in order.troubles["vacuumed_at"]
    rows = reader.execute("SELECT count(*) FROM gallery_booking WHERE id = %s", [booking.pk]).fetchone()
    assert rows == (1,), "it still sees them, so PostgreSQL had to keep them"
    tasks.finish()
    order.refresh_from_db()
    assert order.vacuumed_at is None
    reader.rollback()
    finish()
    order.refresh_from_db()
    assert (order.state, order.troubles) == (State.COMPLETE, {})
    assert order.checks["vacuumed_at"]["tables"] == len(vacuuming.tables())


def test_a_reader_that_began_afterwards_keeps_nobody_waiting(reader: Any) -> None:
    order = approved(requested(a_life().booking))
    tasks.prove_forgotten(str(order.pk))
    removed, deadline = vacuuming.removed_by("booking.expunged", [order.pk])[order.pk], time.monotonic() + 60
    # Not while a transaction of before goes on in whatever database of the server: this reader would wait for it, too.
    while reader.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()[0] <= removed:
        assert time.monotonic() < deadline
        reader.rollback()
        time.sleep(0.1)
    finish()
    order.refresh_from_db()
    assert order.state == State.COMPLETE


def test_a_reader_that_ends_soon_is_waited_for_and_no_trouble(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reader.execute("SELECT 1")
    monkeypatch.setattr(vacuuming, "time", SimpleNamespace(sleep=lambda _: reader.rollback()))
    order = approved(requested(a_life().booking))
    tasks.prove_forgotten(str(order.pk))
    tasks.finish()
    order.refresh_from_db()
    assert (order.state, order.troubles) == (State.COMPLETE, {})


def test_the_next_try_is_made_by_the_scheduler_and_only_while_something_waits(reader: Any, queued: list) -> None:
    reader.execute("SELECT 1")
    order = proved(approved(requested(a_life().booking)), patience=0)
    queued.clear()
    tasks.resume()
    assert queued == [("mugsearch.retention.tasks.finish", ())]
    reader.rollback()
    finish()
    order.refresh_from_db()
    assert order.state == State.COMPLETE
    queued.clear()
    tasks.resume()
    assert queued == []


def test_many_orders_share_one_vacuum_and_one_walk_over_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = [approved(requested(enrol(person).booking)) for person in range(4)]
    runs, looks = [], []
    vacuum, look = vacuuming.run, finishing.last_look.look
    monkeypatch.setattr(vacuuming, "run", lambda removals: runs.append(1) or vacuum(removals))
    monkeypatch.setattr(finishing.last_look, "look", lambda ids: looks.append(len(ids)) or look(ids))
    for order in orders:
        tasks.prove_forgotten(str(order.pk))
    tasks.finish()
    assert len(runs) == 1
    finish()
    assert set(ExpungementOrder.objects.values_list("state", flat=True)) == {State.COMPLETE}
    assert len(looks) <= len(runs)
    assert sum(looks) == 4 * 3


def test_a_run_that_began_before_an_order_was_erased_does_not_count_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (requested(enrol(person).booking) for person in range(2))
    tasks.prove_forgotten(str(approved(first).pk))
    real = vacuuming.run

    def another_one_meanwhile(removals: Collection[int]) -> vacuuming.Vacuumed:
        done = real(removals)
        tasks.prove_forgotten(str(approved(second).pk))
        return done

    with monkeypatch.context() as busy:
        busy.setattr(vacuuming, "run", another_one_meanwhile)
        tasks.finish()
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.state == State.COMPLETE
    assert (second.state, second.vacuumed_at) == (State.APPROVED, None)
    finish()
    assert set(ExpungementOrder.objects.values_list("state", flat=True)) == {State.COMPLETE}


def test_the_prove_of_the_last_of_several_asks_for_the_rest(queued: list) -> None:
    orders = [approved(requested(enrol(person).booking)) for person in range(2)]
    queued.clear()
    tasks.prove_forgotten(str(orders[0].pk))
    assert queued == []
    tasks.prove_forgotten(str(orders[1].pk))
    assert queued == [("mugsearch.retention.tasks.finish", ())]


@pytest.mark.parametrize("others", [0, 3])
def test_no_statistics_hold_a_value_of_the_person(others: int) -> None:
    """Also of a table that is empty then, of which ANALYZE leaves the old ones."""
    for person in range(others):
        enrol(20 + person)
    booking = BookingFactory(charge="CANARY arson")
    again = BookingFactory(charge="CANARY arson", person=booking.person)  # what comes once is in no statistics
    for one in (booking, again):
        enrol(1, booking=one)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    assert "CANARY" in statistics()
    assert proved(approved(requested(booking, whole_person=True))).state == State.COMPLETE
    assert Booking.objects.count() == others
    assert "CANARY" not in statistics()
    assert ("gallery_booking" in statistics()) == bool(others)


def statistics() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename, attname, most_common_vals::text, histogram_bounds::text FROM pg_stats "
            "WHERE schemaname = 'public' AND tablename LIKE 'gallery%' AND attname NOT IN ('id', 'sealed_at')"
            " AND attname NOT LIKE '%\\_id'"
        )
        return json.dumps(cursor.fetchall())


def test_every_table_of_the_rooms_is_vacuumed_and_one_that_is_left_out_keeps_the_order_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert {"gallery_booking", "probes_candidate", "reviews_finding", "retention_disposition"} < set(vacuuming.tables())
    order = approved(requested(a_life().booking))
    real = vacuuming._said
    monkeypatch.setattr(vacuuming, "_said", lambda owner, said: real(owner, said.replace('"gallery_photo", ', "")))
    assert proved(order).state == State.APPROVED
    assert "did not say what it did with 1 tables" in order.troubles["vacuumed_at"]


def test_a_probe_that_aged_out_is_vacuumed_too(queued: list) -> None:
    probe = ProbeFactory(faces=[])
    row = ProbeErasure.objects.create(probe=probe, rule="x", policy_digest=policy.current().digest)
    audit.record("probe.aged-out", by=None, obj=probe)
    probe_erasing.carry_out(probe.pk)
    tasks.resume()
    assert queued == [("mugsearch.retention.tasks.finish", ())]
    finish()
    row.refresh_from_db()
    assert row.vacuumed_at
    assert probe_erasing.left_behind() == []


def test_only_a_server_that_uses_no_file_of_the_log_again_is_said_to_have_none_from_before() -> None:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SELECT has_function_privilege('pg_switch_wal()', 'EXECUTE')")
        if not cursor.fetchone()[0]:
            pytest.skip("another server's log is its operator's")
        order = approved(requested(a_life().booking))
        cursor.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        (written,) = cursor.fetchone()
        cursor.execute("SHOW wal_recycle")
        removed = cursor.fetchone() == ("off",)  # as on the embedded server; others rename it, with its bytes
        assert proved(order).checks["vacuumed_at"]["log_gone"] == int(removed)
        if not removed:
            return
        cursor.execute("SELECT min(name) FROM pg_ls_waldir() WHERE length(name) = 24")
        assert cursor.fetchone()[0] > written


def test_tables_whose_columns_were_sealed_and_removed_are_written_anew_by_a_migration() -> None:
    """Until then every row keeps on the disk what a removed column held."""
    module = import_module("mugsearch.retention.migrations.0010_nothing_in_plain_is_left")
    assert {model._meta.db_table for model in Sealed.__subclasses__()} < set(module.TABLES)
    before = _files(module.TABLES)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(module.Migration.operations[0].sql)
    assert not before & _files(module.TABLES)


def _files(tables: tuple[str, ...]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_filepath(oid) FROM pg_class WHERE relname = ANY(%s)", [list(tables)])
        found = {path for (path,) in cursor.fetchall()}
    assert len(found) == len(tables)
    return found
