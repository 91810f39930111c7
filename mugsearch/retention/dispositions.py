"""Dispositions: taking them in, one or a file of them, matching them with bookings, and dismissing what is wrong."""

import datetime
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import identity, locks, sheets, suppression
from mugsearch.gallery.models import Booking, BookingQuerySet
from mugsearch.gallery.sheets import Sheet, Wrong
from mugsearch.probes import policy
from mugsearch.retention.disposition_models import Disposition, DispositionQuerySet, report_digest
from mugsearch.validators import require_text

REQUIRED: Final = ("booking_number", "disposition", "disposed_on")
OPTIONAL: Final = ("court", "order_number")
LONGEST: Final = {"booking_number": 64, "disposition": 80, "court": 120, "order_number": 64}
MOST_BYTES: Final = 16 * 2**20
REASON_LIMIT: Final = 500
BATCH = 5000  # rows in one statement

EXPUNGED = "The booking of this number has been expunged before. Nothing was recorded."
TOO_EARLY = "The booking of this number was made after the day of this disposition."
NO_BOOKING = "There is no booking of this number."


@dataclass(frozen=True)
class Reported:
    """One disposition as somebody reports it; `disposition` is a code of the policy."""

    booking_number: str
    disposition: str
    disposed_on: datetime.date
    court: str = ""
    order_number: str = ""

    @property
    def sealed(self) -> dict[str, Any]:
        """What the row keeps under its key."""
        return {"booking_number": self.booking_number, "court": self.court, "order_number": self.order_number}

    @cached_property
    def number_digest(self) -> str:
        return identity.of_booking(self.booking_number)

    @cached_property
    def digest(self) -> str:
        """What makes two reports one and the same."""
        return report_digest(self.number_digest, self.disposition, self.disposed_on, self.court, self.order_number)


@dataclass(frozen=True)
class BadLine:
    line: int
    reason: str


class BadLines(BadInput):
    """A file of which nothing was taken: `lines` says what to mend, in the order of the file."""

    code = "bad_lines"

    def __init__(self, lines: list[BadLine], rows: int) -> None:
        wrong = f"{len(lines):,} of {rows:,} rows {'is' if len(lines) == 1 else 'are'} wrong"
        super().__init__(f"Nothing was taken: {wrong}. Mend them and send the whole file again.")
        self.lines = lines


@dataclass(frozen=True)
class Taken:
    """What became of the rows of a file. `matched` counts every disposition that found its booking with it, also one
    that had waited for it; `unmatched` those of the file that now wait; of `expunged` bookings nothing is kept."""

    rows: int
    recorded: int
    known: int
    expunged: int
    matched: int
    unmatched: int


def record(*, by: User, reported: Reported) -> Disposition:
    """One disposition, as a clerk types it. Without a booking of this number it waits in the work list."""
    with audit.act("disposition.recorded", by=by) as act:
        agency = _require_agency(by)
        clean = _checked(reported)
        _one_at_a_time(agency)
        if suppression.is_suppressed(agency.pk, clean.booking_number):
            raise WrongState(EXPUNGED)
        if not _add(by, agency, [clean]):
            raise WrongState("This very disposition is recorded already.")
        match_by_number(agency)
        recorded = Disposition.objects.select_related("booking")
        made: Disposition = recorded.get(agency=agency, report_digest=clean.digest)
        act.obj = made
        act.note(disposition=clean.disposition, matched=made.booking_id is not None)
    return made


def take_file(*, by: User, file: bytes) -> Taken:
    """All rows of a CSV, or none: raises BadLines with every wrong row, BadInput where it is no such file.

    The same file again records nothing, but matches what has found its booking since.
    """
    with audit.act("disposition.file-taken", by=by) as act:
        agency = _require_agency(by)
        rows = read(file)
        act.note(rows=len(rows))
        _one_at_a_time(agency)
        gone = suppression.suppressed(agency.pk, (row.booking_number for row in rows))
        kept = [row for row in rows if row.booking_number not in gone]
        recorded = _add(by, agency, kept)
        matched = match_by_number(agency)
        waiting = Disposition.objects.unmatched().filter(agency=agency).values_list("number_digest", flat=True)
        mine = {row.number_digest for row in kept}
        taken = Taken(
            rows=len(rows),
            recorded=recorded,
            known=len(kept) - recorded,
            expunged=len(rows) - len(kept),
            matched=matched,
            unmatched=sum(number in mine for number in waiting),
        )
        act.note(recorded=recorded, known=taken.known, matched=matched, unmatched=taken.unmatched)
    return taken


