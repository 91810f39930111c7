"""Tokens for programs: made with one's second factor, shown once, ended by their owner or an administrator."""

import datetime
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS

from mugsearch.accounts import scopes as known
from mugsearch.accounts.models import ApiToken, Role, User
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed

HOURS = 12  # unless somebody says otherwise
_USED = datetime.timedelta(minutes=5)


def make(*, by: User, name: str, scopes: Collection[str], hours: int = HOURS) -> tuple[ApiToken, str]:
    """(the row, the token itself, which nobody can see again)."""
    with audit.act("token.made", by=by, scopes=sorted(set(scopes)), hours=hours) as act:
        known.require_known(scopes, by.roles)
        most = settings.MUGSEARCH_TOKEN_MOST_DAYS * 24
        if not 1 <= hours <= most:
            raise BadInput(f"A token lasts from one hour to {most:,}.")
        if not name.strip():
            raise BadInput("Name the token, so that you know later which program has it.")
        if not User.objects.hold(by):
            raise NotAllowed("Your account was changed meanwhile. Sign in again.")
        if by.password_is_too_old():
            raise NotAllowed("Your password is too old. Change it on its page first.")
        expired().delete()
        token, secret = ApiToken.objects.create(
            by, expiry=datetime.timedelta(hours=hours), name=name.strip()[:60], scopes=sorted(set(scopes))
        )
        act.note(token=str(token.id))
    return token, secret


def living() -> QuerySet[ApiToken]:
    found: QuerySet[ApiToken] = ApiToken.objects.filter(expiry__gt=timezone.now())
    return found


def visible_to(user: User) -> QuerySet[ApiToken]:
    """One's own, and everybody's to administrators."""
    return living() if user.has_role(Role.ADMINISTRATOR) else living().filter(user=user)


def expired() -> QuerySet[ApiToken]:
    found: QuerySet[ApiToken] = ApiToken.objects.filter(expiry__lte=timezone.now())
    return found


def end(*, by: User, token: ApiToken) -> None:
    with audit.act("token.ended", by=by, obj=token.user, token=str(token.id)):
        if token.user != by and not by.has_role(Role.ADMINISTRATOR):
            raise NotAllowed("This is another person's token.")
        ApiToken.objects.filter(pk=token.pk).delete()


def end_all(user: User) -> None:
    """Part of an act on the user."""
    ApiToken.objects.filter(user=user).delete()


class Authentication(TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """The person, in those of their roles that the token was made for: what every service asks goes by that."""

    def authenticate(self, request: Any) -> tuple[User, ApiToken] | None:
        found: tuple[User, ApiToken] | None = super().authenticate(request)
        if found:
            user, token = found
            if user.password_is_too_old():
                raise AuthenticationFailed("The password of whom this token belongs to is too old.")
            writing = request.method not in SAFE_METHODS
            user.narrow_to(known.roles_of(token.scopes, writing=writing))
            if not token.used_at or token.used_at < timezone.now() - _USED:
                ApiToken.objects.filter(pk=token.pk).update(used_at=timezone.now())
        return found
