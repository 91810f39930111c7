"""Sending a request to any address of the resolver, with ids of nothing or of something."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.test import Client
from rest_framework.test import APIClient

from mugsearch.matrix import Endpoint

NOTHING = {
    "uuid": UUID("00000000-0000-4000-8000-000000000000"),
    "int": 2_000_000_000,
    "slug": "nothing",
    "str": "nothing",
}
WRITTEN = {"integer": "int", "string": "str"}


def filled(endpoint: Endpoint, **ids: Any) -> str:
    """The address; what isn't given is the id of nothing."""
    path = endpoint.path
    for name, converter in endpoint.parameters.items():
        kind = type(converter).__name__.removesuffix("Converter").lower()
        written = WRITTEN.get(kind, kind)
        path = path.replace(f"<{written}:{name}>", str(ids.get(name, NOTHING[written])))
    assert "<" not in path, path
    return path


def is_api(path: str) -> bool:
    return path.startswith("/api/")


def send(client: Client | APIClient, verb: str, path: str, body: Any = None) -> HttpResponse:
    """JSON to the API, a form to pages."""
    if verb == "GET":
        return client.get(path)
    if is_api(path):
        answer = client.generic(verb, path, b"{}" if body is None else body, content_type="application/json")
    else:
        answer = client.post(path, body or {}) if verb == "POST" else client.generic(verb, path)
    return answer
