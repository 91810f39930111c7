"""What records staff do with the gallery: start an import, decide about a photograph, correct a record."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import changes, locks, manifest, staging, tasks
from mugsearch.gallery.models import Booking, BookingQuerySet, ImportRun, Person, PersonQuerySet, Photo

PERSON_FIELDS = ("family_name", "given_names", "date_of_birth", "sex")
BOOKING_FIELDS = ("booked_on", "height_in", "weight_lb", "charge", "disposition")


def start_import(
    *, by: User, several: ImportRun.Several, manifest_file: bytes, photos: Sequence[staging.Upload]
) -> ImportRun:
    """Take an upload: one ZIP of photographs, or the files themselves. The import worker does the rest.

    The upload is durable before this returns. Raises BadInput when the manifest as a whole can't be used.
    """
    run_id = uuid.uuid4()
    try:
        with audit.act("import.started", by=by, several=several.value) as act:
            require(by, Role.RECORDS)
            if by.agency is None:
                raise NotAllowed("Your account belongs to no agency, so it has no gallery to import into.")
            rows = manifest.read(manifest_file)
            # Without locks.writing(): a large upload takes its time, and an expungement looks for the folders itself.
            staging.stage(run_id, manifest_file, photos)
            act.obj = run = ImportRun.objects.create(
                id=run_id,
                agency=by.agency,
                started_by=by,
                several=several,
                staged=True,
                rows=len(rows),
                ignored_columns=rows.ignored,
            )
            act.note(rows=len(rows))
            transaction.on_commit(lambda: tasks.run_import.delay(str(run_id)), robust=True)
    except BaseException:
        if not ImportRun.objects.filter(pk=run_id).exists():
            staging.remove(run_id)
        raise
    return run


def pick_face(*, by: User, photo: Photo, face: int) -> None:
    """Say which of the faces found is the person's. The worker encodes it; then it can be searched."""
    with audit.act("photo.face-picked", by=by, obj=photo, face=face):
        require(by, Role.RECORDS)
        locks.writing()
        faces = photo.faces
        if not 0 <= face < len(faces):
            raise BadInput("There is no such face on this photo.")
        picked = {name: value for name, value in faces[face].items() if name != "quality"}
        undecided = Photo.objects.undecided().filter(pk=photo.pk)
        if undecided.update(face=picked, quality=faces[face].get("quality", {})) != 1:
            raise WrongState("Somebody has decided about this photo already.")
        transaction.on_commit(lambda: tasks.enroll_photo.delay(str(photo.pk)), robust=True)
    photo.refresh_from_db()


def refuse_photo(*, by: User, photo: Photo, reason: Photo.Refusal) -> None:
    """Leave a photograph out of the gallery's searches for good. It stays with its booking."""
    with audit.act("photo.refused", by=by, obj=photo, why=reason.value):
        require(by, Role.RECORDS)
        locks.writing()
        if reason == Photo.Refusal.NONE:
            raise BadInput("Choose why the photo is refused.")
        undecided = Photo.objects.undecided().filter(pk=photo.pk)
        if undecided.update(state=Photo.State.REFUSED, refusal=reason) != 1:
            raise WrongState("Somebody has decided about this photo already.")
    photo.refresh_from_db()


def edit_person(
    *,
    by: User,
    person: Person,
    family_name: str,
    given_names: str,
    date_of_birth: datetime.date | None,
    sex: str,
) -> list[str]:
    """Correct what is recorded of a person; returns the fields that changed. The person id is not a field."""
    values = dict(zip(PERSON_FIELDS, (family_name, given_names, date_of_birth, sex), strict=True))
    with audit.act("person.edited", by=by, obj=person) as act:
        require(by, Role.RECORDS)
        if sex not in ("", *manifest.SEXES.values()):
            raise BadInput("Sex has to be M, F, X or U, or not recorded.")
        _not_in_the_future("date of birth", date_of_birth)
        changed = _correct(Person.objects.filter(pk=person.pk), values)
        if changes.SEARCHED_BY.intersection(changed):
            changes.put_again(people=[person.pk])
        act.note(fields=changed)
    person.refresh_from_db()
    return changed


def edit_booking(
    *,
    by: User,
    booking: Booking,
    booked_on: datetime.date | None,
    height_in: int | None,
    weight_lb: int | None,
    charge: str,
    disposition: str,
) -> list[str]:
    """Correct what is recorded of a booking; returns the fields that changed. Its number and person are not fields:
    a booking moved to another number would slip past what remembers expunged ones."""
    values = dict(zip(BOOKING_FIELDS, (booked_on, height_in, weight_lb, charge, disposition), strict=True))
    with audit.act("booking.edited", by=by, obj=booking) as act:
        require(by, Role.RECORDS)
        _not_in_the_future("day of the booking", booked_on)
        changed = _correct(Booking.objects.filter(pk=booking.pk), values)
        if changes.SEARCHED_BY.intersection(changed):
            changes.put_again(bookings=[booking.pk])
        act.note(fields=changed)
    booking.refresh_from_db()
    return changed


def _correct(row: PersonQuerySet | BookingQuerySet, values: dict[str, Any]) -> list[str]:
    """Write what differs; the names of those fields."""
    locks.writing()
    # As an import does: whoever corrects a person also writes to bookings, and two would wait for each other.
    if found := row.only("agency").first():
        Agency.objects.select_for_update(no_key=True).get(pk=found.agency_id)
    record = row.select_for_update(no_key=True).first()  # no_key: a search that lists the person may go on
    if record is None:
        raise WrongState("This record does not exist any more.")
    changed = [name for name, value in values.items() if getattr(record, name) != value]
    for name in changed:
        setattr(record, name, values[name])
    if changed:
        record.save(update_fields=changed)
    return changed


def _not_in_the_future(what: str, date: datetime.date | None) -> None:
    # One day of grace: the agency may be ahead of our time zone.
    if date and date > timezone.localdate() + datetime.timedelta(days=1):
        raise BadInput(f"The {what} lies in the future.")
