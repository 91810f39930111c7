"""Photos to check: those in which no face or several were found. One after the other, by mouse or by keyboard."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, WrongState
from mugsearch.gallery import faces, queries, services
from mugsearch.gallery.forms import PickForm, RefuseForm
from mugsearch.gallery.models import Photo

PER_PAGE = 25


@needs(Role.RECORDS)
@require_GET
def waiting_photos(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    mine = Photo.objects.visible_to(user)
    undecided = mine.undecided().select_related("booking__person").order_by("created_at", "pk")
    page = Paginator(undecided, PER_PAGE).get_page(request.GET.get("page"))
    audit.record("photo.listed", by=user, shown=[str(photo.pk) for photo in page])
    return render(
        request,
        "gallery/waiting_photos.html",
        {"page": page, "first": undecided.first(), "being_enrolled": mine.picked().count()},
    )


@needs(Role.RECORDS)
@require_GET
def photo(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    """One photo to decide about, or what became of it. While it is being enrolled htmx asks for the page again."""
    user = signed_in(request)
    found = get_object_or_404(Photo.objects.visible_to(user).select_related("booking__person"), pk=photo_id)
    undecided = found.state == Photo.State.WAITING and found.face is None
    being_enrolled = found.state == Photo.State.WAITING and not undecided
    audit.record("photo.viewed", by=user, obj=found)
    following = queries.next_undecided(user, after=found)
    left = Photo.objects.visible_to(user).undecided().count()
    context = {
        "photo": found,
        "booking": found.booking,
        "person": found.booking.person,
        "undecided": undecided,
        "being_enrolled": being_enrolled,
        "faces": shown_faces(found),
        "refuse_form": RefuseForm(),
        "next": following if following and following.pk != found.pk else None,
        "left": left,
    }
    return render(request, "gallery/photo.html", context)


@needs(Role.RECORDS)
@require_POST
def pick_face(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    user = signed_in(request)
    found = get_object_or_404(Photo.objects.visible_to(user), pk=photo_id)
    form = PickForm(request.POST)
    if not form.is_valid():
        raise BadInput("Pick the face of the person of this booking, or refuse the photo.")
    face = form.cleaned_data["face"]
    return _decide(request, user, found, f"Face {face + 1} was picked.", face=face)


@needs(Role.RECORDS)
@require_POST
def refuse_photo(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    user = signed_in(request)
    found = get_object_or_404(Photo.objects.visible_to(user), pk=photo_id)
    form = RefuseForm(request.POST)
    if not form.is_valid():
        raise BadInput("Choose why the photo is refused.")
    return _decide(request, user, found, "The photo was refused.", reason=Photo.Refusal(form.cleaned_data["reason"]))


def _decide(
    request: HttpRequest,
    user: User,
    found: Photo,
    said: str,
    *,
    face: int | None = None,
    reason: Photo.Refusal = Photo.Refusal.NONE,
) -> HttpResponse:
    """Do it, and go on to the next photo, also when a colleague was quicker with this one."""
    try:
        if face is not None:
            services.pick_face(by=user, photo=found, face=face)
        else:
            services.refuse_photo(by=user, photo=found, reason=reason)
        messages.success(request, said)
    except WrongState as error:
        messages.warning(request, error.message)
    following = queries.next_undecided(user, after=found)
    return redirect("photo", following.pk) if following else redirect("waiting_photos")


def shown_faces(photo: Photo) -> list[dict[str, Any]]:
    none = {"score": 0, "reasons": []}
    found = ((face["box"], face.get("quality") or none) for face in photo.faces)
    return faces.for_picker(found, chosen=photo.face["box"] if photo.face else None)
