"""Second factors: codes of an app (TOTP), security keys (WebAuthn), and recovery codes. django-allauth keeps them.

What compares a code runs in a transaction that holds the person's row (see `signing`): allauth would remember used
codes in the cache, and there is none (settings.CACHES), so `User.code_step` does.
"""

import time
from collections.abc import Callable
from typing import Any

from allauth.core import context
from allauth.core.internal.cryptokit import compare_user_code, normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.webauthn.internal import auth as webauthn
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from mugsearch.accounts import sittings
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed, WrongState

Kind = Authenticator.Type
MAKES_ONE = (Kind.TOTP, Kind.WEBAUTHN)  # recovery codes stand in for one of these, they aren't one
MOST_KEYS = 10


def of(user: User) -> "QuerySet[Any]":
    """Without the recovery codes."""
    found: QuerySet[Any] = Authenticator.objects.filter(user=user, type__in=MAKES_ONE).order_by("created_at")
    return found


def has_one(user: User) -> bool:
    return of(user).exists()


def kinds(user: User) -> frozenset[str]:
    return frozenset(Authenticator.objects.filter(user=user).values_list("type", flat=True))


def take(user: User, code: str) -> str | None:
    """Whether this is a code of theirs that was never taken; then it is taken now. The caller holds the row."""
    told = normalize_user_code(code)
    if len(told) == app_settings.TOTP_DIGITS:
        app = Authenticator.objects.filter(user=user, type=Kind.TOTP).first()
        step = _step(get_adapter().decrypt(app.data["secret"]), told) if app else None
        return "totp" if step is not None and app and _first_use(user, step) and _used(app) else None
    spare = Authenticator.objects.filter(user=user, type=Kind.RECOVERY_CODES).first()
    return "recovery_codes" if spare and RecoveryCodes(spare).validate_code(told) and _used(spare) else None


def take_key(user: User, answer: dict[str, Any]) -> str | None:
    """The same for what a security key has signed; its challenge is in the session and taken out there."""
    try:
        _require_challenge()
        _read(webauthn.parse_authentication_response, answer)
        key = webauthn.complete_authentication(user, answer)
        context.request.session.save()
    except (ValidationError, ValueError, TypeError, KeyError):
        return None
    finally:
        webauthn.clear_state()
    return "webauthn" if _used(key) else None


def _read(parse: Callable[[dict[str, Any]], Any], answer: dict[str, Any]) -> None:
    """What a browser sent, before anything is compared: the library's decoders fail in more ways than they name, and
    whatever it is, the try has to count."""
    try:
        parse(answer)
    except Exception as error:
        raise ValueError("This is no answer of a security key.") from error


def _require_challenge() -> None:
    """Of two answers sent at once both have read the session with the challenge in it. Asked again while the person's
    row is held, it is gone from the session for the second; taken out is saved before the row is let go."""
    session = context.request.session
    if type(session)(session.session_key).get(webauthn.STATE_SESSION_KEY) != webauthn.get_state():
        raise ValidationError("This was answered already.")


def _used(one: Any) -> bool:
    one.record_usage()
    return True


def _step(secret: str, code: str) -> int | None:
    """The time step a code is of, among now, the one before and the next."""
    steps: list[int] = list(totp.yield_hotp_counters_from_time())
    for step in steps:
        if compare_user_code(actual=code, expected=totp.format_hotp_value(totp.hotp_value(secret, step))):
            return step
    return None


def _first_use(user: User, step: int) -> bool:
    return User.objects.filter(pk=user.pk, code_step__lt=step).update(code_step=step) == 1


def add_app(*, by: User, secret: str, code: str, enrolling: bool) -> None:
    with audit.act("factor.added", by=by, obj=by, kind=Kind.TOTP.value) as act:
        _alone(by, enrolling)
        if Kind.TOTP in kinds(by):
            raise WrongState("You have an authenticator app already. Remove it to add another.")
        step = _step(secret, normalize_user_code(code))
        if step is None or not _first_use(by, step):
            raise BadInput("This is not the code the app shows now. Look at it once more, and at the phone's clock.")
        added = totp.TOTP.activate(by, secret).instance
        act.note(factor=added.pk)
        _with_recovery_codes(by)


