"""The page of a lead, for the investigators on its case. Opening it is recorded."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit import services as audit
from mugsearch.probes import services as probes
from mugsearch.vault.responses import image
from reviews import pictures, queries
from reviews.models import Lead


@needs(Role.INVESTIGATOR)
@require_GET
def lead(request: HttpRequest, lead_id: UUID) -> HttpResponse:
    found = _visible(request, lead_id)
    probe = found.search.probe
    audit.record("lead.viewed", by=signed_in(request), obj=found, case=probe.case_id)
    context = {
        "lead": found,
        "search": found.search,
        "probe": probe,
        "labels": probes.policy_labels(probe),
        "sheet": queries.lead_sheet(found),
    }
    return render(request, "reviews/lead.html", context)


@needs(Role.INVESTIGATOR)
@require_GET
def probe_image(request: HttpRequest, lead_id: UUID) -> HttpResponse:
    return image(pictures.probe_of_lead(by=signed_in(request), lead=_visible(request, lead_id)))


@needs(Role.INVESTIGATOR)
@require_GET
def candidate_image(request: HttpRequest, lead_id: UUID) -> HttpResponse:
    return image(pictures.candidate_of_lead(by=signed_in(request), lead=_visible(request, lead_id)))


@needs(Role.INVESTIGATOR)
@require_GET
def sibling_image(request: HttpRequest, lead_id: UUID, number: int) -> HttpResponse:
    return image(pictures.sibling_of_lead(by=signed_in(request), lead=_visible(request, lead_id), number=number))


def _visible(request: HttpRequest, lead_id: UUID) -> Lead:
    visible = queries.leads_visible_to(signed_in(request))
    found: Lead = get_object_or_404(
        visible.select_related("search__probe__case", "search__encoder", "candidate__photo"), pk=lead_id
    )
    return found
