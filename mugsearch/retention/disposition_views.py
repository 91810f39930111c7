"""The records clerks' pages of retention: what the rules will do, dispositions, and what waits for a clerk."""

import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, MugsearchError, NotAllowed
from mugsearch.gallery.models import Booking
from mugsearch.probes import policy
from mugsearch.retention import dispositions, probe_erasing, rules, services, sweeping
from mugsearch.retention.disposition_forms import DismissForm, DispositionForm, FileForm, MatchForm
from mugsearch.retention.dispositions import BadLines, Reported
from mugsearch.retention.models import Disposition

PER_PAGE = 50
WRONG_SHOWN = 200


@needs(Role.RECORDS)
@require_GET
def retention(request: HttpRequest) -> HttpResponse:
    user, today, in_force = signed_in(request), timezone.localdate(), policy.current()
    bookings = Booking.objects.visible_to(user)
    context = {
        "forecasts": [rules.forecast(rule, bookings, today=today) for rule in in_force.retention.acting],
        "kept": [rule for rule in in_force.retention.rules.values() if not rule.acts],
        "retention": in_force.retention,
        "digest": in_force.digest,
        "ahead": rules.AHEAD,
        "probes": len(probe_erasing.due(in_force.retention, today=today)),
        "stale": rules.stale(user, in_force.retention, today=today).count(),
        "unmatched": Disposition.objects.visible_to(user).unmatched().count(),
    }
    audit.record("retention.viewed", by=user)
    return render(request, "retention/retention.html", context)


@needs(Role.RECORDS)
@require_GET
def rule(request: HttpRequest, code: str) -> HttpResponse:
    """The bookings a rule acts on in the days ahead, the first ones first."""
    user, today = signed_in(request), timezone.localdate()
    found = policy.current().retention.rules.get(code)
    if found is None or not found.acts:
        raise Http404
    until = today + datetime.timedelta(days=rules.AHEAD)
    coming = rules.acted_on(found, until=until).filter(pk__in=Booking.objects.visible_to(user))
    page = Paginator(coming, PER_PAGE).get_page(request.GET.get("page"))
    rows = [
        {
            "booking": booking,
            "on": max(today, booking.since + found.window),
            "why_not": sweeping.blocked(booking),
        }
        for booking in page
    ]
    audit.record("retention.rule-listed", by=user, rule=code, shown=[str(row["booking"].pk) for row in rows])
    return render(request, "retention/rule.html", {"rule": found, "rows": rows, "page": page, "ahead": rules.AHEAD})


@needs(Role.RECORDS)
@require_GET
def stale(request: HttpRequest) -> HttpResponse:
    user, in_force = signed_in(request), policy.current().retention
    found = rules.stale(user, in_force, today=timezone.localdate())
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    audit.record("retention.stale-listed", by=user, shown=[str(booking.pk) for booking in page])
    return render(request, "retention/stale.html", {"page": page, "months": in_force.stale_months})


