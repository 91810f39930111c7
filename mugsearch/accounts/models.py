"""Who works here, what their role lets them do, and who may examine."""

import datetime
import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Upper
from django.utils import timezone
from knox.models import AbstractAuthToken


class Agency(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code = models.SlugField(max_length=32, unique=True)
    name = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar = ["code"]
        verbose_name_plural = "agencies"

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    INVESTIGATOR = "investigator", "Investigator"
    EXAMINER = "examiner", "Examiner"
    SUPERVISOR = "supervisor", "Supervisor"
    RECORDS = "records", "Records"
    AUDITOR = "auditor", "Auditor"
    ADMINISTRATOR = "administrator", "Administrator"


CONSOLE = "console"


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        if username is None or "\x00" in username:  # PostgreSQL can't be asked for that
            raise self.model.DoesNotExist
        return self.get(username__iexact=username)

    def people(self) -> "models.QuerySet[User]":
        """Everybody who can have a sign-in: not the console."""
        return self.exclude(username=CONSOLE)

    def hold(self, user: "User") -> bool:
        """Locks the row. False where the account was disabled or locked, or got another password, since it was read."""
        now = self.select_for_update(no_key=True).filter(pk=user.pk, is_active=True, locked_at=None).first()
        return now is not None and now.password == user.password

    def fit_to_examine(self) -> "models.QuerySet[User]":
        """Examiners with a certificate that is valid today, who don't read the audit: it tells who found what."""
        certified = ExaminerCertificate.objects.valid().filter(examiner=OuterRef("pk"))
        audits = RoleGrant.objects.filter(user=OuterRef("pk"), role=Role.AUDITOR)
        return self.filter(Exists(certified), ~Exists(audits), is_active=True, grants__role=Role.EXAMINER)


class User(AbstractBaseUser):  # type: ignore[django-manager-missing]  # of tokens: knox has no types
    """A person who signs in, or the console (nobody signs in as it; commands act as it)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = models.CharField(max_length=64, unique=True)
    full_name = models.CharField(max_length=120)
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, null=True, related_name="users")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    locked_at = models.DateTimeField(null=True, editable=False, help_text="After too many failures; see signing.")
    # The time step of the last code that was taken. It only grows, so no code is taken twice.
    code_step = models.BigIntegerField(default=0, editable=False)
    enabled_at = models.DateTimeField(null=True, editable=False)
    password_set_at = models.DateTimeField(default=timezone.now, editable=False)

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar = ["full_name"]
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering: ClassVar = ["username"]
        # As `by_natural_key` compares them.
        constraints: ClassVar = [models.UniqueConstraint(Upper("username"), name="one_user_of_a_name")]

    def __str__(self) -> str:
        return self.full_name

    @property
    def roles(self) -> frozenset[str]:
        """Read from PostgreSQL once per instance, that is once per request; for a list of people, prefetch "grants"."""
        if "_roles" not in self.__dict__:
            self.__dict__["_roles"] = frozenset(grant.role for grant in self.grants.all())
        held: frozenset[str] = self.__dict__["_roles"]
        return held

    def narrow_to(self, roles: frozenset[str]) -> None:
        """This instance acts in no other roles than these, for as long as it isn't read again."""
        self.__dict__["_held"] = self.roles
        self.__dict__["_roles"] = self.roles & roles

    def refresh_from_db(self, *args: object, **kwargs: object) -> None:
        self.__dict__.pop("_roles", None)
        self.__dict__.pop("_held", None)
        super().refresh_from_db(*args, **kwargs)  # type: ignore[arg-type]  # passed through as received

    def has_role(self, *roles: Role) -> bool:
        return self.is_active and any(role in self.roles for role in roles)

    def holds(self, role: Role) -> bool:
        """Whether it is theirs at all, whatever this instance was narrowed to. What a role must not see is asked with
        this: who examines knows afterwards what a program of theirs has read as somebody who doesn't."""
        held: frozenset[str] = self.__dict__.get("_held", self.roles)
        return role in held

    def password_is_too_old(self) -> bool:
        days = settings.MUGSEARCH_PASSWORD_MAX_DAYS
        return bool(days) and self.password_set_at < timezone.now() - datetime.timedelta(days=days)

    def may_examine(self) -> bool:
        return User.objects.fit_to_examine().filter(pk=self.pk).exists()


class RoleGrant(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="grants")
    role = models.CharField(max_length=16, choices=Role)
    granted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    granted_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "role"], name="one_grant_per_role"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="grant_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.role}"


class CertificateQuerySet(models.QuerySet["ExaminerCertificate"]):
    def valid(self, on: datetime.date | None = None) -> "CertificateQuerySet":
        day = on or timezone.localdate()
        return self.filter(issued_on__lte=day, expires_on__gte=day, revoked_at__isnull=True)


class ExaminerCertificate(models.Model):
    """Training in facial comparison (RULES 14). Valid from `issued_on` through `expires_on`, unless revoked."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    examiner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="certificates")
    programme = models.CharField(max_length=200, blank=True, help_text="The training, as its certificate names it.")
    issued_by = models.CharField(max_length=200, help_text="Who trained and certified this person.")
    hours = models.PositiveSmallIntegerField(help_text="Hours of training.")
    issued_on = models.DateField()
    expires_on = models.DateField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    # Of a supervisor who takes somebody out of the queue for what known-answer trials showed. Its holder reads it.
    revoked_reason = models.CharField(max_length=1000, blank=True)
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    objects: ClassVar = CertificateQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-expires_on"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(expires_on__gt=F("issued_on")), name="certificate_expires_later"),
        ]

    def __str__(self) -> str:
        return f"{self.examiner}, until {self.expires_on}"


class SignInFailure(models.Model):
    """A wrong password or code. Those of the last minutes count, all kinds together, until somebody is in."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="failures")
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.user} {self.at}"


class Sitting(models.Model):
    """A session that has its second factor. A session without this row reaches nothing: deleting it ends it at once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sittings")
    session_key = models.CharField(max_length=40, unique=True)
    started_at = models.DateTimeField(default=timezone.now)
    active_at = models.DateTimeField(default=timezone.now, help_text="When the person last did something.")
    confirmed_at = models.DateTimeField(default=timezone.now, help_text="When a password or code was last given.")
    address = models.GenericIPAddressField(null=True)
    browser = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering: ClassVar = ["-active_at"]

    def __str__(self) -> str:
        return f"{self.user} {self.started_at}"


class ApiToken(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """Of a program that acts for somebody: named, narrowed and expiring. Only a digest of it is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="auth_token_set")
    id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)  # for addresses and the audit
    name = models.CharField(max_length=60)
    scopes = models.JSONField(help_text="See accounts.scopes.")
    used_at = models.DateTimeField(null=True, editable=False, help_text="To five minutes.")

    class Meta:
        ordering: ClassVar = ["-created"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(expiry__isnull=False), name="every_token_expires"),
        ]

    def __str__(self) -> str:
        return self.name
