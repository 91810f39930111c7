"""Who may send what where: every address and verb of the resolver, and the gate its view declares.

`docs/access-matrix.csv` is this, checked in; `./run manage access_matrix --write` renews it and the tests compare.
A gate lets a role in. What somebody sees behind it is decided by relationship (`.visible_to`), which no table can say.
"""

import csv
import inspect
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.views import APIView

from mugsearch.accounts.access import EVERY_ROLE
from mugsearch.accounts.models import Role
from mugsearch.accounts.scopes import Sensitive

FILE = "docs/access-matrix.csv"
RENEW = f"`./run manage access_matrix --write` renews {FILE}; read what it changed before you commit it."
COLUMNS = ["endpoint", "verb", "what it is for", "anonymous", *Role.values, "sensitive"]
# They change nothing that GET or the view itself doesn't decide.
UNLISTED = {"HEAD", "OPTIONS", "TRACE"}


class Undeclared(Exception):
    """A view without a gate, or that doesn't say which verbs it takes."""


@dataclass(frozen=True)
class Row:
    """`roles`: whom the gate lets in; `anonymous`: it asks for no sign-in; `sensitive`: as what it has to be confirmed
    first, and the scope a token needs for it."""

    endpoint: str
    verb: str
    purpose: str
    roles: frozenset[Role]
    anonymous: bool
    sensitive: Sensitive | None = None

    def cells(self) -> list[str]:
        may = [self.anonymous, *(self.anonymous or role in self.roles for role in Role)]
        sensitive = self.sensitive.value if self.sensitive else "no"
        return [self.endpoint, self.verb, self.purpose, *("yes" if one else "no" for one in may), sensitive]


@dataclass(frozen=True)
class Endpoint:
    """One pattern of the resolver; `parameters` are its converters by name, for tests that fill them in."""

    path: str
    name: str
    view: Any
    parameters: dict[str, Any]


def endpoints() -> Iterator[Endpoint]:
    yield from _under(get_resolver(), "", {})


def rows() -> list[Row]:
    """Sorted by address and verb. Raises Undeclared with a sentence that names the view."""
    found = [row for endpoint in endpoints() for row in rows_of(endpoint)]
    return sorted(found, key=lambda row: (row.endpoint, row.verb))


def rows_of(endpoint: Endpoint) -> list[Row]:
    cls = getattr(endpoint.view, "view_class", None) or getattr(endpoint.view, "cls", None)
    if cls is not None and issubclass(cls, APIView):
        return [_api_row(endpoint, cls, verb) for verb in _verbs_of_class(cls)]
    anonymous = not getattr(endpoint.view, "login_required", True)
    roles = getattr(endpoint.view, "gate", None)
    if roles is None and not anonymous:
        raise Undeclared(f"{endpoint.path} has no gate: put @needs(…) or @anybody of accounts.access on its view.")
    verbs = _verbs_of_function(endpoint) if cls is None else _verbs_of_class(cls)
    purposes = {verb: _purpose(endpoint, cls and getattr(cls, verb.lower(), None), cls) for verb in verbs}
    sensitive = getattr(endpoint.view, "sensitive", None)
    return [Row(endpoint.path, verb, purposes[verb], roles or frozenset(), anonymous, sensitive) for verb in verbs]


def text() -> str:
    """The file, byte for byte."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows())
    return out.getvalue()


def file() -> Path:
    return Path(settings.BASE_DIR) / FILE


def _under(resolver: URLResolver, prefix: str, parameters: dict[str, Any]) -> Iterator[Endpoint]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        known = {**parameters, **getattr(pattern.pattern, "converters", {})}
        if isinstance(pattern, URLResolver):
            yield from _under(pattern, path, known)
        elif isinstance(pattern, URLPattern):
            yield Endpoint("/" + path, pattern.name or "", pattern.callback, known)


def _api_row(endpoint: Endpoint, cls: type[APIView], verb: str) -> Row:
    declaring = {"permission_classes", "get_permissions"}
    if not any(declaring & one.__dict__.keys() for one in cls.__mro__ if one is not APIView):
        raise Undeclared(f"{endpoint.path} has no gate: give {cls.__name__} permission_classes of accounts.access.")
    view: Any = cls()
    view.request = SimpleNamespace(method=verb)
    roles, anonymous, sensitive = EVERY_ROLE, True, None
    for permission in view.get_permissions():
        if isinstance(permission, AllowAny):
            continue
        anonymous = False
        gate = getattr(permission, "gate", None)
        if gate is None and type(permission) is not IsAuthenticated:
            raise Undeclared(f"{endpoint.path}: {type(permission).__name__} has no `gate` that says whom it lets in.")
        roles &= gate if gate is not None else EVERY_ROLE
        asked = getattr(permission, "sensitive_for", None)
        sensitive = (asked and asked(verb)) or sensitive
    return Row(endpoint.path, verb, _purpose(endpoint, getattr(cls, verb.lower()), cls), roles, anonymous, sensitive)


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in ("mugsearch", "reviews")


def _verbs_of_class(cls: Any) -> list[str]:
    return [name.upper() for name in cls.http_method_names if hasattr(cls, name) and name.upper() not in UNLISTED]


def _verbs_of_function(endpoint: Endpoint) -> list[str]:
    """What require_GET, require_POST or require_http_methods was told; a view without one takes anything."""
    layer = endpoint.view
    while layer is not None:
        if allowed := inspect.getclosurevars(layer).nonlocals.get("request_method_list"):
            return [verb for verb in allowed if verb not in UNLISTED]
        layer = getattr(layer, "__wrapped__", None)
    raise Undeclared(f"{endpoint.path} doesn't say which verbs it takes: put require_http_methods on its view.")


def _purpose(endpoint: Endpoint, *documented: Any) -> str:
    """The first sentence of the first docstring there is, our own ones only; else the address's name."""
    for one in (*documented, endpoint.view):
        said = one.__doc__ if one is not None and _is_ours(one) else None
        if said:
            first = " ".join(said.strip().split("\n\n")[0].split())
            return first.partition(". ")[0].rstrip(".")
    return endpoint.name.removeprefix("api_").replace("_", " ").capitalize()
