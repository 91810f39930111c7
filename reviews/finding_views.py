"""What the comparison screen sends to be saved, and what is shown where another window saved something newer."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.errors import BadInput, MugsearchError
from reviews import queries, services, worksheet
from reviews.access import own_examination
from reviews.forms import REMAINING, FindingForm, refusal
from reviews.models import Examination, Finding

ALL = 0  # in place of a position


@needs(Role.EXAMINER)
@require_POST
def save_finding(request: HttpRequest, examination_id: UUID) -> HttpResponse:
    """For the script: 200 with what is stored now, or the refusal's status with {"message"} and, where something newer
    is stored, that. Without script: back to the next candidate, or both to choose from."""
    mine = own_examination(request, examination_id)
    by_script = request.headers.get("X-Requested-With") == "fetch"
    try:
        position = _save(request, mine)
    except services.Outdated as error:
        stored = _stored(error.position, error.stored)
        if by_script:
            return JsonResponse({"message": error.message, "stored": stored}, status=error.status)
        return render(request, "reviews/outdated.html", _both(mine, request, stored, error), status=error.status)
    except MugsearchError as error:
        if by_script:
            return JsonResponse({"message": error.message}, status=error.status)
        raise
    if by_script:
        places = [place for place in queries.sheet(mine).places if place.position == position or position == ALL]
        return JsonResponse({"saved": [_stored(one.position, one) for one in places if not one.gone]})
    after = next((place for place in queries.sheet(mine).places if not place.gone and not place.conclusion), None)
    target = after.position if after else position or 1
    return redirect(f"{reverse('examination', args=[mine.pk])}?candidate={target}")


def _save(request: HttpRequest, mine: Examination) -> int:
    form = FindingForm(request.POST)
    if not form.is_valid():
        raise BadInput(refusal(form))
    said = form.cleaned_data
    if said["position"] == REMAINING:
        services.exclude_remaining(by=signed_in(request), examination=mine, drafts=said["drafts"])
        return ALL
    position = int(said["position"])
    services.save_finding(
        by=signed_in(request),
        examination=mine,
        position=position,
        conclusion=said["conclusion"],
        notes=said["notes"],
        worksheet=form.worksheet(),
        saved_at=said["saved_at"],
    )
    return position


def _stored(position: int, finding: Finding | queries.Place) -> dict[str, Any]:
    return {
        "position": position,
        "conclusion": finding.conclusion,
        "notes": finding.notes,
        "worksheet": finding.worksheet,
        "saved_at": finding.saved_at.isoformat() if finding.saved_at else "",
    }


def _both(mine: Examination, request: HttpRequest, stored: dict[str, Any], error: services.Outdated) -> dict[str, Any]:
    """What reviews/outdated.html shows: what was sent beside what is stored, and what sends it again over that."""
    form = FindingForm(request.POST)
    form.is_valid()
    sent, sheet = form.cleaned_data, worksheet.cleaned(form.worksheet())
    rows = [("Conclusion", Finding.label_of(sent["conclusion"]), error.stored.label)]
    rows += [("Notes", sent["notes"], error.stored.notes)]
    differing = [row for row in rows if row[1] != row[2]]
    for name, label in worksheet.COMPONENTS.items():
        here, stored_here = sheet.get(name, {}), error.stored.worksheet.get(name, {})
        if here != stored_here:  # two drawings of as many marks read the same
            differing.append((label, _of_component(here), _of_component(stored_here)))
    again = {name: request.POST[name] for name in form.fields if name in request.POST}
    return {
        "examination": mine,
        "position": error.position,
        "saved_at": error.stored.saved_at,
        "rows": differing,
        "again": {**again, "saved_at": stored["saved_at"]},
    }


def _of_component(told: dict[str, Any]) -> str:
    drawn = len(told.get("drawn", []))
    parts = (worksheet.SAID.get(told.get("said", ""), ""), told.get("notes", ""), f"{drawn} drawn" if drawn else "")
    return ". ".join(part for part in parts if part)
