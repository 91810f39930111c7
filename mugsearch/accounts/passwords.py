"""One's own password: changing it, and how long one may last.

NIST 800-63B-4 and ASVS 5 ask for no change without a reason, CJIS 6.0 for one a year where a password is not checked
against a list of broken ones. Ours are (settings, AUTH_PASSWORD_VALIDATORS), so MUGSEARCH_PASSWORD_MAX_DAYS is 0:
never.
"""

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from mugsearch.accounts import sittings
from mugsearch.accounts.models import Sitting, User
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput


def change(*, by: User, password: str, here: Sitting | None) -> None:
    """A new one for oneself. Tokens end, and so does every session but this."""
    with audit.act("user.password-changed", by=by, obj=by):
        if by.check_password(password):
            raise BadInput("That is the password you have. Choose another one.")
        put(by, password)
        sittings.end_all(by, but=here)


def put(user: User, password: str) -> None:
    """Part of an act. Raises BadInput with what is wrong with it."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise BadInput(" ".join(error.messages)) from error
    user.set_password(password)
    user.password_set_at = timezone.now()
    user.save(update_fields=["password", "password_set_at"])


class PasswordAgeMiddleware:
    """Whose password is too old gets to the page that changes it, and nowhere else."""

    OPEN = ("password", "sign_out", "confirm", "locked", "active")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponse | None:
        user, name = request.user, request.resolver_match and request.resolver_match.url_name
        if not isinstance(user, User) or name in self.OPEN or not user.password_is_too_old():
            return None
        messages.warning(request, f"Your password is older than {settings.MUGSEARCH_PASSWORD_MAX_DAYS} days.")
        return redirect("password")
