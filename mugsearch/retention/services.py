"""From a booking number to an order: looking up, asking, withdrawing, and the second clerk's approval, which erases."""

from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed, Unavailable, WrongState
from mugsearch.gallery import locks, naming
from mugsearch.gallery.models import Booking
from mugsearch.retention import erasing, queries
from mugsearch.retention.models import ExpungementOrder

State = ExpungementOrder.State


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


def request_expungement(*, by: User, booking: Booking, order_number: str, reason: str) -> ExpungementOrder:
    with audit.act("expungement.requested", by=by, booking=str(booking.pk)) as act:
        require(by, Role.RECORDS)
        # An erasure under way ends first: otherwise a request could bring its booking number back.
        locks.writing()
        here = Booking.objects.visible_to(by).filter(pk=booking.pk).select_related("person")
        current = here.select_for_update(no_key=True, of=("self",)).first()  # two requests wait for each other
        if current is None:
            raise WrongState("This booking is not here any more; it may have been expunged.")
        order_number, reason = _line(order_number), _line(reason)
        if not order_number or len(order_number) > 64:
            raise BadInput("Give the number of the order, up to 64 characters.")
        if not reason or len(reason) > 500:
            raise BadInput("Give the reason, up to 500 characters.")
        _refuse_naming(current, order_number, reason)
        if ExpungementOrder.objects.filter(booking=current.pk, state=State.REQUESTED).exists():
            raise WrongState("An order to expunge this booking is waiting for approval already.")
        order = ExpungementOrder.objects.create(
            agency_id=current.agency_id,
            order_number=order_number,
            reason=reason,
            booking=current.pk,
            booking_number=current.booking_number,
            requested_by=by,
            counts=queries.preview(current).counts,
        )
        act.obj = order
        act.note(**order.counts)
    return order


def withdraw(*, by: User, order: ExpungementOrder) -> None:
    with audit.act("expungement.withdrawn", by=by, obj=order):
        require(by, Role.RECORDS)
        _require_own_agency(by, order)
        waiting = ExpungementOrder.objects.filter(pk=order.pk, state=State.REQUESTED)
        if waiting.update(state=State.WITHDRAWN, withdrawn_by=by, withdrawn_at=timezone.now()) != 1:
            raise WrongState("This order can't be withdrawn any more.")
    order.refresh_from_db()


def approve(*, by: User, order: ExpungementOrder, seen: str) -> None:
    """`seen` is the digest of the preview that the clerk looked at: they approve that and nothing else.

    The rows go in the same transaction, so what was seen is what goes. Key, files and index follow; a step of these
    that fails shows on the order and is tried again.
    """
    with audit.act("expungement.approved", by=by, obj=order) as act:
        require(by, Role.RECORDS)
        _require_own_agency(by, order)
        locks.erasing()
        current = ExpungementOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        if current.requested_by_id == by.pk:
            raise NotAllowed("You asked for this expungement, so another records clerk has to approve it.")
        booking = Booking.objects.filter(pk=current.booking).first() if current.booking else None
        if current.state != State.REQUESTED or booking is None:
            raise WrongState("This order is not waiting for approval any more.")
        preview = queries.preview(booking)
        act.note(preview=preview.digest, **preview.counts)
        if preview.digest != seen:
            raise WrongState("It changed; look again at what will go, then approve.")
        try:
            erasing.erase_rows(current, preview, by=by)
        except Exception as error:  # noqa: BLE001  whatever it was, it quotes no row and leaves an entry
            erasing.report(error, "erase_rows", order.pk)
            raise Unavailable("The records could not be erased; nothing is gone. Try again.") from None
    erasing.carry_out(order.pk)
    order.refresh_from_db()


def _require_own_agency(by: User, order: ExpungementOrder) -> None:
    if not ExpungementOrder.objects.visible_to(by).filter(pk=order.pk).exists():
        raise NotAllowed("This order is another agency's.")


def _line(text: str) -> str:
    """One line of printable characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


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
