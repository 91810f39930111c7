"""The investigator's pages up to the search. What became of a search is shown by reviews.casework."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.engine import images
from mugsearch.errors import BadInput, MugsearchError, NotAllowed, Unavailable
from mugsearch.gallery import faces, readiness
from mugsearch.probes import policy, services
from mugsearch.probes.forms import NewProbeForm, PriorityForm, SearchForm
from mugsearch.probes.models import Case, Probe, ProbeEdit, Search
from mugsearch.vault import services as vault
from mugsearch.vault.responses import image

VIEW_SIDE = 1600  # pixels, longest side of the probe as shown before a search


@needs(Role.INVESTIGATOR)
@require_http_methods(["GET", "POST"])
def new_probe(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        form, status = NewProbeForm(request.POST, request.FILES), 422
        if form.is_valid():
            upload = form.cleaned_data["image"]
            try:
                if upload.size > images.DEFAULT_LIMITS.max_bytes:
                    raise BadInput("The image is larger than 32 MB.")
                probe = services.submit(by=signed_in(request), purpose=form.purpose(), image=upload.read())
            except (BadInput, NotAllowed, Unavailable) as error:
                form.add_error(_field_of(error), error.message)
                status = error.status
            else:
                return redirect("probe", probe.pk)
        return render(request, "probes/new_probe.html", {"form": form}, status=status)
    form = NewProbeForm(initial={"case_number": request.GET.get("case", "")})
    return render(request, "probes/new_probe.html", {"form": form})


def _field_of(error: MugsearchError) -> str:
    return "image" if error.code == "bad_image" else "__all__"


@needs(Role.INVESTIGATOR)
@require_GET
def probe(request: HttpRequest, probe_id: UUID) -> HttpResponse:
    """The image and the faces found in it. While the worker looks, htmx asks for this page's content again."""
    found = get_object_or_404(
        Probe.objects.visible_to(signed_in(request)).select_related("case", "submitted_by"), pk=probe_id
    )
    form = SearchForm(initial={"list_size": policy.current().list_size, "edit": request.GET.get("edit")})
    context = _about(found, form)
    asked_again = bool(request.headers.get("HX-Request"))
    if not (asked_again and context["looking"]):
        audit.record("probe.viewed", by=signed_in(request), obj=found, case=found.case_id)
    return render(request, "probes/_probe.html" if asked_again else "probes/probe.html", context)


def _about(probe: Probe, form: SearchForm) -> dict[str, Any]:
    """`edit`: the edit that the form is about; None for the original, also where what was sent names no edit."""
    made = list(probe.edits.all())
    edit = next((one for one in made if str(one.number) == str(form["edit"].value())), None)
    image: Probe | ProbeEdit = edit or probe
    return {
        "probe": probe,
        "edit": edit,
        "edits": [(one, faces.for_picker(_found(one), chosen=None)) for one in made],
        "most": ProbeEdit.MOST,
        "image": image,
        "labels": services.policy_labels(probe, policy.current()),
        "faces": _faces(image, form["face"].value()),
        "searches": probe.searches.select_related("edit__probe"),
        "looking": image.state == Probe.State.RECEIVED,
        "form": form,
        "rebuilding": readiness.notice(),
    }


def _found(image: Probe | ProbeEdit) -> list[tuple[faces.Box, faces.Quality]]:
    return [(face["face"]["box"], face["quality"]) for face in image.faces]


def _faces(image: Probe | ProbeEdit, picked: Any) -> list[dict[str, Any]]:
    """`picked`: the position that was sent, whatever it holds."""
    found = _found(image)
    boxes = {str(position): box for position, (box, _) in enumerate(found)}
    return faces.for_picker(found, chosen=found[0][0] if len(found) == 1 else boxes.get(str(picked)))


@needs(Role.INVESTIGATOR)
@require_GET
def probe_image(request: HttpRequest, probe_id: UUID) -> HttpResponse:
    return probe_image_for(signed_in(request), probe_id)


def probe_image_for(user: User, probe_id: UUID) -> HttpResponse:
    """The probe, upright, for the page and the API."""
    found = get_object_or_404(Probe.objects.visible_to(user), pk=probe_id)
    audit.record("probe.viewed", by=user, obj=found, case=found.case_id, image=True)
    pixels = images.read_png(vault.read_file(found.pk, found.pk))
    return image(images.view_jpeg(pixels, max_side=VIEW_SIDE))


@needs(Role.INVESTIGATOR)
@require_POST
def start_search(request: HttpRequest, probe_id: UUID) -> HttpResponse:
    found = get_object_or_404(
        Probe.objects.visible_to(signed_in(request)).select_related("case", "submitted_by"), pk=probe_id
    )
    form, status = SearchForm(request.POST), 422
    if form.is_valid():
        try:
            search = services.search(by=signed_in(request), probe=found, **form.search())
        except (BadInput, Unavailable) as error:
            form.add_error(None, error.message)
            status = error.status
        else:
            return redirect("search", search.pk)
    return render(request, "probes/probe.html", _about(found, form), status=status)


def about_repeats(search: Search, url: str) -> dict[str, Any]:
    """What probes/_repeats.html draws; `url` shows them again (GET) and asks for another one (POST)."""
    repeats = list(search.repeats.select_related("requested_by"))
    return {
        "search": search,
        "repeats": repeats,
        "repeating": any(one.moves for one in repeats),
        "unrepeatable": services.unrepeatable(search),
        "repeats_url": url,
    }


@needs(Role.INVESTIGATOR)
@require_POST
def change_priority(request: HttpRequest, case_id: UUID) -> HttpResponse:
    case = get_object_or_404(Case.objects.visible_to(signed_in(request)), pk=case_id)
    form = PriorityForm(request.POST)
    if not form.is_valid():
        raise BadInput("Choose a priority, and say why.")
    services.change_priority(by=signed_in(request), case=case, **form.cleaned_data)
    messages.success(request, f"The case is {case.priority} now.")
    return redirect("case", case.pk)
