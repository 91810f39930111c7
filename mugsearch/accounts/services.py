"""Adding people, giving roles, revoking certificates. Recording one needs the policy: reviews.certificates."""

import re

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils import timezone
from knox.models import AuthToken

from mugsearch.accounts.models import CONSOLE, Agency, ExaminerCertificate, Role, RoleGrant, User
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed, WrongState


def console() -> User:
    """The account that commands act as. It can't sign in."""
    user, made = User.objects.get_or_create(username=CONSOLE, defaults={"full_name": "Console"})
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    for role in (Role.ADMINISTRATOR, Role.RECORDS):
        RoleGrant.objects.get_or_create(user=user, role=role)
    return user


def require(user: User, *roles: Role) -> None:
    """The first line of a service: raises NotAllowed unless the person holds one of the roles."""
    if not user.has_role(*roles):
        names = " or ".join(role.label.lower() for role in roles)
        raise NotAllowed(f"This needs the role {names}.")


def add_agency(*, by: User, code: str, name: str) -> Agency:
    with audit.act("agency.added", by=by) as act:
        require(by, Role.ADMINISTRATOR)
        if not re.fullmatch(r"[-a-zA-Z0-9_]{1,32}", code):
            raise BadInput("A code has up to 32 letters, digits, - and _.")
        if Agency.objects.filter(code__iexact=code).exists():
            raise WrongState(f"There is already an agency {code}.")
        act.obj = agency = Agency.objects.create(code=code, name=name)
    return agency


def add_user(
    *, by: User, username: str, full_name: str, agency: Agency | None, password: str, roles: list[Role]
) -> User:
    with audit.act("user.added", by=by, roles=sorted(roles)) as act:
        require(by, Role.ADMINISTRATOR)
        _require_apart(roles)
        if User.objects.filter(username__iexact=username).exists():
            raise WrongState(f"There is already a user {username}.")
        user = User(username=username, full_name=full_name, agency=agency)
        _check_password(password, user)
        user.set_password(password)
        user.save()
        RoleGrant.objects.bulk_create(RoleGrant(user=user, role=role, granted_by=by) for role in set(roles))
        act.obj = user
    return user


def set_password(*, by: User, user: User, password: str) -> None:
    """A new password for somebody else. Their sessions end, because a session holds a digest of the old one, and
    so do their tokens."""
    with audit.act("user.password-set", by=by, obj=user):
        require(by, Role.ADMINISTRATOR)
        _check_password(password, user)
        user.set_password(password)
        user.save(update_fields=["password"])
        AuthToken.objects.filter(user=user).delete()


def set_roles(*, by: User, user: User, roles: list[Role]) -> None:
    with audit.act("user.roles-set", by=by, obj=user, roles=sorted(roles)):
        require(by, Role.ADMINISTRATOR)
        if user == by:
            raise NotAllowed("Another administrator has to change your roles.")
        _require_apart(roles)
        user.grants.exclude(role__in=roles).delete()
        for role in roles:
            RoleGrant.objects.get_or_create(user=user, role=role, defaults={"granted_by": by})
    user.refresh_from_db()


def set_active(*, by: User, user: User, active: bool) -> None:
    with audit.act("user.enabled" if active else "user.disabled", by=by, obj=user):
        require(by, Role.ADMINISTRATOR)
        if user == by:
            raise NotAllowed("You can't disable your own account.")
        User.objects.filter(pk=user.pk).update(is_active=active)
        AuthToken.objects.filter(user=user).delete()
    user.refresh_from_db()


def revoke_certificate(*, by: User, certificate: ExaminerCertificate) -> None:
    with audit.act("certificate.revoked", by=by, obj=certificate.examiner, certificate=str(certificate.pk)):
        require(by, Role.ADMINISTRATOR)
        User.objects.select_for_update(no_key=True).get(pk=certificate.examiner_id)  # who concludes ends it first
        revoked = ExaminerCertificate.objects.filter(pk=certificate.pk, revoked_at__isnull=True)
        if revoked.update(revoked_at=timezone.now(), revoked_by=by) != 1:
            raise WrongState("This certificate is revoked already.")


def _require_apart(roles: list[Role]) -> None:
    """The audit tells who examines what, and that two disagreed."""
    if {Role.EXAMINER, Role.AUDITOR} <= set(roles):
        raise BadInput("Nobody both examines and audits: the audit holds what an examiner must not know.")


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise BadInput(" ".join(error.messages)) from error
