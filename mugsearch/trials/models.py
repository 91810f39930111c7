"""What known-answer trials are made of: photographs of people who consented or of nobody, and the trials themselves.

None of it is ever in the gallery. A trial enters the review queue as a `Search` (reviews.trials), because there nothing
but the search's own column tells it from casework.
"""

import uuid
from typing import ClassVar, Self, TypeVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role, User
from mugsearch.gallery.models import Encoder

# Of the cases that trials are under, for normal and for urgent ones.
CASE_NUMBERS = ("Known-answer trials", "Known-answer trials, as urgent cases")

M = TypeVar("M", bound=models.Model)


class OfTheSupervisor(models.QuerySet[M]):
    """Whoever examines sees none of it, supervisor or not: it tells the answers."""

    def visible_to(self, user: User) -> Self:
        if not user.has_role(Role.SUPERVISOR) or user.holds(Role.EXAMINER):
            return self.none()
        return self.filter(agency=user.agency_id)


class Subject(models.Model):
    """Somebody on the photographs. Withdrawn: these are destroyed, the row stays (reviews.trials.withdraw)."""

    class Consent(models.TextChoices):
        CONSENTING = "consenting", "Gave consent"
        SYNTHETIC = "synthetic", "Synthetic: nobody real"

    REFERENCE_LIMIT: ClassVar = 300

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="+")
    code = models.CharField(max_length=64, help_text="The agency's own name for the subject. Not a person's.")
    consent = models.CharField(max_length=10, choices=Consent)
    reference = models.CharField(max_length=REFERENCE_LIMIT, help_text="Where the consent is kept, or who made it.")
    added_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    objects: ClassVar = OfTheSupervisor.as_manager()

    class Meta:
        ordering: ClassVar = ["code"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agency", "code"], name="one_trial_subject_per_code"),
            models.CheckConstraint(condition=~Q(reference="") & ~Q(code=""), name="trial_subject_says_by_what_right"),
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=True, withdrawn_by__isnull=True)
                | Q(withdrawn_at__isnull=False, withdrawn_by__isnull=False),
                name="withdrawn_trial_subject_says_by_whom",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class TrialPhoto(models.Model):
    """One photograph of a subject. Its id owns its data key and names its file.

    RECEIVED --worker--> READY        (exactly one face)
             --worker--> UNSUITABLE   (none, or several)
             --worker--> FAILED       (three tries; the reason is in `trouble`)
    READY ----another encoder became active--> RECEIVED (trials.tasks.resume)
    any -----consent withdrawn---------------> ERASED

    PostgreSQL refuses another subject, a change of what is erased, and deletion (trials 0002).
    """

    class State(models.TextChoices):
        RECEIVED = "received", "Looking for the face"
        READY = "ready", "Ready"
        UNSUITABLE = "unsuitable", "Unsuitable"
        FAILED = "failed", "Failed"
        ERASED = "erased", "Erased"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="photos")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the file as it was received.")
    format = models.CharField(max_length=16)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.RECEIVED)
    attempts = models.PositiveSmallIntegerField(default=0)
    received_at = models.DateTimeField(default=timezone.now)
    tried_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=300, blank=True)
    face = models.JSONField(null=True, help_text="engine.encoders.Face.to_dict()")
    quality = models.JSONField(default=dict)
    encoder = models.ForeignKey(Encoder, on_delete=models.PROTECT, null=True, related_name="+")
    sealed_vector = models.BinaryField(null=True, help_text="float32, L2-normalised, sealed under the photo's key.")

    class Meta:
        ordering: ClassVar = ["received_at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["sha256"], condition=~Q(sha256=""), name="one_trial_photo_per_file"),
            models.CheckConstraint(
                condition=~Q(state="ready")
                | Q(face__isnull=False, encoder__isnull=False, sealed_vector__isnull=False) & ~Q(sha256=""),
                name="ready_trial_photo_has_a_face",
            ),
            models.CheckConstraint(
                condition=~Q(state="erased") | Q(face__isnull=True, sealed_vector__isnull=True, sha256=""),
                name="erased_trial_photo_is_empty",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Trial(models.Model):
    """One photograph to search with and one list whose answer is known. Each pair of examiners gets it as a search.

    Open until `closed_at`: then nobody is given it any more, and those who examined it learn that it was one.
    PostgreSQL refuses any other change, and deletion (trials 0001).
    """

    class Kind(models.TextChoices):
        MATED = "mated", "Mated: the person is on the list"
        NON_MATED = "non_mated", "Non-mated: the person is not on the list"
        LOOK_ALIKE = "look_alike", "Look-alike: not on the list, but the most similar others are"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    photo = models.ForeignKey(TrialPhoto, on_delete=models.PROTECT, related_name="trials", help_text="Searched with.")
    mate_rank = models.PositiveSmallIntegerField(null=True, help_text="Where on the list the person is.")
    prepared_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    prepared_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    objects: ClassVar = OfTheSupervisor.as_manager()

    class Meta:
        ordering: ClassVar = ["-prepared_at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["photo"], condition=Q(closed_at__isnull=True), name="one_open_trial_per_photo"
            ),
            models.CheckConstraint(
                condition=Q(kind="mated", mate_rank__isnull=False)
                | Q(kind__in=["non_mated", "look_alike"], mate_rank__isnull=True),
                name="trial_answer_is_known",
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True, closed_by__isnull=True)
                | Q(closed_at__isnull=False, closed_by__isnull=False),
                name="closed_trial_says_by_whom",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
