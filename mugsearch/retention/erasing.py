"""Carrying out an order to expunge, one verified step after the other; and proving for a sealing what the index holds.

    rows       in the transaction of the approval: suppression, tombstones, leads withdrawn, vectors dropped from the
               change log, rows deleted. No search can return the booking from its commit on.
    keys       the bookings' data keys, and with the last booking the person's: what copies, backups and deleted rows
               still hold of photographs, vectors, names and numbers can't be read
    files      the sealed photographs, overwritten and unlinked
    uploads    imports whose upload was on disk at the time have ended and it is gone
    index      the search worker overwrites the vectors in the index, also in one that is being rebuilt, and proves it
    leavings   messages, sessions and unfinished uploads
    vacuum     PostgreSQL's tables, indexes and statistics are without the removed rows
    last look  no row, key, file or entry of the index speaks of it

The rows go first: were the key destroyed before they are committed, a failing commit would leave a booking without
its photographs and without a word why. What the later steps need is kept on the order until they are done. Every
step may be done twice, each is recorded when it was verified, and the last one makes the order COMPLETE.
Those after the index are done for all orders together that wait for them, see finishing.py.
"""

import logging
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mugsearch import failpoints
from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.errors import MugsearchError, Unavailable
from mugsearch.gallery import changes, staging, suppression
from mugsearch.gallery.models import Booking, ImportReject, Person, Photo, Suppression, Template
from mugsearch.probes.models import Candidate, SiblingPhoto
from mugsearch.retention import certificates, dispositions, purges, queries, sealing
from mugsearch.retention.models import ExpungementOrder, Hold
from mugsearch.vault import services as vault
from reviews.models import Finding, Lead

logger = logging.getLogger(__name__)

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State
STEPS = {
    Kind.EXPUNGE: (
        "erased_at",
        "key_destroyed_at",
        "files_removed_at",
        "uploads_gone_at",
        "forgotten_at",
        "leavings_gone_at",
        "vacuumed_at",
        "verified_at",
    ),
    Kind.SEAL: ("forgotten_at",),
}


def carry_out(order_id: UUID) -> None:
    """What follows the rows, without the search worker's step. A step that fails is shown on the order; `tasks.resume`
    tries it again."""
    for name, step in (
        ("key_destroyed_at", destroy_key),
        ("files_removed_at", remove_files),
        ("uploads_gone_at", check_uploads),
    ):
        if not tried(name, step, order_id):
            return


def prove(order_id: UUID) -> None:
    """The search worker's step, for its process alone: it loads the search kernel."""
    tried("forgotten_at", prove_forgotten, order_id)


def erase_rows(order: ExpungementOrder, preview: queries.Preview, *, by: User | None) -> None:
    """In the approval's transaction, which holds `locks.erasing` and the order since before the preview was made.

    `by`: who approves; None where a rule ordered it, and `order` says which, or where a restored backup is purged
    again.
    """
    bookings, now = preview.bookings, timezone.now()
    ids = [booking.pk for booking in bookings]
    suppressed = [suppression.of_booking(booking) for booking in bookings]
    Suppression.objects.bulk_create((Suppression(digest=digest) for digest in suppressed), ignore_conflicts=True)
    sealing.put_places_back(bookings)  # so that there is one way for a place to go for good
    SiblingPhoto.with_sealed.filter(pk__in=preview.siblings).delete()
    queries.leads_of(*bookings).update(withdrawn_at=now, withdrawn_why=Lead.Why.EXPUNGED)
    Candidate.objects.filter(pk__in=preview.candidates).update(person=None, photo=None, score=None, forgotten_at=now)
    # What examiners wrote describes the face. Their grades stay, and the audit has a digest of what they said.
    Finding.objects.filter(candidate__in=preview.candidates).update(sealed=b"", owner=None, said={})
    order.generation = changes.drop(list(queries.templates_of(*bookings).only("pk", "encoder_id").order_by("pk")))
    failpoints.reached("rows.dropped")
    ImportReject.objects.filter(pk__in=[reject.pk for reject in preview.rejects]).delete()
    Template.objects.filter(pk__in=preview.templates).delete()
    Photo.objects.filter(booking__in=ids).delete()
    Hold.objects.filter(booking__in=ids).delete()
    keys = [*ids, *(reject.owner for reject in preview.rejects)]
    for booking in bookings:
        keys += dispositions.forget(booking)
    Booking.objects.filter(pk__in=ids).delete()
    if preview.person_goes:
        person_id = bookings[0].person_id
        Person.objects.filter(pk=person_id).delete()
        keys.append(person_id)
    # Every other order about them would still name one; of those that wait nothing is left to be approved.
    others = ExpungementOrder.objects.filter(booking__in=ids).exclude(pk=order.pk)
    others.filter(state=State.REQUESTED).update(state=State.WITHDRAWN, withdrawn_by=by, withdrawn_at=now)
    others.update(booking=None)
    order.booking = None
    order.counts = preview.counts
    order.keys_left = [str(owner) for owner in keys]
    order.files_left = [str(photo.pk) for photo in preview.photos]
    order.templates_left = preview.templates
    order.sought = {"owners": order.keys_left, "photos": order.files_left, "templates": order.templates_left}
    # What is uploaded from now on is refused by the suppression; what is on disk already has to go, too.
    order.uploads_left = staging.present()
    order.state = State.APPROVED
    if by:
        order.approved_by, order.approved_at = by, now
    record(order, "erased_at", now)
    told = {name: count for name, count in order.counts.items() if name != "bookings"}
    told |= {"bookings": [str(pk) for pk in ids], "suppressed": suppressed, "generation": order.generation}
    audit.record("booking.expunged", by=by, obj=order, **told)


