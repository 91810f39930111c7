"""What every page shares: the frame's context, how a refusal looks, and that nothing with a face is cached."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import defaults
from django.views.decorators.http import require_GET, require_safe

from mugsearch import closed
from mugsearch.accounts.access import anybody
from mugsearch.accounts.models import Role, User
from mugsearch.audit.services import NotRecorded
from mugsearch.errors import MugsearchError, NotAllowed
from mugsearch.gallery.models import Encoder

GetResponse = Callable[[HttpRequest], HttpResponse]

# label, name of the URL, who sees it. The order is the order of the work.
NAVIGATION: list[tuple[str, str, tuple[Role, ...]]] = [
    ("Cases", "cases", (Role.INVESTIGATOR,)),
    ("New search", "new_probe", (Role.INVESTIGATOR,)),
    ("Review queue", "queue", (Role.EXAMINER,)),
    ("Open examinations", "open_examinations", (Role.SUPERVISOR,)),
    ("Confirmed leads", "confirmed_leads", (Role.SUPERVISOR,)),
    ("Assign a case", "assign_case", (Role.SUPERVISOR,)),
    ("Trials", "trials", (Role.SUPERVISOR,)),
    ("People", "people", (Role.RECORDS,)),
    ("Imports", "imports", (Role.RECORDS,)),
    ("Photos to check", "waiting_photos", (Role.RECORDS,)),
    ("Orders", "expungements", (Role.RECORDS,)),
    ("Legal holds", "holds", (Role.RECORDS, Role.SUPERVISOR)),
    ("Retention", "retention", (Role.RECORDS,)),
    ("Audit", "audit", (Role.AUDITOR,)),
    ("Reviews", "audit_reviews", (Role.AUDITOR,)),
    ("Report", "report", (Role.AUDITOR, Role.SUPERVISOR)),
    ("Disclosure", "disclosure", (Role.AUDITOR, Role.SUPERVISOR)),
    ("Users", "users", (Role.ADMINISTRATOR,)),
    ("Signed heads", "audit_heads", (Role.ADMINISTRATOR,)),
    ("Policy", "policy", (Role.ADMINISTRATOR, Role.AUDITOR, Role.SUPERVISOR)),
]


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of base.html."""
    user = getattr(request, "user", None)  # a request for another host is refused before anybody asks whose it is
    if not isinstance(user, User):
        return {"navigation": [], "version": settings.VERSION}
    urls = {label: reverse(name) for label, name, roles in NAVIGATION if user.has_role(*roles)}
    above = max((url for url in urls.values() if request.path.startswith(url)), key=len, default="")
    current = "page" if request.path == above else "true"  # or somewhere below it
    navigation = [
        {"label": label, "url": url, "current": current if url == above else "", "count": None}
        for label, url in urls.items()
    ]
    return {
        "navigation": navigation,
        "version": settings.VERSION,
        "encoder_licence": _encoder_licence(),
        "idle_seconds": settings.MUGSEARCH_IDLE_MINUTES * 60,
    }


def _encoder_licence() -> str:
    active = Encoder.objects.filter(state=Encoder.State.ACTIVE).first()
    return f"{active.name}: {active.licence}" if active else ""


@anybody
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """To the first page a person's role has work on."""
    user = request.user
    assert isinstance(user, User)
    for _, name, roles in NAVIGATION:
        if user.has_role(*roles):
            return redirect(name)
    return render(request, "nothing_to_do.html")


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when the web process reaches PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


class ClosedMiddleware:
    """While a backup is being restored nothing answers: half of it may be there, or what was purged after it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if closed.reason(Path(settings.VAR)) is None:
            return self.get_response(request)
        message = "A backup is being restored. Nothing can be looked at or changed until that is finished."
        if request.path.startswith("/api/"):
            return JsonResponse({"code": "restoring", "detail": message}, status=503)
        return HttpResponse(render_to_string("503.html", {"message": message}), status=503)


class RefusalMiddleware:
    """Turns the errors of services into pages: back to where one was with the sentence, or a page of its own."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, MugsearchError) or request.path.startswith("/api/"):
            return None
        if request.headers.get("X-Requested-With") == "fetch":
            return JsonResponse({"code": error.code, "message": error.message}, status=error.status)
        back = request.META.get("HTTP_REFERER", "")
        if (
            request.method == "POST"
            and not isinstance(error, NotAllowed | NotRecorded)
            and not getattr(request, "htmx", False)
            and url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
        ):
            messages.error(request, error.message)
            return HttpResponseRedirect(back)
        return render(request, "refused.html", {"message": error.message, "status": error.status}, status=error.status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """At no address, for programs in their own form."""
    if not request.path.startswith("/api/"):
        return defaults.page_not_found(request, exception)
    return JsonResponse({"code": "not_found", "detail": "There is nothing at this address."}, status=404)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What no view got to read: too many fields, too large a header."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    return JsonResponse({"code": "bad_request", "detail": "The request can't be read."}, status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    detail = "Something went wrong here. Tell whoever runs the service; its log says what."
    return JsonResponse({"code": "server_error", "detail": detail}, status=500)


# Of a browser nothing is asked for: no camera (live video is no input, RULES 2), no place, no other site's window.
PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "autoplay",
        "camera",
        "display-capture",
        "encrypted-media",
        "fullscreen",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "picture-in-picture",
        "screen-wake-lock",
        "usb",
        "web-share",
        "xr-spatial-tracking",
    )
)


class HeadersMiddleware:
    """What Django's SecurityMiddleware doesn't send; on static files and refusals, too.

    Wherever a session ends, by whatever page, its cookie is taken back: what the browser kept goes with it, so that
    Back shows no face. Cookies are not cleared: the next sign-in's form is protected by one.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = PERMISSIONS
        session = response.cookies.get(settings.SESSION_COOKIE_NAME)
        if session is not None and not session.value:
            response.headers["Clear-Site-Data"] = '"cache", "storage"'
        return response


class NoStoreMiddleware:
    """Everything but static files may hold a face or a name: no cache keeps it, the Back button included."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers["Cache-Control"] = "no-store"
        return response
