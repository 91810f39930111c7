"""What is limited, and where a request is counted: pages by a middleware, the API once it knows who asks.

An address is counted in either case before anything of the request is looked at, a password least of all.
"""

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from mugsearch.accounts.models import User
from mugsearch.errors import MugsearchError
from mugsearch.limiting import services

# (name of the URL, verb) -> which of settings.MUGSEARCH_LIMITS
LIMITED: dict[tuple[str, str], str] = {
    (name, verb): kind
    for kind, verb, names in (
        ("sign_in", "POST", "sign_in api_tokens"),
        ("upload", "POST", "new_probe api_probes new_edit api_probe_edits new_import api_imports"),
        ("upload", "POST", "trial_material api_trial_material disposition_file api_disposition_file"),
        ("search", "POST", "start_search api_probe_searches try_again api_try_again"),
        ("search", "POST", "search_repeats audit_search_repeats api_repeats"),
        ("export", "GET", "export_audit api_export_audit import_rejects api_import_rejects"),
        ("export", "GET", "certificate_json certificate_pdf api_certificate api_certificate_pdf"),
        ("export", "GET", "api_audit_head audit_head"),
        ("export", "POST", "disclosure_bundle api_disclosure export_lineup api_lead_lineups"),
    )
    for name in names.split()
}

MOST_TYPED = 4096  # bytes of a user name, a password and a code


def kind_of(request: HttpRequest | Request) -> str | None:
    match = request.resolver_match
    verb = "GET" if request.method == "HEAD" else request.method or ""  # it does the same work
    return LIMITED.get((match.view_name, verb)) if match else None


class LimitMiddleware:
    """Counts the address; the person too, where the session says who it is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        kind = kind_of(request)
        if kind is None:
            return None
        user = request.user if isinstance(request.user, User) else None
        try:
            services.by_address(kind, user)
            if kind == "sign_in":
                services.by_name(kind, _typed(request))
            elif user is not None and not request.path.startswith("/api/"):
                services.by_user(kind, user)
        except MugsearchError as error:
            return _refused(request, error)
        return None


class Throttle(BaseThrottle):
    """Of the API: behind authentication and permission, so that it is known whose request it is."""

    def allow_request(self, request: Request, view: Any) -> bool:
        kind = kind_of(request)
        if kind not in (None, "sign_in") and isinstance(request.user, User):
            services.by_user(kind, request.user)
        return True


def _typed(request: HttpRequest) -> str:
    if not request.path.startswith("/api/"):
        return request.POST.get("username", "")
    try:
        sent = json.loads(request.body) if len(request.body) < MOST_TYPED else None
    except (ValueError, RecursionError):
        return ""
    typed = sent.get("username") if isinstance(sent, dict) else None
    return typed if isinstance(typed, str) else ""


def _refused(request: HttpRequest, error: MugsearchError) -> HttpResponse:
    answer: HttpResponse
    if request.path.startswith("/api/"):
        answer = JsonResponse({"code": error.code, "detail": error.message}, status=error.status)
    elif request.headers.get("X-Requested-With") == "fetch":
        answer = JsonResponse({"code": error.code, "message": error.message}, status=error.status)
    else:
        context = {"message": error.message, "status": error.status}
        answer = render(request, "refused.html", context, status=error.status)
    if error.retry_after:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer
