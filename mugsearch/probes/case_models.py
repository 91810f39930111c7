"""Cases, who is and was on them, and how urgent they are."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role, User


class CaseQuerySet(models.QuerySet["Case"]):
    def visible_to(self, user: User) -> "CaseQuerySet":
        """Investigators see the cases they are on. Nobody else sees a case as such."""
        if not user.has_role(Role.INVESTIGATOR):
            return self.none()
        return self.filter(members=user)

    def ever_of(self, user: User) -> "CaseQuerySet":
        """Those they are or were on, or put an image or a search into: what others have to judge of them."""
        was_on = Membership.objects.filter(user=user).values("case")
        asked = Q(probes__submitted_by=user) | Q(probes__searches__requested_by=user)
        return self.filter(Q(pk__in=was_on) | Q(pk__in=Case.objects.filter(asked).values("pk")))


class Case(models.Model):
    """PostgreSQL refuses a priority that the latest PriorityChange doesn't say (migration 0009), somebody responsible
    who isn't a member, and that the last member leaves (0016)."""

    class Priority(models.TextChoices):
        """Which searches examiners are offered first. The most urgent is named first."""

        URGENT = "urgent", "Urgent"
        NORMAL = "normal", "Normal"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="+")
    number = models.CharField("case number", max_length=64)
    opened_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    # A member, and never empty but for the case of trials, which nobody is on.
    responsible = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    members = models.ManyToManyField(User, related_name="cases")
    priority = models.CharField(max_length=6, choices=Priority, default=Priority.NORMAL)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar = CaseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agency", "number"], name="one_case_per_number"),
        ]

    def __str__(self) -> str:
        return self.number


class Membership(models.Model):
    """Who is or was on a case, from when until when. Whoever was on it once never examines its searches.

    PostgreSQL writes a row when somebody becomes a member and ends it when they are none any more, whoever does that
    and however; probes.sharing adds by whom and why. It refuses any other change, and deletion (migration 0016).
    """

    REASON_LIMIT: ClassVar = 1000

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField(default=timezone.now, editable=False)
    added_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.TextField(max_length=REASON_LIMIT, blank=True)
    until = models.DateTimeField(null=True, editable=False)
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["since", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["case", "user"], condition=Q(until__isnull=True), name="on_a_case_once_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} on {self.case}"


class PriorityChange(models.Model):
    """Who made a case urgent, or normal again, and why. PostgreSQL refuses change and deletion (migration 0009)."""

    REASON_LIMIT: ClassVar = 1000

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="priority_changes")
    priority = models.CharField(max_length=6, choices=Case.Priority)
    reason = models.TextField(max_length=REASON_LIMIT)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]  # which follows the lock on the case
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(priority__in=["urgent", "normal"]) & ~Q(reason=""), name="priority_changed_for_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return self.priority
