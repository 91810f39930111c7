"""Getting past PostgreSQL's rules, as the owner of the tables can and the service must not: to tamper, and to empty."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

GUARDED = (
    "audit_archivedspan",
    "audit_entry",
    "audit_signedhead",
    "auditing_draw",
    "auditing_remark",
    "auditing_savedreview",
    "auditing_sighting",
    "auditing_signoff",
    "probes_calibration",
    "probes_candidate",
    "probes_membership",
    "probes_policyversion",
    "probes_prioritychange",
    "probes_probe",
    "probes_probeedit",
    "probes_repeat",
    "probes_sealedplace",
    "probes_search",
    "retention_certificate",
    "retention_hold",
    "reviews_adjudication",
    "reviews_evidence",
    "reviews_examination",
    "reviews_falseleadseen",
    "reviews_finding",
    "reviews_lead",
    "reviews_leadoutcome",
    "reviews_leadview",
    "reviews_lineup",
    "trials_subject",
    "trials_trial",
    "trials_trialphoto",
)


def switched(off: bool) -> list[str]:
    return [f"ALTER TABLE {table} {'DISABLE' if off else 'ENABLE'} TRIGGER USER" for table in GUARDED]


@contextmanager
def past_the_triggers() -> Iterator[None]:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("; ".join(switched(off=True)))
        try:
            yield
        finally:
            cursor.execute("; ".join(switched(off=False)))


@contextmanager
def as_owner() -> Iterator[None]:
    """What this test's connection does in the block, it does as the owner of the tables: see tests/roles.py."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(session_user)")
        cursor.execute(f"SET ROLE {cursor.fetchone()[0]}")
    try:
        yield
    finally:
        if connection.connection is not None and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("RESET ROLE")  # to the one that the connection began with
