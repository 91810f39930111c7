"""Drawing what auditors are to look at: the signals of each day that is over, and the random sample of its searches."""

import datetime

from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.auditing import signals
from mugsearch.auditing.models import Draw, Sighting
from mugsearch.auditing.signal_queries import casework
from mugsearch.errors import WrongState
from mugsearch.probes import policy

LONGEST = 35  # days that are made good for after the service was off
DAY = datetime.timedelta(days=1)


def draw_due() -> list[datetime.date]:
    """Every day since the last one drawn, up to yesterday. One that somebody else draws meanwhile is passed over."""
    yesterday = timezone.localdate() - DAY
    last = Draw.objects.values_list("day", flat=True).first()
    day = max(last + DAY, yesterday - LONGEST * DAY) if last else yesterday
    drawn = []
    while day <= yesterday:
        try:
            draw(day)
        except WrongState:
            pass
        else:
            drawn.append(day)
        day += DAY
    return drawn


def draw(day: datetime.date) -> Draw:
    """All of it in one transaction: a process killed half-way leaves nothing. What was drawn stays as it was drawn."""
    with audit.act("signals.drawn", by=None, day=day.isoformat()) as act:
        Draw.lock()
        if day >= timezone.localdate():
            raise WrongState("This day isn't over.")
        if Draw.objects.filter(pk=day).exists():
            raise WrongState("This day was drawn already.")
        rules = policy.current()
        start, end = bounds(day), bounds(day + DAY)
        made = Draw.objects.create(day=day, policy_digest=rules.digest, searches=casework(start, end).count())
        found = [
            Sighting(
                draw=made,
                signal=signal.name,
                week=monday(day),
                key=signals.key_of(row),
                actor_id=row.actor,
                other_id=row.other,
                case_id=row.case,
                search_id=row.search,
                count=row.count,
                usual=row.usual,
                searches=[str(pk) for pk in row.searches],
            )
            for signal in signals.SIGNALS
            for row in signal.query(rules.signals, start, end)
        ]
        Sighting.objects.bulk_create(found, batch_size=1000, ignore_conflicts=True)  # pointed at this week already
        # How many of each signal would tell who reads the record nothing more; how many in all is enough.
        act.note(searches=made.searches, sightings=made.sightings.count(), policy=rules.digest)
    return made


def monday(day: datetime.date) -> datetime.date:
    return day - datetime.timedelta(days=day.weekday())


def bounds(day: datetime.date) -> datetime.datetime:
    """Its midnight by the installation's clock."""
    return timezone.make_aware(datetime.datetime.combine(day, datetime.time()))
