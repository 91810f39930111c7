"""The auditors' pages."""

import json
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.accounts.scopes import Sensitive
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.auditing import export as exports
from mugsearch.auditing import heads, queries, reviews, services
from mugsearch.auditing.forms import AgainstForm, FilterForm, SaveForm
from mugsearch.errors import BadInput
from mugsearch.probes import services as probes
from mugsearch.probes.models import Search
from mugsearch.probes.views import about_repeats

PER_PAGE = 50


@needs(Role.AUDITOR)
@require_GET
def entries(request: HttpRequest) -> HttpResponse:
    form = FilterForm(request.GET)
    if not form.is_valid():
        return render(request, "auditing/entries.html", {"form": form, "page": None}, status=422)
    filters = form.filters(signed_in(request))
    services.read(by=signed_in(request), filters=filters)
    page = queries.page(
        filters,
        size=PER_PAGE,
        older_than=queries.number_of(request.GET.get("older_than", "")),
        newer_than=queries.number_of(request.GET.get("newer_than", "")),
    )
    context = {
        "form": form,
        "page": page,
        "rows": _rows(page.entries),
        "filtered": bool(filters.as_details()),
        "why_empty": _why_empty(filters, form.cleaned_data),
        "hides": bool(filters.hidden),
        "save": SaveForm(),
        "told": [(name, form.cleaned_data[name]) for name in reviews.KEPT if form.cleaned_data[name]],
        "may_save": not (form.cleaned_data["object"] or form.cleaned_data["booking"]),
        "overdue": reviews.overdue(),
        "query": _without(request, "older_than", "newer_than"),
    }
    return render(request, "auditing/entries.html", context)


@needs(Role.AUDITOR)
@require_GET
def entry(request: HttpRequest, number: int) -> HttpResponse:
    found = get_object_or_404(Entry, pk=number)
    newest = queries.last_number()
    services.look_at(by=signed_in(request), entry=found)
    canonical = found.canonical().decode()
    context = {
        **_rows([found])[0],
        "canonical": canonical,
        "details": json.dumps(found.details, indent=2, ensure_ascii=False, sort_keys=True) if found.details else "",
        "fits": found.digest == found.expected_digest(),
        "before": number - 1 if number > audit.archived_to() + 1 else None,
        "after": number + 1 if number < newest else None,
    }
    return render(request, "auditing/entry.html", context)


@needs(Role.AUDITOR, sensitive=Sensitive.EXPORT)
@require_GET
def export(request: HttpRequest) -> HttpResponseBase:
    form = FilterForm(request.GET)
    to = request.GET.get("to", "csv")
    if not form.is_valid() or to not in exports.CONTENT_TYPES:
        raise BadInput("The entries can't be exported with these filters.")
    filters = form.filters(signed_in(request))
    services.export(by=signed_in(request), filters=filters, to=to)
    return stream(filters, to)


def stream(filters: queries.Filters, to: str) -> StreamingHttpResponse:
    name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.{to}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(
        exports.lines(filters.entries(), to), content_type=exports.CONTENT_TYPES[to], headers=headers
    )


@needs(Role.AUDITOR)
@require_http_methods(["GET", "POST"])
def verify(request: HttpRequest) -> HttpResponse:
    form = AgainstForm(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {"form": form, "statuses": heads.statuses()}
    status = 200
    if request.method == "POST":
        if form.is_valid():
            started = timezone.now()
            against = form.cleaned_data["against"]
            context["verdict"] = services.verify(by=signed_in(request), against=against)
            context["against"] = against
            context["seconds"] = (timezone.now() - started).total_seconds()
        else:
            status = 422
    return render(request, "auditing/verify.html", context, status=status)


@needs(Role.AUDITOR)
@require_GET
def search(request: HttpRequest, search_id: UUID) -> HttpResponse:
    """How a search was made, for whom a disclosure asks; whom it listed isn't shown here."""
    found = _search(search_id)
    audit.record("search.viewed", by=signed_in(request), obj=found, case=found.probe.case_id)
    context = about_repeats(found, reverse("audit_search_repeats", args=[found.pk]))
    return render(request, "auditing/search.html", context)


@needs(Role.AUDITOR)
@require_http_methods(["GET", "POST"])
def repeats(request: HttpRequest, search_id: UUID) -> HttpResponse:
    """POST asks for a repeat; GET is for htmx, while one is under way."""
    found = _search(search_id)
    if request.method == "POST":
        probes.repeat(by=signed_in(request), search=found)
        return redirect(reverse("audit_search", args=[found.pk]) + "#repeats")
    return render(request, "probes/_repeats.html", about_repeats(found, request.path))


def _search(search_id: UUID) -> Search:
    searches = Search.objects.casework().select_related("probe__case__agency", "encoder", "requested_by")
    return get_object_or_404(searches, pk=search_id)


def _why_empty(filters: queries.Filters, asked: dict[str, Any]) -> str:
    if filters.cases == ():
        return "No case has this number. Look at its spelling: the whole number is compared, capitals don't matter."
    if filters.actors == ():
        return "Nobody has this name or user name. Part of a name is enough; of a user name it has to be all."
    if asked["booking"] and filters.objects == ():
        return "There is no such booking, or it is sealed. Look at the spelling of its number."
    return ""


def _rows(found: list[Entry]) -> list[dict[str, Any]]:
    people, cases = queries.names(found)
    return [
        {
            "entry": entry,
            "who": people.get(entry.actor, "Unknown account") if entry.actor else "The system",
            "case_number": cases.get(entry.case, "Unknown case") if entry.case else "",
        }
        for entry in found
    ]


def _without(request: HttpRequest, *names: str) -> str:
    query = request.GET.copy()
    for name in names:
        query.pop(name, None)
    for name in [name for name, value in query.items() if not value]:
        query.pop(name)
    return query.urlencode()
