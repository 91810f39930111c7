"""The investigator's pages of what became of a case: they need the searches and the examinations, so they live here.

Until an examination is over they say how far it is and how many candidates wait, never who or by whom.
"""

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit import services as audit
from mugsearch.gallery import readiness
from mugsearch.probes import calibration, editing, policy
from mugsearch.probes import services as probes
from mugsearch.probes.forms import HandOverForm, PriorityForm, ShareForm
from mugsearch.probes.models import Case, Search
from mugsearch.probes.views import about_repeats
from reviews import leads, outcomes, queries
from reviews.forms import CaseSearchForm
from reviews.models import Lead

PER_PAGE = 25
OVERDUE = 20  # the oldest; the next come up when these have an outcome

NOBODY_THERE = "The gallery held nobody to compare with."
NOBODY_PASSES = "Nobody in the gallery passes what this search was narrowed to."


@needs(Role.INVESTIGATOR)
@require_GET
def cases(request: HttpRequest) -> HttpResponse:
    """One's cases, the one worked on last first."""
    form, found = CaseSearchForm(request.GET), Case.objects.visible_to(signed_in(request))
    # What can't be a case number is the number of no case.
    found = found.filter(number__icontains=form.cleaned_data["number"]) if form.is_valid() else found.none()
    found = found.annotate(
        searched=Count("probes__searches", distinct=True),
        leads=Count(
            "probes__searches__lead", filter=Q(probes__searches__lead__withdrawn_at__isnull=True), distinct=True
        ),
        latest=Max("probes__submitted_at"),
    ).order_by("-latest", "-created_at")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    audit.record("case.listed", by=signed_in(request), shown=[str(case.pk) for case in page])
    context = {
        "page": page,
        "typed": form["number"].value() or "",
        "withdrawn": leads.withdrawn_unread(signed_in(request)),
        "overdue": outcomes.overdue(signed_in(request))[:OVERDUE],
        "lead_days": policy.current().lead_days,
    }
    return render(request, "reviews/cases.html", context)


@needs(Role.INVESTIGATOR)
@require_GET
def case(request: HttpRequest, case_id: UUID) -> HttpResponse:
    found = get_object_or_404(Case.objects.visible_to(signed_in(request)), pk=case_id)
    audit.record("case.viewed", by=signed_in(request), obj=found, case=found.pk)
    uploads = found.probes.select_related("submitted_by").prefetch_related(
        "searches__lead__outcomes", "searches__edit__probe"
    )
    page = Paginator(uploads, PER_PAGE).get_page(request.GET.get("page"))
    states = queries.examination_states(search for probe in page for search in probe.searches.all())
    rows: list[dict[str, Any]] = []
    rules = policy.current()
    for probe in page:
        labels = probes.policy_labels(probe, rules)
        of_probe: list[Search | None] = list(probe.searches.all()) or [None]
        rows += [{"probe": probe, "labels": labels, "search": it, **_in_a_row(it, states)} for it in of_probe]
    other = Case.Priority.NORMAL if found.priority == Case.Priority.URGENT else Case.Priority.URGENT
    memberships = found.memberships.select_related("user__agency", "added_by")
    context = {
        "case": found,
        "page": page,
        "rows": rows,
        "share": ShareForm(auto_id="share_%s"),
        "hand_over": HandOverForm(auto_id="hand_over_%s"),
        "memberships": [one for one in memberships if one.until is None],
        "left": [one for one in memberships if one.until],
        "my_agency": found.agency_id == signed_in(request).agency_id,
        "other_priority": other,
        "priority": PriorityForm(initial={"priority": other}),
        "priority_changes": found.priority_changes.select_related("by"),
    }
    return render(request, "reviews/case.html", context)


def _in_a_row(search: Search | None, states: dict[UUID, queries.ExaminationState]) -> dict[str, Any]:
    if search is None:
        return {}
    lead: Lead | None = getattr(search, "lead", None)
    return {
        "over": states[search.pk].over,
        "lead": lead,
        "found_false": lead is not None and outcomes.says_false(lead.outcomes.all()),
        "candidates": states[search.pk].candidates,
    }


