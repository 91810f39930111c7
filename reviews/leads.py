"""Opening a lead, withdrawing it, and who has to be told. What else is done with a lead is in `evidence`, `outcomes`
and `lineup`, which begin with what is here.

A lead's row is locked before the audit's chain is, as everywhere.
"""

import datetime
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.utils import timezone

from mugsearch.accounts.models import ExaminerCertificate, Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import naming
from mugsearch.probes import models as probes
from mugsearch.probes.models import Candidate, SealedPlace
from mugsearch.validators import require_text
from reviews.models import Examination, Lead, LeadQuerySet, LeadView

REASON_LIMIT = 1000


def case_of(lead: Lead) -> UUID:
    return lead.search.probe.case_id


def require_on_case(by: User, lead: Lead) -> None:
    require(by, Role.INVESTIGATOR)
    if not Lead.objects.visible_to(by).filter(pk=lead.pk).exists():
        raise NotAllowed("You are not on the case of this lead.")


def locked(lead: Lead) -> Lead:
    """As it stands, until the end of the transaction: whoever withdraws it waits. Foreign keys to it do not."""
    return Lead.objects.select_for_update(no_key=True, of=("self",)).get(pk=lead.pk)


def opened(*, by: User, lead: Lead) -> None:
    """Recorded each time in the audit, and once in a row of its own, so that the viewer is told if it is withdrawn.
    Opening it when it is withdrawn says that they know."""
    with audit.act("lead.viewed", by=by, obj=lead, case=case_of(lead)):
        require_on_case(by, lead)
        # An expungement that is withdrawing it ends first: what is shown then is what this row says.
        now = locked(lead)
        LeadView.objects.get_or_create(lead=now, viewer=by, withdrawn=now.withdrawn_at is not None)
    lead.refresh_from_db(fields=["withdrawn_at", "withdrawn_why", "withdrawn_reason"])


def withdrawn_unread(user: User) -> LeadQuerySet:
    """Leads this person opened before they were withdrawn and not since, the latest withdrawn first."""
    looks = LeadView.objects.filter(lead=OuterRef("pk"), viewer=user)
    found: LeadQuerySet = (
        Lead.objects.visible_to(user)
        .filter(Exists(looks.filter(withdrawn=False)), ~Exists(looks.filter(withdrawn=True)))
        .filter(withdrawn_at__isnull=False)
        .select_related("search__probe__case")
        .order_by("-withdrawn_at")
    )
    return found


def require_nameless(lead: Lead, text: str) -> None:
    """What is written about a lead is kept for good, also when the booking behind it is expunged. Raises BadInput."""
    candidate = Candidate.objects.select_related("photo__booking__person").get(pk=lead.candidate_id)
    sealed = SealedPlace.objects.filter(candidate=candidate).select_related("photo__booking__person").first()
    photo = sealed.photo if sealed else candidate.photo
    if photo is None:
        return
    if said := naming.name_in(photo.booking, text):
        raise BadInput(
            f"Leave out the name of the lead's person, also where it is an ordinary word (“{said}”): this text is kept "
            "for good, also when they are expunged."
        )
    if naming.number_in(photo.booking, text):
        raise BadInput("Leave out the booking number and the person id: this text is kept for good.")


# --- the supervisor ---------------------------------------------------------------------------------


def withdraw(*, by: User, lead: Lead, reason: str) -> None:
    """Because an examiner's certificate turned out not to have been valid. An expungement withdraws by itself."""
    with audit.act("lead.withdrawn", by=by, obj=lead, case=case_of(lead), why=Lead.Why.CERTIFICATE.value):
        require(by, Role.SUPERVISOR)
        reason = reason.strip()
        refusal = f"Say why the certificate was not valid, in up to {REASON_LIMIT} characters."
        require_text(reason, least=1, most=REASON_LIMIT, refusal=refusal)
        require_nameless(lead, reason)
        if not withdrawable_by(by).filter(pk=lead.pk).exists():
            raise NotAllowed("You can withdraw leads of your agency, on cases you are not on and did not examine.")
        if locked(lead).withdrawn_at:
            raise WrongState("This lead is withdrawn already.")
        Lead.objects.filter(pk=lead.pk, withdrawn_at__isnull=True).update(
            withdrawn_at=timezone.now(),
            withdrawn_why=Lead.Why.CERTIFICATE,
            withdrawn_by=by,
            withdrawn_reason=reason,
        )
    lead.refresh_from_db()


def withdrawable_by(supervisor: User) -> LeadQuerySet:
    """Leads a supervisor may look at as the work of examiners: of the agency, of no case they are or were on and no
    search they examined. Withdrawn ones too, so that they are seen to be."""
    if not supervisor.has_role(Role.SUPERVISOR):
        return Lead.objects.none()
    on_case = probes.Membership.objects.filter(case=OuterRef("search__probe__case"), user=supervisor)
    examined = Examination.objects.filter(search=OuterRef("search"), examiner=supervisor)
    found: LeadQuerySet = Lead.objects.filter(
        ~Exists(on_case), ~Exists(examined), search__probe__case__agency=supervisor.agency_id
    )
    related = found.select_related("first__examiner", "second__examiner", "search__probe")
    return related.prefetch_related("first__examiner__certificates", "second__examiner__certificates")


@dataclass(frozen=True)
class Confirmed:
    """Who confirmed a lead, and whether a certificate that covers the day is on record today."""

    examiner: str
    concluded_at: datetime.datetime
    covered: bool


def confirmed_by(lead: Lead) -> list[Confirmed]:
    return [
        Confirmed(one.examiner.full_name, at, any(_covers(held, at) for held in one.examiner.certificates.all()))
        for one in (lead.first, lead.second)
        if (at := one.concluded_at)  # PostgreSQL refuses a lead of others
    ]


def _covers(certificate: ExaminerCertificate, at: datetime.datetime) -> bool:
    """Whether it was valid then: one that was revoked later was."""
    kept = certificate.revoked_at is None or certificate.revoked_at > at
    return kept and certificate.issued_on <= timezone.localdate(at) <= certificate.expires_on
