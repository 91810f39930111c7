"""Writing a chunk of an import: people, bookings, photographs, vectors, rejects and counters, all or nothing."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import F, Model
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import WrongState
from mugsearch.gallery import changes, locks, suppression, vectors
from mugsearch.gallery.manifest import BadRow, Row
from mugsearch.gallery.models import Booking, Encoder, ImportReject, ImportRun, Person, Photo, Template
from mugsearch.gallery.preparing import Outcome, Prepared
from mugsearch.gallery.sheets import legible
from mugsearch.vault import services as vault

EXPUNGED = "This booking was expunged; it can't be imported again."
SOMEBODY_ELSES = "This booking number is recorded for another person already."
HELD_HERE = "This very photo is in the gallery already, for another person."
HELD_ELSEWHERE = "This very photo is in the gallery already, for a person of another agency."
KEY_LOST = "The data key of this booking or person is lost, so nothing can be added to it; tell the operator."
CHANGED = "The booking was changed while the import ran; import this photo again."
ABOUT_PERSON = ("family_name", "given_names", "date_of_birth", "sex")
ABOUT_BOOKING = ("booked_on", "height_in", "weight_lb", "charge", "disposition")


class EncoderChanged(Exception):
    """Another encoder has become active since these photographs were prepared."""


@dataclass
class _Result:
    photos: list[tuple[Photo, Prepared]] = field(default_factory=list)
    rejects: list[ImportReject] = field(default_factory=list)
    already: int = 0
    # Of whom a blank was filled that searches filter by.
    people: set[UUID] = field(default_factory=set)
    bookings: set[UUID] = field(default_factory=set)

    def enrolled(self) -> int:
        return sum(photo.state == Photo.State.ENROLLED for photo, _ in self.photos)


def write(*, run: ImportRun, runner: UUID, encoder: Encoder, outcomes: Sequence[Outcome | BadRow], rate: float) -> None:
    """One transaction. Raises WrongState when another worker has taken the run over, EncoderChanged, Unavailable."""
    photo_ids = [uuid.uuid4() for _ in outcomes]
    rows = [outcome.row for outcome in outcomes if isinstance(outcome, Outcome)]
    # Of people and bookings, by their digests, should they be new: owners of data keys.
    new_ids = {digest: uuid.uuid4() for row in rows for digest in (row.id_digest, row.number_digest)}
    _announce(run, runner, photo_ids, list(new_ids.values()))
    try:
        by = User.objects.get(pk=run.started_by_id)
        with audit.act("photos.imported", by=by, obj=run) as act:
            require(by, Role.RECORDS)
            locks.writing()
            # Two imports of an agency would otherwise create the same person, or wait for each other in a circle.
            agency = Agency.objects.select_for_update(no_key=True).get(pk=run.agency_id)
            # A change of the encoder takes the same lock exclusively, so this holds to the commit.
            if not Encoder.objects.filter(pk=encoder.pk, state=Encoder.State.ACTIVE).exists():
                raise EncoderChanged
            result = _sorted_out(run, agency, outcomes, photo_ids, new_ids)
            templates = _store(result, encoder)
            counts = {
                "enrolled": result.enrolled(),
                "waiting": len(result.photos) - result.enrolled(),
                "already": result.already,
                "rejected": len(result.rejects),
            }
            _count(run, runner, rows=len(outcomes), rate=rate, counts=counts)
            if templates:
                changes.put(templates)
            changes.put_again(people=result.people, bookings=result.bookings)
            act.note(photos=[str(photo.pk) for photo, _ in result.photos], encoder=encoder.pk, **counts)
    except BaseException:
        # By our own ids: those in the run may by now be of the worker that has taken it over. When even this fails
        # they are still there, and whoever goes on with the run removes them.
        with suppress(Exception):
            _forget(set(photo_ids), set(new_ids.values()))
        raise
    with suppress(Exception):  # the nightly sweep finds what is left
        _forget(set(), set(new_ids.values()))


def forget_unwritten(run: ImportRun) -> None:
    """Remove the files and keys of a chunk whose worker died. Call it only after taking the run over."""
    run.refresh_from_db(fields=["unwritten"])
    _forget(
        {UUID(name) for name in run.unwritten.get("photos", [])},
        {UUID(owner) for owner in run.unwritten.get("owners", [])},
    )


def _forget(photos: set[UUID], owners: set[UUID]) -> None:
    """What was not committed: no row speaks of it, so no purge ever would."""
    for name in photos.difference(Photo.objects.filter(pk__in=photos).values_list("pk", flat=True)):
        vault.remove_file(name)
    for model in (Booking, Person):
        owners = owners.difference(model.objects.filter(pk__in=owners).values_list("pk", flat=True))
    for owner in owners:
        vault.destroy_key(owner)


def _announce(run: ImportRun, runner: UUID, photos: list[UUID], owners: list[UUID]) -> None:
    """Committed before the first file is written, so that a kill leaves nothing nobody knows of."""
    names = {"photos": [str(name) for name in photos], "owners": [str(owner) for owner in owners]}
    _ours(run, runner, unwritten=names, alive_at=timezone.now())


def _count(run: ImportRun, runner: UUID, *, rows: int, rate: float, counts: dict[str, int]) -> None:
    added: dict[str, Any] = {name: F(name) + count for name, count in counts.items()}
    # From this commit on its files and keys have rows; a purge would find their ids here.
    told: dict[str, Any] = {"rows_done": F("rows_done") + rows, "rate": rate, "tries": 0, "unwritten": {}}
    _ours(run, runner, alive_at=timezone.now(), **told, **added)


def _ours(run: ImportRun, runner: UUID, **values: Any) -> None:
    ours = ImportRun.objects.filter(pk=run.pk, state=ImportRun.State.RUNNING, runner=runner)
    if ours.update(**values) != 1:
        raise WrongState("This import is being run by another worker.")


def _sorted_out(
    run: ImportRun,
    agency: Agency,
    outcomes: Sequence[Outcome | BadRow],
    photo_ids: list[UUID],
    new_ids: dict[str, UUID],
) -> _Result:
    """Which rows become photographs, which are here already, which are rejected. Creates people and bookings."""
    rows = [outcome if isinstance(outcome, BadRow) else outcome.row for outcome in outcomes]
    expunged = suppression.suppressed(agency.pk, (row.booking_number for row in rows))
    records = _Records(agency, [outcome for outcome in outcomes if isinstance(outcome, Outcome)], new_ids)
    result = _Result(people=records.people_filled, bookings=records.bookings_filled)
    for line, outcome, photo_id in zip(rows, outcomes, photo_ids, strict=True):
        if line.booking_number in expunged:
            # Neither its number nor the file's name, which may hold it or the person's, is written down again.
            result.rejects.append(ImportReject(run=run, line=line.line, reason=EXPUNGED))
        elif isinstance(outcome, BadRow):
            result.rejects.append(_reject(run, outcome, outcome.reason))
        elif objection := records.objection(outcome):
            result.rejects.append(_reject(run, outcome.row, *objection))
        else:
            booking = records.booking(outcome.row)
            if records.has(outcome.row, outcome.sha256):
                result.already += 1
            elif outcome.photo is not None:
                records.add(booking, outcome.sha256)
                result.photos.append((_photo(photo_id, booking, outcome.row, outcome.photo), outcome.photo))
    ImportReject.create_all(result.rejects)
    Photo.objects.bulk_create(photo for photo, _ in result.photos)
    return result


def _reject(run: ImportRun, row: Row | BadRow, reason: str, held_by: Booking | None = None) -> ImportReject:
    # The file's name may hold somebody's, of whom nothing else here speaks.
    photo = "" if reason == SOMEBODY_ELSES else legible(row.photo, 300)
    told: dict[str, Any] = {"photo": photo, "booking_number": row.booking_number}
    return ImportReject(run=run, line=row.line, reason=reason[:300], held_by=held_by, **told)


def _photo(photo_id: UUID, booking: Booking, row: Row, prepared: Prepared) -> Photo:
    return Photo(
        id=photo_id,
        booking=booking,
        sha256=prepared.sha256,
        format=prepared.format,
        width=prepared.width,
        height=prepared.height,
        pose=row.pose,
        state=Photo.State.ENROLLED if prepared.vector is not None else Photo.State.WAITING,
        trouble=prepared.trouble,
        faces=prepared.faces,
        face=prepared.face,
        quality=prepared.quality or {},
    )


def _store(result: _Result, encoder: Encoder) -> list[Template]:
    """Keys and files are durable before the rows are committed: a photograph that is listed can be shown."""
    templates = []
    for photo, prepared in result.photos:
        vault.store_file(photo.booking_id, photo.pk, prepared.png)
        if prepared.vector is not None:
            sealed = vectors.sealed(photo, encoder, prepared.vector)
            templates.append(Template(photo=photo, encoder=encoder, sealed_vector=sealed))
    return Template.objects.bulk_create(templates)


class _Records:
    """The people and bookings that a chunk speaks of; created, or blank fields filled, as rows come by."""

    def __init__(self, agency: Agency, outcomes: list[Outcome], new_ids: dict[str, UUID]) -> None:
        self._agency = agency
        self._new_ids = new_ids
        self.people_filled: set[UUID] = set()
        self.bookings_filled: set[UUID] = set()
        people = Person.objects.filter(agency=agency).identified(*{outcome.row.person_id for outcome in outcomes})
        self._people: dict[str, Person] = {person.id_digest: person for person in people}
        bookings = Booking.objects.filter(agency=agency, number_digest__in=set(new_ids)).select_related("person")
        self._bookings: dict[str, Booking] = {booking.number_digest: booking for booking in bookings}
        photos = Photo.objects.filter(booking__in=self._bookings.values())
        self._photos: set[tuple[UUID, str]] = set(photos.values_list("booking", "sha256"))
        # One photograph for two people would name the wrong one. What a clerk refused may come in for the right one.
        held = Photo.objects.filter(sha256__in={outcome.sha256 for outcome in outcomes if outcome.photo})
        held = held.exclude(state=Photo.State.REFUSED).select_related("booking__person")
        self._holders: dict[str, Booking] = {photo.sha256: photo.booking for photo in held}
        # All with one wait for the disk. Of a row that is rejected the key is forgotten once the others are committed.
        known = {*self._people, *self._bookings}
        vault.create_keys(pk for digest, pk in new_ids.items() if digest not in known)

    def objection(self, outcome: Outcome) -> tuple[str] | tuple[str, Booking] | None:
        """Why the row can't be taken, and the agency's booking that holds its photo if that is why."""
        row, sha256 = outcome.row, outcome.sha256
        found = self._bookings.get(row.number_digest)
        if found and found.person.id_digest != row.id_digest:
            return (SOMEBODY_ELSES,)
        if not all(known.is_readable for known in (found, self._people.get(row.id_digest)) if known):
            return (KEY_LOST,)
        if outcome.reason:
            return (outcome.reason,)
        if self.has(row, sha256):
            return None
        if outcome.photo is None:
            return (CHANGED,)
        holder = self._holders.get(sha256)
        if holder is None or (holder.agency_id, holder.person.id_digest) == (self._agency.pk, row.id_digest):
            return None
        return (HELD_HERE, holder) if holder.agency_id == self._agency.pk else (HELD_ELSEWHERE,)

    def has(self, row: Row, sha256: str) -> bool:
        found = self._bookings.get(row.number_digest)
        return found is not None and (found.pk, sha256) in self._photos

    def add(self, booking: Booking, sha256: str) -> None:
        self._photos.add((booking.pk, sha256))
        self._holders[sha256] = booking

    def booking(self, row: Row) -> Booking:
        person = self._people.get(row.id_digest)
        if person is None:
            new = {"id": self._new_ids[row.id_digest], "agency": self._agency}
            person = Person.objects.create(**new, **_told(row, ("person_id", *ABOUT_PERSON)))
            self._people[row.id_digest] = person
        elif changes.SEARCHED_BY.intersection(_fill_blanks(person, row, ABOUT_PERSON)):
            self.people_filled.add(person.pk)
        booking = self._bookings.get(row.number_digest)
        if booking is None:
            booking = Booking.objects.create(
                id=self._new_ids[row.number_digest],
                agency=self._agency,
                person=person,
                **_told(row, ("booking_number", *ABOUT_BOOKING)),
            )
            self._bookings[row.number_digest] = booking
            return booking
        booking.person = person  # whose day of birth may just have been filled in
        if changes.SEARCHED_BY.intersection(_fill_blanks(booking, row, ABOUT_BOOKING)):
            self.bookings_filled.add(booking.pk)
        return booking


def _told(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _fill_blanks(record: Model, row: Row, names: Sequence[str]) -> list[str]:
    """What a clerk or an earlier import has written stays; what is blank is taken from the row. Returns what was."""
    told = {name: value for name, value in _told(row, names).items() if value not in ("", None)}
    blank = [name for name in told if getattr(record, name) in ("", None)]
    if blank:
        for name in blank:
            setattr(record, name, told[name])
        record.save(update_fields=blank)
    return blank
