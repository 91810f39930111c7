"""Known-answer trials: the supervisors' pages, and an examiner's own figures.

Whoever examines is turned away from the supervisors' pages by the services: they tell the answers.
"""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit import services as audit
from mugsearch.errors import MugsearchError
from mugsearch.probes import policy
from mugsearch.trials import services as material
from mugsearch.trials.models import Subject, Trial, TrialPhoto
from mugsearch.vault.responses import image
from reviews import pictures, trial_results, trials
from reviews.trial_forms import MaterialForm, PrepareForm
from reviews.trial_material import REMEMBERED, material_of

PER_PAGE = 25


@needs(Role.SUPERVISOR)
@require_http_methods(["GET", "POST"])
def all_trials(request: HttpRequest) -> HttpResponse:
    """What is under way, and preparing more."""
    by = signed_in(request)
    material.require_preparer(by)
    form = PrepareForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            made = trials.prepare(by=by, counts=form.counts(), pairs=said["pairs"], days=said["days"])
        except MugsearchError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"{len(made)} trial{'s' if len(made) > 1 else ''} prepared.")
            return redirect("trials")
    found = Trial.objects.visible_to(by).select_related("prepared_by")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    audit.record("trial.listed", by=by, shown=[str(trial.pk) for trial in page])
    context = {
        "form": form,
        "page": page,
        "rows": trial_results.progress_of(list(page)),
        "material": material_of(by),
        "list_size": policy.current().list_size,
        "remembered": REMEMBERED.days,
    }
    return render(request, "reviews/trials.html", context, status=422 if form.errors else 200)


@needs(Role.SUPERVISOR)
@require_GET
def trial(request: HttpRequest, trial_id: UUID) -> HttpResponse:
    """What it is made of, and what was concluded on it."""
    by = signed_in(request)
    found = get_object_or_404(Trial.objects.visible_to(by).select_related("photo__subject"), pk=trial_id)
    audit.record("trial.viewed", by=by, obj=found)
    search = found.searches.order_by("pk").first()
    listed = search.candidates.select_related("trial_photo__subject").order_by("rank") if search else []
    (progress,) = trial_results.progress_of([found])
    context = {"trial": found, "listed": listed, "tried": trial_results.of_trial(found), "progress": progress}
    return render(request, "reviews/trial.html", context)


@needs(Role.SUPERVISOR)
@require_POST
def close(request: HttpRequest, trial_id: UUID) -> HttpResponse:
    found = get_object_or_404(Trial.objects.visible_to(signed_in(request)), pk=trial_id)
    trials.close(by=signed_in(request), trial=found)
    messages.success(request, "The trial is closed. Those who concluded it can see now what it was.")
    return redirect("trial", found.pk)


@needs(Role.SUPERVISOR)
@require_http_methods(["GET", "POST"])
def trial_material(request: HttpRequest) -> HttpResponse:
    by = signed_in(request)
    material.require_preparer(by)
    form = MaterialForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        photos = [upload.read() for upload in said.pop("photos")]
        try:
            subject = material.add(by=by, photos=photos, **said)
        except MugsearchError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"The photographs of {subject.code} are taken in.")
            return redirect("trial_material")
    found = Subject.objects.visible_to(by).prefetch_related("photos")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    audit.record("trial-subject.listed", by=by, shown=[str(subject.pk) for subject in page])
    context = {
        "form": form,
        "page": page,
        "material": material_of(by),
        "list_size": policy.current().list_size,
    }
    return render(request, "reviews/trial_material.html", context, status=422 if form.errors else 200)


@needs(Role.SUPERVISOR)
@require_POST
def withdraw_subject(request: HttpRequest, subject_id: UUID) -> HttpResponse:
    subject = get_object_or_404(Subject.objects.visible_to(signed_in(request)), pk=subject_id)
    trials.withdraw(by=signed_in(request), subject=subject)
    messages.success(request, f"The photographs of {subject.code} are destroyed.")
    return redirect("trial_material")


@needs(Role.SUPERVISOR)
@require_GET
def trial_photo(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    by = signed_in(request)
    photo = get_object_or_404(TrialPhoto.objects.filter(subject__in=Subject.objects.visible_to(by)), pk=photo_id)
    return image(pictures.of_trial(by=by, photo=photo, thumb=True))


@needs(Role.SUPERVISOR)
@require_GET
def examiners(request: HttpRequest) -> HttpResponse:
    by = signed_in(request)
    material.require_preparer(by)
    records = trial_results.of_agency(by)
    audit.record("trial.results-viewed", by=by, shown=[str(one.examiner.pk) for one in records])
    return render(request, "reviews/trial_examiners.html", {"records": records, "bar": policy.current()})


@needs(Role.SUPERVISOR)
@require_http_methods(["GET", "POST"])
def examiner(request: HttpRequest, examiner_id: UUID) -> HttpResponse:
    """How one examiner did. POST takes them out of the queue."""
    by = signed_in(request)
    material.require_preparer(by)
    person = get_object_or_404(trial_results.examiners_of(by), pk=examiner_id)
    if request.method == "POST":
        trials.take_out(by=by, examiner=person, reason=request.POST.get("reason", ""))
        messages.success(request, f"{person.full_name} is out of the queue until re-certified, and is told why.")
        return redirect("trial_examiner", person.pk)
    audit.record("trial.results-viewed", by=by, shown=[str(person.pk)])
    return render(request, "reviews/trial_examiner.html", _of(trial_results.of_examiner(person)))


@needs(Role.EXAMINER)
@require_GET
def mine(request: HttpRequest) -> HttpResponse:
    """An examiner's own, of closed trials only."""
    by = signed_in(request)
    audit.record("trial.results-viewed", by=by, shown=[str(by.pk)])
    return render(request, "reviews/my_trials.html", _of(trial_results.told_to(by)))


def _of(record: trial_results.Record) -> dict[str, Any]:
    return {"record": record, "person": record.examiner, "bar": record.bar, "reason_limit": trials.REASON_LIMIT}