@needs(Role.INVESTIGATOR)
@require_GET
def search(request: HttpRequest, search_id: UUID) -> HttpResponse:
    """A search from the queue to its result. htmx asks for the content again while there is something to wait for."""
    found = get_object_or_404(
        Search.objects.visible_to(signed_in(request)).select_related(
            "probe__case", "edit__probe", "encoder", "requested_by"
        ),
        pk=search_id,
    )
    asked_again = bool(request.headers.get("HX-Request"))
    moving = found.state in (Search.State.QUEUED, Search.State.RUNNING)
    if not (asked_again and moving):
        audit.record("search.viewed", by=signed_in(request), obj=found, case=found.probe.case_id)
    outcome = _outcome(found)
    ranks = queries.list_of(found)
    context = {
        "search": found,
        "probe": found.probe,
        "labels": probes.policy_labels(found.probe, policy.current()),
        "face": editing.face_of(found),
        "meant": editing.meant(found),
        "steps": _steps(found, outcome),
        # In the worker: look again at once. Among people: now and then, for each look is an entry in the audit.
        "again": "500ms" if moving else "60s" if found.state == Search.State.DONE and not outcome["over"] else "",
        "rebuilding": readiness.notice() if moving else "",
        # A lead's page shows the list itself.
        "ranks": [] if outcome["lead"] else ranks,
        "last": queries.last_score(ranks),
        "measured": calibration.of_search(found) if ranks else None,
        "nobody": NOBODY_PASSES if found.filters else NOBODY_THERE,
        **outcome,
        **about_repeats(found, reverse("search_repeats", args=[found.pk])),
    }
    return render(request, "reviews/_search.html" if asked_again else "reviews/search.html", context)


@needs(Role.INVESTIGATOR)
@require_POST
def try_again(request: HttpRequest, search_id: UUID) -> HttpResponse:
    found = get_object_or_404(Search.objects.visible_to(signed_in(request)), pk=search_id)
    probes.try_again(by=signed_in(request), search=found)
    return redirect("search", found.pk)


@needs(Role.INVESTIGATOR)
@require_http_methods(["GET", "POST"])
def repeats(request: HttpRequest, search_id: UUID) -> HttpResponse:
    """POST asks for a repeat; GET is for htmx, while one is under way. It holds counts only, so that is no look."""
    found = get_object_or_404(Search.objects.visible_to(signed_in(request)).select_related("encoder"), pk=search_id)
    if request.method == "POST":
        probes.repeat(by=signed_in(request), search=found)
        return redirect(reverse("search", args=[found.pk]) + "#repeats")
    return render(request, "probes/_repeats.html", about_repeats(found, request.path))


def _outcome(search: Search) -> dict[str, Any]:
    state = queries.examination_state(search)
    lead = queries.lead_of(search) if state.over else None
    return {
        "examination": state,
        "listed": search.candidates.exists(),  # tombstones too
        "over": state.over,
        "lead": lead,
        "found_false": lead is not None and outcomes.is_false(lead),
    }


def _steps(search: Search, outcome: dict[str, Any]) -> list[dict[str, str]]:
    """What partials/timeline.html draws."""
    examination, lead = outcome["examination"], outcome["lead"]
    searched = {
        Search.State.QUEUED: ("In the queue", "current"),
        Search.State.RUNNING: ("Searching", "current"),
        Search.State.DONE: ("Searched", "done"),
        Search.State.FAILED: ("Search failed", "failed"),
    }[Search.State(search.state)]
    steps = [
        {"label": "Submitted", "state": "done", "note": f"{search.probe.submitted_at:%-d %b %H:%M}"},
        {"label": "Face picked", "state": "done", "note": f"{search.requested_at:%-d %b %H:%M}"},
        {
            "label": searched[0],
            "state": searched[1],
            "note": f"{search.finished_at:%-d %b %H:%M}" if search.finished_at else "",
        },
    ]
    ordinals = ("First", "Second", "Third")[: examination.examiners_needed]
    for number, label in enumerate(f"{ordinal} examination" for ordinal in ordinals):
        done = examination.concluded > number
        waits = search.state == Search.State.DONE and not examination.over and examination.concluded == number
        steps.append({"label": label, "state": "done" if done else "current" if waits else "", "note": ""})
    result = "Result"
    if examination.over:
        result = "Lead withdrawn" if lead and lead.withdrawn_at else "Lead" if lead else "No lead"
    steps.append({"label": result, "state": "done" if examination.over else "", "note": ""})
    return steps