def match(*, by: User, disposition: Disposition, booking: Booking) -> None:
    """By hand: a clerk says which booking is meant, for example because the number was misspelt."""
    with audit.act("disposition.matched", by=by, obj=disposition, booking=str(booking.pk)):
        require(by, Role.RECORDS)
        locks.writing()
        here = Booking.objects.visible_to(by).filter(pk=booking.pk, agency=disposition.agency_id).first()
        if here is None:
            raise WrongState("This booking is not here any more; it may have been expunged.")
        if here.booked_on and here.booked_on > disposition.disposed_on:
            raise WrongState("This booking was made after the day of the disposition.")
        waiting = Disposition.objects.visible_to(by).unmatched().filter(pk=disposition.pk)
        if waiting.update(booking=here, matched_by=by, counts_since=timezone.now()) != 1:
            raise WrongState("This disposition does not wait for its booking any more.")
    disposition.refresh_from_db()


def dismiss(*, by: User, disposition: Disposition, reason: str) -> None:
    """It counts no more: reported in error, or of somebody else. It stays readable, with the reason."""
    with audit.act("disposition.dismissed", by=by, obj=disposition):
        require(by, Role.RECORDS)
        locks.writing()
        reason = " ".join(reason.split())
        refusal = f"Give the reason, up to {REASON_LIMIT} characters."
        require_text(reason, least=1, most=REASON_LIMIT, refusal=refusal)
        open_ones = Disposition.objects.visible_to(by).filter(pk=disposition.pk, dismissed_at__isnull=True)
        if open_ones.update(dismissed_at=timezone.now(), dismissed_by=by, dismissed_reason=reason) != 1:
            raise WrongState("This disposition was dismissed already.")
    disposition.refresh_from_db()


def match_waiting() -> int:
    """Nightly: bookings that came in after their disposition. Returns how many found theirs."""
    if not _found().exists():
        return 0
    with audit.act("disposition.matched-by-number", by=None) as act:
        locks.writing()
        matched = match_by_number()
        act.note(matched=matched)
    return matched


def match_by_number(agency: Agency | None = None) -> int:
    """In the caller's transaction, under `locks.writing`. A booking made after the disposition is left to a clerk."""
    return _found(agency).update(booking=_booking(), counts_since=timezone.now())


def forget(booking: Booking) -> list[UUID]:
    """In the transaction that erases this booking, before its row goes: its dispositions go, and what else names it.
    Returns the owners of the keys that have to be destroyed, too."""
    named = Q(agency=booking.agency_id, number_digest=booking.number_digest)
    going = Disposition.objects.filter(Q(booking=booking.pk) | named & Q(booking__isnull=True))
    owners = list(going.values_list("owner", flat=True))
    going.delete()
    # Of another booking, matched by hand although it was reported under this number: it takes its own booking's.
    for other in Disposition.objects.filter(named):
        owners.append(other.owner)
        if not other.is_readable:  # its key was lost: nobody can write it anew
            other.delete()
            continue
        other.booking_number = Booking.objects.get(dispositions=other).booking_number  # opens it with its old key
        other.owner = uuid.uuid4()
        other.find_by()
        if Disposition.objects.filter(agency=other.agency_id, report_digest=other.report_digest).exists():
            other.delete()
        else:
            other.save()
    return owners


def read(file: bytes) -> list[Reported]:
    """Raises BadLines, or BadInput where the file as a whole can't be used."""
    sheet = Sheet(file, required=REQUIRED, optional=OPTIONAL, called="file", most_bytes=MOST_BYTES)
    codes, today = policy.current().retention.dispositions, timezone.localdate()
    rows: list[Reported] = []
    wrong: list[BadLine] = []
    for line, cells in sheet.records():
        try:
            if not sheet.fits(cells):
                raise Wrong(f"This line has {len(cells)} columns, but the header has {len(sheet.columns)}.")
            rows.append(_reported(dict(zip(sheet.columns, cells, strict=False)), codes, today))
        except Wrong as error:
            wrong.append(BadLine(line, str(error)))
    if wrong:
        raise BadLines(wrong, len(sheet))
    return rows


