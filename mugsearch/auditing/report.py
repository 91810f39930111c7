"""The yearly report (RULES 21): searches by offence, what came of them, false leads, purges and how long they took.

Counts only. What is counted of examinations is of searches whose examination is over, so that an examiner learns
nothing from a figure that moves. Trials are no searches here; they have a line of their own.
"""

import datetime
from dataclasses import dataclass
from statistics import median
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from mugsearch.accounts.models import Agency
from mugsearch.probes import policy
from mugsearch.probes.models import Search
from mugsearch.retention.models import ExpungementOrder
from mugsearch.trials.models import Trial
from reviews.models import Adjudication, Lead, LeadOutcome
from reviews.proficiency import Rate, false_leads, misses
from reviews.queries import examination_states
from reviews.trial_results import tried_between

BATCH = 2000  # searches whose examination is read at once


@dataclass
class Counts:
    """Of searches requested in the year."""

    searches: int = 0
    leads: int = 0
    no_lead: int = 0
    under_way: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Purges:
    """Of expungements approved, or ordered by a rule, in the year. Times in hours, from then; None without one."""

    approved: int
    complete: int
    photographs: int
    middle: float | None
    longest: float | None


@dataclass(frozen=True)
class Report:
    agency: Agency
    year: int
    by_offence: list[tuple[str, Counts]]
    total: Counts
    thirds: int  # searches that needed a third examiner, of those that are over
    withdrawn: list[tuple[str, int]]  # why, leads released in the year
    outcomes: list[tuple[str, int]]  # leads released in the year, by what became of them
    false_leads: int
    purges: Purges
    trials: int  # examinations of known-answer trials that are closed
    trial_misses: Rate
    trial_false_leads: Rate

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """(section, what, figure), for the spreadsheet."""
        found = []
        for label, counts in [*self.by_offence, ("All offences", self.total)]:
            found += [
                ("Searches", label, str(counts.searches)),
                ("Searches that ended with a lead", label, str(counts.leads)),
                ("Searches that ended without a lead", label, str(counts.no_lead)),
                ("Searches under way", label, str(counts.under_way)),
                ("Searches that failed", label, str(counts.failed)),
            ]
        found.append(("Searches", "Needed a third examiner", str(self.thirds)))
        found += [("Leads by outcome", label, str(count)) for label, count in self.outcomes]
        found += [("Leads withdrawn", label, str(count)) for label, count in self.withdrawn]
        found += [
            ("Purges", "Approved or by rule", str(self.purges.approved)),
            ("Purges", "Complete", str(self.purges.complete)),
            ("Purges", "Photographs destroyed", str(self.purges.photographs)),
            ("Purges", "Median hours from approval to complete", _hours(self.purges.middle)),
            ("Purges", "Longest hours from approval to complete", _hours(self.purges.longest)),
            ("Known-answer trials", "Examinations", str(self.trials)),
            ("Known-answer trials", "People missed", f"{self.trial_misses.errors} of {self.trial_misses.tried}"),
            (
                "Known-answer trials",
                "False leads",
                f"{self.trial_false_leads.errors} of {self.trial_false_leads.tried}",
            ),
        ]
        return found


def of(agency: Agency, year: int) -> Report:
    start, end = _bounds(year)
    searches = Search.objects.casework().filter(
        probe__case__agency=agency, requested_at__gte=start, requested_at__lt=end
    )
    by_offence, over = _by_offence(searches)
    leads = Lead.objects.filter(search__probe__case__agency=agency, released_at__gte=start, released_at__lt=end)
    by_outcome = _by_outcome(leads)
    closed = tried_between(Trial.objects.filter(agency=agency), start, end)
    answers = [one.answer for one in closed]
    return Report(
        agency=agency,
        year=year,
        by_offence=by_offence,
        total=_sum([counts for _, counts in by_offence]),
        thirds=Adjudication.objects.filter(search__in=over).count(),
        withdrawn=_withdrawn(leads),
        outcomes=by_outcome,
        false_leads=dict(by_outcome).get(str(LeadOutcome.Outcome.FALSE.label), 0),
        purges=_purges(agency, start, end),
        trials=len(answers),
        trial_misses=misses(answers),
        trial_false_leads=false_leads(answers),
    )


