"""One's own account: second factors, recovery codes, sessions; and confirming that it is still oneself."""

import json
from uuid import UUID

from allauth.mfa.webauthn.internal import auth as webauthn
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from mugsearch.accounts import factors, signing, sittings
from mugsearch.accounts.access import anybody, needs, signed_in
from mugsearch.accounts.forms import ConfirmForm
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.scopes import Sensitive
from mugsearch.accounts.sign_in_views import demo_code, within


@anybody
@require_http_methods(["GET"])
def account(request: HttpRequest) -> HttpResponse:
    me = signed_in(request)
    context = {
        "factors": factors.of(me),
        "codes_left": factors.recovery_codes_left(me),
        "sittings": sittings.visible_to(me).filter(user=me),
        "sitting": sittings.of(request),
    }
    return render(request, "accounts/account.html", context)


@needs(sensitive=Sensitive.ACCOUNTS)
@require_POST
def remove_factor(request: HttpRequest, factor_id: int) -> HttpResponse:
    me = signed_in(request)
    factors.remove(by=me, factor_id=get_object_or_404(factors.of(me), pk=factor_id).pk)
    messages.success(request, "The second factor is removed.")
    return redirect("account")


@needs(sensitive=Sensitive.ACCOUNTS)
@require_http_methods(["GET", "POST"])
def recovery_codes(request: HttpRequest) -> HttpResponse:
    me = signed_in(request)
    if request.method == "POST":
        factors.renew_recovery_codes(by=me)
        return redirect("recovery_codes")
    return render(request, "accounts/recovery_codes.html", {"codes": factors.unseen_recovery_codes(by=me)})


@anybody
@require_POST
def end_session(request: HttpRequest, sitting_id: UUID) -> HttpResponse:
    me = signed_in(request)
    ended = sittings.end(by=me, sitting_id=get_object_or_404(sittings.visible_to(me), pk=sitting_id).pk)
    messages.success(request, "The session is ended.")
    return redirect("account") if ended.user == me else redirect("user", ended.user_id)


@anybody
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    me = signed_in(request)
    sitting = sittings.of(request)
    if sitting is None:
        return redirect("sign_in")
    goes_to = within(request, request.POST.get("next") or request.GET.get("next", ""))
    form = ConfirmForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if signing.confirm(sitting, password=form.cleaned_data["password"], told=form.told()):
            return HttpResponseRedirect(goes_to)
        if User.objects.filter(pk=me.pk, locked_at__isnull=False).exists():
            logout(request)
            return redirect("sign_in")
        form.add_error(None, signing.WRONG)
    kinds = factors.kinds(me)
    context = {
        "form": form,
        "next": goes_to,
        "key_options": json.dumps(webauthn.begin_authentication(me)) if "webauthn" in kinds else "",
        "demo_code": demo_code(request, me),
    }
    return render(request, "accounts/confirm.html", context)


@needs(Role.ADMINISTRATOR, sensitive=Sensitive.ACCOUNTS)
@require_POST
def unlock(request: HttpRequest, user_id: UUID) -> HttpResponse:
    person = get_object_or_404(User.objects.people(), pk=user_id)
    signing.unlock(by=signed_in(request), user=person)
    messages.success(request, f"{person.full_name} can sign in again.")
    return redirect("user", person.pk)


@needs(Role.ADMINISTRATOR, sensitive=Sensitive.ACCOUNTS)
@require_POST
def reset_second_factor(request: HttpRequest, user_id: UUID) -> HttpResponse:
    person = get_object_or_404(User.objects.people(), pk=user_id)
    factors.reset(by=signed_in(request), user=person)
    messages.success(request, f"{person.full_name} sets up a new second factor at the next sign-in.")
    return redirect("user", person.pk)
