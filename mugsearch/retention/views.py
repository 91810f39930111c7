"""The records clerks' pages of orders: from the booking number on an order to the certificate."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, IntegerField, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mugsearch.accounts import fresh
from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.scopes import Sensitive
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, WrongState
from mugsearch.gallery.models import Booking
from mugsearch.retention import holds, queries, services, words
from mugsearch.retention.forms import LookUpForm, RequestForm
from mugsearch.retention.models import ExpungementOrder

PER_PAGE = 25
THUMBS = 12
Kind, State = ExpungementOrder.Kind, ExpungementOrder.State

# What waits for a person comes first, then what is under way, then the rest by date.
_URGENCY = Case(
    When(state=State.REQUESTED, then=Value(0)),
    When(state=State.APPROVED, then=Value(1)),
    default=Value(2),
    output_field=IntegerField(),
)


@needs(Role.RECORDS)
@require_GET
def orders(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    found = ExpungementOrder.objects.visible_to(user).select_related("requested_by", "approved_by")
    page = Paginator(found.order_by(_URGENCY, "-requested_at"), PER_PAGE).get_page(request.GET.get("page"))
    ExpungementOrder.read_numbers(page.object_list)
    waiting = found.filter(state=State.REQUESTED).exclude(requested_by=user).count()
    audit.record("expungement.listed", by=user, shown=[str(order.pk) for order in page])
    return render(request, "retention/orders.html", {"page": page, "waiting": waiting})


@needs(Role.RECORDS)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """A booking number is looked up by POST, so that it stays out of logs and histories, which nobody expunges.
    ?kind= and ?whole=1 say what is asked for, and of one booking or of all of the person."""
    user = signed_in(request)
    if request.method == "POST" and "booking_number" in request.POST:
        return _look_up(request, user)
    if request.method == "GET":
        fresh.require(request)
    if not (booking_id := request.GET.get("booking", "")):
        return render(request, "retention/look_up.html", {"form": LookUpForm()})
    booking = get_object_or_404(_bookings(user).select_related("person"), pk=_uuid(booking_id))
    kind = _kind(request.GET.get("kind", ""))
    whole = request.GET.get("whole") == "1"
    form = RequestForm(request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                fresh.require(request)
                order = services.request(by=user, booking=booking, kind=kind, whole_person=whole, **form.cleaned_data)
            except fresh.ConfirmFirst:
                form.add_error(None, fresh.form_waits())
            except BadInput as error:
                form.add_error(None, error.message)
            else:
                messages.success(request, "Requested. Another records clerk has to approve it.")
                return redirect("expungement", order.pk)
    said = words.SAID[kind]
    audit.record(f"{said['thing']}.previewed", by=user, obj=booking)
    covered = queries.covered(kind, booking, whole_person=whole)
    context = {
        "form": form,
        "asked": booking,
        "kind": kind,
        "kinds": Kind,
        "whole": whole,
        "said": said,
        "nothing": "This is sealed already." if kind == Kind.SEAL else "This is not sealed.",
        "bookings_count": booking.person.bookings.count(),
        "waiting": queries.waiting_about(booking, whole_person=whole),
        **(_shown(queries.preview(*covered, kind=kind)) if covered else {}),
    }
    return render(request, "retention/new.html", context, status=status)


def _look_up(request: HttpRequest, user: User) -> HttpResponse:
    form = LookUpForm(request.POST)
    if form.is_valid():
        try:
            found = services.look_up(by=user, booking_number=form.cleaned_data["booking_number"])
        except (BadInput, WrongState) as error:
            form.add_error("booking_number", error.message)
        else:
            return redirect(f"{request.path}?booking={found.pk}")
    return render(request, "retention/look_up.html", {"form": form}, status=422)


@needs(Role.RECORDS)
@require_GET
def order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """htmx asks for the content again while the erasure is under way."""
    user = signed_in(request)
    found = _order(user, order_id)
    asked_again = bool(request.headers.get("HX-Request"))
    under_way = found.state == State.APPROVED
    if not (asked_again and under_way):
        audit.record(f"{found.what}.viewed", by=user, obj=found)
    context: dict[str, Any] = {
        "order": found,
        "said": words.SAID[Kind(found.kind)],
        "steps": words.timeline(found),
        "went": words.lines(found.kind, found.counts) if found.state in (State.APPROVED, State.COMPLETE) else [],
        "may_approve": found.state == State.REQUESTED and found.requested_by_id != user.pk,
        "under_way": under_way,
        "troubles": list(found.troubles.values()),
    }
    if found.state == State.REQUESTED and (preview := queries.of_order(found)):
        context |= {**_shown(preview), "changed": preview.counts != found.counts}
    return render(request, "retention/_order.html" if asked_again else "retention/order.html", context)


@needs(Role.RECORDS, sensitive=Sensitive.PURGE)
@require_POST
def approve(request: HttpRequest, order_id: UUID) -> HttpResponse:
    user = signed_in(request)
    found = _order(user, order_id)
    services.approve(by=user, order=found, seen=request.POST.get("seen", ""))
    return redirect("expungement", found.pk)


@needs(Role.RECORDS)
@require_POST
def withdraw(request: HttpRequest, order_id: UUID) -> HttpResponse:
    user = signed_in(request)
    found = _order(user, order_id)
    services.withdraw(by=user, order=found)
    messages.success(request, "The order is withdrawn. Nothing was done.")
    return redirect("expungement", found.pk)


def _shown(preview: queries.Preview) -> dict[str, Any]:
    return {
        "bookings": preview.bookings,
        "person": preview.bookings[0].person,
        "preview": preview,
        "will_go": words.lines(preview.kind, preview.counts),
        "held": [holds.said_of(hold) for hold in preview.holds],
        "thumbs": preview.photos[:THUMBS],
        "more_photos": max(0, len(preview.photos) - THUMBS),
    }


def _order(user: User, order_id: UUID) -> ExpungementOrder:
    visible = ExpungementOrder.objects.visible_to(user)
    related = visible.select_related("agency", "requested_by", "approved_by", "withdrawn_by")
    found: ExpungementOrder = get_object_or_404(related, pk=order_id)
    return found


def _bookings(user: User) -> Any:
    return Booking.objects.visible_to(user)


def _kind(text: str) -> ExpungementOrder.Kind:
    return Kind(text) if text in Kind.values else Kind.EXPUNGE


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
