"""The line-up of a lead as a page to print. It does not say which place is the candidate's."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.accounts.scopes import Sensitive
from mugsearch.audit import services as audit
from mugsearch.vault.responses import image
from reviews import lineup as lineups
from reviews import pictures
from reviews.access import visible, visible_lineup
from reviews.leads import case_of


@needs(Role.INVESTIGATOR, sensitive=Sensitive.EXPORT)
@require_POST
def export(request: HttpRequest, lead_id: UUID) -> HttpResponse:
    made = lineups.export(by=signed_in(request), lead=visible(request, lead_id))
    return redirect("lineup", made.lead_id, made.pk)


@needs(Role.INVESTIGATOR, sensitive=Sensitive.EXPORT)
@require_GET
def lineup(request: HttpRequest, lead_id: UUID, lineup_id: UUID) -> HttpResponse:
    found = visible_lineup(request, lead_id, lineup_id)
    audit.record("lineup.viewed", by=signed_in(request), obj=found, case=case_of(found.lead), lead=str(found.lead_id))
    context: dict[str, Any] = {
        "lineup": found,
        "lead": found.lead,
        "case": found.lead.search.probe.case,
        "places": lineups.places(found),
        "statement": lineups.STATEMENT,
    }
    return render(request, "reviews/lineup.html", context)


@needs(Role.INVESTIGATOR)
@require_GET
def photo(request: HttpRequest, lead_id: UUID, lineup_id: UUID, place: int) -> HttpResponse:
    found = visible_lineup(request, lead_id, lineup_id)
    return image(pictures.place_of_lineup(by=signed_in(request), lineup=found, place=place))
