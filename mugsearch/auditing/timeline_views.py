"""Timelines of a case, a user and a booking's look-ups."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.auditing import queries, timelines
from mugsearch.auditing.timelines import About
from mugsearch.probes.models import Case

PER_PAGE = 100


@needs(Role.AUDITOR)
@require_GET
def look_up(request: HttpRequest) -> HttpResponse:
    """From what an auditor knows, a number or a name, to the timeline."""
    typed = {name: request.GET.get(name, "").strip().replace("\x00", "") for name in ("case", "user", "booking")}
    found = timelines.look_up(by=signed_in(request), **typed)
    if found.booking:
        return redirect("booking_timeline", found.booking)
    no_booking = bool(typed["booking"]) and not (typed["case"] or typed["user"])
    context = {"typed": typed, "cases": found.cases, "users": found.users, "no_booking": no_booking}
    return render(request, "auditing/look_up.html", context)


@needs(Role.AUDITOR)
@require_GET
def of_case(request: HttpRequest, case_id: UUID) -> HttpResponse:
    case = get_object_or_404(Case.objects.select_related("agency"), pk=case_id)
    return _shown(request, timelines.of_case(case), f"Case {case.number}")


@needs(Role.AUDITOR)
@require_GET
def of_user(request: HttpRequest, user_id: UUID) -> HttpResponse:
    user = get_object_or_404(User, pk=user_id)
    return _shown(request, timelines.of_user(user), f"{user.full_name} ({user.username})")


@needs(Role.AUDITOR)
@require_GET
def of_booking(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    """It never says whose booking it is. One that was expunged or sealed is only an id of the record."""
    about = timelines.of_booking(booking_id)
    if about is None:
        raise Http404
    return _shown(request, about, "Look-ups of a booking")


def _shown(request: HttpRequest, about: About, title: str) -> HttpResponse:
    older, newer = (queries.number_of(request.GET.get(name, "")) for name in ("older_than", "newer_than"))
    looks = "looks" in request.GET
    read = timelines.read(by=signed_in(request), about=about, size=PER_PAGE, looks=looks, older=older, newer=newer)
    context = {
        "of": about.kind,
        "obj": about.obj,
        "title": title,
        "days": timelines.by_day(read.entries),
        "page": read.page,
        "with_looks": read.with_looks,
        "hides": read.hides,
        "oldest_first": about.oldest_first,
        "looks": "looks&" if looks else "",
    }
    return render(request, "auditing/timeline.html", context)
