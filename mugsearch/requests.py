"""What a request may look like before anything reads it: how large, and how its JSON and its Accept are taken."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from rest_framework.exceptions import NotAcceptable, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser

from mugsearch.engine import images
from mugsearch.gallery import staging
from mugsearch.retention import dispositions
from mugsearch.validators import UNSTORABLE

FORM = 2**20  # bytes; a form, or a JSON body
PHOTOGRAPH = images.DEFAULT_LIMITS.max_bytes + FORM
IMPORT = staging.MOST_ZIP_BYTES + 64 * FORM

DISPOSITIONS = dispositions.MOST_BYTES + FORM

# The longest that begins a path counts; everything else is a form.
LIMITS = {
    "/trials/material": 8 * PHOTOGRAPH,
    "/api/v1/trials/material": 8 * PHOTOGRAPH,
    "/probes/new": PHOTOGRAPH,
    "/api/v1/probes": PHOTOGRAPH,
    "/gallery/imports/new": IMPORT,
    "/retention/dispositions/file": DISPOSITIONS,
    "/api/v1/dispositions/file": DISPOSITIONS,
    "/api/v1/imports": IMPORT,
}


class SizeMiddleware:
    """Turns away what is too large by its Content-Length, before CSRF's check would read it to a file.

    Uploads are only for people who are signed in; the API asks for that itself before it reads a body.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = 0  # the server has read none then
        if length > self._limit(request):
            message = f"What was sent is too large: {length / 2**20:.0f} MB."
            if request.path.startswith("/api/"):
                return JsonResponse({"code": "too_large", "detail": message}, status=413)
            return render(request, "refused.html", {"message": message, "status": 413}, status=413)
        return self.get_response(request)

    def _limit(self, request: HttpRequest) -> int:
        if not request.path.startswith("/api/") and not request.user.is_authenticated:
            return FORM
        return max((limit for start, limit in LIMITS.items() if request.path.startswith(start)), default=FORM)


class AnyAccept(DefaultContentNegotiation):
    """A view answers in the one form it has: an image to a client that asks for an image, not 406."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type


class ShallowJSONParser(JSONParser):
    """A hundred thousand brackets are a bad request, not a server error, and so is text that nobody can store."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            sent = super().parse(*args, **kwargs)
            storable = not any(map(UNSTORABLE.search, texts_of(sent)))
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
        if not storable:
            raise ParseError("The text holds NUL or half a character.")
        return sent


def texts_of(sent: Any) -> Iterator[str]:
    if isinstance(sent, str):
        yield sent
    elif isinstance(sent, dict):
        for name, value in sent.items():
            yield name
            yield from texts_of(value)
    elif isinstance(sent, list):
        for value in sent:
            yield from texts_of(value)


def in_utf_8(application: Callable[..., Any]) -> Callable[..., Any]:
    """Requests are read as UTF-8, whatever codec they name: Django takes any that Python knows, and fails on some
    before there is a request to answer."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        kind = environ.get("CONTENT_TYPE", "")
        environ["CONTENT_TYPE"] = re.sub(r";\s*charset\*?\s*=[^;]*", "", kind, flags=re.IGNORECASE)
        return application(environ, start_response)

    return answer