@needs(Role.RECORDS)
@require_GET
def unmatched(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    found = Disposition.objects.visible_to(user).unmatched().select_related("recorded_by").order_by("recorded_at", "id")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    audit.record("disposition.unmatched-listed", by=user, shown=[one.pk for one in page])
    return render(request, "retention/unmatched.html", {"rows": _with_reasons(list(page)), "page": page})


@needs(Role.RECORDS)
@require_http_methods(["GET", "POST"])
def new_disposition(request: HttpRequest) -> HttpResponse:
    """`?booking=` is an id: a number would stay in logs and histories, which nobody expunges."""
    user = signed_in(request)
    about = _booking(user, request.GET.get("booking", ""))
    if about:
        audit.record("booking.viewed", by=user, obj=about)
    form = DispositionForm(request.POST or None, initial={"booking_number": about.booking_number if about else ""})
    if request.method == "POST" and form.is_valid():
        try:
            made = dispositions.record(by=user, reported=Reported(**form.cleaned_data))
        except MugsearchError as error:
            if isinstance(error, NotAllowed):
                raise
            form.add_error(None, error.message)
        else:
            if made.booking:
                messages.success(request, f"Recorded for booking {made.booking.booking_number}.")
                return redirect("booking_dispositions", made.booking_id)
            messages.warning(request, "Recorded, but no booking of this number is here. It waits in this list.")
            return redirect("unmatched_dispositions")
    context = {"form": form, "about": about}
    return render(request, "retention/new_disposition.html", context, status=422 if form.is_bound else 200)


@needs(Role.RECORDS)
@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    form = FileForm(request.POST or None, request.FILES or None)
    wrong: list[dispositions.BadLine] = []
    if request.method == "POST" and form.is_valid():
        try:
            file = form.cleaned_data["file"].read(dispositions.MOST_BYTES + 1)
            taken = dispositions.take_file(by=signed_in(request), file=file)
        except BadInput as error:
            form.add_error("file", error.message)
            wrong = error.lines if isinstance(error, BadLines) else []
        else:
            return render(request, "retention/taken.html", {"taken": taken})
    context = {
        "form": form,
        "wrong": wrong[:WRONG_SHOWN],
        "more": max(0, len(wrong) - WRONG_SHOWN),
        "codes": policy.current().retention.dispositions,
    }
    return render(request, "retention/upload.html", context, status=422 if form.is_bound else 200)


@needs(Role.RECORDS)
@require_GET
def of_booking(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    """The history: the latest counts, the others stay readable."""
    user = signed_in(request)
    booking = get_object_or_404(Booking.objects.visible_to(user), pk=booking_id)
    history = list(booking.dispositions.select_related("recorded_by", "matched_by", "dismissed_by"))
    current = Disposition.objects.current().filter(booking=booking).first()
    audit.record("disposition.listed", by=user, obj=booking)
    labels = policy.current().retention.dispositions
    context = {
        "booking": booking,
        "rows": [{"one": one, "label": labels.get(one.disposition, one.disposition)} for one in history],
        "current": current,
    }
    return render(request, "retention/booking_dispositions.html", context)


@needs(Role.RECORDS)
@require_http_methods(["GET", "POST"])
def disposition(request: HttpRequest, pk: int) -> HttpResponse:
    """One that waits: to be matched by hand, or dismissed. One of a booking: to be dismissed."""
    user = signed_in(request)
    visible = Disposition.objects.visible_to(user).select_related("booking", "recorded_by", "dismissed_by")
    found = get_object_or_404(visible, pk=pk)
    posted = request.POST if request.method == "POST" else None
    matching = MatchForm(posted if posted and "booking_number" in posted else None, auto_id="match_%s")
    dismissing = DismissForm(posted if posted and "reason" in posted else None, auto_id="dismiss_%s")
    if matching.is_bound and matching.is_valid():
        try:
            meant = services.look_up(by=user, booking_number=matching.cleaned_data["booking_number"])
            dispositions.match(by=user, disposition=found, booking=meant)
        except MugsearchError as error:
            matching.add_error("booking_number", error.message)
        else:
            messages.success(request, f"Matched with booking {meant.booking_number}.")
            return redirect("booking_dispositions", meant.pk)
    elif dismissing.is_bound and dismissing.is_valid():
        try:
            dispositions.dismiss(by=user, disposition=found, reason=dismissing.cleaned_data["reason"])
        except MugsearchError as error:
            dismissing.add_error("reason", error.message)
        else:
            messages.success(request, "Dismissed. It counts no more.")
            if found.booking_id:
                return redirect("booking_dispositions", found.booking_id)
            return redirect("unmatched_dispositions")
    audit.record("disposition.viewed", by=user, obj=found)
    (row,) = _with_reasons([found])
    context = {**row, "matching": matching, "dismissing": dismissing}
    return render(request, "retention/disposition.html", context, status=422 if posted is not None else 200)


def _with_reasons(found: list[Disposition]) -> list[dict[str, Any]]:
    """With its label, and why it waits."""
    labels = policy.current().retention.dispositions
    reasons = dispositions.why_waiting(found)
    return [
        {"one": one, "label": labels.get(one.disposition, one.disposition), "reason": reasons.get(one.pk, "")}
        for one in found
    ]


def _booking(user: User, booking_id: str) -> Booking | None:
    if not booking_id:
        return None
    try:
        pk = UUID(booking_id)
    except ValueError as error:
        raise Http404 from error
    found: Booking = get_object_or_404(Booking.objects.visible_to(user), pk=pk)
    return found