def years(agency: Agency) -> list[int]:
    """Those there is something to report of, the latest first; this year always."""
    first = Search.objects.filter(probe__case__agency=agency).order_by("requested_at").first()
    now = timezone.localdate().year
    since = timezone.localtime(first.requested_at).year if first else now
    return list(range(now, min(since, now) - 1, -1))


def _bounds(year: int) -> tuple[datetime.datetime, datetime.datetime]:
    first, following = (timezone.make_aware(datetime.datetime(one, 1, 1)) for one in (year, year + 1))  # noqa: DTZ001  # make_aware asks for naive
    return first, following


def _by_offence(searches: QuerySet[Search]) -> tuple[list[tuple[str, Counts]], list[UUID]]:
    """Labels of today's policy, in its order, then codes it has no more. And the ids of searches that are over."""
    labels = policy.current().offences
    counted: dict[str, Counts] = {}
    over: list[UUID] = []
    ids = list(searches.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), BATCH):
        batch = list(Search.objects.filter(pk__in=ids[start : start + BATCH]).select_related("probe"))
        states = examination_states(batch)
        for search in batch:
            counts = counted.setdefault(search.probe.offence, Counts())
            state = states[search.pk]
            counts.searches += 1
            counts.failed += search.state == Search.State.FAILED
            counts.under_way += not state.over and search.state != Search.State.FAILED
            counts.leads += state.result == "lead"
            counts.no_lead += state.result == "no_lead"
            if state.over:
                over.append(search.pk)
    order = [code for code in labels if code in counted] + sorted(set(counted) - set(labels))
    return [(labels.get(code, code), counted[code]) for code in order], over


def _sum(counts: list[Counts]) -> Counts:
    names = ("searches", "leads", "no_lead", "under_way", "failed")
    return Counts(**{name: sum(getattr(one, name) for one in counts) for name in names})


def _by_outcome(leads: QuerySet[Lead]) -> list[tuple[str, int]]:
    """By the latest outcome of each; "None recorded" for the others."""
    # A later row of the same lead comes later, and stays.
    latest = dict(LeadOutcome.objects.filter(lead__in=leads).order_by("id").values_list("lead", "outcome"))
    said = list(latest.values())
    found = [(str(one.label), said.count(one.value)) for one in LeadOutcome.Outcome]
    return [*found, ("None recorded", leads.count() - len(said))]


def _withdrawn(leads: QuerySet[Lead]) -> list[tuple[str, int]]:
    counts = dict(leads.order_by().exclude(withdrawn_why="").values_list("withdrawn_why").annotate(Count("pk")))
    return [(str(why.label), counts.get(why.value, 0)) for why in Lead.Why]


def _purges(agency: Agency, start: datetime.datetime, end: datetime.datetime) -> Purges:
    states = [ExpungementOrder.State.APPROVED, ExpungementOrder.State.COMPLETE]
    erased = Q(kind=ExpungementOrder.Kind.EXPUNGE, state__in=states)
    orders = list(ExpungementOrder.objects.filter(erased, agency=agency, erased_at__gte=start, erased_at__lt=end))
    took = [
        (order.completed_at - order.erased_at).total_seconds() / 3600
        for order in orders
        if order.completed_at and order.erased_at
    ]
    return Purges(
        approved=len(orders),
        complete=len(took),
        photographs=sum(order.counts.get("photos", 0) for order in orders),
        middle=median(took) if took else None,
        longest=max(took, default=None),
    )


def _hours(hours: float | None) -> str:
    return "" if hours is None else f"{hours:.2f}"
