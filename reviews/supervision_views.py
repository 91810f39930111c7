"""The supervisors' pages: which examinations are open, and freeing one that is stuck; which leads examiners confirmed,
and withdrawing one whose examiner had no valid certificate.

Neither the candidates nor what was found on them is here, nor the case: whose work it is and how far, no more.
"""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from reviews import leads, queries, services

PER_PAGE = 25


@needs(Role.SUPERVISOR)
@require_GET
def open_examinations(request: HttpRequest) -> HttpResponse:
    found = queries.open_to(signed_in(request))
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    audit.record("examination.listed", by=signed_in(request), shown=[str(examination.pk) for examination in page])
    fit = User.objects.fit_to_examine().filter(pk__in={examination.examiner_id for examination in page})
    return render(request, "reviews/open_examinations.html", {"page": page, "fit": set(fit)})


@needs(Role.SUPERVISOR)
@require_POST
def free(request: HttpRequest, examination_id: UUID) -> HttpResponse:
    examination = get_object_or_404(queries.open_to(signed_in(request)), pk=examination_id)
    services.free(by=signed_in(request), examination=examination)
    messages.success(request, "The examination is back in the queue.")
    return redirect("open_examinations")


@needs(Role.SUPERVISOR)
@require_GET
def confirmed_leads(request: HttpRequest) -> HttpResponse:
    page = Paginator(leads.withdrawable_by(signed_in(request)), PER_PAGE).get_page(request.GET.get("page"))
    audit.record("lead.listed", by=signed_in(request), shown=[str(lead.pk) for lead in page])
    rows = [(lead, leads.confirmed_by(lead)) for lead in page]
    return render(request, "reviews/confirmed_leads.html", {"page": page, "rows": rows})


@needs(Role.SUPERVISOR)
@require_POST
def withdraw_lead(request: HttpRequest, lead_id: UUID) -> HttpResponse:
    lead = get_object_or_404(leads.withdrawable_by(signed_in(request)), pk=lead_id)
    leads.withdraw(by=signed_in(request), lead=lead, reason=request.POST.get("reason", ""))
    messages.success(request, "The lead is withdrawn. Those who opened it are told.")
    return redirect("confirmed_leads")
