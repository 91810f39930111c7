"""Adding people, giving roles, revoking certificates. Recording one needs the policy: reviews.certificates."""

import re

from django.db import IntegrityError, transaction
from django.utils import timezone

from mugsearch.accounts import passwords, sittings
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
        user = User(username=username, full_name=full_name, agency=agency)
        try:
            with transaction.atomic():
                user.save()
        except IntegrityError as error:  # also of one whom another administrator is adding meanwhile
            raise WrongState(f"There is already a user {username}.") from error
        passwords.put(user, password)
        RoleGrant.objects.bulk_create(RoleGrant(user=user, role=role, granted_by=by) for role in set(roles))
        act.obj = user
    return user


def set_password(*, by: User, user: User, password: str) -> None:
    """A new password for somebody else. Their sessions and tokens end."""
    with audit.act("user.password-set", by=by, obj=user):
        require(by, Role.ADMINISTRATOR)
        passwords.put(user, password)
        sittings.end_all(user)


def set_roles(*, by: User, user: User, roles: list[Role]) -> None:
    with audit.act("user.roles-set", by=by, obj=user, roles=sorted(roles)):
        require(by, Role.ADMINISTRATOR)
        if user == by:
            raise NotAllowed("Another administrator has to change your roles.")
        _require_apart(roles)
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two who give one each would have given both
        user.grants.exclude(role__in=roles).delete()
        for role in roles:
            RoleGrant.objects.get_or_create(user=user, role=role, defaults={"granted_by": by})
        sittings.end_all(user)
    user.refresh_from_db()


def set_active(*, by: User, user: User, active: bool) -> None:
    with audit.act("user.enabled" if active else "user.disabled", by=by, obj=user):
        require(by, Role.ADMINISTRATOR)
        if user == by:
            raise NotAllowed("You can't disable your own account.")
        if active:
            User.objects.filter(pk=user.pk).update(is_active=True, enabled_at=timezone.now())
        else:
            end_account(user)
    user.refresh_from_db()


def end_account(user: User) -> None:
    """Part of an act."""
    User.objects.filter(pk=user.pk).update(is_active=False)
    sittings.end_all(user)


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
