"""The gate in front of pages and API views. It is the first of two: every service checks again."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from mugsearch.accounts import fresh
from mugsearch.accounts.models import ApiToken, Role, User
from mugsearch.accounts.scopes import Sensitive
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import NotAllowed

EVERY_ROLE = frozenset(Role)
View = Callable[..., HttpResponseBase]  # a stream is one too


def needs(*roles: Role, sensitive: Sensitive | None = None) -> Callable[[View], View]:
    """A page only these roles may open: `@needs(Role.RECORDS)`; without any, everybody. A refusal is recorded.

    `sensitive`: only somebody who has just confirmed that it is them.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if roles:
                _check(signed_in(request), roles, view.__name__)
            if sensitive:
                fresh.require(request)
            return view(request, *args, **kwargs)

        return _declare(guarded, frozenset(roles) or EVERY_ROLE, sensitive)

    return decorate


def anybody(view: View) -> View:
    """A page for whoever is signed in, said aloud: `docs/access-matrix.csv` knows no view without a gate."""
    return _declare(view, EVERY_ROLE)


def _declare(view: View, roles: frozenset[Role], sensitive: Sensitive | None = None) -> View:
    view.__dict__.update(gate=roles, sensitive=sensitive)
    return view


def role_permission(*roles: Role, sensitive: Sensitive | None = None) -> type[BasePermission]:
    """The same for an API view: `permission_classes = [role_permission(Role.RECORDS)]`.

    `sensitive`: from a session only after confirming, with a token only if it was made for that. Reading is not, but
    for what leaves the house.
    """

    class HasRole(BasePermission):
        gate = frozenset(roles)

        @staticmethod
        def sensitive_for(method: str) -> Sensitive | None:
            return sensitive if sensitive is Sensitive.EXPORT or method not in SAFE_METHODS else None

        def has_permission(self, request: Request, view: APIView) -> bool:
            if not isinstance(request.user, User):
                return False
            name = type(view).__name__
            _check(request.user, roles, name)
            if scope := self.sensitive_for(request.method or ""):
                if isinstance(request.auth, ApiToken):
                    _check_scope(request.user, request.auth, scope, name)
                elif request.session:
                    fresh.require(request)
            return True

    return HasRole


# An API view for whoever is signed in, said aloud as with `anybody`.
ANYBODY = [IsAuthenticated]


class _OwnAccount(BasePermission):
    gate = EVERY_ROLE

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.user, User):
            return False
        if isinstance(request.auth, ApiToken):
            _check_scope(request.user, request.auth, Sensitive.ACCOUNTS, type(view).__name__)
        return True


# Sessions and tokens, for whoever is signed in: a program that was made to read learns of none and ends none.
OWN_ACCOUNT = [_OwnAccount]


def signed_in(request: HttpRequest | Request) -> User:
    """The person a request comes from. LoginRequiredMiddleware and IsAuthenticated see to it that there is one."""
    return cast(User, request.user)


def _check_scope(user: User, token: ApiToken, scope: Sensitive, view: str) -> None:
    if scope not in token.scopes:
        error = NotAllowed(f"This token was not made for that: it lacks the scope {scope}.")
        audit.refuse("page.opened", by=user, reason=error.code, view=view, token=str(token.id))
        raise error


def _check(user: User, roles: tuple[Role, ...], view: str) -> None:
    try:
        require(user, *roles)
    except NotAllowed as error:
        audit.refuse("page.opened", by=user, reason=error.code, view=view)
        raise
