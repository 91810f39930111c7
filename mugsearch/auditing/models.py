"""What the auditors' desk keeps: what signals pointed at, what was said of it, and who signed off which week.

No row holds the id of a booking, a person or a photograph: an expungement finds nothing of them here. Cases, searches,
candidates and entries of the record are named by ids of their own, which say nothing once what they led to is gone.
"""

import datetime
import uuid
from typing import ClassVar

from django.db import connection, models
from django.db.models import F, Q
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.probes.models import Case, Search

# Any fixed number will do; it only has to differ from the other advisory locks (see gallery.locks).
_DRAWING = 0x6D756731


class Draw(models.Model):
    """A day whose signals and random sample were drawn, once, in one transaction with all its sightings.

    PostgreSQL refuses change and deletion (migration 0001).
    """

    day = models.DateField(primary_key=True)
    at = models.DateTimeField(default=timezone.now, editable=False)
    policy_digest = models.CharField(max_length=64, help_text="SHA-256 of the policy whose thresholds were used.")
    searches = models.PositiveIntegerField(help_text="Of casework, requested on that day.")

    class Meta:
        ordering: ClassVar = ["-day"]

    def __str__(self) -> str:
        return self.day.isoformat()

    @staticmethod
    def lock() -> None:
        """Until the transaction ends nobody else draws."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_DRAWING])


class Sighting(models.Model):
    """Something a signal pointed at, or a search drawn at random. It says what was counted, and judges nobody.

    One signal points at the same thing once a week. PostgreSQL refuses change and deletion (migration 0001).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    draw = models.ForeignKey(Draw, on_delete=models.PROTECT, related_name="sightings")
    signal = models.CharField(max_length=32, help_text="A name of auditing.signals.SIGNALS.")
    week = models.DateField(help_text="The Monday of the week it belongs to.")
    key = models.CharField(max_length=64, help_text="SHA-256 of what it points at: once a week is enough.")
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    other = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    case = models.ForeignKey(Case, on_delete=models.PROTECT, null=True, related_name="+")
    search = models.ForeignKey(Search, on_delete=models.PROTECT, null=True, related_name="+")
    count = models.PositiveIntegerField()
    usual = models.FloatField(null=True, help_text="What the count is compared with, where there is something.")
    searches = models.JSONField(default=list, help_text="Ids of searches it rests on, at most 50.")

    class Meta:
        ordering: ClassVar = ["week", "signal", "key"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["signal", "key", "week"], name="one_sighting_a_week"),
        ]
        indexes: ClassVar = [models.Index(fields=["week"], name="sightings_by_week")]

    def __str__(self) -> str:
        return f"{self.signal} {self.week}"


class Remark(models.Model):
    """What an auditor says of a sighting. A later one corrects the earlier: the latest counts, all stay.

    PostgreSQL refuses change and deletion, and a remark on oneself without its reason (migration 0002).
    """

    NOTE_LIMIT: ClassVar = 2000

    class Verdict(models.TextChoices):
        EXPLAINED = "explained", "Explained: nothing to follow up"
        FOLLOWED_UP = "followed_up", "Followed up"
        OPEN = "open", "Still open"

    sighting = models.ForeignKey(Sighting, on_delete=models.PROTECT, related_name="remarks")
    verdict = models.CharField(max_length=11, choices=Verdict)
    note = models.TextField(max_length=NOTE_LIMIT)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now, editable=False)
    own_reason = models.CharField(max_length=1000, blank=True, help_text="Why somebody looked at their own acts.")

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(verdict__in=["explained", "followed_up", "open"]) & ~Q(note=""), name="remark_says_what"
            ),
        ]

    def __str__(self) -> str:
        return self.verdict


class SignOff(models.Model):
    """A week of the record that an auditor has reviewed: which entries, and where the chain stood at that moment.

    PostgreSQL refuses change and deletion (migration 0002).
    """

    NOTE_LIMIT: ClassVar = 4000

    week = models.DateField(primary_key=True, help_text="Its Monday.")
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now, editable=False)
    note = models.TextField(max_length=NOTE_LIMIT)
    own_reason = models.CharField(max_length=1000, blank=True, help_text="Why somebody reviewed their own acts.")
    first = models.BigIntegerField(null=True, help_text="Number of the week's first entry; empty: there was none.")
    last = models.BigIntegerField(null=True, help_text="Number of the week's last entry.")
    head = models.CharField(max_length=90, help_text="NUMBER:DIGEST of the chain's last entry when it was signed.")
    sightings = models.PositiveIntegerField()
    refusals = models.PositiveIntegerField()

    class Meta:
        ordering: ClassVar = ["-week"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(note=""), name="signoff_has_a_note"),
            models.CheckConstraint(
                condition=Q(first__isnull=True, last__isnull=True) | Q(first__lte=F("last")), name="signoff_span"
            ),
        ]

    def __str__(self) -> str:
        return self.week.isoformat()


class SavedReview(models.Model):
    """Filters of the record, or a signal, under a name and with a period. Everybody who audits sees them.

    PostgreSQL refuses any change but being put away once, and deletion (migration 0003).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    days = models.PositiveSmallIntegerField(help_text="The last so many days, whenever it is opened.")
    signal = models.CharField(max_length=32, blank=True)
    filters = models.JSONField(default=dict, help_text="Names and values of the filter form, without times.")
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now, editable=False)
    put_away_at = models.DateTimeField(null=True)
    put_away_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(put_away_at__isnull=True), name="one_saved_review_of_a_name"
            ),
            models.CheckConstraint(
                condition=Q(days__gte=1, days__lte=366) & ~Q(name=""), name="saved_review_of_a_period"
            ),
            models.CheckConstraint(
                condition=Q(put_away_at__isnull=True, put_away_by__isnull=True)
                | Q(put_away_at__isnull=False, put_away_by__isnull=False),
                name="saved_review_put_away_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def since(self) -> datetime.datetime:
        """When its period begins, by the installation's clock."""
        return timezone.localtime() - datetime.timedelta(days=self.days)