def add_key(*, by: User, name: str, answer: dict[str, Any], enrolling: bool) -> None:
    with audit.act("factor.added", by=by, obj=by, kind=Kind.WEBAUTHN.value) as act:
        _alone(by, enrolling)
        if of(by).filter(type=Kind.WEBAUTHN).count() >= MOST_KEYS:
            raise WrongState(f"You have {MOST_KEYS} keys already. Remove one to add another.")
        try:
            _require_challenge()
            _read(webauthn.parse_registration_response, answer)
            webauthn.complete_registration(answer)
            context.request.session.save()
        except (ValidationError, ValueError, TypeError, KeyError) as error:
            raise BadInput("The security key's answer could not be used. Try it once more.") from error
        added = webauthn.WebAuthn.add(by, name.strip()[:60] or "Security key", answer).instance
        act.note(factor=added.pk)
        _with_recovery_codes(by)


def _alone(by: User, enrolling: bool) -> None:
    """Of two who know a password and enrol at once, one gets in. `enrolling`: only the password was given so far."""
    User.objects.select_for_update(no_key=True).get(pk=by.pk)
    if enrolling and has_one(by):
        raise WrongState("This account has a second factor already. Sign in with it.")


def _with_recovery_codes(user: User) -> None:
    RecoveryCodes.activate(user)


def remove(*, by: User, factor_id: int) -> None:
    with audit.act("factor.removed", by=by, obj=by, factor=factor_id) as act:
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
        factor = of(by).filter(pk=factor_id).first()
        if factor is None:
            raise WrongState("You have no such factor any more.")
        if of(by).count() == 1:
            raise NotAllowed("This is your last second factor. Add another before you remove it.")
        act.note(kind=factor.type)
        factor.delete()


def renew_recovery_codes(*, by: User) -> None:
    """Those of before stop working."""
    with audit.act("factor.codes-renewed", by=by, obj=by):
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
        Authenticator.objects.filter(user=by, type=Kind.RECOVERY_CODES).delete()
        RecoveryCodes.activate(by)


def unseen_recovery_codes(*, by: User) -> list[str]:
    """They are given out once. Empty when they were."""
    with audit.act("factor.codes-shown", by=by, obj=by) as act:
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
        spare = Authenticator.objects.filter(user=by, type=Kind.RECOVERY_CODES).first()
        if spare is None or RecoveryCodes(spare).did_view:
            return []
        codes: list[str] = RecoveryCodes(spare).get_unused_codes()
        RecoveryCodes(spare).mark_as_viewed()
        act.note(codes=len(codes))
    return codes


def recovery_codes_left(user: User) -> int:
    spare = Authenticator.objects.filter(user=user, type=Kind.RECOVERY_CODES).first()
    return len(RecoveryCodes(spare).get_unused_codes()) if spare else 0


def reset(*, by: User, user: User) -> None:
    """For somebody who has lost theirs: at their next sign-in they enrol anew, with the password alone before."""
    with audit.act("factor.reset", by=by, obj=user) as act:
        require(by, Role.ADMINISTRATOR)
        if user == by:
            raise NotAllowed("Another administrator has to reset your second factor.")
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        act.note(factors=of(user).count(), sessions=sittings.end_all(user))
        Authenticator.objects.filter(user=user).delete()


def demo_code(user: User) -> str | None:
    """A code that will be taken, for the demo's page."""
    app = Authenticator.objects.filter(user=user, type=Kind.TOTP).first()
    if app is None:
        return None
    step = max(int(time.time()) // app_settings.TOTP_PERIOD, user.code_step + 1)
    return str(totp.format_hotp_value(totp.hotp_value(get_adapter().decrypt(app.data["secret"]), step)))
