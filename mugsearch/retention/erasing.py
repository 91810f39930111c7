"""Carrying out an order, one verified step after the other.

    rows       in the transaction of the approval: suppression, tombstones, leads withdrawn, vectors dropped from the
               change log, rows deleted. No search can return the booking from its commit on.
    key        the booking's data key: what copies and backups still hold of its photos and vectors can't be read
    files      the sealed photographs, overwritten and unlinked
    uploads    imports whose upload was on disk at the time have ended and it is gone
    index      the search worker overwrites the vectors in the index, also in one that is being rebuilt, and proves it

The rows go first: were the key destroyed before they are committed, a failing commit would leave a booking without
its photographs and without a word why. What the later steps need is kept on the order until they are done. Every
step may be done twice, each is recorded when it was verified, and the last one makes the order COMPLETE.
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

from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.errors import MugsearchError, Unavailable
from mugsearch.gallery import changes, staging, suppression
from mugsearch.gallery.models import Booking, Person, Suppression, Template
from mugsearch.probes.models import SiblingPhoto
from mugsearch.retention import queries
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from reviews.models import Finding, Lead

logger = logging.getLogger(__name__)

State = ExpungementOrder.State
STEPS = ("erased_at", "key_destroyed_at", "files_removed_at", "uploads_gone_at", "forgotten_at")


def carry_out(order_id: UUID) -> None:
    """What follows the rows, without the search worker's step. A step that fails is shown on the order; `tasks.resume`
    tries it again."""
    for name, step in (
        ("key_destroyed_at", destroy_key),
        ("files_removed_at", remove_files),
        ("uploads_gone_at", check_uploads),
    ):
        if not _tried(name, step, order_id):
            return


def prove(order_id: UUID) -> None:
    """The search worker's step, for its process alone: it loads the search kernel."""
    _tried("forgotten_at", prove_forgotten, order_id)


def erase_rows(order: ExpungementOrder, preview: queries.Preview, *, by: User) -> None:
    """In the approval's transaction, which holds `locks.erasing` and the order since before the preview was made."""
    booking, now = preview.booking, timezone.now()
    Suppression.objects.get_or_create(digest=suppression.digest(booking.agency_id, booking.booking_number))
    SiblingPhoto.objects.filter(pk__in=preview.siblings).delete()
    queries.leads_of(booking).update(withdrawn_at=now, withdrawn_why=Lead.Why.EXPUNGED)
    gone = list(queries.candidates_of(booking).values_list("pk", flat=True))
    queries.candidates_of(booking).update(person=None, photo=None, score=None, forgotten_at=now)
    # What examiners wrote describes the face. Their grades stay, and the audit has a digest of what they said.
    Finding.objects.filter(candidate__in=gone).update(notes="", worksheet={})
    templates = list(queries.templates_of(booking).only("pk", "encoder_id").order_by("pk"))
    order.generation = changes.drop(templates)
    queries.rejects_of(booking).delete()
    Template.objects.filter(pk__in=preview.templates).delete()
    booking.photos.all().delete()
    Booking.objects.filter(pk=booking.pk).delete()
    if preview.person_goes:
        Person.objects.filter(pk=booking.person_id).delete()
    # An earlier order of the same booking that was withdrawn would still name it.
    ExpungementOrder.objects.filter(booking=booking.pk).update(booking=None, booking_number="")
    order.booking, order.booking_number = None, ""
    order.counts = preview.counts
    order.key_left = booking.pk
    order.files_left = [str(photo.pk) for photo in preview.photos]
    order.templates_left = preview.templates
    # What is uploaded from now on is refused by the suppression; what is on disk already has to go, too.
    order.uploads_left = staging.present()
    order.state = State.ERASED
    order.approved_by, order.approved_at = by, now
    _record(order, "erased_at", now)
    audit.record(
        "booking.expunged", by=by, obj=order, booking=str(booking.pk), generation=order.generation, **order.counts
    )
    # robust: without a broker the later steps go on, and `tasks.resume` asks for the proof.
    order_id = order.pk
    transaction.on_commit(lambda: _have_it_proved(order_id), robust=True)


