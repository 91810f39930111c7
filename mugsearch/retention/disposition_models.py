"""What courts and prosecutors decided about bookings, and probes that have aged out."""

import datetime
import json
import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role, User
from mugsearch.gallery import identity
from mugsearch.gallery.identity import Sealed, told
from mugsearch.gallery.models import Booking
from mugsearch.probes.models import Probe
from mugsearch.vault.digests import keyed


class DispositionQuerySet(models.QuerySet["Disposition"]):
    def visible_to(self, user: User) -> "DispositionQuerySet":
        if not user.has_role(Role.RECORDS):
            return self.none()
        return self if user.agency_id is None else self.filter(agency=user.agency_id)

    def standing(self) -> "DispositionQuerySet":
        """Of a booking, and not dismissed."""
        return self.filter(booking__isnull=False, dismissed_at__isnull=True)

    def unmatched(self) -> "DispositionQuerySet":
        """The clerks' work list."""
        return self.filter(booking__isnull=True, dismissed_at__isnull=True)

    def current(self) -> "DispositionQuerySet":
        """The one of each booking that counts: of the latest day, and of that day the one recorded last."""
        others = Disposition.objects.standing().filter(booking=OuterRef("booking"))
        later = Q(disposed_on__gt=OuterRef("disposed_on")) | Q(
            disposed_on=OuterRef("disposed_on"), pk__gt=OuterRef("pk")
        )
        return self.standing().filter(~Exists(others.filter(later)))


class Disposition(Sealed):
    """One disposition of one booking, as it was reported. None is ever changed: a later one counts instead.

    UNMATCHED (no booking of this number) --match, by number or by hand--> of a booking
    either --dismiss, with a reason--> counts no more

    It goes with its booking: whoever erases one has `dispositions.forget` remove them and those that only name it.
    Number, court and order number are sealed under a key of its own, for its booking may not be here.
    """

    TOLD = ("booking_number", "court", "order_number")
    FOUND_BY = ("number_digest", "report_digest")
    FOUND_FROM = ("disposition", "disposed_on")

    booking_number = told("booking_number")  # as it was reported
    court = told("court")
    order_number = told("order_number")

    id = models.BigAutoField(primary_key=True)
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="+")
    booking = models.ForeignKey(Booking, on_delete=models.CASCADE, null=True, related_name="dispositions")
    owner = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    number_digest = models.CharField(max_length=64, editable=False)
    report_digest = models.CharField(max_length=64, editable=False, help_text="Of all that was reported.")
    disposition = models.CharField(max_length=40, help_text="A code of the policy's section [retention].")
    disposed_on = models.DateField()
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=timezone.now, editable=False)
    # Since when it is recorded of its booking. A rule's window begins no earlier: nobody makes one act at once.
    counts_since = models.DateTimeField(default=timezone.now, editable=False)
    # By hand: a clerk said which booking is meant. Empty where the number did.
    matched_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    dismissed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    dismissed_at = models.DateTimeField(null=True)
    dismissed_reason = models.CharField(max_length=500, blank=True)

    objects: ClassVar = DispositionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-disposed_on", "-id"]
        constraints: ClassVar = [
            # The same file again changes nothing.
            models.UniqueConstraint(fields=["agency", "report_digest"], name="one_disposition_once"),
            models.CheckConstraint(
                condition=Q(dismissed_at__isnull=True, dismissed_by__isnull=True, dismissed_reason="")
                | Q(dismissed_at__isnull=False, dismissed_by__isnull=False) & ~Q(dismissed_reason=""),
                name="dismissed_disposition_says_why",
            ),
        ]
        indexes: ClassVar = [
            models.Index(F("booking"), F("disposed_on").desc(), F("id").desc(), name="dispositions_latest_first"),
            models.Index(
                fields=["agency", "number_digest"],
                condition=Q(booking__isnull=True),
                name="dispositions_unmatched",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.disposition}, {self.disposed_on}"

    @property
    def key_owner(self) -> uuid.UUID:
        return self.owner

    def find_by(self) -> None:
        self.number_digest = identity.of_booking(self.booking_number)
        self.report_digest = report_digest(
            self.number_digest, self.disposition, self.disposed_on, self.court, self.order_number
        )


def report_digest(number_digest: str, disposition: str, disposed_on: datetime.date, *said: str) -> str:
    """What makes two reports one and the same. `said`: court and order number, sealed in the row."""
    text = json.dumps([number_digest, disposition, disposed_on.isoformat(), *said])
    return keyed("mugsearch disposition", text.encode())


class ProbeErasure(models.Model):
    """A probe that has aged out: its faces went with this row, then its key, then its files (see probe_erasing).

    The rows of its searches and candidates stay: they are the record of what was searched and found.
    """

    probe = models.OneToOneField(Probe, on_delete=models.PROTECT, primary_key=True, related_name="erasure")
    rule = models.CharField(max_length=300)
    policy_digest = models.CharField(max_length=64)
    erased_at = models.DateTimeField(default=timezone.now, editable=False)
    key_destroyed_at = models.DateTimeField(null=True)
    files_removed_at = models.DateTimeField(null=True)
    vacuumed_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-erased_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(vacuumed_at__isnull=True) | Q(files_removed_at__isnull=False),
                name="erased_probe_is_vacuumed_last",
            ),
            models.CheckConstraint(
                condition=Q(files_removed_at__isnull=True) | Q(key_destroyed_at__isnull=False),
                name="erased_probe_loses_its_key_first",
            ),
        ]

    def __str__(self) -> str:
        return str(self.probe_id)
