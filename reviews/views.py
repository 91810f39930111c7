"""The examiner's pages. A page knows a candidate by its position in this examination and by nothing else."""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import ExaminerCertificate, Role, User
from mugsearch.errors import BadInput, NotAllowed
from mugsearch.probes import calibration, policy
from mugsearch.probes.editing import meant
from mugsearch.vault.responses import image
from reviews import outcomes, pictures, queries, services, trial_results, worksheet
from reviews.access import own_examination
from reviews.forms import ConcludeForm, refusal
from reviews.models import GRADES, Examination, Finding

PER_PAGE = 25
CERTIFICATE_ENDS_SOON = timedelta(days=60)

# As the comparison screen has them: the keys 1 to 9 in this order, and what the filmstrip shows.
_MARKS = {value: label.partition(",")[0] for value, label in Finding.Conclusion.choices}
_MARKS |= {Finding.Conclusion.NO_CONCLUSION: "?", Finding.Conclusion.UNSUITABLE: "∅"}
CHOICES = [
    {"value": value, "label": label, "short": label.partition(" for ")[0], "mark": _MARKS[value], "key": str(key)}
    for key, (value, label) in enumerate(Finding.Conclusion.choices, start=1)
]


@needs(Role.EXAMINER)
@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    """What waits for me, what I hold, what I have concluded. Without a certificate: why nothing is offered."""
    user, today = signed_in(request), timezone.localdate()
    certificate = user.certificates.valid().first()
    mine = queries.with_progress(Examination.objects.visible_to(user))
    claimed = mine.filter(state=Examination.State.CLAIMED)
    concluded = Paginator(mine.concluded().order_by("-concluded_at"), PER_PAGE)
    context = {
        "certified": user.may_examine(),
        "certificate": certificate,
        "ends_soon": certificate and _ends_soon(user, certificate),
        "latest": user.certificates.first(),
        "today": today,
        "queue": queries.queue_of(user),
        "claimed": claimed,
        "found_false": outcomes.found_false(user),
        "came_back": queries.came_back(user),
        "claim_hours": policy.current().claim_hours,
        "full": len(claimed) >= services.OPEN_AT_ONCE,
        "page": concluded.get_page(request.GET.get("page")),
    }
    return render(request, "reviews/queue.html", context)


def _ends_soon(user: User, certificate: ExaminerCertificate) -> bool:
    """Unless another one follows without a gap."""
    until = timezone.localdate() + CERTIFICATE_ENDS_SOON
    follows = user.certificates.filter(
        revoked_at__isnull=True, expires_on__gt=until, issued_on__lte=certificate.expires_on + timedelta(days=1)
    )
    return certificate.expires_on <= until and not follows.exists()


@needs(Role.EXAMINER)
@require_POST
def claim_next(request: HttpRequest) -> HttpResponse:
    examination = services.claim_next(by=signed_in(request))
    return redirect("examination", examination.pk)


@needs(Role.EXAMINER)
@require_GET
def examination(request: HttpRequest, examination_id: UUID) -> HttpResponse:
    """The comparison while it is claimed, one's own conclusions once it is locked."""
    mine = own_examination(request, examination_id)
    if mine.state == Examination.State.RELEASED:
        messages.info(request, services.ENDED[mine.release])
        return redirect("queue")
    outcomes.examination_opened(by=signed_in(request), examination=mine)
    sheet = queries.sheet(mine)
    if mine.state == Examination.State.CONCLUDED:
        return render(request, "reviews/concluded.html", _concluded(sheet))
    try:
        services.require_fit(signed_in(request), mine)
    except NotAllowed as error:
        context = {"examination": mine, "reason": error.message}
        return render(request, "reviews/only_give_back.html", context, status=403)
    return render(request, "reviews/examination.html", _stage(request, sheet))


@needs(Role.EXAMINER)
@require_http_methods(["GET", "POST"])
def conclude(request: HttpRequest, examination_id: UUID) -> HttpResponse:
    """Asks first, unless the comparison screen has asked already."""
    mine, asks = own_examination(request, examination_id), "ask" in request.POST
    form = ConcludeForm(request.POST)
    if not form.is_valid():
        raise BadInput(refusal(form))
    if request.method == "POST" and not asks:
        services.conclude(by=signed_in(request), examination=mine, seen=form.cleaned_data["seen"])
        messages.success(request, "Your examination is concluded. Thank you.")
        return redirect("examination", mine.pk)
    if mine.state != Examination.State.CLAIMED:
        return redirect("examination", mine.pk)
    if asks:
        services.require_seen(form.cleaned_data["seen"], mine)
    sheet = queries.sheet(mine)
    context = {"sheet": sheet, "summary": _summary(sheet), "seen": _saved_at(sheet.places)}
    return render(request, "reviews/conclude.html", context)


