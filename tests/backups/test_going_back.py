"""Migrations are taken back on a database with rows, or refuse to: none loses silently what nothing else says."""

import datetime
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from psycopg import sql

from mugsearch import ownership
from mugsearch.accounts import tokens
from mugsearch.accounts.models import Role, SignInFailure, User
from mugsearch.accounts.scopes import open_to
from mugsearch.audit import services as audit
from mugsearch.audit.models import ArchivedSpan, SignedHead
from mugsearch.auditing.models import Draw, Remark, SavedReview, Sighting
from mugsearch.gallery.models import ImportReject, ImportRun
from mugsearch.limiting.models import Window
from mugsearch.probes.models import Case, Membership
from mugsearch.retention.models import Certificate, Disposition, ExpungementOrder
from reviews.models import Finding
from tests.backups.conftest import Elsewhere
from tests.factories import AgencyFactory, CaseFactory, ProbeFactory, UserFactory, clerk, examiner, investigator
from tests.reviews.arrange import candidate, claim, find, finished_search
from tests.triggers import past_the_triggers

# Of the version before: the last migration of each room, which gives the first that is taken back.
BEFORE = {
    "accounts": "0003_who_revoked_a_certificate",
    "audit": "0003_indexes_by_number",
    "auditing": "zero",
    "gallery": "0014_since_when_rules_go_by_it",
    "limiting": "zero",
    "probes": "0015_erased_probes",
    "retention": "0006_erased_probes",
    "reviews": "0007_leads_of_sealed_bookings",
}
# Who is signed in, what programs hold and how often somebody did something is not kept for good: they sign in again.
PASSING = {"accounts_sitting", "accounts_apitoken", "accounts_signinfailure", "limiting_window"}


@pytest.mark.parametrize("app", BEFORE)
def test_going_back_and_forward_again_loses_no_row_and_leaves_the_same_tables(a_copy: Elsewhere, app: str) -> None:
    with a_copy():
        _in_use()
        on_cases, tables, rows = _on_cases(), _tables(), _rows()
        _migrate(app, BEFORE[app])
        assert _tables() != tables
        with ownership.acting(), connection.cursor() as cursor:  # by the rules of then
            cursor.execute("UPDATE reviews_finding SET saved_at = now()")
        _migrate(app)
        _migrate()
        assert _tables() == tables
        assert _rows() == rows
        assert _on_cases() == on_cases


def _locked() -> None:
    User.objects.update(locked_at=timezone.now())


def _head_signed() -> None:
    SignedHead.objects.create(serial=1, number=1, digest="0" * 64, at=timezone.now(), document="{}")


def _archived() -> None:
    told = {"previous": "0" * 64, "digest": "1" * 64, "chain": "2" * 64, "file": "x", "sha256": "3" * 64, "bytes": 1}
    with past_the_triggers():
        ArchivedSpan.objects.create(first=1, last=1, head="{}", recorded_at=timezone.now(), **told)


def _drawn() -> Draw:
    return Draw.objects.create(day=datetime.date(2026, 11, 2), searches=1, policy_digest="0" * 64)


def _remarked() -> None:
    told = {"signal": "random", "week": datetime.date(2026, 11, 2), "key": "0" * 64, "count": 1}
    sighting = Sighting.objects.create(draw=_drawn(), **told)
    Remark.objects.create(sighting=sighting, verdict="explained", note="x", by=UserFactory(), own_reason="")


def _review_saved() -> None:
    SavedReview.objects.create(name="Nights", days=7, by=UserFactory())


def _rejected() -> None:
    run = ImportRun.objects.create(agency=AgencyFactory(), started_by=clerk())
    ImportReject.objects.create(run=run, line=2, reason="too small", sealed=b"x")


def _left_a_case() -> None:
    ivy, olga = investigator(), investigator()
    CaseFactory(opened_by=ivy, members=[ivy, olga]).members.remove(olga)


def _joined_for_a_reason() -> None:
    CaseFactory()
    Membership.objects.update(reason="They know the place.")


def _erasing() -> None:
    now = {"approved_at": timezone.now(), "erased_at": timezone.now()}
    _order(kind="expunge", state="approved", approved_by=clerk(), **now)


def _certified() -> None:
    now = {"approved_at": timezone.now(), "completed_at": timezone.now()}
    order = _order(kind="unseal", state="complete", approved_by=clerk(), **now)
    Certificate.objects.create(order=order, document=b"{}", signature=b"x" * 64, public_key=b"x" * 32)


