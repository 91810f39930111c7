"""Whether somebody is who they say: password, then second factor, and the lock after too many failures (AC-7).

    open    --5 failures within 15 minutes-->    locked    --an administrator unlocks-->    open

Whatever is compared is compared while holding the person's row, so that twenty at once are evaluated one after another
and none after the fifth failure. Unknown, wrong, disabled and locked are told alike, and take as long.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from mugsearch.accounts import factors, sittings
from mugsearch.accounts.models import Role, SignInFailure, Sitting, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.audit.models import Outcome
from mugsearch.errors import NotAllowed, WrongState

WRONG = (
    "This didn't work. Look at what you typed and try again. After several failures an account is locked, "
    "and then only an administrator can unlock it."
)
# Any fixed number will do; it only has to differ from the other advisory locks of two numbers.
_NAMES = 0x6D756701
SIGN_IN = "session.started"
GIVEN = "session.password-given"
CONFIRM = "session.confirmed"


class WrongSignIn(NotAllowed):
    code = "wrong_sign_in"
    status = 401

    def __init__(self) -> None:
        super().__init__(WRONG)


def check(username: str, password: str, code: str, *, act: str = "token.made") -> User:
    """Password and code at once, for a program. Raises WrongSignIn, whatever was wrong."""
    with transaction.atomic(durable=True):
        user = _by_name(username)
        if not (_right_password(user, password, act=act) and user and _right_code(user, code, act=act)):
            user = None
        else:
            user.last_login = timezone.now()  # whoever signs in for programs only is not idle
            user.save(update_fields=["last_login"])
    if user is None:
        raise WrongSignIn
    return user


def check_password(username: str, password: str) -> User | None:
    """The first half of signing in on the pages. A right password is on record, too: it may be in wrong hands. Where
    nothing can be recorded, so that no failure counts, right and wrong are told alike."""
    with transaction.atomic(durable=True):
        user = _by_name(username)
        if not _right_password(user, password, act=SIGN_IN):
            return None
        audit.record(GIVEN, by=None, obj=user)
        return user


def check_factor(user: User, told: str | dict[str, Any], *, act: str = SIGN_IN) -> str | None:
    """A code, or a security key's answer: which kind it was."""
    with transaction.atomic(durable=True):
        return _right_code(_row(pk=user.pk), told, act=act)


def confirm(sitting: Sitting, *, password: str = "", told: str | dict[str, Any] = "") -> bool:
    """Once more, in a session: the password or a second factor. Its failures count as those of signing in do."""
    with transaction.atomic(durable=True):
        user = _row(pk=sitting.user_id)
        if password:
            how = "password" if _right_password(user, password, act=CONFIRM) else None
        else:
            how = _right_code(user, told, act=CONFIRM)
        if how is None:
            if user and user.locked_at:
                sittings.end_all(user)  # who guesses here sits at an open session
            return False
        Sitting.objects.filter(pk=sitting.pk).update(confirmed_at=timezone.now())
        audit.record(CONFIRM, by=user, how=how, sitting=str(sitting.pk))
    return True


def unlock(*, by: User, user: User) -> None:
    with audit.act("account.unlocked", by=by, obj=user):
        require(by, Role.ADMINISTRATOR)
        if User.objects.filter(pk=user.pk, locked_at__isnull=False).update(locked_at=None) != 1:
            raise WrongState("This account is not locked.")
        user.failures.all().delete()
    user.refresh_from_db()


def _by_name(username: str) -> User | None:
    """One try of a name after another, also of one that nobody has: else trying many at once would tell which exist."""
    if "\x00" in username:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(upper(%s)))", [_NAMES, username])
    return _row(username__iexact=username)


def _row(**which: Any) -> User | None:
    return User.objects.people().select_for_update(no_key=True).filter(**which).first()


def _right_password(user: User | None, password: str, *, act: str) -> bool:
    if user is None or user.locked_at or not user.is_active:
        # Takes as long as comparing. Before the entry, as with a wrong one: after it nobody else records anything until
        # this transaction is over.
        User().set_password(password)
    if user is None:
        # What was typed is not recorded: it may be a password in the wrong box.
        audit.refuse(act, by=None, reason="unknown")
        return False
    return _is_open(user, act=act) and (user.check_password(password) or _fail(user, act=act, reason="wrong_password"))


def _right_code(user: User | None, told: str | dict[str, Any], *, act: str) -> str | None:
    if user is None or not _is_open(user, act=act):
        return None
    kind = factors.take(user, told) if isinstance(told, str) else factors.take_key(user, told)
    if kind is None:
        _fail(user, act=act, reason="wrong_code")
    return kind


def _is_open(user: User, *, act: str) -> bool:
    if user.locked_at:
        audit.refuse(act, by=None, reason="locked", account=str(user.pk))
    elif not user.is_active:
        audit.refuse(act, by=None, reason="disabled", account=str(user.pk))
    else:
        return True
    return False


def _fail(user: User, *, act: str, reason: str) -> bool:
    """Counts it, and locks. Always False. The caller holds the row."""
    since = timezone.now() - timedelta(minutes=settings.MUGSEARCH_SIGN_IN_MINUTES)
    SignInFailure.objects.filter(user=user, at__lte=since).delete()
    SignInFailure.objects.create(user=user)
    audit.refuse(act, by=None, reason=reason, account=str(user.pk))
    failures = SignInFailure.objects.filter(user=user).count()
    if failures >= settings.MUGSEARCH_SIGN_IN_TRIES:
        user.locked_at = timezone.now()
        user.save(update_fields=["locked_at"])
        audit.append(audit.Act("account.locked", None, obj=user, details={"failures": failures}), Outcome.DONE)
    return False