@needs(Role.EXAMINER)
@require_POST
def release(request: HttpRequest, examination_id: UUID) -> HttpResponse:
    services.release(by=signed_in(request), examination=own_examination(request, examination_id))
    messages.success(request, "The examination is back in the queue.")
    return redirect("queue")


@needs(Role.EXAMINER)
@require_GET
def probe_image(request: HttpRequest, examination_id: UUID) -> HttpResponse:
    mine = own_examination(request, examination_id)
    return image(pictures.probe_examined(by=signed_in(request), examination=mine, thumb=wants_thumb(request)))


@needs(Role.EXAMINER)
@require_GET
def candidate_image(request: HttpRequest, examination_id: UUID, position: int) -> HttpResponse:
    mine = own_examination(request, examination_id)
    return image(
        pictures.candidate_examined(
            by=signed_in(request), examination=mine, position=position, thumb=wants_thumb(request)
        )
    )


@needs(Role.EXAMINER)
@require_GET
def edit_image(request: HttpRequest, examination_id: UUID, number: int) -> HttpResponse:
    mine = own_examination(request, examination_id)
    return image(pictures.edit_examined(by=signed_in(request), examination=mine, number=number))


def wants_thumb(request: HttpRequest) -> bool:
    return request.GET.get("size") == "thumb"


def _places(sheet: queries.Sheet) -> list[dict[str, Any]]:
    """What reviews_compare_stage.html draws."""
    places = []
    for place in sheet.places:
        url = reverse("examination_candidate_image", args=[sheet.examination.pk, place.position])
        places.append(
            {
                "position": place.position,
                "image_url": url,
                "thumb_url": f"{url}?size=thumb",
                "finding": place.conclusion,
                "mark": _MARKS.get(place.conclusion, ""),
                "label": place.label,
                "notes": place.notes,
                "worksheet": json.dumps(place.worksheet),
                "rows": worksheet.rows(place.worksheet),
                "saved_at": place.saved_at.isoformat() if place.saved_at else "",
                "gone": place.gone,
                "told": place.told,
            }
        )
    return places


def _concluded(sheet: queries.Sheet) -> dict[str, Any]:
    needed = queries.examination_state(sheet.examination.search).examiners_needed
    return {
        "sheet": sheet,
        "places": _places(sheet),
        "probe_image_url": reverse("examination_probe_image", args=[sheet.examination.pk]),
        "others": needed - 1 if sheet.over else 0,
        "answered": trial_results.answer_of(sheet.examination),
        "measured": calibration.of_search(sheet.examination.search) if sheet.over else None,
        "false_at": outcomes.false_since(sheet.examination) if sheet.over else None,
    }


def _stage(request: HttpRequest, sheet: queries.Sheet) -> dict[str, Any]:
    mine, places = sheet.examination, _places(sheet)
    here = [place for place in places if not place["gone"]]
    asked = request.GET.get("candidate", "")
    current = next((place for place in here if str(place["position"]) == asked), None)
    current = current or next((place for place in here if not place["finding"]), here[0] if here else None)
    probe = mine.search.probe
    return {
        "examination": mine,
        "probe_image_url": reverse("examination_probe_image", args=[mine.pk]),
        "edits": [
            {
                "number": one.number,
                "words": one.words,
                "url": reverse("examination_edit_image", args=[mine.pk, one.number]),
            }
            for one in sheet.edits
        ],
        "candidates": places,
        "grades": CHOICES[: len(GRADES)],
        "ungraded": CHOICES[len(GRADES) :],
        "excluded": Finding.EXCLUDED,
        "drafts": _saved_at(place for place in sheet.places if not place.conclusion),
        "components": _components(json.loads(current["worksheet"]) if current else {}),
        "said_of_component": worksheet.SAID,
        "current": current,
        "found": sheet.found,
        "total": sheet.total,
        "lacking": sheet.without_worksheet,
        "save_url": reverse("save_finding", args=[mine.pk]),
        "conclude_url": reverse("conclude", args=[mine.pk]),
        "seen": _saved_at(sheet.places),
        "locked": False,
        "probe": probe,
        "meant": meant(mine.search),
    }


def _saved_at(places: Iterable[queries.Place]) -> str:
    """What the page then says it shows, as reviews.forms.SavedAtField reads it."""
    return json.dumps({one.position: one.saved_at.isoformat() for one in places if one.saved_at and not one.gone})


def _components(filled: worksheet.Worksheet) -> list[dict[str, str]]:
    found = []
    for name, label in worksheet.COMPONENTS.items():
        told = filled.get(name, {})
        drawn = json.dumps(told["drawn"]) if "drawn" in told else ""
        found.append({"name": name, "label": label, **told, "drawn": drawn})
    return found


def _summary(sheet: queries.Sheet) -> list[tuple[str, int]]:
    said = [place.label for place in sheet.places if not place.gone]
    return [(label, said.count(label)) for _, label in Finding.Conclusion.choices if label in said]
