"""Legal holds: which there are, setting one and lifting it."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput
from mugsearch.gallery.models import Booking
from mugsearch.retention import holds as services
from mugsearch.retention.forms import HoldForm
from mugsearch.retention.models import Hold

PER_PAGE = 25


@needs(Role.RECORDS, Role.SUPERVISOR)
@require_GET
def holds(request: HttpRequest) -> HttpResponse:
    """Those in force first, then by the day they were set."""
    user = signed_in(request)
    ended = Q(lifted_at__isnull=False) | Q(ends_at__lte=timezone.now())
    found = Hold.objects.visible_to(user).select_related("booking", "set_by", "lifted_by")
    found = found.annotate(ended=ExpressionWrapper(ended, output_field=BooleanField())).order_by("ended", "-set_at")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    audit.record("hold.listed", by=user, shown=[str(hold.pk) for hold in page])
    context = {
        "page": page,
        "in_force": Hold.objects.visible_to(user).in_force().count(),
        "is_clerk": user.has_role(Role.RECORDS),
    }
    return render(request, "retention/holds.html", context)


@needs(Role.RECORDS)
@require_http_methods(["GET", "POST"])
def new_hold(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    user = signed_in(request)
    booking = get_object_or_404(Booking.objects.visible_to(user).select_related("person"), pk=booking_id)
    form = HoldForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            services.set_hold(by=user, booking=booking, **form.cleaned_data)
        except BadInput as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, "The hold is set. While it lasts the booking is neither sealed nor expunged.")
            return redirect("booking", booking.pk)
    audit.record("booking.viewed", by=user, obj=booking)
    status = 422 if form.is_bound else 200
    return render(request, "retention/new_hold.html", {"booking": booking, "form": form}, status=status)


@needs(Role.RECORDS)
@require_POST
def lift_hold(request: HttpRequest, hold_id: UUID) -> HttpResponse:
    user = signed_in(request)
    hold = get_object_or_404(Hold.objects.visible_to(user).select_related("booking"), pk=hold_id)
    services.lift(by=user, hold=hold)
    messages.success(request, "The hold is lifted.")
    return redirect("booking", hold.booking_id)
