"""Independent evidence for a lead. Until some is recorded, a lead is exported to no line-up (RULES 19)."""

import datetime

from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, WrongState
from mugsearch.probes import policy
from mugsearch.validators import require_text
from reviews.leads import case_of, locked, require_nameless, require_on_case
from reviews.models import Evidence, Lead

ATTESTATION = (
    "I attest that this evidence does not come from face recognition: not from this search, not from another one, and "
    "not from a witness who was shown its result."
)
WITHDRAWN = "This lead is withdrawn. Nothing may be based on it any more."


def record_evidence(
    *, by: User, lead: Lead, kind: str, source: str, obtained_on: datetime.date, attested: bool
) -> Evidence:
    """Who recorded it and when are the service's to say. It stays: what turns out wrong is followed by another row."""
    with audit.act("evidence.recorded", by=by, obj=lead, case=case_of(lead), kind=kind[:40]) as act:
        require_on_case(by, lead)
        source = source.strip()
        if kind not in policy.current().evidence:
            raise BadInput("Choose one of the kinds of evidence.")
        refusal = f"Say where the evidence comes from, in up to {Evidence.SOURCE_LIMIT} characters."
        require_text(source, least=1, most=Evidence.SOURCE_LIMIT, refusal=refusal)
        if obtained_on > timezone.localdate():
            raise BadInput("Evidence can't have been obtained in the future.")
        if not attested:
            raise BadInput("Attest that the evidence does not come from face recognition, or don't record it.")
        require_nameless(lead, source)
        if locked(lead).withdrawn_at:
            raise WrongState(WITHDRAWN)
        now = timezone.now()
        evidence = Evidence.objects.create(
            lead=lead, kind=kind, source=source, obtained_on=obtained_on, recorded_by=by, attested_at=now
        )
        act.note(evidence=evidence.pk)
    return evidence


def label_of(kind: str, rules: policy.Policy) -> str:
    """A code that the policy no longer has stands for itself."""
    return rules.evidence.get(kind, kind)
