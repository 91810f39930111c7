"""What became of a lead, which leads wait too long for an answer, and telling examiners of one that was false."""

import datetime
from collections.abc import Iterable

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput
from mugsearch.probes import policy
from mugsearch.validators import require_text
from reviews.leads import case_of, locked, require_nameless, require_on_case
from reviews.models import Examination, ExaminationQuerySet, FalseLeadSeen, Lead, LeadOutcome, LeadQuerySet

TOLD_FOR = datetime.timedelta(days=30)  # for so long the queue's page tells of a false lead
FALSE = LeadOutcome.Outcome.FALSE


def record_outcome(*, by: User, lead: Lead, outcome: str, note: str = "") -> LeadOutcome:
    """May be said again when more is known; the latest counts. Also of a withdrawn lead: that it was false has to be
    counted, whatever became of the booking."""
    with audit.act("lead-outcome.recorded", by=by, obj=lead, case=case_of(lead), outcome=outcome[:27]):
        require_on_case(by, lead)
        if outcome not in LeadOutcome.Outcome.values:
            raise BadInput("Choose what became of the lead.")
        refusal = f"Notes are text of up to {LeadOutcome.NOTE_LIMIT} characters."
        require_text(note, most=LeadOutcome.NOTE_LIMIT, refusal=refusal)
        require_nameless(lead, note)
        locked(lead)  # two who record at once have one order
        return LeadOutcome.objects.create(lead=lead, outcome=outcome, note=note.strip(), recorded_by=by)


def with_outcome(leads: LeadQuerySet) -> LeadQuerySet:
    """Adds `outcome`: the code that counts, or None."""
    latest = LeadOutcome.objects.filter(lead=OuterRef("pk")).order_by("-id").values("outcome")[:1]
    annotated: LeadQuerySet = leads.annotate(outcome=Subquery(latest))
    return annotated


def overdue(user: User) -> LeadQuerySet:
    """Leads of one's cases that nobody has said anything of for the policy's days, the oldest first."""
    since = timezone.now() - datetime.timedelta(days=policy.current().lead_days)
    said = LeadOutcome.objects.filter(lead=OuterRef("pk"))
    found: LeadQuerySet = (
        Lead.objects.visible_to(user)
        .filter(~Exists(said), withdrawn_at__isnull=True, released_at__lte=since)
        .select_related("search__probe__case")
        .order_by("released_at")
    )
    return found


def latest(lead: Lead) -> LeadOutcome | None:
    return lead.outcomes.first()


def is_false(lead: Lead) -> bool:
    return says_false(lead.outcomes.all()[:1])


def says_false(outcomes: Iterable[LeadOutcome]) -> bool:
    """Of a lead's outcomes, the latest first."""
    return any(said.outcome == FALSE for said in list(outcomes)[:1])


# --- the examiner -----------------------------------------------------------------------------------


def _false(examination: str) -> QuerySet[LeadOutcome]:
    """Outcomes that count and say false, of leads that the examination named by this column confirmed."""
    newer = LeadOutcome.objects.filter(lead=OuterRef("lead"), id__gt=OuterRef("id"))
    confirmed = LeadOutcome.objects.filter(outcome=FALSE, lead__first=OuterRef(examination)) | (
        LeadOutcome.objects.filter(outcome=FALSE, lead__second=OuterRef(examination))
    )
    return confirmed.filter(~Exists(newer))


def found_false(user: User) -> ExaminationQuerySet:
    """This person's examinations that confirmed a lead that was found false, until they have opened it since or for
    30 days. Adds `false_at`. Nothing else of the lead is for them to know."""
    mine = Examination.objects.visible_to(user).concluded()
    seen = FalseLeadSeen.objects.filter(outcome=OuterRef("pk"), examination=OuterRef(OuterRef("pk")))
    told = _false("pk").filter(~Exists(seen), recorded_at__gte=timezone.now() - TOLD_FOR)
    found: ExaminationQuerySet = (
        mine.annotate(false_at=Subquery(told.values("recorded_at")[:1]))
        .filter(false_at__isnull=False)
        .order_by("-false_at")
    )
    return found


def false_since(examination: Examination) -> datetime.datetime | None:
    """When the lead this examination confirmed was found false; None where it was not, or it confirmed none."""
    found = _false_of(examination)
    return found.recorded_at if found else None


def _false_of(examination: Examination) -> LeadOutcome | None:
    lead = Lead.objects.filter(first=examination) | Lead.objects.filter(second=examination)
    found = lead.first()
    said = latest(found) if found else None
    return said if said and said.outcome == FALSE else None


def examination_opened(*, by: User, examination: Examination) -> None:
    """The look at it is recorded; and that they know now, if a lead of it was found false."""
    with audit.act("examination.viewed", by=by, obj=examination, case=examination.search.probe.case_id):
        if examination.state == Examination.State.CONCLUDED and (outcome := _false_of(examination)):
            FalseLeadSeen.objects.get_or_create(outcome=outcome, examination=examination)
