"""The administrator's pages of people."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from mugsearch.accounts import factors, services, sittings, tokens
from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.forms import NewUserForm, RolesForm
from mugsearch.accounts.models import ExaminerCertificate, Role, User
from mugsearch.accounts.scopes import Sensitive
from mugsearch.errors import BadInput, WrongState

PER_PAGE = 50


@needs(Role.ADMINISTRATOR, sensitive=Sensitive.ACCOUNTS)
@require_http_methods(["GET", "POST"])
def users(request: HttpRequest) -> HttpResponse:
    form = NewUserForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            values = form.cleaned_data
            try:
                added = services.add_user(
                    by=signed_in(request), **{**values, "roles": [Role(role) for role in values["roles"]]}
                )
            except (BadInput, WrongState) as error:
                form.add_error("password" if isinstance(error, BadInput) else "username", error.message)
            else:
                messages.success(request, f"{added.full_name} can sign in now.")
                return redirect("user", added.pk)
    everybody = User.objects.people().select_related("agency").prefetch_related("grants")
    page = Paginator(everybody, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/users.html", {"page": page, "form": form}, status=status)


@needs(Role.ADMINISTRATOR, sensitive=Sensitive.ACCOUNTS)
@require_http_methods(["GET"])
def user(request: HttpRequest, user_id: UUID) -> HttpResponse:
    person = get_object_or_404(User.objects.people(), pk=user_id)
    context = {
        "person": person,
        "roles": RolesForm(initial={"roles": sorted(person.roles)}),
        "certificates": person.certificates.all(),
        "factors": factors.of(person),
        "sittings": sittings.visible_to(signed_in(request)).filter(user=person),
        "tokens": tokens.visible_to(signed_in(request)).filter(user=person),
        "valid": set(person.certificates.valid().values_list("pk", flat=True)),
    }
    return render(request, "accounts/user.html", context)


@needs(Role.ADMINISTRATOR, sensitive=Sensitive.ACCOUNTS)
@require_POST
def set_roles(request: HttpRequest, user_id: UUID) -> HttpResponse:
    person = get_object_or_404(User.objects.people(), pk=user_id)
    form = RolesForm(request.POST)
    if not form.is_valid():
        raise BadInput("Choose roles from the list.")
    services.set_roles(by=signed_in(request), user=person, roles=[Role(role) for role in form.cleaned_data["roles"]])
    messages.success(request, "The roles are changed.")
    return redirect("user", person.pk)


@needs(Role.ADMINISTRATOR, sensitive=Sensitive.ACCOUNTS)
@require_POST
def set_active(request: HttpRequest, user_id: UUID) -> HttpResponse:
    person = get_object_or_404(User.objects.people(), pk=user_id)
    active = request.POST.get("active") == "yes"
    services.set_active(by=signed_in(request), user=person, active=active)
    messages.success(request, f"{person.full_name} {'can sign in again' if active else 'can no longer sign in'}.")
    return redirect("user", person.pk)


@needs(Role.ADMINISTRATOR, sensitive=Sensitive.ACCOUNTS)
@require_POST
def revoke_certificate(request: HttpRequest, certificate_id: UUID) -> HttpResponse:
    certificate = get_object_or_404(ExaminerCertificate, pk=certificate_id)
    services.revoke_certificate(by=signed_in(request), certificate=certificate)
    messages.success(request, "The certificate is revoked.")
    return redirect("user", certificate.examiner_id)
