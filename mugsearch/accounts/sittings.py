"""Sessions that have their second factor: begun, listed, confirmed, and ended, each by deleting one row."""

from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from mugsearch.accounts import tokens
from mugsearch.accounts.models import Role, Sitting, User
from mugsearch.audit import services as audit
from mugsearch.errors import NotAllowed, WrongState

BACKEND = "django.contrib.auth.backends.ModelBackend"
_ACTIVE = timedelta(seconds=15)  # written no more often


def begin(request: HttpRequest, user: User, *, factor: str) -> None:
    """After the second factor. The session's key is a new one."""
    with audit.act("session.started", by=user, factor=factor, banner=banner_digest()) as act:
        if not User.objects.hold(user) or not Authenticator.objects.filter(user=user).exists():
            raise NotAllowed("Your account was changed while you signed in. Sign in again.")
        user.failures.all().delete()
        login(request, user, backend=BACKEND)
        sitting = Sitting.objects.create(
            user=user,
            session_key=request.session.session_key or "",
            address=(audit.origin.get() or "").partition("%")[0] or None,
            browser=request.headers.get("User-Agent", "")[:200],
        )
        act.note(sitting=str(sitting.pk))


def banner_digest() -> str:
    """What was acknowledged; another text has to be acknowledged anew."""
    return sha256(settings.MUGSEARCH_BANNER.encode()).hexdigest()[:16]


def of(request: HttpRequest) -> Sitting | None:
    """The row of a browser's session. None for a token."""
    return getattr(request, "sitting", None)


def visible_to(user: User) -> "QuerySet[Sitting]":
    """One's own, and everybody's to administrators."""
    living = Sitting.objects.filter(
        started_at__gt=timezone.now() - absolute_limit(), active_at__gt=timezone.now() - idle_limit()
    )
    return living if user.has_role(Role.ADMINISTRATOR) else living.filter(user=user)


def idle_limit() -> timedelta:
    return timedelta(minutes=settings.MUGSEARCH_IDLE_MINUTES)


def absolute_limit() -> timedelta:
    return timedelta(hours=settings.MUGSEARCH_SESSION_HOURS)


def over(sitting: Sitting) -> str | None:
    """Why it ends now, if it does."""
    now = timezone.now()
    if now - sitting.active_at >= idle_limit():
        return "idle"
    return "absolute" if now - sitting.started_at >= absolute_limit() else None


def is_confirmed(sitting: Sitting) -> bool:
    return timezone.now() - sitting.confirmed_at < timedelta(minutes=settings.MUGSEARCH_CONFIRMED_MINUTES)


def note_activity(sitting: Sitting) -> None:
    now = timezone.now()
    if now - sitting.active_at > _ACTIVE:
        Sitting.objects.filter(pk=sitting.pk).update(active_at=now)


def finish(sitting: Sitting, *, reason: str) -> None:
    """Signing out, and the limits."""
    if _delete(Sitting.objects.filter(pk=sitting.pk)):
        audit.record("session.ended", by=sitting.user, sitting=str(sitting.pk), reason=reason)


def end(*, by: User, sitting_id: UUID) -> Sitting:
    """One's own elsewhere, or as an administrator anybody's."""
    with audit.act("session.ended", by=by, sitting=str(sitting_id), reason="ended") as act:
        sitting = Sitting.objects.select_related("user").filter(pk=sitting_id).first()
        if sitting is None:
            raise WrongState("This session has ended already.")
        if sitting.user != by and not by.has_role(Role.ADMINISTRATOR):
            raise NotAllowed("This is another person's session.")
        act.obj = sitting.user
        _delete(Sitting.objects.filter(pk=sitting.pk))
    return sitting


def end_all(user: User, *, but: Sitting | None = None) -> int:
    """Part of an act on the user: every session and token of theirs is over when it is committed."""
    tokens.end_all(user)
    mine = Sitting.objects.filter(user=user)
    return _delete(mine.exclude(pk=but.pk) if but else mine)


def keep_after_new_password(request: HttpRequest, user: User) -> None:
    """A session holds a digest of the password, and this one goes on under another key."""
    update_session_auth_hash(request, user)
    if sitting := of(request):
        Sitting.objects.filter(pk=sitting.pk).update(session_key=request.session.session_key)


def forget_those_over() -> None:
    """Rows of browsers that never came back after a limit; and sessions, also those that never got that far."""
    now = timezone.now()
    _delete(Sitting.objects.filter(Q(active_at__lte=now - idle_limit()) | Q(started_at__lte=now - absolute_limit())))
    Session.objects.filter(expire_date__lte=now).delete()


def _delete(rows: "QuerySet[Sitting]") -> int:
    keys = list(rows.values_list("session_key", flat=True))
    deleted: dict[str, Any] = rows.delete()[1]
    Session.objects.filter(session_key__in=keys).delete()
    return int(deleted.get("accounts.Sitting", 0))