def destroy_key(order_id: UUID) -> None:
    with transaction.atomic(durable=True):
        order = locked(order_id)
        if order.state != State.APPROVED or order.key_destroyed_at:
            return
        purges.follow()  # before they go: a restored backup has to learn whose they were
        owners = [UUID(owner) for owner in order.keys_left]
        for owner in owners:
            vault.destroy_key(owner)
            failpoints.reached("key.destroyed")
        if any(map(vault.has_key, owners)):
            raise Unavailable("A data key is still there after it was destroyed.")
        order.keys_left = []
        record(order, "key_destroyed_at", checked={"keys": len(owners), "found": 0})


def remove_files(order_id: UUID) -> None:
    with transaction.atomic(durable=True):
        order = locked(order_id)
        if order.state != State.APPROVED or order.files_removed_at:
            return
        names = [UUID(name) for name in order.files_left]
        for name in names:
            vault.remove_file(name)
            failpoints.reached("file.removed")
        if left := sum(vault.has_file(name) for name in names):
            raise Unavailable(f"{left} photographs are still on the disk after they were removed.")
        order.files_left = []
        record(order, "files_removed_at", checked={"files": len(names), "found": 0})


def check_uploads(order_id: UUID) -> None:
    """Uploads that an import has not finished with may hold the photographs once more; the import removes them."""
    with transaction.atomic(durable=True):
        order = locked(order_id)
        if order.state != State.APPROVED or order.uploads_gone_at:
            return
        order.uploads_left = [run for run in order.uploads_left if (Path(settings.STAGING) / run).exists()]
        if order.uploads_left:
            order.save(update_fields=["uploads_left"])
        else:
            record(order, "uploads_gone_at", checked={"found": 0})


def prove_forgotten(order_id: UUID) -> None:
    """No lock is held while the index is brought up to date, which may take seconds; doing it twice is harmless."""
    order = ExpungementOrder.objects.get(pk=order_id)
    if order.state != State.APPROVED or order.forgotten_at:
        return
    checked = {"vectors": len(order.templates_left), "searches": 0, "found": 0}
    if order.templates_left:
        from mugsearch.gallery import live  # loads the search kernel

        forgotten = live.forget(order.templates_left)
        if order.generation is None or forgotten.generation < order.generation:
            raise Unavailable("The index has not been told of this expungement yet.")
        checked["searches"] = forgotten.searches
        failpoints.reached("index.proved")
        if Template.objects.searchable().filter(pk__in=order.templates_left).exists():
            raise Unavailable("Vectors are searchable in the database again after they were dropped.")
    purges.follow()
    with transaction.atomic(durable=True):
        order = locked(order_id)
        if order.state != State.APPROVED or order.forgotten_at:
            return
        order.templates_left = []
        record(order, "forgotten_at", checked=checked)


def locked(order_id: UUID) -> ExpungementOrder:
    return ExpungementOrder.objects.select_for_update(of=("self",)).get(pk=order_id)


def record(
    order: ExpungementOrder, step: str, at: datetime | None = None, checked: dict[str, int] | None = None
) -> None:
    """In the step's transaction: the step is done and verified, and so is the order if it was the last one."""
    setattr(order, step, at or timezone.now())
    order.troubles.pop(step, None)
    if checked:
        order.checks[step] = checked
    failpoints.reached(f"{step}.verified")
    if all(getattr(order, name) for name in STEPS[Kind(order.kind)]):
        order.state = State.COMPLETE
        order.completed_at = timezone.now()
        begun = order.approved_at or order.erased_at
        seconds = (order.completed_at - begun).total_seconds() if begun else None
        audit.record(f"{order.what}.completed", by=None, obj=order, generation=order.generation, seconds=seconds)
    order.save()
    if order.state == State.COMPLETE:
        certificates.make(order)
    failpoints.reached(f"{step}.saved")


def tried(name: str, step: Callable[[UUID], None], order_id: UUID) -> bool:
    try:
        step(order_id)
        failpoints.reached(f"{name}.committed")
    except Exception as error:  # noqa: BLE001  whatever it was, the order shows it and it is tried again
        failed(error, name, order_id)
        return False
    return True


def failed(error: Exception, name: str, order_id: UUID) -> None:
    """Into the log, and on the order if it isn't there yet."""
    sentence = error.message if isinstance(error, MugsearchError) else "Something unexpected happened; see the log."
    report(error, name, order_id)
    with transaction.atomic():
        order = locked(order_id)
        if order.troubles.get(name) != sentence:
            order.troubles[name] = sentence
            order.save(update_fields=["troubles"])


def report(error: Exception, step: str, of: UUID) -> None:
    """`of`: the order, booking or probe. A database error quotes the row it is about, so only the kind and the place
    go into the log."""
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s failed: %s\n%s", of, step, type(error).__name__, place)


def have_it_proved(order_id: UUID) -> None:
    from mugsearch.retention import tasks

    tasks.prove_forgotten.delay(str(order_id))
