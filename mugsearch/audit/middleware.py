from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from mugsearch.audit.services import origin


def _address(request: HttpRequest) -> str | None:
    """Behind a proxy, the last of X-Forwarded-For: the one entry that the proxy itself wrote."""
    address = request.META.get("REMOTE_ADDR")
    if settings.BEHIND_PROXY:
        address = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or address
    try:
        return str(ip_address(address)) if address else None
    except ValueError:
        return None


class OriginMiddleware:
    """Remembers where a request came from, for the entries written while it is served."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = origin.set(_address(request))
        try:
            return self.get_response(request)
        finally:
            origin.reset(token)
