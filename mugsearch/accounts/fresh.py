"""Confirming once more that it is oneself, with the password or a code, before what is sensitive (ASVS 5, 7.5.3).

Which views ask for it stands beside their roles: `@needs(…, sensitive=…)`. A page that has a form asks before it is
shown, so nothing typed is lost; where much is typed, a form that comes too late is shown again with `form_waits`.
"""

from typing import Any
from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from mugsearch.accounts import sittings
from mugsearch.errors import NotAllowed


class ConfirmFirst(NotAllowed):
    code = "confirm_first"

    def __init__(self) -> None:
        super().__init__("Confirm first that it is you, on the page /confirm; nothing was changed yet.")


def form_waits() -> SafeString:
    """For a form that is shown again with what was typed."""
    return format_html(
        'Confirm first that it is you, <a href="{}" target="_blank">in another window</a>. Then press the button '
        "again: what you typed is still here, and nothing was changed yet.",
        reverse("confirm"),
    )


def require(request: Any) -> None:
    """Raises ConfirmFirst where the last password or code of this session is too long ago."""
    sitting = sittings.of(request)
    if sitting is None or not sittings.is_confirmed(sitting):
        raise ConfirmFirst


def to_confirm(request: HttpRequest) -> HttpResponse:
    """To the page that asks, which leads back to where one was."""
    back = request.get_full_path() if request.method in ("GET", "HEAD") else _referer(request)
    return redirect(f"{reverse('confirm')}?{urlencode({'next': back})}")


def _referer(request: HttpRequest) -> str:
    came = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(came, {request.get_host()}, require_https=request.is_secure()):
        return "/"
    parts = urlsplit(came)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
