"""The probe images uploaded under cases, edits of these, searches with one face, and the candidates found."""

import uuid
from typing import ClassVar

from django.db import connection, models
from django.db.models import F, Q
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.engine import edits
from mugsearch.gallery.models import Encoder, Person, Photo
from mugsearch.probes.case_models import Case, CaseQuerySet, Membership, PriorityChange
from mugsearch.probes.filters import Filters
from mugsearch.trials.models import Trial, TrialPhoto

__all__ = ["Case", "CaseQuerySet", "Membership", "PriorityChange"]  # models of this room from another file

# Any fixed number will do; it only has to differ from the other advisory locks (see gallery.locks). Not a lock of the
# table: that is for who may change its rows.
_POLICY_LOCK = 0x6D756707


class ProbeQuerySet(models.QuerySet["Probe"]):
    def visible_to(self, user: User) -> "ProbeQuerySet":
        return self.filter(case__in=Case.objects.visible_to(user))


class Probe(models.Model):
    """An uploaded image under a case; never enrolled in the gallery. `owner` is whose data key it is sealed with.

    PostgreSQL refuses another case, submitter or purpose, and other faces once they were found (migration 0012);
    an erasure may empty them.

    RECEIVED --worker--> READY    (faces found, the investigator picks one)
             --worker--> NO_FACE
             --worker--> FAILED   (three tries; the reason is in `failure`)
    any --aged out----> ERASED    (by rule: RULES 29; its edits, too)
    """

    class State(models.TextChoices):
        RECEIVED = "received", "Looking for faces"
        READY = "ready", "Faces found"
        NO_FACE = "no_face", "No face found"
        FAILED = "failed", "Failed"
        ERASED = "erased", "Erased"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="probes")
    submitted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField(default=timezone.now, editable=False)
    # Codes of the policy; what they mean is in mugsearch/policy.toml.
    offence = models.CharField(max_length=40)
    legal_basis = models.CharField(max_length=40)
    source = models.CharField(max_length=40)
    source_detail = models.CharField("where the image came from", max_length=300)
    attested_at = models.DateTimeField(help_text="When the submitter attested that the search is none of RULES 2.")
    policy_digest = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64, help_text="Of the file as it was uploaded.")
    format = models.CharField(max_length=16)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    idempotency_key = models.CharField(max_length=64, null=True)
    # Of which it is a copy; empty: casework.
    trial_photo = models.ForeignKey(TrialPhoto, on_delete=models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=8, choices=State, default=State.RECEIVED)
    # [{"face": engine.encoders.Face.to_dict(), "quality": {"score", "reasons", "measures"}}], largest first.
    faces = models.JSONField(default=list)
    attempts = models.PositiveSmallIntegerField(default=0)
    tried_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=300, blank=True)

    objects: ClassVar = ProbeQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-submitted_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["submitted_by", "idempotency_key"], name="one_probe_per_idempotency_key"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def owner(self) -> uuid.UUID:
        """Whose data key the stored image is sealed with. A copy of a trial photograph goes with the original."""
        return self.trial_photo_id or self.id


class ProbeEdit(models.Model):
    """A new image made of the original of a probe, which never changes (RULES 6). Sealed with the probe's key.

    Its states are those of a probe, and the worker finds its faces in the same way. PostgreSQL refuses any change of
    what it was made from, how and by whom, another one in its place, and deletion (migrations 0011 and 0012); when the
    probe is erased, its faces may be emptied.
    """

    MOST = 10  # of one probe

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    probe = models.ForeignKey(Probe, on_delete=models.PROTECT, related_name="edits")
    number = models.PositiveSmallIntegerField(help_text="Of this probe, from 1: people know it by that.")
    steps = models.JSONField(help_text="As engine.edits writes them.")
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(default=timezone.now, editable=False)
    sha256 = models.CharField(max_length=64, help_text="Of the pixels, see engine.edits.digest.")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=Probe.State, default=Probe.State.RECEIVED)
    faces = models.JSONField(default=list, help_text="As of a probe, in the edit's own pixels.")
    attempts = models.PositiveSmallIntegerField(default=0)
    tried_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar = ["probe", "number"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(number__gte=1, number__lte=10), name="ten_edits_of_a_probe"),
            models.UniqueConstraint(fields=["probe", "number"], name="one_edit_per_number"),
            models.UniqueConstraint(fields=["probe", "steps"], name="one_edit_of_the_same_steps"),
            # Nothing but what a search's reference to an edit of its own probe points to.
            models.UniqueConstraint(fields=["id", "probe"], name="edit_and_its_probe"),
        ]

    def __str__(self) -> str:
        return f"edit {self.number}"

    @property
    def owner(self) -> uuid.UUID:
        return self.probe.owner

    @property
    def words(self) -> str:
        """What was done, as people read it."""
        size = {"width": self.probe.width, "height": self.probe.height}
        return edits.words(edits.read(self.steps, **size))


