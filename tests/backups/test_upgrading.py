"""A database of the version before this one: what it had in plain is sealed, says the same, and is in no table."""

import datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from psycopg import sql

from mugsearch import ownership
from mugsearch.gallery import identity
from mugsearch.gallery.models import ImportReject
from mugsearch.retention.models import Disposition, ExpungementOrder
from mugsearch.vault import services as vault
from reviews.models import Finding
from tests.backups.conftest import Elsewhere
from tests.factories import A_FACE

BEFORE = {
    "gallery": "0014_since_when_rules_go_by_it",
    "probes": "0015_erased_probes",
    "reviews": "0007_leads_of_sealed_bookings",
    "retention": "0006_erased_probes",
    "auditing": "0003_saved_reviews",
}
PLAIN = ("B-7441", "seven.jpg", "Court of Ogden", "O-9920", "A scar above the left brow", "the ear is folded")
DAY = datetime.date(2026, 3, 4)


def test_an_upgrade_seals_what_was_in_plain_and_loses_none_of_it(elsewhere: Elsewhere) -> None:
    with elsewhere():
        with ownership.acting():
            booking = _database_of_before()
        assert _in_plain() == set(PLAIN)
        call_command("migrate", verbosity=0, interactive=False)
        assert _in_plain() == set()
        reject = ImportReject.objects.get()
        assert (reject.photo, reject.booking_number) == ("seven.jpg", "B-7441")
        disposition = Disposition.objects.get()
        assert (disposition.booking_number, disposition.court) == ("B-7441", "Court of Ogden")
        assert (disposition.order_number, disposition.disposed_on) == ("O-9920", DAY)
        finding = Finding.objects.get()
        assert (finding.owner, finding.notes) == (booking, "A scar above the left brow")
        assert finding.worksheet["ears"]["notes"] == "the ear is folded"
        assert ExpungementOrder.objects.get().booking == booking
        vault.destroy_key(booking)
        assert not Finding.objects.get().is_readable


def _in_plain() -> set[str]:
    with ownership.acting(), connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = []
        for table in tables:
            cursor.execute(sql.SQL("SELECT string_agg(t::text, chr(10)) FROM {} t").format(sql.Identifier(table)))
            rows.append(cursor.fetchone()[0] or "")
    return {text for text in PLAIN if text in "\n".join(rows)}


def _database_of_before() -> UUID:
    """With one row of each kind that had something in plain; the id of the booking they are about."""
    executor = MigrationExecutor(connection)
    last = dict(executor.loader.graph.leaf_nodes())
    targets = [(app, BEFORE.get(app, name)) for app, name in last.items() if app not in AFTER]
    executor.migrate(targets)
    old = executor.loader.project_state(targets).apps
    number = count(1)

    def add(label: str, **columns: Any) -> Any:
        return old.get_model(*label.split(".")).objects.create(**columns)

    agency = add("accounts.Agency", code="ogden", name="Ogden")
    ivy, edgar, rita = (add("accounts.User", username=f"user{next(number)}", agency=agency) for _ in range(3))
    person = add("gallery.Person", id=uuid4(), agency=agency, sealed=b"", id_digest="1" * 64, name_digest="")
    booking = add("gallery.Booking", agency=agency, person=person, sealed=b"", number_digest="2" * 64)
    vault.create_keys([booking.pk, person.pk])
    image = {"sha256": "3" * 64, "format": "PNG", "width": 9, "height": 9}
    photo = add("gallery.Photo", agency=agency, booking=booking, state="enrolled", face=A_FACE, **image)
    run = add("gallery.ImportRun", agency=agency, started_by=rita)
    add("gallery.ImportReject", run=run, line=2, photo="seven.jpg", booking_number="B-7441", reason="too small")
    told = {"disposition": "dismissed", "disposed_on": DAY, "court": "Court of Ogden", "order_number": "O-9920"}
    given = {"agency": agency, "booking_number": "B-7441", "number_digest": identity.of_booking("B-7441")}
    add("retention.Disposition", recorded_by=rita, **given, **told)
    asked = {"order_number": "1", "reason": "court", "requested_by": rita}
    add("retention.ExpungementOrder", agency=agency, booking=booking.pk, booking_number="B-7441", **asked)
    case = add("probes.Case", agency=agency, number="26-1", opened_by=ivy)
    said = {"offence": "robbery", "legal_basis": "x", "source": "y", "attested_at": timezone.now(), "policy_digest": ""}
    probe = add("probes.Probe", case=case, submitted_by=ivy, state="ready", **said, **image)
    search = add("probes.Search", probe=probe, requested_by=ivy, face=0, list_size=9, positive_rating=2)
    candidate = add("probes.Candidate", search=search, rank=1, score=0.5, person=person, photo=photo)
    encoder = add(
        "gallery.Encoder", name="fake", spec="fake", digest="f" * 64, dimension=128, licence="", state="active"
    )
    done = {"encoder": encoder, "generation": 1, "gallery_size": 1, "depth": 1, "scanned": 1, "rescored": 1}
    now = timezone.now()
    old.get_model("probes", "Search").objects.update(state="done", started_at=now, finished_at=now, **done)
    trained = {"issued_by": "academy", "hours": 80, "issued_on": DAY, "expires_on": DAY.replace(year=2999)}
    add("accounts.ExaminerCertificate", examiner=edgar, **trained)
    add("accounts.RoleGrant", user=edgar, role="examiner")
    examination = add("reviews.Examination", search=search, examiner=edgar)
    add(
        "reviews.Finding",
        examination=examination,
        candidate=candidate,
        conclusion="",
        notes="A scar above the left brow",
        worksheet={"ears": {"said": "similar", "notes": "the ear is folded"}},
    )
    return booking.pk


AFTER = ("disclosure",)  # rooms of which that version had no table
