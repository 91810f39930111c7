"""What every page shares: the frame's context, how a refusal looks, and that nothing with a face is cached."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from mugsearch.accounts.models import Role, User
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
    ("Trials", "trials", (Role.SUPERVISOR,)),
    ("People", "people", (Role.RECORDS,)),
    ("Imports", "imports", (Role.RECORDS,)),
    ("Photos to check", "waiting_photos", (Role.RECORDS,)),
    ("Orders", "expungements", (Role.RECORDS,)),
    ("Legal holds", "holds", (Role.RECORDS, Role.SUPERVISOR)),
    ("Retention", "retention", (Role.RECORDS,)),
    ("Audit", "audit", (Role.AUDITOR,)),
    ("Report", "report", (Role.AUDITOR, Role.SUPERVISOR)),
    ("Disclosure", "disclosure", (Role.AUDITOR, Role.SUPERVISOR)),
    ("Users", "users", (Role.ADMINISTRATOR,)),
    ("Policy", "policy", (Role.ADMINISTRATOR, Role.AUDITOR, Role.SUPERVISOR)),
]


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of base.html."""
    user = request.user
    if not isinstance(user, User):
        return {"navigation": [], "version": settings.VERSION}
    navigation = []
    for label, name, roles in NAVIGATION:
        if user.has_role(*roles):
            url = reverse(name)
            navigation.append({"label": label, "url": url, "current": request.path == url, "count": None})
    return {"navigation": navigation, "version": settings.VERSION, "encoder_licence": _encoder_licence()}


def _encoder_licence() -> str:
    active = Encoder.objects.filter(state=Encoder.State.ACTIVE).first()
    return f"{active.name}: {active.licence}" if active else ""


def home(request: HttpRequest) -> HttpResponse:
    """To the first page a person's role has work on."""
    user = request.user
    assert isinstance(user, User)
    for _, name, roles in NAVIGATION:
        if user.has_role(*roles):
            return redirect(name)
    return render(request, "nothing_to_do.html")


@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when the web process reaches PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


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
            and not isinstance(error, NotAllowed)
            and not getattr(request, "htmx", False)
            and url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
        ):
            messages.error(request, error.message)
            return HttpResponseRedirect(back)
        return render(request, "refused.html", {"message": error.message, "status": error.status}, status=error.status)


class NoStoreMiddleware:
    """Everything but static files may hold a face or a name: no cache keeps it, the Back button included."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers["Cache-Control"] = "no-store"
        return response
