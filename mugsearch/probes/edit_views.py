"""The investigator's page that edits a copy of a probe, and the picture of an edit."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.engine import images
from mugsearch.errors import BadInput, WrongState
from mugsearch.probes import editing
from mugsearch.probes.forms import EditForm
from mugsearch.probes.models import Probe, ProbeEdit
from mugsearch.probes.views import VIEW_SIDE
from mugsearch.vault.responses import image


@needs(Role.INVESTIGATOR)
@require_http_methods(["GET", "POST"])
def new_edit(request: HttpRequest, probe_id: UUID) -> HttpResponse:
    """GET shows the original, whose picture is a look of its own in the record."""
    mine = Probe.objects.visible_to(signed_in(request)).select_related("case")
    found, form, status = get_object_or_404(mine, pk=probe_id), EditForm(), 200
    if request.method == "POST":
        form, status = EditForm(request.POST), 422
        if form.is_valid():
            try:
                made = editing.edit(by=signed_in(request), probe=found, steps=form.steps(found))
            except (BadInput, WrongState) as error:
                form.add_error(None, error.message)
                status = error.status
            else:
                return redirect(f"{reverse('probe', args=[found.pk])}?edit={made.number}")
    return render(request, "probes/new_edit.html", {"probe": found, "form": form}, status=status)


@needs(Role.INVESTIGATOR)
@require_GET
def edit_image(request: HttpRequest, probe_id: UUID, number: int) -> HttpResponse:
    return edit_image_for(signed_in(request), probe_id, number)


def edit_image_for(user: User, probe_id: UUID, number: int) -> HttpResponse:
    """For the page and the API."""
    mine = ProbeEdit.objects.filter(probe__in=Probe.objects.visible_to(user)).select_related("probe")
    found = get_object_or_404(mine, probe=probe_id, number=min(number, ProbeEdit.MOST + 1))
    audit.record("probe.viewed", by=user, obj=found.probe, case=found.probe.case_id, image=True, edit=str(found.pk))
    return image(images.view_jpeg(editing.stored(found), max_side=VIEW_SIDE))
