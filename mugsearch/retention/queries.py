"""Exactly what an order about bookings will take with it, put aside or bring back. `erasing` and `sealing` change what
these queries find."""

import json
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from django.db.models import Q, QuerySet

from mugsearch.accounts.models import User
from mugsearch.gallery import suppression
from mugsearch.gallery.models import Booking, ImportReject, Photo, Template
from mugsearch.probes.models import Candidate, SiblingPhoto
from mugsearch.retention.models import ExpungementOrder, Hold
from mugsearch.vault import services as vault
from reviews.models import Lead

Kind = ExpungementOrder.Kind


@dataclass(frozen=True)
class Preview:
    """`candidates` are the places in old lists that become tombstones, or are ones because they are sealed; `siblings`
    other lists' rows of these photographs. `other_bookings` of the person stay as they are.

    Clerks are shown how many. Which, or at what rank, would let somebody put together a list that is being examined.
    """

    kind: Kind
    bookings: list[Booking]  # of one person, at least one
    photos: list[Photo]
    templates: list[int]
    keys: int
    candidates: list[UUID]
    siblings: list[int]
    leads: list[Lead]
    rejects: list[ImportReject]
    holds: list[Hold]  # in force: this is not approved while there is one
    ended_holds: int
    other_bookings: int

    @property
    def person_goes(self) -> bool:
        return self.kind == Kind.EXPUNGE and self.other_bookings == 0

    @property
    def counts(self) -> dict[str, int]:
        counts = {
            "bookings": len(self.bookings),
            "photos": len(self.photos),
            "templates": len(self.templates),
            "candidates": len(self.candidates),
            "siblings": len(self.siblings),
        }
        if self.kind != Kind.UNSEAL:  # a withdrawn lead stays withdrawn
            counts["leads"] = len(self.leads)
        if self.kind == Kind.EXPUNGE:
            counts |= {
                "keys": self.keys + int(self.person_goes),
                "rejects": len(self.rejects),
                "holds": self.ended_holds,
                "people": int(self.person_goes),
            }
        return counts

    @property
    def digest(self) -> str:
        """What the approving clerk has seen: another row, or another fate of the person, gives another digest."""
        seen = {
            "kind": self.kind.value,
            "bookings": sorted(str(booking.pk) for booking in self.bookings),
            "photos": sorted(str(photo.pk) for photo in self.photos),
            "templates": sorted(self.templates),
            "candidates": [str(pk) for pk in self.candidates],
            "siblings": sorted(self.siblings),
            "leads": sorted(str(lead.pk) for lead in self.leads),
            "rejects": sorted(reject.pk for reject in self.rejects),
            "other_bookings": self.other_bookings,
        }
        return sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def covered(kind: Kind, booking: Booking, *, whole_person: bool) -> list[Booking]:
    """The bookings an order would be about now. None to seal where all are sealed, or to unseal where none is."""
    asked = Q(person=booking.person_id) if whole_person else Q(pk=booking.pk)
    found = Booking.objects.filter(asked).select_related("person").order_by("booked_on", "pk")
    if kind != Kind.EXPUNGE:
        found = found.filter(sealed_at__isnull=kind == Kind.SEAL)
    return list(found)


def of_order(order: ExpungementOrder) -> Preview | None:
    """What would happen if it were approved now; None where nothing is left of what it is about."""
    booking = Booking.objects.filter(pk=order.booking).first() if order.booking else None
    kind = Kind(order.kind)
    bookings = covered(kind, booking, whole_person=order.whole_person) if booking else []
    return preview(*bookings, kind=kind) if bookings else None


def preview(*bookings: Booking, kind: Kind = Kind.EXPUNGE) -> Preview:
    """`bookings` are of one person."""
    person, ids = bookings[0].person, [booking.pk for booking in bookings]
    holds = Hold.objects.filter(booking__in=bookings).select_related("set_by", "booking")
    held = list(holds.in_force()) if kind != Kind.UNSEAL else []
    return Preview(
        kind=kind,
        bookings=list(bookings),
        photos=list(Photo.objects.filter(booking__in=bookings)),
        templates=list(templates_of(*bookings).order_by("pk").values_list("pk", flat=True)),
        keys=sum(vault.has_key(pk) for pk in ids),
        candidates=list(candidates_of(*bookings).order_by("pk").values_list("pk", flat=True)),
        siblings=list(siblings_of(*bookings, kind=kind).order_by("pk").values_list("pk", flat=True)),
        leads=list(leads_of(*bookings)),
        rejects=list({one.pk: one for booking in bookings for one in rejects_of(booking)}.values()),
        holds=held,
        ended_holds=holds.count() - len(held),
        other_bookings=person.bookings.exclude(pk__in=ids).count(),
    )


def templates_of(*bookings: Booking) -> QuerySet[Template]:
    return Template.objects.filter(photo__booking__in=bookings)


def candidates_of(*bookings: Booking) -> QuerySet[Candidate]:
    """Also those that are tombstones because a booking is sealed."""
    return Candidate.objects.filter(Q(photo__booking__in=bookings) | Q(sealed_place__photo__booking__in=bookings))


def siblings_of(*bookings: Booking, kind: Kind = Kind.EXPUNGE) -> QuerySet[SiblingPhoto]:
    """Rows that show these bookings' photographs; when they are expunged also all rows of the places that become
    tombstones."""
    shown = Q(photo__booking__in=bookings)
    if kind == Kind.EXPUNGE:
        shown |= Q(candidate__in=candidates_of(*bookings))
    return SiblingPhoto.with_sealed.filter(shown)


def leads_of(*bookings: Booking) -> QuerySet[Lead]:
    return Lead.objects.filter(candidate__photo__booking__in=bookings, withdrawn_at__isnull=True)


def rejects_of(booking: Booking) -> QuerySet[ImportReject]:
    """Rows of rejected imports that name the booking, however its number was typed there, or whose photo it holds."""
    rejects = ImportReject.objects.filter(run__agency=booking.agency_id).select_related("run")
    return rejects.filter(Q(number_digest=booking.number_digest) | Q(held_by=booking))


def waiting_about(booking: Booking, *, whole_person: bool) -> ExpungementOrder | None:
    """An order that waits for approval and is about a booking that another one would be about, too."""
    about = _about(booking)
    if whole_person:
        about |= Q(booking__in=Booking.objects.filter(person=booking.person_id).values("pk"))
    found: ExpungementOrder | None = ExpungementOrder.objects.filter(about, state="requested").first()
    return found


def sealed_by_people(booking: Booking) -> bool:
    """Whether an order of people, and not a rule, sealed it; also one that was replayed after a restore."""
    done = ExpungementOrder.objects.filter(_about(booking), kind=Kind.SEAL, state__in=["approved", "complete"])
    return done.filter(rule__in=["", ExpungementOrder.REPLAYED]).exists()


def _about(booking: Booking) -> Q:
    """Orders about this booking, or about its whole person."""
    theirs = Booking.objects.filter(person=booking.person_id).values("pk")
    return Q(booking=booking.pk) | Q(booking__in=theirs, whole_person=True)


def look_up(user: User, booking_number: str) -> tuple[Booking | None, bool]:
    """(the booking of this number in any spelling, whether it was expunged before)."""
    found = Booking.objects.visible_to(user).numbered(booking_number).first()
    agency = user.agency_id
    return found, found is None and agency is not None and suppression.is_suppressed(agency, booking_number)