class PolicyVersion(models.Model):
    """A policy that was in force from `at` until the next one. The text is that of the file, byte for byte.

    PostgreSQL refuses any change and deletion (migration 0007).
    """

    number = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the text.")
    text = models.TextField()
    reason = models.CharField(max_length=1000)
    by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+", help_text="Empty: installed.")
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["-number"]

    def __str__(self) -> str:
        return f"policy {self.number}"

    @staticmethod
    def lock() -> None:
        """Until the transaction ends nobody else adds a version."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_POLICY_LOCK])


class Calibration(models.Model):
    """How high people score who are not in the gallery: the best score of each of `people` searches for somebody all of
    whose own photographs were left out (probes.calibrating).

    Scores only, in order: no id, no vector, nothing that says whose a score was. So it names nobody, and stays as it is
    when somebody is expunged. PostgreSQL refuses any change and deletion (migration 0010).
    """

    number = models.BigAutoField(primary_key=True)
    encoder = models.ForeignKey(Encoder, on_delete=models.PROTECT, related_name="+")
    generation = models.BigIntegerField(help_text="GalleryChange.number the index had applied.")
    gallery_size = models.PositiveIntegerField(help_text="Photographs in the index.")
    people = models.PositiveIntegerField(help_text="Searches made, one for each person drawn.")
    seed = models.CharField(max_length=64, help_text="With it the same people are drawn from the same gallery.")
    scores = models.JSONField(help_text="The best score of each search, ascending, to 4 decimals.")
    made_at = models.DateTimeField(default=timezone.now, editable=False)
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(people__gte=1, gallery_size__gte=2) & Q(people__lte=F("gallery_size")),
                name="calibration_of_somebody_among_others",
            ),
        ]

    def __str__(self) -> str:
        return f"calibration {self.number}"


class SearchQuerySet(models.QuerySet["Search"]):
    def visible_to(self, user: User) -> "SearchQuerySet":
        return self.filter(probe__in=Probe.objects.visible_to(user))

    def casework(self) -> "SearchQuerySet":
        """Without the trials, which only look like it."""
        return self.filter(trial=None)

    def repeatable_by(self, user: User) -> "SearchQuerySet":
        """Auditors repeat any search, investigators those of their cases. That shows no candidate to either."""
        return self.casework() if user.has_role(Role.AUDITOR) else self.visible_to(user)

    def finished(self) -> "SearchQuerySet":
        return self.filter(state=Search.State.DONE)


class Search(models.Model):
    """One face of a probe against the gallery.

    QUEUED --worker takes it--> RUNNING --candidates written--> DONE
                                RUNNING --third try failed----> FAILED
                                RUNNING --worker died---------> QUEUED  (probes.tasks.resume)

    PostgreSQL refuses another probe, requester, narrowing or policy (migration 0006), another edit or one of another
    probe (0010), and any change of a DONE one.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Searching"
        DONE = "done", "Searched"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    probe = models.ForeignKey(Probe, on_delete=models.PROTECT, related_name="searches")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now, editable=False)
    trial = models.ForeignKey(
        Trial, on_delete=models.PROTECT, null=True, related_name="searches", help_text="Empty: casework."
    )
    edit = models.ForeignKey(
        ProbeEdit, on_delete=models.PROTECT, null=True, related_name="searches", help_text="Empty: with the original."
    )
    face = models.PositiveSmallIntegerField(help_text="Position in the faces of `image`.")
    list_size = models.PositiveSmallIntegerField(help_text="How many people the list may hold, 2 to 50.")
    filters = models.JSONField(default=dict, help_text="What it is narrowed to, as probes.filters writes it.")
    # What the policy asked for when the search was requested: it is examined by that, whatever the policy says later.
    policy_digest = models.CharField(max_length=64, help_text="SHA-256 of the policy file.")
    positive_rating = models.SmallIntegerField(help_text="From where on an examiner's rating names a candidate.")
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=300, blank=True)
    # What was searched, and with what (EU AI Act art. 12(3)).
    encoder = models.ForeignKey(Encoder, on_delete=models.PROTECT, null=True, related_name="+")
    generation = models.BigIntegerField(null=True, help_text="GalleryChange.number the index had applied.")
    gallery_size = models.PositiveIntegerField(null=True, help_text="Photographs in the index.")
    depth = models.PositiveIntegerField(null=True, help_text="Photos ranked; siblings below it did not return.")
    # The proof that nobody is missing on the list (engine.index.Found).
    scanned = models.PositiveIntegerField(null=True, help_text="Photographs compared: those the filters left.")
    rescored = models.PositiveIntegerField(null=True, help_text="Of them, compared in full precision.")
    ceiling = models.FloatField(null=True, help_text="No other photograph can score above it; empty: no others.")

    objects: ClassVar = SearchQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-requested_at"]
        verbose_name_plural = "searches"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(list_size__gte=2, list_size__lte=50), name="list_size_2_to_50"),
            models.CheckConstraint(
                condition=Q(positive_rating__gte=1, positive_rating__lte=3), name="positive_rating_1_to_3"
            ),
            models.UniqueConstraint(
                fields=["probe", "edit", "face"],
                condition=Q(state__in=["queued", "running"]),
                nulls_distinct=False,
                name="one_open_search_per_face",
            ),
            models.CheckConstraint(
                condition=~Q(state="done")
                | Q(encoder__isnull=False, generation__isnull=False, gallery_size__isnull=False, depth__isnull=False),
                name="finished_search_says_what_it_searched",
            ),
            models.CheckConstraint(
                condition=~Q(state="done")
                | Q(scanned__isnull=False, rescored__isnull=False)
                & Q(scanned__lte=F("gallery_size"), rescored__lte=F("scanned"))
                & (Q(ceiling__isnull=False) | Q(rescored=F("scanned"))),
                name="finished_search_proves_its_list",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def image(self) -> Probe | ProbeEdit:
        """What was searched with; examined is always the original."""
        return self.edit or self.probe

    @property
    def narrowed_to(self) -> Filters:
        return Filters.from_json(self.filters)

    @property
    def others(self) -> int:
        """Photographs compared by their codes only: none of them can score above `ceiling`."""
        return (self.scanned or 0) - (self.rescored or 0)


class Repeat(models.Model):
    """A finished search made once more over what is left of the gallery it searched, and whether the list is the same.

    QUEUED --worker takes it--> RUNNING --compared----------------------------> DONE
                                RUNNING --third try failed, or it can't be done--> FAILED
                                RUNNING --worker died--------------------------> QUEUED  (probes.tasks.resume)

    Holds counts only: neither its page nor its row tells anybody a rank or a score. PostgreSQL refuses another search
    or requester, any change of one that has ended, and deletion (migration 0005).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    search = models.ForeignKey(Search, on_delete=models.PROTECT, related_name="repeats")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now, editable=False)
    state = models.CharField(max_length=8, choices=Search.State, default=Search.State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=300, blank=True)
    generation = models.BigIntegerField(null=True, help_text="GalleryChange.number the index had applied this time.")
    scanned = models.PositiveIntegerField(null=True, help_text="Photographs compared this time.")
    erased_photos = models.PositiveIntegerField(null=True, help_text="In the gallery of then, erased since.")
    erased_people = models.PositiveIntegerField(null=True, help_text="On the list of then, erased since.")
    differing = models.PositiveIntegerField(
        null=True, help_text="Photographs with another rank or score, beyond what was erased. 0: the same list."
    )

    class Meta:
        ordering: ClassVar = ["-requested_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["search"], condition=Q(state__in=["queued", "running"]), name="one_open_repeat_per_search"
            ),
            models.CheckConstraint(
                condition=~Q(state="done")
                | Q(
                    generation__isnull=False,
                    scanned__isnull=False,
                    erased_photos__isnull=False,
                    erased_people__isnull=False,
                    differing__isnull=False,
                ),
                name="finished_repeat_says_what_it_found",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def moves(self) -> bool:
        return self.state in (Search.State.QUEUED, Search.State.RUNNING)


class Candidate(models.Model):
    """A person on a search's list, shown by the photo that ranked best; in a trial somebody who isn't in the gallery.

    After an expungement the rank stays as a tombstone: person, photo, score and siblings go (RULES 25). While the
    booking is sealed it is one, too, and a SealedPlace has what it is to be again. PostgreSQL refuses any other change,
    and deletion (migrations 0002 and 0013).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    search = models.ForeignKey(Search, on_delete=models.PROTECT, related_name="candidates")
    rank = models.PositiveSmallIntegerField(help_text="1 is the best.")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    photo = models.ForeignKey(Photo, on_delete=models.PROTECT, null=True, related_name="+")
    trial_photo = models.ForeignKey(TrialPhoto, on_delete=models.PROTECT, null=True, related_name="+")
    score = models.FloatField(null=True, help_text="Cosine of the two vectors, -1 to 1.")
    forgotten_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["search", "rank"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["search", "rank"], name="one_candidate_per_rank"),
            models.UniqueConstraint(fields=["search", "person"], name="one_candidate_per_person"),
            models.CheckConstraint(
                condition=Q(forgotten_at__isnull=True, score__isnull=False)
                & (
                    Q(person__isnull=False, photo__isnull=False, trial_photo__isnull=True)
                    | Q(person__isnull=True, photo__isnull=True, trial_photo__isnull=False)
                )
                | Q(
                    forgotten_at__isnull=False,
                    person__isnull=True,
                    photo__isnull=True,
                    trial_photo__isnull=True,
                    score__isnull=True,
                ),
                name="candidate_whole_or_tombstone",
            ),
        ]

    def __str__(self) -> str:
        return f"candidate {self.rank}"


