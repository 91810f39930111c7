"""The page of a lead, for the investigators on its case, and what they record there. Opening it is recorded."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.probes import calibration, editing, policy
from mugsearch.probes import services as probes
from mugsearch.vault.responses import image
from reviews import evidence, leads, outcomes, pictures, queries
from reviews.access import visible
from reviews.forms import EvidenceForm, OutcomeForm
from reviews.models import Lead


@needs(Role.INVESTIGATOR)
@require_GET
def lead(request: HttpRequest, lead_id: UUID) -> HttpResponse:
    return _page(request, visible(request, lead_id), EvidenceForm(), OutcomeForm())


@needs(Role.INVESTIGATOR)
@require_POST
def record_evidence(request: HttpRequest, lead_id: UUID) -> HttpResponse:
    found, form = visible(request, lead_id), EvidenceForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form, OutcomeForm(), status=422)
    evidence.record_evidence(by=signed_in(request), lead=found, **form.cleaned_data)
    messages.success(request, "The evidence is recorded.")
    return redirect(reverse("lead", args=[found.pk]) + "#evidence")


@needs(Role.INVESTIGATOR)
@require_POST
def record_outcome(request: HttpRequest, lead_id: UUID) -> HttpResponse:
    found, form = visible(request, lead_id), OutcomeForm(request.POST)
    if not form.is_valid():
        return _page(request, found, EvidenceForm(), form, status=422)
    outcomes.record_outcome(by=signed_in(request), lead=found, **form.cleaned_data)
    messages.success(request, "The outcome is recorded.")
    return redirect(reverse("lead", args=[found.pk]) + "#outcome")


@needs(Role.INVESTIGATOR)
@require_GET
def probe_image(request: HttpRequest, lead_id: UUID) -> HttpResponse:
    return image(pictures.probe_of_lead(by=signed_in(request), lead=visible(request, lead_id)))


@needs(Role.INVESTIGATOR)
@require_GET
def candidate_image(request: HttpRequest, lead_id: UUID) -> HttpResponse:
    return image(pictures.candidate_of_lead(by=signed_in(request), lead=visible(request, lead_id)))


@needs(Role.INVESTIGATOR)
@require_GET
def sibling_image(request: HttpRequest, lead_id: UUID, number: int) -> HttpResponse:
    return image(pictures.sibling_of_lead(by=signed_in(request), lead=visible(request, lead_id), number=number))


def _page(
    request: HttpRequest, found: Lead, evidence_form: EvidenceForm, outcome_form: OutcomeForm, status: int = 200
) -> HttpResponse:
    leads.opened(by=signed_in(request), lead=found)
    probe = found.search.probe
    said, rules = found.outcomes.select_related("recorded_by"), policy.current()
    recorded = found.evidence.select_related("recorded_by")
    context: dict[str, Any] = {
        "lead": found,
        "search": found.search,
        "probe": probe,
        "meant": editing.meant(found.search),
        "labels": probes.policy_labels(probe, rules),
        "sheet": queries.lead_sheet(found),
        "measured": calibration.of_search(found.search),
        "evidence": [(one, evidence.label_of(one.kind, rules)) for one in recorded],
        "outcomes": said,
        "found_false": outcomes.is_false(found),
        "lineups": found.lineups.select_related("exported_by"),
        "evidence_form": evidence_form,
        "outcome_form": outcome_form,
    }
    return render(request, "reviews/lead.html", context, status=status)
