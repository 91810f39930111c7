"""The gate in front of pages and API views. It is the first of two: every service checks again."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import NotAllowed

View = Callable[..., HttpResponseBase]  # a stream is one too


def needs(*roles: Role) -> Callable[[View], View]:
    """A page only these roles may open: `@needs(Role.RECORDS)`. A refusal is recorded and shown."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            _check(signed_in(request), roles, view.__name__)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def role_permission(*roles: Role) -> type[BasePermission]:
    """The same for an API view: `permission_classes = [role_permission(Role.RECORDS)]`."""

    class HasRole(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:
            if not isinstance(request.user, User):
                return False
            _check(request.user, roles, type(view).__name__)
            return True

    return HasRole


def signed_in(request: HttpRequest | Request) -> User:
    """The person a request comes from. LoginRequiredMiddleware and IsAuthenticated see to it that there is one."""
    return cast(User, request.user)


def _check(user: User, roles: tuple[Role, ...], view: str) -> None:
    try:
        require(user, *roles)
    except NotAllowed as error:
        audit.refuse("page.opened", by=user, reason=error.code, view=view)
        raise
