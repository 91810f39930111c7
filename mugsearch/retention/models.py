"""Orders to expunge, and how far each has got."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role, User


class ExpungementOrderQuerySet(models.QuerySet["ExpungementOrder"]):
    def visible_to(self, user: User) -> "ExpungementOrderQuerySet":
        if not user.has_role(Role.RECORDS):
            return self.none()
        return self if user.agency_id is None else self.filter(agency=user.agency_id)


class ExpungementOrder(models.Model):
    """An order to expunge one booking. Once the rows are gone it names no person and no booking.

    REQUESTED --another clerk approves, the rows go with it--> ERASED --key, files, uploads and index--> COMPLETE
              --withdraw--> WITHDRAWN

    From ERASED on there is no way back. Its steps are recorded one by one, each after it was verified, so a killed
    purge goes on where it stopped and the state is never ahead of the truth (see erasing.py).
    """

    class State(models.TextChoices):
        REQUESTED = "requested", "To be approved"
        ERASED = "erased", "Being verified"
        COMPLETE = "complete", "Complete"
        WITHDRAWN = "withdrawn", "Withdrawn"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="+")
    order_number = models.CharField(max_length=64)
    reason = models.CharField(max_length=500)
    state = models.CharField(max_length=9, choices=State, default=State.REQUESTED)
    # Both are emptied when the rows are gone, also on earlier orders of the same booking that were withdrawn.
    booking = models.UUIDField(null=True)
    booking_number = models.CharField(max_length=64, blank=True)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    # {"photos": 2, "templates": 2, "candidates": 1, …}: what the request showed; once erased, what went.
    counts = models.JSONField(default=dict)
    # What a step still has to do, opaque ids only: emptied, and the time set, when that was done and verified.
    erased_at = models.DateTimeField(null=True)
    key_left = models.UUIDField(null=True, help_text="Owner of the data key still to be destroyed.")
    key_destroyed_at = models.DateTimeField(null=True)
    files_left = models.JSONField(default=list, help_text="Names of the vault's files still to be removed.")
    files_removed_at = models.DateTimeField(null=True)
    uploads_left = models.JSONField(default=list, help_text="Imports whose upload was still on disk at the time.")
    uploads_gone_at = models.DateTimeField(null=True)
    templates_left = models.JSONField(default=list, help_text="Entries of the index still to be proved gone.")
    forgotten_at = models.DateTimeField(null=True, help_text="When the search worker proved that the index forgot.")
    completed_at = models.DateTimeField(null=True)
    generation = models.BigIntegerField(null=True, help_text="GalleryChange.number with which the vectors went.")
    # {"files_removed_at": "a sentence", …}: why the last try of a step failed, until it succeeds.
    troubles = models.JSONField(default=dict)

    objects: ClassVar = ExpungementOrderQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-requested_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("requested_by")),
                name="expungement_needs_two_people",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["requested", "withdrawn"], approved_by__isnull=True)
                | Q(state__in=["erased", "complete"], approved_by__isnull=False, approved_at__isnull=False),
                name="erasing_needs_approval",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["erased", "complete"])
                | Q(booking__isnull=True, booking_number="", erased_at__isnull=False),
                name="erased_order_names_no_booking",
            ),
            models.CheckConstraint(
                condition=~Q(state="complete")
                | Q(
                    completed_at__isnull=False,
                    key_left__isnull=True,
                    key_destroyed_at__isnull=False,
                    files_left=[],
                    files_removed_at__isnull=False,
                    uploads_left=[],
                    uploads_gone_at__isnull=False,
                    templates_left=[],
                    forgotten_at__isnull=False,
                ),
                name="complete_only_when_every_step_is",
            ),
            models.UniqueConstraint(
                fields=["booking"],
                condition=Q(state="requested"),
                name="one_open_order_per_booking",
            ),
        ]

    def __str__(self) -> str:
        return self.order_number
