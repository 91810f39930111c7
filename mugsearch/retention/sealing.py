"""Carrying out an order to seal or to unseal, in the transaction of its approval.

Nothing is destroyed. Photographs, keys and vectors stay where they are; `Booking.sealed_at` keeps them out of every
index, list and line-up, the log of changes takes the vectors out of the index, and a place on an old list becomes a
tombstone whose content waits in a SealedPlace. Afterwards the search worker proves that the index lets go of them
(`erasing.prove`).

Unsealing brings back the vectors with the log, and the places as they were. A lead that was withdrawn stays withdrawn:
whoever relied on it was told to stop.
"""

from django.db.models import F
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.errors import WrongState
from mugsearch.gallery import changes
from mugsearch.gallery.models import Booking, BookingQuerySet
from mugsearch.probes.models import Candidate, SealedPlace
from mugsearch.retention import certificates, queries
from mugsearch.retention.models import ExpungementOrder
from reviews.models import Lead

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State


def seal(order: ExpungementOrder, preview: queries.Preview, *, by: User | None) -> None:
    """In the approval's transaction, which holds `locks.erasing` and the order since before the preview was made.

    `by`: who approves; None where a rule ordered it, and `order` says which.
    """
    bookings, now = preview.bookings, timezone.now()
    _rows(bookings).update(sealed_at=now)
    queries.leads_of(*bookings).update(withdrawn_at=now, withdrawn_why=Lead.Why.SEALED)
    held = queries.candidates_of(*bookings).values("person_id", "photo_id", "score", candidate_id=F("pk"))
    SealedPlace.objects.bulk_create(SealedPlace(**place) for place in held)
    hidden = Candidate.objects.filter(pk__in=preview.candidates)
    hidden.update(person=None, photo=None, score=None, forgotten_at=now)
    order.generation = changes.drop(list(queries.templates_of(*bookings).only("pk", "encoder_id").order_by("pk")))
    order.templates_left = preview.templates
    _approved(order, preview, by=by, state=State.APPROVED)


def unseal(order: ExpungementOrder, preview: queries.Preview, *, by: User | None) -> None:
    """As `seal`. Raises WrongState while a sealing of them is being verified: it would find them in the index again."""
    bookings = preview.bookings
    sealing = ExpungementOrder.objects.filter(kind=Kind.SEAL, state=State.APPROVED)
    if any(set(one.templates_left).intersection(preview.templates) for one in sealing):
        raise WrongState("The sealing of this is still being verified. Approve this order when that is complete.")
    _rows(bookings).update(sealed_at=None, unsealed_at=timezone.now())
    put_places_back(bookings)
    order.generation = changes.put(list(queries.templates_of(*bookings).only("pk", "encoder_id").order_by("pk")))
    _approved(order, preview, by=by, state=State.COMPLETE)


def put_places_back(bookings: list[Booking]) -> None:
    """What sealing made tombstones of is on its lists again, as PostgreSQL compares."""
    places = SealedPlace.objects.filter(photo__booking__in=bookings)
    for place in places:
        Candidate.objects.filter(pk=place.candidate_id).update(
            person=place.person_id, photo=place.photo_id, score=place.score, forgotten_at=None
        )
    places.delete()


def _approved(
    order: ExpungementOrder, preview: queries.Preview, *, by: User | None, state: ExpungementOrder.State
) -> None:
    now = timezone.now()
    order.counts = preview.counts
    order.state = state
    if by:
        order.approved_by, order.approved_at = by, now
    order.completed_at = now if state == State.COMPLETE else None
    order.save()
    bookings = [str(booking.pk) for booking in preview.bookings]
    counts = {name: count for name, count in order.counts.items() if name != "bookings"}
    audit.record(f"booking.{order.kind}ed", by=by, obj=order, bookings=bookings, generation=order.generation, **counts)
    if state == State.COMPLETE:
        certificates.make(order)


def _rows(bookings: list[Booking]) -> BookingQuerySet:
    found: BookingQuerySet = Booking.objects.filter(pk__in=[booking.pk for booking in bookings])
    return found