def _ordered() -> None:
    _order(kind="expunge", booking=uuid.uuid4())


def _order(**columns: Any) -> ExpungementOrder:
    asked = {"agency": AgencyFactory(), "order_number": "1", "reason": "court", "requested_by": clerk()}
    return ExpungementOrder.objects.create(**asked, **columns)


def _reported() -> None:
    told = {"disposition": "dismissed", "disposed_on": datetime.date(2026, 3, 4), "sealed": b"x", "number_digest": "1"}
    Disposition.objects.create(agency=AgencyFactory(), recorded_by=clerk(), report_digest="2", **told)


def _noted() -> None:
    _in_use()
    Finding.objects.update(owner=uuid.uuid4(), sealed=b"x")


@pytest.mark.parametrize(
    ("app", "arrange", "sentence"),
    [
        ("accounts", _locked, "somebody is locked"),
        ("audit", _head_signed, "heads that were signed"),
        ("audit", _archived, "entries were archived"),
        ("auditing", _drawn, "signals pointed at"),
        ("auditing", _remarked, "what auditors said"),
        ("auditing", _review_saved, "reviews are saved"),
        ("gallery", _rejected, "rejected rows"),
        ("probes", _left_a_case, "who was on a case"),
        ("probes", _joined_for_a_reason, "who was on a case"),
        ("retention", _erasing, "an expungement is under way"),
        ("retention", _certified, "certificates are on record"),
        ("retention", _ordered, "numbers of bookings are sealed"),
        ("retention", _reported, "reported of bookings"),
        ("reviews", _noted, "what examiners wrote"),
    ],
)
def test_going_back_is_refused_where_it_would_lose_what_nothing_else_says(
    a_copy: Elsewhere, app: str, arrange: Callable[[], Any], sentence: str
) -> None:
    with a_copy():
        UserFactory()
        arrange()
        rows, tables = _rows(), _tables()
        with pytest.raises(CommandError, match=f"can't be taken back: .*{sentence}.* restore the backup"):
            _migrate(app, BEFORE[app])
        _migrate()
        assert (_rows(), _tables()) == (rows, tables)


def _in_use() -> None:
    """A row of most kinds that the version before knew, too, and of those that pass."""
    ivy, olga, edgar = investigator(), investigator(), examiner()
    case = CaseFactory(opened_by=ivy, members=[ivy, olga])
    with audit.act("case.shared", by=ivy, obj=case, case=case.pk, with_user=str(olga.pk)):
        Membership.objects.update(added_by=ivy)
    search = finished_search(probe=ProbeFactory(case=case))
    find(edgar, claim(edgar, search), candidate(search), Finding.EXCLUDED)
    UserFactory(roles=[Role.RECORDS], is_active=False)
    tokens.make(by=ivy, name="nightly", scopes=sorted(open_to(ivy.roles))[:1])
    SignInFailure.objects.create(user=ivy)
    Window.objects.create(kind="search", whose=str(ivy.pk), began=timezone.now(), count=1)


def _migrate(*told: str) -> None:
    connection.close()
    call_command("migrate", *told, verbosity=0, interactive=False)


def _rows() -> dict[str, int]:
    with ownership.acting(), connection.cursor() as cursor:
        kept = set(connection.introspection.table_names(cursor)) - PASSING - {"django_migrations"}
        count = sql.SQL("SELECT count(*) FROM {}")
        found = {}
        for table in kept:
            cursor.execute(count.format(sql.Identifier(table)))
            found[table] = cursor.fetchone()[0]
        return found


def _on_cases() -> list[tuple[Any, ...]]:
    who = Case.objects.values_list("number", "memberships__user", "memberships__added_by", "responsible", "members")
    return sorted(map(repr, who))


def _tables() -> set[str]:
    """Columns, constraints, indexes, triggers and functions."""
    with ownership.acting(), connection.cursor() as cursor:
        cursor.execute("""
            SELECT format('%s.%s %s %s %s', table_name, column_name, udt_name, is_nullable, column_default)
              FROM information_schema.columns WHERE table_schema = 'public'
            UNION SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
             WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
            UNION SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
            UNION SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
               AND prokind = 'f'
        """)
        # PostgreSQL writes a list in a check otherwise once the check went through a dump.
        return {re.sub(r"::(character varying|text)(\[\])?|[()]", "", text) for (text,) in cursor.fetchall()}
