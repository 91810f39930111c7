"""What was taken from people after a backup is not given back by its restore.

Accounts come back as the backup has them. Whoever was disabled, locked or left without a role since, and a second
factor, password or certificate that ended since, would be good again. So what the replaced database says of them is
noted before it goes, and taken away once more afterwards. Nothing is ever added: that is done again by hand.
"""

from hashlib import sha256
from typing import Any

from allauth.mfa.models import Authenticator
from django.utils import timezone

from mugsearch.accounts import factors
from mugsearch.accounts.models import ExaminerCertificate, User
from mugsearch.accounts.services import console
from mugsearch.audit import services as audit

Known = dict[str, dict[str, Any]]
ACT = "account.narrowed-after-restore"


def known() -> Known:
    """By person, of the database that is connected now. It goes into a file, so of secrets there are digests only."""
    revoked = ExaminerCertificate.objects.filter(revoked_at__isnull=False).values_list("examiner", "pk")
    ended: dict[str, list[str]] = {}
    for examiner, pk in revoked:
        ended.setdefault(str(examiner), []).append(str(pk))
    return {
        str(user.pk): {
            "active": user.is_active,
            "locked": user.locked_at is not None,
            "roles": sorted(user.roles),
            "password": [_digest(user.password), user.password_set_at.isoformat()],
            "factors": sorted(map(_name, Authenticator.objects.filter(user=user))),
            "had_one": factors.has_one(user),
            "revoked": ended.get(str(user.pk), []),
        }
        for user in User.objects.people().prefetch_related("grants")
    }


def take_again(before: Known) -> None:
    """One act for each who loses something; the others are passed over, so it may be repeated."""
    for user in User.objects.people().filter(pk__in=before).prefetch_related("grants"):
        if taken := _differences(user, before[str(user.pk)]):
            with audit.act(ACT, by=console(), obj=user, **taken):
                _take(user, taken)


def _differences(user: User, before: dict[str, Any]) -> dict[str, Any]:
    mine = list(Authenticator.objects.filter(user=user))
    gone = [one for one in mine if _name(one) not in before["factors"]]
    left = [one for one in mine if one not in gone and one.type in factors.MAKES_ONE]
    digest, set_at = before["password"]
    certificates = user.certificates.filter(pk__in=before["revoked"], revoked_at__isnull=True)
    found = {
        "disabled": user.is_active and not before["active"],
        # Without a factor the password alone lets somebody enrol one.
        "locked": not user.locked_at and (before["locked"] or (before["had_one"] and not left)),
        "roles": sorted(user.roles - set(before["roles"])),
        # Not one that was only hashed anew, at a sign-in.
        "password": user.has_usable_password()
        and _digest(user.password) != digest
        and user.password_set_at.isoformat() < set_at,
        "factors": sorted(one.pk for one in gone),
        "certificates": sorted(str(pk) for pk in certificates.values_list("pk", flat=True)),
    }
    return {name: value for name, value in found.items() if value}


def _take(user: User, taken: dict[str, Any]) -> None:
    if "disabled" in taken:
        user.is_active = False
    if "locked" in taken:
        user.locked_at = timezone.now()
    if "password" in taken:
        user.set_unusable_password()
    user.save()
    user.grants.filter(role__in=taken.get("roles", [])).delete()
    Authenticator.objects.filter(pk__in=taken.get("factors", [])).delete()
    user.certificates.filter(pk__in=taken.get("certificates", [])).update(
        revoked_at=timezone.now(), revoked_by=console(), revoked_reason="It was revoked before a backup was restored."
    )


def _name(factor: Any) -> str:
    """The same as long as it is the same factor; of recovery codes, as long as none more was used."""
    used = _digest(repr(sorted(factor.data.items()))) if factor.type == factors.Kind.RECOVERY_CODES else ""
    return f"{factor.type} {factor.created_at.isoformat()} {used}".strip()


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
