"""Exactly what an expungement of a booking will take with it. `erasing` deletes what these queries find."""

import json
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from django.db.models import Q, QuerySet

from mugsearch.accounts.models import User
from mugsearch.gallery import suppression
from mugsearch.gallery.models import Booking, ImportReject, Photo, Template
from mugsearch.gallery.numbers import normalised
from mugsearch.probes.models import Candidate, SiblingPhoto
from mugsearch.vault import services as vault
from reviews.models import Lead


@dataclass(frozen=True)
class Preview:
    """`candidates` are the places in old lists that become tombstones; `siblings` other lists' rows that go.

    Clerks are shown how many. Which, or at what rank, would let somebody put together a list that is being examined.
    """

    booking: Booking
    photos: list[Photo]
    templates: list[int]
    has_key: bool
    candidates: list[UUID]
    siblings: list[int]
    leads: list[Lead]
    rejects: list[ImportReject]
    other_bookings: int

    @property
    def person_goes(self) -> bool:
        return self.other_bookings == 0

    @property
    def counts(self) -> dict[str, int]:
        return {
            "photos": len(self.photos),
            "templates": len(self.templates),
            "keys": int(self.has_key),
            "candidates": len(self.candidates),
            "siblings": len(self.siblings),
            "leads": len(self.leads),
            "rejects": len(self.rejects),
            "people": int(self.person_goes),
        }

    @property
    def digest(self) -> str:
        """What the approving clerk has seen: another row, or another fate of the person, gives another digest."""
        seen = {
            "booking": str(self.booking.pk),
            "photos": sorted(str(photo.pk) for photo in self.photos),
            "templates": sorted(self.templates),
            "candidates": [str(pk) for pk in self.candidates],
            "siblings": sorted(self.siblings),
            "leads": sorted(str(lead.pk) for lead in self.leads),
            "rejects": sorted(reject.pk for reject in self.rejects),
            "other_bookings": self.other_bookings,
        }
        return sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def preview(booking: Booking) -> Preview:
    return Preview(
        booking=booking,
        photos=list(booking.photos.all()),
        templates=list(templates_of(booking).order_by("pk").values_list("pk", flat=True)),
        has_key=vault.has_key(booking.pk),
        candidates=list(candidates_of(booking).order_by("pk").values_list("pk", flat=True)),
        siblings=list(siblings_of(booking).order_by("pk").values_list("pk", flat=True)),
        leads=list(leads_of(booking)),
        rejects=list(rejects_of(booking).select_related("run")),
        other_bookings=booking.person.bookings.exclude(pk=booking.pk).count(),
    )


def templates_of(booking: Booking) -> QuerySet[Template]:
    return Template.objects.filter(photo__booking=booking)


def candidates_of(booking: Booking) -> QuerySet[Candidate]:
    return Candidate.objects.filter(photo__booking=booking)


def siblings_of(booking: Booking) -> QuerySet[SiblingPhoto]:
    """Rows that show this booking's photographs, and all rows of the places that become tombstones."""
    return SiblingPhoto.objects.filter(Q(photo__booking=booking) | Q(candidate__photo__booking=booking))


def leads_of(booking: Booking) -> QuerySet[Lead]:
    return Lead.objects.filter(candidate__photo__booking=booking, withdrawn_at__isnull=True)


def rejects_of(booking: Booking) -> QuerySet[ImportReject]:
    """Rows of rejected imports that name the booking, however its number was typed there, or whose photo it holds."""
    rejects = ImportReject.objects.filter(run__agency=booking.agency_id)
    numbers = rejects.exclude(booking_number="").order_by("booking_number").values_list("booking_number", flat=True)
    same = [number for number in numbers.distinct() if normalised(number) == booking.normalised_number]
    return rejects.filter(Q(booking_number__in=same) | Q(held_by=booking))


def look_up(user: User, booking_number: str) -> tuple[Booking | None, bool]:
    """(the booking of this number in any spelling, whether it was expunged before)."""
    found = Booking.objects.visible_to(user).filter(normalised_number=normalised(booking_number)).first()
    agency = user.agency_id
    return found, found is None and agency is not None and suppression.is_suppressed(agency, booking_number)
