"""Imports: the runs, a new one, and how far one is."""

from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.accounts.scopes import Sensitive
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, Unavailable
from mugsearch.gallery import manifest, progress, rejects, services
from mugsearch.gallery.forms import NewImportForm
from mugsearch.gallery.models import ImportRun

PER_PAGE = 50


@needs(Role.RECORDS)
@require_GET
def imports(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    runs = ImportRun.objects.visible_to(user).select_related("started_by")
    page = Paginator(runs, 25).get_page(request.GET.get("page"))
    audit.record("import.listed", by=user, shown=[str(run.pk) for run in page])
    return render(request, "gallery/imports.html", {"page": page})


@needs(Role.RECORDS)
@require_http_methods(["GET", "POST"])
def new_import(request: HttpRequest) -> HttpResponse:
    form = NewImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        sheet = form.cleaned_data["manifest"]
        try:
            if sheet.size > manifest.MOST_BYTES:
                raise BadInput(f"The manifest is larger than {manifest.MOST_BYTES >> 20} MB; split it into several.")
            run = services.start_import(
                by=signed_in(request),
                several=ImportRun.Several(form.cleaned_data["several"]),
                manifest_file=sheet.read(),
                photos=form.cleaned_data["photos"],
            )
        except (BadInput, Unavailable) as error:
            form.add_error("manifest" if "manifest" in error.message else None, error.message)
        else:
            return redirect("import_run", run.pk)
    context = {"form": form, "optional": manifest.OPTIONAL}
    return render(request, "gallery/new_import.html", context, status=422 if form.is_bound else 200)


@needs(Role.RECORDS)
@require_GET
def import_run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    user = signed_in(request)
    run = get_object_or_404(ImportRun.objects.visible_to(user).select_related("started_by"), pk=run_id)
    audit.record("import.viewed", by=user, obj=run)
    page = Paginator(run.rejects.select_related("held_by"), PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "gallery/import_run.html", {**_progress(run), "page": page})


@needs(Role.RECORDS)
@require_GET
def import_progress(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The part of a run's page that moves. When the run ends the whole page is loaded anew, with its rejects."""
    run = get_object_or_404(ImportRun.objects.visible_to(signed_in(request)), pk=run_id)
    response = render(request, "gallery/_import_progress.html", _progress(run))
    if not _moves(run):
        response.headers["HX-Refresh"] = "true"
    return response


@needs(Role.RECORDS, sensitive=Sensitive.EXPORT)
@require_GET
def import_rejects(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    user = signed_in(request)
    run = get_object_or_404(ImportRun.objects.visible_to(user), pk=run_id)
    audit.record("import.rejects-exported", by=user, obj=run, rows=run.rejects.count())
    response = StreamingHttpResponse(
        ("\ufeff", *rejects.as_csv(run.rejects.select_related("held_by"))), content_type="text/csv; charset=utf-8"
    )
    response.headers["Content-Disposition"] = f'attachment; filename="rejects-{run.created_at:%Y-%m-%d-%H%M}.csv"'
    return response


def _moves(run: ImportRun) -> bool:
    return run.state in (ImportRun.State.QUEUED, ImportRun.State.RUNNING)


def _progress(run: ImportRun) -> dict[str, object]:
    return {"run": run, "moves": _moves(run), "rate": progress.rate(run), "remaining": progress.remaining(run)}
