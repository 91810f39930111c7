"""From a booking number to an order: looking up, asking, withdrawing, and the second clerk's approval."""

from django.db import transaction
from django.utils import timezone

from mugsearch import failpoints
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed, Unavailable, WrongState
from mugsearch.gallery import locks, naming
from mugsearch.gallery.models import Booking
from mugsearch.retention import erasing, finishing, holds, purges, queries, sealing
from mugsearch.retention.models import ExpungementOrder
from mugsearch.retention.words import one_line

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State
FAILED = {
    Kind.EXPUNGE: "The records could not be erased; nothing is gone. Try again.",
    Kind.SEAL: "The records could not be sealed; nothing has changed. Try again.",
    Kind.UNSEAL: "The records could not be unsealed; nothing has changed. Try again.",
}
CARRY_OUT = {Kind.EXPUNGE: erasing.erase_rows, Kind.SEAL: sealing.seal, Kind.UNSEAL: sealing.unseal}


def look_up(*, by: User, booking_number: str) -> Booking:
    """The booking of this number. Recorded whatever comes of it: whoever tries numbers learns which were expunged."""
    with audit.act("expungement.looked-up", by=by) as act:
        require(by, Role.RECORDS)
        found, expunged = queries.look_up(by, booking_number)
        act.obj = found
        act.note(answer="found" if found else "expunged" if expunged else "unknown")
        if expunged:
            raise WrongState("The booking of this number has been expunged before. Nothing of it is left here.")
        if found is None:
            raise BadInput("Your agency has no booking of this number. Look at its spelling.")
    return found


def request(
    *,
    by: User,
    booking: Booking,
    order_number: str,
    reason: str,
    kind: ExpungementOrder.Kind = Kind.EXPUNGE,
    whole_person: bool = False,
) -> ExpungementOrder:
    """`whole_person`: about all bookings of the person there are when it is approved. A hold doesn't keep anybody from
    asking; it is refused to approve."""
    order = ExpungementOrder(kind=kind, whole_person=whole_person, requested_by=by)
    with audit.act(f"{order.what}.requested", by=by, booking=str(booking.pk), whole_person=whole_person) as act:
        require(by, Role.RECORDS)
        # An erasure under way ends first: otherwise a request could bring its booking number back.
        locks.writing()
        here = Booking.objects.visible_to(by).filter(pk=booking.pk).select_related("person")
        current = here.select_for_update(no_key=True, of=("self",)).first()  # two requests wait for each other
        if current is None:
            raise WrongState("This booking is not here any more; it may have been expunged.")
        order_number, reason = one_line(order_number), one_line(reason)
        if not order_number or len(order_number) > 64:
            raise BadInput("Give the number of the order, up to 64 characters.")
        if not reason or len(reason) > 500:
            raise BadInput("Give the reason, up to 500 characters.")
        bookings = queries.covered(kind, current, whole_person=whole_person)
        if not bookings:
            raise WrongState("This is sealed already." if kind == Kind.SEAL else "This is not sealed.")
        for one in {current, *bookings}:
            _refuse_naming(one, order_number, reason)
        if queries.waiting_about(current, whole_person=whole_person):
            raise WrongState("An order about this booking is waiting for approval already.")
        order.agency_id, order.booking = current.agency_id, current.pk
        order.order_number, order.reason = order_number, reason
        order.counts = queries.preview(*bookings, kind=kind).counts
        order.save(force_insert=True)
        act.obj = order
        act.note(**order.counts)
    return order


def withdraw(*, by: User, order: ExpungementOrder) -> None:
    with audit.act(f"{order.what}.withdrawn", by=by, obj=order):
        require(by, Role.RECORDS)
        _require_own_agency(by, order)
        waiting = ExpungementOrder.objects.filter(pk=order.pk, state=State.REQUESTED)
        if waiting.update(state=State.WITHDRAWN, withdrawn_by=by, withdrawn_at=timezone.now()) != 1:
            raise WrongState("This order can't be withdrawn any more.")
    order.refresh_from_db()


def approve(*, by: User, order: ExpungementOrder, seen: str) -> None:
    """`seen` is the digest of the preview that the clerk looked at: they approve that and nothing else.

    The rows go, or are sealed or unsealed, in the same transaction, so what was seen is what is done. Key, files and
    index follow; a step of these that fails shows on the order and is tried again.
    """
    with audit.act(f"{order.what}.approved", by=by, obj=order) as act:
        require(by, Role.RECORDS)
        _require_own_agency(by, order)
        locks.erasing()
        current = ExpungementOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        if current.requested_by_id == by.pk:
            raise NotAllowed(f"You asked for this {current.what}, so another records clerk has to approve it.")
        preview = queries.of_order(current)
        if current.state != State.REQUESTED or preview is None:
            raise WrongState("This order is not waiting for approval any more.")
        act.note(preview=preview.digest, **preview.counts)
        if preview.holds:
            raise WrongState(f"{holds.said_of(preview.holds[0])} Until then nothing is sealed or expunged.")
        if preview.digest != seen:
            raise WrongState("It changed; look again at what will go, then approve.")
        kind = Kind(current.kind)
        try:
            CARRY_OUT[kind](current, preview, by=by)
        except WrongState:
            raise
        except Exception as error:  # noqa: BLE001  whatever it was, it quotes no row and leaves an entry
            erasing.report(error, CARRY_OUT[kind].__name__, order.pk)
            raise Unavailable(FAILED[kind]) from None
        if current.state == State.APPROVED:
            # robust: without a broker the later steps go on, and `tasks.resume` asks for the proof.
            transaction.on_commit(lambda: erasing.have_it_proved(order.pk), robust=True)
    failpoints.reached("erased_at.committed")
    purges.try_to_follow()
    if kind == Kind.EXPUNGE:
        erasing.carry_out(order.pk)
        finishing.have_it_done()  # the search worker may have been quicker
    order.refresh_from_db()


def _require_own_agency(by: User, order: ExpungementOrder) -> None:
    if not ExpungementOrder.objects.visible_to(by).filter(pk=order.pk).exists():
        raise NotAllowed("This order is another agency's.")


def _refuse_naming(booking: Booking, order_number: str, reason: str) -> None:
    """The order outlives the booking and goes on the certificate, so it may not say whose booking it was."""
    text = f"{order_number} {reason}"
    # Courts put short words of their own into the numbers of their orders, such as CV and CR.
    if said := naming.name_in(booking, reason) or naming.name_in(booking, text, shortest=4):
        raise BadInput(
            f"Leave out the person's name, also where it is an ordinary word (“{said}”): "
            "order number and reason are kept for good."
        )
    if naming.number_in(booking, text):
        raise BadInput("Leave out the booking number and the person id: order number and reason are kept for good.")
