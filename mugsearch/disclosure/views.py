"""Finding a search by its case number, and taking its bundle along: for auditors and supervisors."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.accounts.scopes import Sensitive
from mugsearch.audit import services as audit
from mugsearch.disclosure import queries, services
from mugsearch.disclosure.forms import CaseNumberForm
from mugsearch.disclosure.services import Bundle
from mugsearch.errors import MugsearchError
from mugsearch.vault import signing


@needs(Role.AUDITOR, Role.SUPERVISOR)
@require_GET
def searches(request: HttpRequest) -> HttpResponse:
    """Only searches whose bundle can be had: how far the others are is not shown."""
    form = CaseNumberForm(request.GET or None)
    found = queries.of_case(signed_in(request), form.cleaned_data["number"]) if form.is_valid() else []
    if form.is_bound:
        audit.record("disclosure.looked-up", by=signed_in(request), shown=[str(search.pk) for search in found])
    typed = form["number"].value() or ""
    return render(request, "disclosure/searches.html", {"searches": found, "typed": typed})


@needs(Role.AUDITOR, Role.SUPERVISOR)
@require_GET
def search(request: HttpRequest, search_id: UUID) -> HttpResponse:
    """What the bundle holds and how it is verified, or why there is none (yet)."""
    user = signed_in(request)
    found = get_object_or_404(queries.within_reach(user), pk=search_id)
    try:
        services.require_possible(by=user, search=found)
        why_not = ""
    except MugsearchError as error:
        why_not = error.message
    audit.record("search.viewed", by=user, obj=found, case=found.probe.case_id)
    context = {"search": found, "why_not": why_not, "fingerprint": signing.fingerprint()}
    return render(request, "disclosure/search.html", context)


@needs(Role.AUDITOR, Role.SUPERVISOR, sensitive=Sensitive.EXPORT)
@require_POST
def bundle(request: HttpRequest, search_id: UUID) -> HttpResponseBase:
    user = signed_in(request)
    found = get_object_or_404(queries.within_reach(user), pk=search_id)
    return stream(services.make(by=user, search=found))


def stream(made: Bundle) -> StreamingHttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{made.name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(made.chunks, content_type="application/zip", headers=headers)
