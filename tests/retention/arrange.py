"""A booking as it stands after a busy life: enrolled, on candidate lists, confirmed as a lead."""

import time
from dataclasses import dataclass
from typing import Any

from mugsearch.accounts.models import User
from mugsearch.gallery import encoding
from mugsearch.gallery.models import Booking, Photo
from mugsearch.probes.models import Candidate, SiblingPhoto
from mugsearch.retention import holds, queries, services, tasks
from mugsearch.retention.models import ExpungementOrder, Hold
from reviews.models import Examination, Finding, Lead
from tests.factories import BookingFactory, CandidateFactory, SearchFactory, clerk, examiner
from tests.gallery_rows import enrol
from tests.reviews.arrange import FILLED

OPAQUE = {"order_number": "26-CV-0417", "reason": "Charges dismissed, order of the district court"}


@dataclass
class Life:
    """`candidate` is the place of the booking's photo on a list; `other` a place of somebody else there."""

    booking: Booking
    photos: list[Photo]
    candidate: Candidate
    other: Candidate
    lead: Lead


def a_life(**booking: Any) -> Life:
    made = BookingFactory(**booking)
    photos = [enrol(7, variant=number, booking=made) for number in range(2)]
    stranger = enrol(8)
    search = SearchFactory(encoder=encoding.active())
    candidate = CandidateFactory(search=search, rank=1, photo=photos[0], score=0.91)
    SiblingPhoto.objects.create(candidate=candidate, photo=photos[1], rank=2, score=0.89)
    other = CandidateFactory(search=search, rank=2, photo=stranger, score=0.2)
    return Life(made, photos, candidate, other, confirmed(candidate, other))


def confirmed(candidate: Candidate, other: Candidate) -> Lead:
    done = []
    for person in (examiner(), examiner()):
        examination = Examination.objects.create(search=candidate.search, examiner=person)
        said = {"conclusion": "3", "worksheet": FILLED, "notes": "A mole on the left cheek."}
        Finding.objects.create(examination=examination, candidate=candidate, **said)
        Finding.objects.create(examination=examination, candidate=other, conclusion="-3")
        examination.state, examination.concluded_at = Examination.State.CONCLUDED, examination.claimed_at
        examination.save()
        done.append(examination)
    return Lead.objects.create(search=candidate.search, candidate=candidate, first=done[0], second=done[1])


def another_booking(booking: Booking) -> Photo:
    return enrol(7, variant=5, booking=BookingFactory(person=booking.person, agency=booking.agency))


def requested(booking: Booking, by: User | None = None, **words: Any) -> ExpungementOrder:
    asked = by or clerk(agency=booking.agency)
    return services.request(by=asked, booking=booking, **{**OPAQUE, **words})


def approved(order: ExpungementOrder, by: User | None = None) -> ExpungementOrder:
    preview = queries.of_order(order)
    assert preview
    services.approve(by=by or clerk(agency=order.agency), order=order, seen=preview.digest)
    return order


def held(booking: Booking, by: User | None = None, **words: Any) -> Hold:
    said = {"reference": "PRES-1", "reason": "Civil suit against the county", **words}
    return holds.set_hold(by=by or clerk(agency=booking.agency), booking=booking, **said)


def expunged(booking: Booking, **asked: Any) -> ExpungementOrder:
    return _complete(requested(booking, **asked))


def sealed(booking: Booking, **asked: Any) -> ExpungementOrder:
    return _complete(requested(booking, kind=ExpungementOrder.Kind.SEAL, **asked))


def unsealed(booking: Booking, **asked: Any) -> ExpungementOrder:
    return _complete(requested(booking, kind=ExpungementOrder.Kind.UNSEAL, **asked))


def proved(order: ExpungementOrder, patience: float = 30) -> ExpungementOrder:
    """What the workers do after an approval."""
    tasks.prove_forgotten(str(order.pk))
    finish(patience)
    order.refresh_from_db()
    return order


def finish(patience: float = 30) -> None:
    """The last steps, and again, as the scheduler has them done, while PostgreSQL keeps removed rows for a reader that
    began before. Autovacuum is one, and what it reads goes back to the oldest transaction in any database.
    `patience`: seconds."""
    until = time.monotonic() + patience
    tasks.finish()
    while _rows_are_kept() and time.monotonic() < until:
        time.sleep(0.2)
        tasks.finish()


def _rows_are_kept() -> bool:
    orders = ExpungementOrder.objects.filter(state=ExpungementOrder.State.APPROVED)
    return any("keeps the removed rows" in order.troubles.get("vacuumed_at", "") for order in orders)


def _complete(order: ExpungementOrder) -> ExpungementOrder:
    proved(approved(order))
    assert order.state == ExpungementOrder.State.COMPLETE
    return order
