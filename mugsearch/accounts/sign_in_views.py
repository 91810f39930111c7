"""Signing in: the banner, the password, the second factor or its enrolment. Until the last, nobody is signed in.

A session that has only its password holds `pending`, which nothing but these pages reads. Before the password nothing
of a stranger is stored: the banner is a signed cookie, and where they were going stands in the address.
"""

import json
import time
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.adapter import get_adapter
from allauth.mfa.totp.internal.auth import generate_totp_secret
from allauth.mfa.webauthn.internal import auth as webauthn
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from mugsearch.accounts import factors, fresh, signing, sittings
from mugsearch.accounts.access import anybody
from mugsearch.accounts.forms import CodeForm, SignInForm
from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.errors import MugsearchError

_PENDING = "pending"
_ENROLLING = "enrolling"  # sealed
_NEXT = "next"
PENDING_SECONDS = 600
BANNER_SECONDS = 2 * PENDING_SECONDS  # so long for the password, and for the code after it


@login_not_required
@require_http_methods(["GET", "POST"])
def banner(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        answer = _with_next(request, "sign_in")
        answer.set_signed_cookie(
            settings.BANNER_COOKIE_NAME,
            sittings.banner_digest(),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Strict",
        )
        return answer
    return render(request, "accounts/banner.html", {"text": settings.MUGSEARCH_BANNER})


@login_not_required
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if isinstance(request.user, User):
        return redirect("home")
    if not _acknowledged(request):
        if request.method == "POST":
            audit.refuse(signing.SIGN_IN, by=None, reason="banner")
        return _with_next(request, "banner")
    form = SignInForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = signing.check_password(form.cleaned_data["username"], form.cleaned_data["password"])
        if user:
            _begin_pending(request, user)
            return redirect("sign_in_code" if factors.has_one(user) else "enrol")
        form.add_error(None, signing.WRONG)
    return render(request, "accounts/sign_in.html", {"form": form})


@login_not_required
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def sign_in_code(request: HttpRequest) -> HttpResponse:
    user = _pending(request)
    if user is None:
        return redirect("sign_in")
    if not factors.has_one(user):
        return redirect("enrol")
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if factor := signing.check_factor(user, form.told()):
            return _let_in(request, user, factor)
        form.add_error(None, signing.WRONG)
    kinds = factors.kinds(user)
    context = {
        "form": form,
        "kinds": kinds,
        "key_options": json.dumps(webauthn.begin_authentication(user)) if "webauthn" in kinds else "",
        "demo_code": demo_code(request, user),
    }
    return render(request, "accounts/sign_in_code.html", context)


@login_not_required
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """The first factor, forced at the first sign-in; or one more, from a session that was confirmed."""
    enrolling = not isinstance(request.user, User)
    user = _pending(request) if enrolling else request.user
    if not isinstance(user, User):
        return redirect("sign_in")
    if not enrolling:
        fresh.require(request)
    elif factors.has_one(user):
        return redirect("sign_in_code")
    form = CodeForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            kind = _add(request, user, form, enrolling)
        except MugsearchError as error:
            form.add_error(None, error.message)
            status = error.status
        else:
            request.session.pop(_ENROLLING, None)
            if not enrolling:
                return redirect("account")
            request.session[_NEXT] = "/account/codes"
            return _let_in(request, user, kind)
    has_app = "totp" in factors.kinds(user)
    secret = "" if has_app else _secret(request)
    context = {
        "form": form,
        "enrolling": enrolling,
        "has_app": has_app,
        "secret": " ".join(secret[i : i + 4] for i in range(0, len(secret), 4)),
        "drawing": _drawing(user, secret) if secret else "",
        "key_options": json.dumps(webauthn.begin_registration(user, False)),
    }
    return render(request, "accounts/enrol.html", context, status=status)


def _add(request: HttpRequest, user: User, form: CodeForm, enrolling: bool) -> str:
    told = form.told()
    if isinstance(told, str):
        factors.add_app(by=user, secret=_secret(request), code=told, enrolling=enrolling)
        return "totp"
    factors.add_key(by=user, name=request.POST.get("name", ""), answer=told, enrolling=enrolling)
    return "webauthn"


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Also of a session that has only its password."""
    if sitting := sittings.of(request):
        sittings.finish(sitting, reason="signed_out")
    logout(request)
    return _with_banner_anew(redirect("sign_in"))


@anybody
@require_POST
def active(request: HttpRequest) -> HttpResponse:
    """The page says that somebody types or points, without sending anything else."""
    return HttpResponse(status=204)


@login_not_required
@require_http_methods(["GET", "POST"])
def locked(request: HttpRequest) -> HttpResponse:
    """Where a page goes by itself when nobody has touched it for too long. POST ends the session."""
    if request.method == "POST" and (sitting := sittings.of(request)):
        sittings.finish(sitting, reason="idle")
        logout(request)
    return render(request, "accounts/locked.html", {"minutes": settings.MUGSEARCH_IDLE_MINUTES})


def demo_code(request: HttpRequest, user: User) -> str | None:
    """For `./run demo` alone, and for this machine alone: a Host header says nothing about who asks."""
    if not settings.MUGSEARCH_DEMO or request.headers.get("Forwarded") or request.headers.get("X-Forwarded-For"):
        return None
    return factors.demo_code(user) if request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1") else None


def _acknowledged(request: HttpRequest) -> bool:
    seen = request.get_signed_cookie(settings.BANNER_COOKIE_NAME, default=None, max_age=BANNER_SECONDS)
    return seen == sittings.banner_digest()


def _with_next(request: HttpRequest, name: str) -> HttpResponseRedirect:
    going = {_NEXT: request.GET[_NEXT]} if _NEXT in request.GET else {}
    return HttpResponseRedirect(f"{reverse(name)}?{urlencode(going)}" if going else reverse(name))


def _begin_pending(request: HttpRequest, user: User) -> None:
    request.session.cycle_key()
    request.session.pop(_ENROLLING, None)
    if _NEXT in request.GET:
        request.session[_NEXT] = request.GET[_NEXT]
    request.session[_PENDING] = {"user": str(user.pk), "at": time.time(), "hash": user.get_session_auth_hash()}


def _pending(request: HttpRequest) -> User | None:
    """Whose password was right, in this session, some minutes ago; with another password since then, nobody's."""
    held: dict[str, Any] = request.session.get(_PENDING) or {}
    if not held or time.time() - held["at"] > PENDING_SECONDS or not _acknowledged(request):
        return None
    user = User.objects.people().filter(pk=held["user"], is_active=True, locked_at__isnull=True).first()
    return user if user and constant_time_compare(held["hash"], user.get_session_auth_hash()) else None


def _let_in(request: HttpRequest, user: User, factor: str) -> HttpResponse:
    goes_to = str(request.session.pop(_NEXT, ""))
    request.session.pop(_PENDING, None)
    sittings.begin(request, user, factor=factor)
    return _with_banner_anew(HttpResponseRedirect(within(request, goes_to)))


def _with_banner_anew(answer: HttpResponse) -> HttpResponse:
    """Whoever signs in next is told, too."""
    answer.delete_cookie(settings.BANNER_COOKIE_NAME, samesite="Strict")
    return answer


def within(request: HttpRequest, url: str) -> str:
    """An address of ours, or else the first page."""
    ours = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if ours else "/"


def _secret(request: HttpRequest) -> str:
    """What the app is being given; sealed, because sessions lie in PostgreSQL."""
    if sealed := request.session.get(_ENROLLING):
        return str(get_adapter().decrypt(sealed))
    secret: str = generate_totp_secret()
    request.session[_ENROLLING] = get_adapter().encrypt(secret)
    return secret


def _drawing(user: User, secret: str) -> str:
    adapter = get_adapter()
    svg: str = adapter.build_totp_svg(adapter.build_totp_url(user, secret))
    return svg[svg.index("<svg") :]