def code_of(text: str, codes: dict[str, str]) -> str | None:
    """The policy's code for what somebody wrote: “Not Charged”, “not_charged” and a code's label are all understood."""
    plain = _plain(text)
    return next((code for code, label in codes.items() if plain in (_plain(code), _plain(label))), None)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "-", text.casefold()).strip("-")


def _reported(values: dict[str, str], codes: dict[str, str], today: datetime.date) -> Reported:
    number = sheets.number(values, "booking_number", LONGEST["booking_number"])
    said = sheets.checked("disposition", sheets.one_line(values, "disposition"), LONGEST["disposition"])
    code = code_of(said, codes)
    if code is None:
        raise Wrong(f"disposition is none of these: {', '.join(codes)}.")
    # One day of grace: the agency may be ahead of our time zone.
    disposed_on = sheets.day(values, "disposed_on", latest=today + datetime.timedelta(days=1))
    if disposed_on is None:
        raise Wrong("disposed_on is empty.")
    court, order_number = (sheets.free_text(values, name, LONGEST[name]) for name in OPTIONAL)
    return Reported(number, code, disposed_on, court, order_number)


def _checked(reported: Reported) -> Reported:
    """The same rules for one that was typed."""
    values = {
        "booking_number": reported.booking_number,
        "disposition": reported.disposition,
        "disposed_on": reported.disposed_on.isoformat(),
        "court": reported.court,
        "order_number": reported.order_number,
    }
    try:
        return _reported(values, policy.current().retention.dispositions, timezone.localdate())
    except Wrong as error:
        raise BadInput(str(error)) from error


def _add(by: User, agency: Agency, rows: Iterable[Reported]) -> int:
    """Those that are new; how many. They wait for their booking until they are matched."""
    wanted = {row.digest: row for row in rows}
    digests, known = list(wanted), set[str]()
    for start in range(0, len(digests), BATCH):
        batch = Disposition.objects.filter(agency=agency, report_digest__in=digests[start : start + BATCH])
        known.update(batch.values_list("report_digest", flat=True))
    new = [
        Disposition(
            agency=agency,
            recorded_by=by,
            disposition=row.disposition,
            disposed_on=row.disposed_on,
            **row.sealed,
        )
        for digest, row in wanted.items()
        if digest not in known
    ]
    Disposition.create_all(new)
    return len(new)


def _found(agency: Agency | None = None) -> DispositionQuerySet:
    """Those that wait and whose booking is here."""
    waiting = Disposition.objects.unmatched()
    if agency:
        waiting = waiting.filter(agency=agency)
    return waiting.filter(Exists(_theirs()))


def _theirs() -> BookingQuerySet:
    in_time = Q(booked_on__isnull=True) | Q(booked_on__lte=OuterRef("disposed_on"))
    same = Booking.objects.filter(agency=OuterRef("agency"), number_digest=OuterRef("number_digest"))
    return same.filter(in_time)


def _booking() -> Subquery:
    return Subquery(_theirs().values("pk")[:1])


def why_waiting(found: Iterable[Disposition]) -> dict[int, str]:
    """id -> why it has no booking, of those that wait."""
    waiting = [one for one in found if one.booking_id is None]
    numbers = {one.number_digest for one in waiting}
    here = Booking.objects.filter(agency__in={one.agency_id for one in waiting}, number_digest__in=numbers)
    taken = set(here.values_list("agency", "number_digest"))
    return {one.pk: TOO_EARLY if (one.agency_id, one.number_digest) in taken else NO_BOOKING for one in waiting}


def _require_agency(by: User) -> Agency:
    require(by, Role.RECORDS)
    if by.agency is None:
        raise NotAllowed("Your account belongs to no agency, so it has no bookings to record dispositions of.")
    return by.agency


def _one_at_a_time(agency: Agency) -> None:
    """Two files wait for each other, so that what one of them says of its rows is true; and an erasure ends first."""
    locks.writing()
    Agency.objects.select_for_update(no_key=True).get(pk=agency.pk)