def destroy_key(order_id: UUID) -> None:
    with transaction.atomic(durable=True):
        order = _locked(order_id)
        if order.state != State.ERASED or order.key_left is None:
            return
        vault.destroy_key(order.key_left)
        if vault.has_key(order.key_left):
            raise Unavailable("The data key is still there after it was destroyed.")
        order.key_left = None
        _record(order, "key_destroyed_at")


def remove_files(order_id: UUID) -> None:
    with transaction.atomic(durable=True):
        order = _locked(order_id)
        if order.state != State.ERASED or order.files_removed_at:
            return
        names = [UUID(name) for name in order.files_left]
        for name in names:
            vault.remove_file(name)
        if left := sum(vault.has_file(name) for name in names):
            raise Unavailable(f"{left} photographs are still on the disk after they were removed.")
        order.files_left = []
        _record(order, "files_removed_at")


def check_uploads(order_id: UUID) -> None:
    """Uploads that an import has not finished with may hold the photographs once more; the import removes them."""
    with transaction.atomic(durable=True):
        order = _locked(order_id)
        if order.state != State.ERASED or order.uploads_gone_at:
            return
        order.uploads_left = [run for run in order.uploads_left if (Path(settings.STAGING) / run).exists()]
        if order.uploads_left:
            order.save(update_fields=["uploads_left"])
        else:
            _record(order, "uploads_gone_at")


def prove_forgotten(order_id: UUID) -> None:
    """No lock is held while the index is brought up to date, which may take seconds; doing it twice is harmless."""
    order = ExpungementOrder.objects.get(pk=order_id)
    if order.state != State.ERASED or order.forgotten_at:
        return
    if order.templates_left:
        from mugsearch.gallery import live  # loads the search kernel

        generation = live.forget(order.templates_left)
        if order.generation is None or generation < order.generation:
            raise Unavailable("The index has not been told of this expungement yet.")
        if Template.objects.filter(pk__in=order.templates_left).exists():
            raise Unavailable("Vectors are in the database again after they were deleted.")
    with transaction.atomic(durable=True):
        order = _locked(order_id)
        if order.state != State.ERASED or order.forgotten_at:
            return
        order.templates_left = []
        _record(order, "forgotten_at")


def _locked(order_id: UUID) -> ExpungementOrder:
    return ExpungementOrder.objects.select_for_update(of=("self",)).get(pk=order_id)


def _record(order: ExpungementOrder, step: str, at: datetime | None = None) -> None:
    """In the step's transaction: the step is done and verified, and so is the order if it was the last one."""
    setattr(order, step, at or timezone.now())
    order.troubles.pop(step, None)
    if all(getattr(order, name) for name in STEPS):
        order.state = State.COMPLETE
        order.completed_at = timezone.now()
        seconds = (order.completed_at - order.approved_at).total_seconds() if order.approved_at else None
        audit.record("expungement.completed", by=None, obj=order, generation=order.generation, seconds=seconds)
    order.save()


def _tried(name: str, step: Callable[[UUID], None], order_id: UUID) -> bool:
    try:
        step(order_id)
    except Exception as error:  # noqa: BLE001  whatever it was, the order shows it and it is tried again
        sentence = error.message if isinstance(error, MugsearchError) else "Something unexpected happened; see the log."
        report(error, step.__name__, order_id)
        with transaction.atomic():
            order = _locked(order_id)
            order.troubles[name] = sentence
            order.save(update_fields=["troubles"])
        return False
    return True


def report(error: Exception, step: str, order_id: UUID) -> None:
    """A database error quotes the row it is about, so only the kind and the place go into the log."""
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("expungement %s: %s failed: %s\n%s", order_id, step, type(error).__name__, place)


def _have_it_proved(order_id: UUID) -> None:
    from mugsearch.retention import tasks

    tasks.prove_forgotten.delay(str(order_id))
