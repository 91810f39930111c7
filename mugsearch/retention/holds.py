"""Legal holds: setting one and lifting it. While one is in force, nobody seals or expunges its booking (RULES 22)."""

import datetime

from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import locks
from mugsearch.gallery.models import Booking
from mugsearch.retention import purges
from mugsearch.retention.models import Hold
from mugsearch.retention.words import one_line


def set_hold(*, by: User, booking: Booking, reference: str, reason: str, last_day: datetime.date | None = None) -> Hold:
    """`last_day` is a day of the agency's time zone, itself included; None: until it is lifted.

    An approval under way ends first, so a hold that this returns has kept the booking.
    """
    with audit.act("hold.set", by=by) as act:
        require(by, Role.RECORDS)
        locks.writing()
        current = Booking.objects.visible_to(by).filter(pk=booking.pk).first()
        if current is None:
            raise WrongState("This booking is not here any more; it may have been expunged.")
        act.obj = current
        reference, reason = one_line(reference), one_line(reason)
        if not reference or len(reference) > 64:
            raise BadInput("Give the number of the letter or order, up to 64 characters.")
        if not reason or len(reason) > 500:
            raise BadInput("Give the reason, up to 500 characters.")
        if last_day and last_day < timezone.localdate():
            raise BadInput("The last day of the hold has passed already.")
        hold = Hold.objects.create(
            booking=current,
            reference=reference,
            reason=reason,
            set_by=by,
            ends_at=midnight_after(last_day) if last_day else None,
        )
        act.note(hold=str(hold.pk), last_day=str(last_day or ""))
    purges.try_to_follow()
    return hold


def lift(*, by: User, hold: Hold) -> None:
    with audit.act("hold.lifted", by=by, obj=hold.booking, hold=str(hold.pk)):
        require(by, Role.RECORDS)
        if not Hold.objects.visible_to(by).filter(pk=hold.pk).exists():
            raise NotAllowed("This hold is another agency's.")
        in_force = Hold.objects.in_force().filter(pk=hold.pk)
        if in_force.update(lifted_by=by, lifted_at=timezone.now()) != 1:
            raise WrongState("This hold has ended already.")
    purges.try_to_follow()
    hold.refresh_from_db()


def said_of(hold: Hold) -> str:
    until = f"until {hold.last_day:%-d %B %Y}" if hold.last_day else "until it is lifted"
    return f"{hold.set_by.full_name} put a legal hold ({hold.reference}) on booking {hold.booking} {until}."


def midnight_after(day: datetime.date) -> datetime.datetime:
    return timezone.make_aware(datetime.datetime.combine(day + datetime.timedelta(days=1), datetime.time()))
