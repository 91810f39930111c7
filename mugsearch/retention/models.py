"""Orders to expunge, seal and unseal, and how far each has got; and the legal holds that keep both away."""

import datetime
import uuid
from collections.abc import Iterable
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role, User
from mugsearch.gallery.models import Booking
from mugsearch.retention.certificate_models import Certificate
from mugsearch.retention.disposition_models import Disposition, ProbeErasure

__all__ = ["Certificate", "Disposition", "ExpungementOrder", "ExpungementOrderQuerySet", "ProbeErasure"]


class ExpungementOrderQuerySet(models.QuerySet["ExpungementOrder"]):
    def visible_to(self, user: User) -> "ExpungementOrderQuerySet":
        if not user.has_role(Role.RECORDS):
            return self.none()
        return self if user.agency_id is None else self.filter(agency=user.agency_id)


class ExpungementOrder(models.Model):
    """An order about one booking or, with it, all bookings of its person: to expunge, to seal or to unseal.

    REQUESTED --another clerk approves, the rows go with it--> APPROVED --all other steps, the last look--> COMPLETE
              --withdraw, or an expungement of the booking--> WITHDRAWN
    a rule in force, the rows go with it or are sealed with it --> APPROVED

    Of a seal, only the index is left after the approval; of an unseal nothing: it is COMPLETE then. From an APPROVED
    expungement on there is no way back, and it names no person and no booking. Its steps are recorded one by one, each
    after it was verified, so a killed purge goes on where it stopped and the state is never ahead of the truth (see
    erasing.py and sealing.py).
    """

    class Kind(models.TextChoices):
        EXPUNGE = "expunge", "Expunge"
        SEAL = "seal", "Seal"
        UNSEAL = "unseal", "Unseal"

    class State(models.TextChoices):
        REQUESTED = "requested", "To be approved"
        APPROVED = "approved", "Being verified"
        COMPLETE = "complete", "Complete"
        WITHDRAWN = "withdrawn", "Withdrawn"

    number_read: str | None = None  # `booking_number`, once it was read

    # Stands for a rule where two clerks ordered it before, and a restored backup didn't know of them.
    REPLAYED: ClassVar = "Ordered by two records clerks, and carried out once more after a backup was restored"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="+")
    order_number = models.CharField(max_length=64)
    reason = models.CharField(max_length=500)
    kind = models.CharField(max_length=7, choices=Kind, default=Kind.EXPUNGE)
    # Then `booking` says of whom; which bookings that are is decided when it is approved.
    whole_person = models.BooleanField(default=False, help_text="All bookings of the person, not this one alone.")
    state = models.CharField(max_length=9, choices=State, default=State.REQUESTED)
    # Emptied when the rows are gone, also on all other orders about the same booking.
    booking = models.UUIDField(null=True)
    requested_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", help_text="Empty: a rule ordered it."
    )
    requested_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    # What ordered it where no two clerks did: the rule in force in its words, on what disposition, of which policy.
    rule = models.CharField(max_length=4000, blank=True)
    disposition = models.CharField(max_length=40, blank=True)
    policy_digest = models.CharField(max_length=64, blank=True)
    # {"photos": 2, "templates": 2, "candidates": 1, …}: what the request showed; once erased, what went.
    counts = models.JSONField(default=dict)
    # What a step still has to do, opaque ids only: emptied, and the time set, when that was done and verified.
    erased_at = models.DateTimeField(null=True)
    keys_left = models.JSONField(default=list, help_text="Owners of the data keys still to be destroyed.")
    key_destroyed_at = models.DateTimeField(null=True)
    files_left = models.JSONField(default=list, help_text="Names of the vault's files still to be removed.")
    files_removed_at = models.DateTimeField(null=True)
    uploads_left = models.JSONField(default=list, help_text="Imports whose upload was still on disk at the time.")
    uploads_gone_at = models.DateTimeField(null=True)
    templates_left = models.JSONField(default=list, help_text="Entries of the index still to be proved gone.")
    forgotten_at = models.DateTimeField(null=True, help_text="When the search worker proved that the index forgot.")
    leavings_gone_at = models.DateTimeField(null=True, help_text="Messages, sessions and unfinished uploads.")
    vacuumed_at = models.DateTimeField(null=True, help_text="PostgreSQL kept none of the removed rows.")
    sought = models.JSONField(default=dict, help_text="What the last look looks for: owners, photos, templates.")
    verified_at = models.DateTimeField(null=True, help_text="When no row, key, file or entry of the index was found.")
    # {"forgotten_at": {"vectors": 3, "searches": 3, "found": 0}, …}: what a step looked at. Numbers and codes only.
    checks = models.JSONField(default=dict)
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
                | Q(state__in=["approved", "complete"], approved_by__isnull=False, approved_at__isnull=False)
                | Q(state__in=["approved", "complete"], approved_by__isnull=True) & ~Q(rule=""),
                name="erasing_needs_approval",
            ),
            models.CheckConstraint(
                condition=Q(requested_by__isnull=False, rule="", disposition="", policy_digest="")
                | Q(
                    requested_by__isnull=True,
                    approved_by__isnull=True,
                    approved_at__isnull=True,
                    state__in=["approved", "complete"],
                )
                & ~Q(rule="")
                & ~Q(policy_digest=""),
                name="ordered_by_people_or_by_a_rule",
            ),
            models.CheckConstraint(
                condition=~Q(kind="expunge", state__in=["approved", "complete"])
                | Q(booking__isnull=True, erased_at__isnull=False),
                name="erased_order_names_no_booking",
            ),
            models.CheckConstraint(
                condition=~Q(state="complete")
                | Q(
                    completed_at__isnull=False,
                    keys_left=[],
                    files_left=[],
                    uploads_left=[],
                    templates_left=[],
                    sought={},
                )
                & (
                    Q(kind="unseal")
                    | Q(kind="seal", forgotten_at__isnull=False)
                    | Q(
                        kind="expunge",
                        key_destroyed_at__isnull=False,
                        files_removed_at__isnull=False,
                        uploads_gone_at__isnull=False,
                        forgotten_at__isnull=False,
                        leavings_gone_at__isnull=False,
                        vacuumed_at__isnull=False,
                        verified_at__isnull=False,
                    )
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

    @property
    def is_replayed(self) -> bool:
        """Two clerks ordered it, whose names went with what a restore replaced."""
        return self.rule == self.REPLAYED

    @property
    def booking_number(self) -> str:
        """As long as the booking is here; empty afterwards. Kept with the booking alone, so that it goes with it."""
        if self.booking is None:
            return ""
        if self.number_read is None:
            self.read_numbers([self])
        return self.number_read or ""

    @staticmethod
    def read_numbers(orders: "Iterable[ExpungementOrder]") -> None:
        """`booking_number` of many, with one query."""
        here = Booking.objects.in_bulk([order.booking for order in orders if order.booking])
        for order in orders:
            about = here.get(order.booking) if order.booking else None
            order.number_read = about.booking_number if about else ""

    @property
    def what(self) -> str:
        """As acts in the audit and sentences name it."""
        return {"expunge": "expungement", "seal": "sealing", "unseal": "unsealing"}[self.kind]


class HoldQuerySet(models.QuerySet["Hold"]):
    def visible_to(self, user: User) -> "HoldQuerySet":
        """Records staff set and lift them; supervisors see which there are."""
        if not user.has_role(Role.RECORDS, Role.SUPERVISOR):
            return self.none()
        here = self if user.agency_id is None else self.filter(booking__agency=user.agency_id)
        return here if user.has_role(Role.RECORDS) else here.filter(booking__sealed_at__isnull=True)

    def in_force(self) -> "HoldQuerySet":
        open_end = Q(ends_at__isnull=True) | Q(ends_at__gt=timezone.now())
        return self.filter(open_end, lifted_at__isnull=True)


class Hold(models.Model):
    """A legal hold on a booking: while one is in force it is neither sealed nor expunged (RULES 22).

    It goes with the booking when that is expunged after it has ended. PostgreSQL refuses to seal or delete a held
    booking, any change of a hold but that it is lifted once, and deletion while it is in force (migration 0003).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="holds")
    reference = models.CharField(max_length=64, help_text="Number of the letter or order that asks for it.")
    reason = models.CharField(max_length=500)
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(default=timezone.now, editable=False)
    ends_at = models.DateTimeField(null=True, help_text="The midnight after its last day; empty: until it is lifted.")
    lifted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    lifted_at = models.DateTimeField(null=True)

    objects: ClassVar = HoldQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-set_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(lifted_by__isnull=True, lifted_at__isnull=True)
                | Q(lifted_by__isnull=False, lifted_at__isnull=False),
                name="hold_lifted_by_somebody",
            ),
            models.CheckConstraint(condition=~Q(reference="") & ~Q(reason=""), name="hold_says_why"),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def last_day(self) -> datetime.date | None:
        """None: until it is lifted."""
        return timezone.localdate(self.ends_at - datetime.timedelta(microseconds=1)) if self.ends_at else None

    @property
    def is_in_force(self) -> bool:
        return self.lifted_at is None and (self.ends_at is None or self.ends_at > timezone.now())
