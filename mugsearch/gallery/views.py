"""People, their bookings, and the pictures of both. Every look-up is recorded: who looked at whom."""

from copy import copy
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.engine import images
from mugsearch.errors import BadInput
from mugsearch.gallery import queries, services
from mugsearch.gallery.forms import BookingForm, FindPeopleForm, PersonForm
from mugsearch.gallery.models import Booking, Person, Photo
from mugsearch.gallery.paging import LongPaginator
from mugsearch.vault import services as vault
from mugsearch.vault.responses import image

PER_PAGE = 25
# Pixels, longest side.
SMALL, LARGE = 320, 1600


@needs(Role.RECORDS)
@require_GET
def people(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    form = FindPeopleForm(request.GET if "q" in request.GET else None)
    context = {"form": form, "undecided_count": Photo.objects.visible_to(user).undecided().count()}
    if form.is_bound and form.is_valid():
        text, born = form.cleaned_data["q"], form.cleaned_data["born"]
        page = LongPaginator(queries.find_people(user, text, born), PER_PAGE).get_page(request.GET.get("page"))
        # What was typed is often a name, so only that something was typed is recorded, and who was shown.
        shown = [str(person.pk) for person in page]
        audit.record(
            "people.searched", by=user, text=bool(text), born=bool(born), found=page.paginator.count, shown=shown
        )
        context |= {"page": page, "looked": True}
    else:
        context |= {
            "people_count": Person.objects.visible_to(user).count(),
            "photos_count": Photo.objects.visible_to(user).enrolled().count(),
        }
    return render(request, "gallery/people.html", context)


@needs(Role.RECORDS)
@require_GET
def person(request: HttpRequest, person_id: UUID) -> HttpResponse:
    user = signed_in(request)
    found = get_object_or_404(Person.objects.visible_to(user), pk=person_id)
    audit.record("person.viewed", by=user, obj=found)
    bookings = found.bookings.prefetch_related("photos").order_by("-booked_on", "pk")
    page = Paginator(bookings, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "gallery/person.html", {"person": found, "page": page})


@needs(Role.RECORDS)
@require_http_methods(["GET", "POST"])
def edit_person(request: HttpRequest, person_id: UUID) -> HttpResponse:
    user = signed_in(request)
    found = get_object_or_404(Person.objects.visible_to(user), pk=person_id)
    recorded = {name: getattr(found, name) for name in services.PERSON_FIELDS}
    form = PersonForm(request.POST or None, initial=recorded)
    if request.method == "POST" and form.is_valid():
        try:
            changed = services.edit_person(by=user, person=found, **form.cleaned_data)
        except BadInput as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, "The changes are saved." if changed else "Nothing was changed.")
            return redirect("person", found.pk)
    audit.record("person.viewed", by=user, obj=found)
    status = 422 if form.is_bound else 200
    return render(request, "gallery/edit_person.html", {"person": found, "form": form}, status=status)


@needs(Role.RECORDS)
@require_GET
def booking(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    user = signed_in(request)
    found = get_object_or_404(Booking.objects.visible_to(user).select_related("person"), pk=booking_id)
    audit.record("booking.viewed", by=user, obj=found)
    photos = found.photos.order_by("created_at", "pk")
    return render(request, "gallery/booking.html", {"booking": found, "person": found.person, "photos": photos})


@needs(Role.RECORDS)
@require_http_methods(["GET", "POST"])
def edit_booking(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    user = signed_in(request)
    found = get_object_or_404(Booking.objects.visible_to(user).select_related("person"), pk=booking_id)
    # A form writes what was typed into its instance, so it gets a copy: the page goes on showing what is recorded.
    form = BookingForm(request.POST or None, instance=copy(found))
    if request.method == "POST" and form.is_valid():
        try:
            changed = services.edit_booking(by=user, booking=found, **form.cleaned_data)
        except BadInput as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, "The changes are saved." if changed else "Nothing was changed.")
            return redirect("booking", found.pk)
    audit.record("booking.viewed", by=user, obj=found)
    status = 422 if form.is_bound else 200
    context = {"booking": found, "person": found.person, "form": form}
    return render(request, "gallery/edit_booking.html", context, status=status)


@needs(Role.RECORDS)
@require_GET
def photo_image(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    return photo_image_for(signed_in(request), photo_id, request.GET.get("size", ""))


def photo_image_for(user: User, photo_id: UUID, size: str) -> HttpResponse:
    """A photograph, for the page and the API: SMALL when at most that was asked for, else LARGE."""
    found = get_object_or_404(Photo.objects.visible_to(user), pk=photo_id)
    small = size.isascii() and size.isdigit() and len(size) < 5 and int(size) <= SMALL
    side = SMALL if small else LARGE
    sent = images.view_jpeg(images.read_png(vault.read_file(found.booking_id, found.pk)), max_side=side)
    audit.record("photo.image-viewed", by=user, obj=found, side=side)
    return image(sent)