class SealedPlace(models.Model):
    """What a candidate was before its booking was sealed, so that unsealing puts it back.

    Kept apart from the candidate, so that to everybody who reads lists it is a tombstone. PostgreSQL refuses one that
    is not as the candidate was, any change, and deletion before the candidate is whole again (migration 0013).
    """

    candidate = models.OneToOneField(Candidate, on_delete=models.PROTECT, primary_key=True, related_name="sealed_place")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    photo = models.ForeignKey(Photo, on_delete=models.PROTECT, related_name="+")
    score = models.FloatField()

    def __str__(self) -> str:
        return f"sealed place {self.candidate_id}"


class ShownSiblings(models.Manager["SiblingPhoto"]):
    """Without those of sealed bookings, also from a candidate's `siblings`."""

    def get_queryset(self) -> models.QuerySet["SiblingPhoto"]:
        return super().get_queryset().filter(photo__booking__sealed_at__isnull=True)


class SiblingPhoto(models.Model):
    """Another photo of a candidate's person, and what became of it: its rank among photos, or none (RULES 10)."""

    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="siblings")
    photo = models.ForeignKey(Photo, on_delete=models.PROTECT, related_name="+")
    rank = models.PositiveIntegerField(null=True, help_text="Rank among photos; empty: not within the search's depth.")
    score = models.FloatField(null=True)

    objects = ShownSiblings()
    with_sealed = models.Manager["SiblingPhoto"]()

    class Meta:
        ordering: ClassVar = ["rank", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["candidate", "photo"], name="one_sibling_row_per_photo"),
        ]

    def __str__(self) -> str:
        return f"sibling at {self.rank}"
