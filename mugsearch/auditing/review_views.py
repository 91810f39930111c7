"""Weekly reviews, what signals pointed at, and saved reviews."""

import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.auditing import reviews, signals
from mugsearch.auditing.drawing import DAY, monday
from mugsearch.auditing.forms import SaveForm, SignOffForm
from mugsearch.auditing.models import Remark, SavedReview, Sighting
from mugsearch.errors import BadInput, WrongState
from mugsearch.probes import policy

FILTERS = (*reviews.KEPT, *reviews.NOT_KEPT)


@needs(Role.AUDITOR)
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    weeks = reviews.weeks()
    overdue = [one for one in weeks if one.is_overdue]
    context = {"weeks": weeks, "overdue": overdue, "not_drawn_since": reviews.not_drawn_since()}
    return render(request, "auditing/reviews.html", context)


@needs(Role.AUDITOR)
@require_http_methods(["GET", "POST"])
def week(request: HttpRequest, day: str) -> HttpResponse:
    """POST signs it off."""
    found = reviews.week_of(day_of(day))
    form = SignOffForm(request.POST or None)
    if request.method != "POST":
        return _week(request, found, form)
    if form.is_valid():
        try:
            reviews.sign_off(by=signed_in(request), day=found.monday, **form.cleaned_data)
        except (BadInput, WrongState) as error:
            form.add_error(None, error.message)  # what was typed stays
            return _week(request, reviews.week_of(found.monday), form, status=error.status)
        messages.success(request, "The week is signed off.")
        return redirect("audit_review", found.monday.isoformat())
    return _week(request, found, form, status=422)


@needs(Role.AUDITOR)
@require_POST
def remark(request: HttpRequest, sighting_id: UUID) -> HttpResponse:
    found = get_object_or_404(Sighting, pk=sighting_id)
    said = {name: request.POST.get(name, "") for name in ("verdict", "note", "own_reason")}
    try:
        reviews.remark(by=signed_in(request), sighting=found, **said)
    except BadInput as error:
        messages.error(request, error.message)
        form = SignOffForm()
        return _week(request, reviews.week_of(found.week), form, typed=(found.pk, said), status=error.status)
    messages.success(request, "The note is kept.")
    return redirect(reverse("audit_review", args=[found.week.isoformat()]) + f"#item-{found.pk}")


def _week(
    request: HttpRequest,
    found: reviews.Week,
    form: SignOffForm,
    *,
    typed: tuple[UUID, dict[str, str]] | None = None,
    status: int = 200,
) -> HttpResponse:
    """`typed`: what was written of an item and could not be kept."""
    by = signed_in(request)
    reviews.read(by=by, week=found)
    refusals = found.refusals()
    access = found.access()
    about = {one: UUID(one.object_id) for one in access if one.object_type == "accounts.user"}
    acting = {one.actor for one in refusals} | {one.actor for one in access}
    people = User.objects.in_bulk((acting | set(about.values())) - {None})
    rows = _rows(found.sightings, by)
    context = {
        "week": found,
        "rows": [row | {"typed": typed[1] if typed and typed[0] == row["sighting"].pk else {}} for row in rows],
        "refusals": [(one, people.get(one.actor) if one.actor else None) for one in refusals],
        "access": [(one, people.get(one.actor), people.get(about.get(one))) for one in access],
        "form": form,
        "verdicts": Remark.Verdict.choices,
        "own": not found.signed and found.own_acts(by),
        "alone": reviews.alone(by, found),
        "sunday_after": found.monday + 7 * DAY,
    }
    return render(request, "auditing/review.html", context, status=status)


@needs(Role.AUDITOR)
@require_GET
def about_signals(request: HttpRequest) -> HttpResponse:
    """What each signal is, and what it pointed at lately; ?signal= and ?days= narrow it."""
    by, days = signed_in(request), _days(request.GET.get("days", ""))
    chosen = signals.BY_NAME.get(request.GET.get("signal", ""))
    found = reviews.lately(by=by, signal=chosen.name if chosen else "", days=days)
    rules = policy.current().signals
    context = {
        "signals": signals.SIGNALS,
        "chosen": chosen,
        "days": days,
        "rows": _rows(list(found[:200]), by),
        "rules": sorted(rules.items()),
        "save": SaveForm(),
    }
    return render(request, "auditing/signals.html", context)


@needs(Role.AUDITOR)
@require_http_methods(["GET", "POST"])
def saved(request: HttpRequest) -> HttpResponse:
    """POST keeps the filters that come in hidden fields."""
    if request.method == "POST":
        form = SaveForm(request.POST)
        if form.is_valid():
            told = {name: request.POST.get(name, "") for name in FILTERS}
            signal = request.POST.get("signal", "")
            try:
                reviews.save(by=signed_in(request), signal=signal, filters=told, **form.cleaned_data)
            except (BadInput, WrongState) as error:
                form.add_error("name", error.message)
                return render(
                    request, "auditing/saved.html", {"rows": _saved(), "form": form, "told": told | {"signal": signal}},
                    status=error.status,
                )  # fmt: skip
            messages.success(request, "The review is saved.")
            return redirect("saved_reviews")
        told = {name: request.POST.get(name, "") for name in (*FILTERS, "signal")}
        return render(request, "auditing/saved.html", {"rows": _saved(), "form": form, "told": told}, status=422)
    return render(request, "auditing/saved.html", {"rows": _saved()})


@needs(Role.AUDITOR)
@require_POST
def put_away(request: HttpRequest, saved_id: UUID) -> HttpResponse:
    reviews.put_away(by=signed_in(request), saved=get_object_or_404(SavedReview, pk=saved_id))
    messages.success(request, "The saved review is put away.")
    return redirect("saved_reviews")


def _saved() -> list[dict[str, Any]]:
    rows = []
    for one in SavedReview.objects.filter(put_away_at=None).select_related("by"):
        if one.signal:
            address = reverse("audit_signals") + "?" + urlencode({"signal": one.signal, "days": one.days})
        else:
            told = {**one.filters, "since": one.since.strftime("%Y-%m-%dT%H:%M")}
            address = reverse("audit") + "?" + urlencode(told)
        rows.append({"saved": one, "address": address, "signal": signals.BY_NAME.get(one.signal)})
    return rows


def _rows(sightings: list[Sighting], by: User) -> list[dict[str, Any]]:
    own = set(reviews.about(by).filter(pk__in=[one.pk for one in sightings]).values_list("pk", flat=True))
    return [
        {
            "sighting": one,
            "signal": signals.BY_NAME.get(one.signal),
            "said": getattr(one, "said", []),
            "own": one.pk in own,
            "alone": one.pk in own and reviews.alone(by, one),
        }
        for one in sightings
    ]


def day_of(typed: str) -> datetime.date:
    try:
        day = datetime.date.fromisoformat(typed)
    except ValueError as error:
        raise Http404 from error
    if not 2000 <= day.year <= 9000 or monday(day) > timezone.localdate():
        raise Http404
    return day


def _days(typed: str) -> int:
    return min(max(int(typed), 1), 366) if typed.isdecimal() and len(typed) < 5 else reviews.LATELY
