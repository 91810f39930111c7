"""Recording an examiner's certificate. It counts no longer than the policy lets it, whatever it says itself."""

import calendar
import datetime

from mugsearch.accounts.models import ExaminerCertificate, Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput
from mugsearch.probes import policy


def record_certificate(
    *,
    by: User,
    examiner: User,
    programme: str,
    issued_by: str,
    hours: int,
    issued_on: datetime.date,
    expires_on: datetime.date | None = None,
) -> ExaminerCertificate:
    """`expires_on`: the last day the policy allows, where none is named."""
    months = policy.current().certificate_months
    latest = last_day(issued_on, months)
    expires_on = expires_on or latest
    with audit.act("certificate.recorded", by=by, obj=examiner, hours=hours, expires_on=str(expires_on)):
        require(by, Role.ADMINISTRATOR)
        if expires_on <= issued_on:
            raise BadInput("The certificate has to expire after the day it was issued.")
        if expires_on > latest:
            raise BadInput(
                f"By the policy a certificate counts for {months} month{'s' if months > 1 else ''} from the day it was "
                f"issued: until {latest:%-d %B %Y} at the latest."
            )
        return ExaminerCertificate.objects.create(
            examiner=examiner,
            programme=programme,
            issued_by=issued_by,
            hours=hours,
            issued_on=issued_on,
            expires_on=expires_on,
            recorded_by=by,
        )


def last_day(issued_on: datetime.date, months: int) -> datetime.date:
    """The same day so many months later, or the last of that month where it has no such day."""
    years, month = divmod(issued_on.month - 1 + months, 12)
    year, month = issued_on.year + years, month + 1
    if year > datetime.MAXYEAR:
        return datetime.date.max
    return datetime.date(year, month, min(issued_on.day, calendar.monthrange(year, month)[1]))
