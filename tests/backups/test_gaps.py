"""What no ledger has, or can't be read in it: it is looked for, and where it is lost the restore says so."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection

from mugsearch import closed
from mugsearch.accounts.services import console
from mugsearch.audit.models import Entry
from mugsearch.backups import making
from mugsearch.backups.restoring import DOUBTS
from mugsearch.errors import Unavailable
from mugsearch.gallery import suppression
from mugsearch.gallery.models import Booking
from mugsearch.retention import purges
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from tests.backups.arrange import LIVING, a_drill, a_search, restored
from tests.backups.conftest import Elsewhere
from tests.retention.arrange import approved, requested
from tests.triggers import as_owner

Kind = ExpungementOrder.Kind


class Killed(BaseException):
    pass


def killed(*_: object) -> None:
    raise Killed


def ledger(settings: Any) -> Path:
    return Path(settings.VAULT_KEYS) / "purges"


@pytest.mark.parametrize("kind", [Kind.SEAL, Kind.EXPUNGE])
def test_what_was_approved_a_moment_before_the_service_was_killed_is_replayed(
    kind: ExpungementOrder.Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed, with no line of it in the ledger yet; then its database is replaced."""
    drill = a_drill(tmp_path)
    booking = drill.living.booking
    agency, number = booking.agency_id, booking.booking_number
    with monkeypatch.context() as broken:
        broken.setattr(purges, "try_to_follow", killed)
        with pytest.raises(Killed):
            approved(requested(booking, kind=kind))
    done = restored(drill, replace=True)
    assert done.doubts == []
    assert not Booking.objects.filter(pk=booking.pk, sealed_at=None).exists()
    assert drill.living.pk not in a_search(LIVING)
    assert suppression.is_suppressed(agency, number) is (kind == Kind.EXPUNGE)
    assert vault.has_key(booking.pk) is (kind == Kind.SEAL)


def test_where_the_database_that_is_replaced_cannot_be_read_the_restore_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """And opens only for somebody who accepts that."""
    drill = a_drill(tmp_path)
    follow, broken = purges.follow, [DatabaseError("a page is damaged")]

    def at_first_unreadable() -> None:
        if broken:
            raise broken.pop()
        follow()

    monkeypatch.setattr(purges, "follow", at_first_unreadable)
    with pytest.raises(Unavailable, match="couldn't be read"):
        restored(drill, replace=True)
    assert closed.reason(Path(settings.VAR)) is not None
    assert restored(drill, replace=True, accept_doubts=True).doubts == [DOUBTS["unread"]]
    assert Entry.objects.get(act="backup.restored").details["doubts"] == ["unread"]


def test_a_ledger_that_is_lost_older_or_damaged_keeps_the_service_closed_until_that_is_accepted(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any
) -> None:
    early = a_drill(tmp_path / "early")
    late = making.make(by=console(), home=tmp_path / "late").folder
    whole = ledger(settings).read_bytes()
    first, second = whole.splitlines(keepends=True)
    for backup, text, doubts in (
        (late, whole, []),
        (late, first[:50] + b"\n" + whole, []),  # as a power cut leaves it
        (late, first + second[:50], ["damaged", "short"]),
        (early.data, b"?" + whole, ["damaged"]),
        (late, first, ["short"]),
        (early.data, b"", ["empty"]),
    ):
        ledger(settings).write_bytes(text)
        with elsewhere():
            with as_owner(), connection.cursor() as cursor:  # else what it knows is written down before it is replaced
                cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            said = StringIO()
            if doubts in ([], ["empty"]):  # which a service has that never purged anything
                call_command("restore", str(backup), replace=True, stdout=said)
            else:
                with pytest.raises(CommandError, match=r"stays closed.*--accept-doubts"):
                    call_command("restore", str(backup), replace=True, stdout=said)
                assert closed.reason(Path(settings.VAR)) is not None
                call_command("restore", str(backup), accept_doubts=True, stdout=said)
            assert [doubt for doubt in DOUBTS if f"ATTENTION: {DOUBTS[doubt]}" in said.getvalue()] == doubts


def test_until_when_the_ledger_knows_is_not_when_it_was_replayed(elsewhere: Elsewhere, tmp_path: Path) -> None:
    drill = a_drill(tmp_path)
    last = vault.last_purge()
    assert last
    with elsewhere():
        assert restored(drill).ledger_ends == last["at"]
