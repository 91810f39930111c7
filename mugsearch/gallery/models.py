"""People, their bookings, the photographs of a booking, and the vectors made from them."""

import uuid
from collections.abc import Iterable
from typing import Any, ClassVar, Self, TypeVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role, User
from mugsearch.gallery import identity
from mugsearch.gallery.identity import LOST, Sealed, told

M_co = TypeVar("M_co", bound=models.Model, covariant=True)


# What a manifest and a form take: the extremes of people, so that a slip of the keyboard is noticed.
HEIGHT_IN = (12, 108)
WEIGHT_LB = (2, 1500)


def between(limits: tuple[int, int]) -> list[MinValueValidator | MaxValueValidator]:
    return [MinValueValidator(limits[0]), MaxValueValidator(limits[1])]


class VisibleToRecords(models.QuerySet[M_co]):
    """People, bookings and their photographs are looked up by records staff of the same agency only."""

    def visible_to(self, user: User) -> Self:
        if not user.has_role(Role.RECORDS):
            return self.none()
        if user.agency_id is None:  # the console
            return self.all()
        return self.filter(agency=user.agency_id)


class PersonQuerySet(VisibleToRecords["Person"]):
    def identified(self, *person_ids: str) -> "PersonQuerySet":
        """In any spelling of the agency's number of a person."""
        return self.filter(id_digest__in=[identity.of_person(one) for one in person_ids])


class BookingQuerySet(VisibleToRecords["Booking"]):
    def numbered(self, *booking_numbers: str) -> "BookingQuerySet":
        """In any spelling."""
        return self.filter(number_digest__in=[identity.of_booking(one) for one in booking_numbers])


class PhotoQuerySet(VisibleToRecords["Photo"]):
    def waiting(self) -> "PhotoQuerySet":
        return self.filter(state=Photo.State.WAITING)

    def undecided(self) -> "PhotoQuerySet":
        """The clerks' work list: waiting, and no face has been picked yet."""
        return self.waiting().filter(face__isnull=True)

    def picked(self) -> "PhotoQuerySet":
        """A clerk has picked the face, the worker has yet to encode it."""
        return self.waiting().filter(face__isnull=False)

    def enrolled(self) -> "PhotoQuerySet":
        return self.filter(state=Photo.State.ENROLLED)

    def searchable(self) -> "PhotoQuerySet":
        """What may be found and shown to investigators and examiners: enrolled, and of no sealed booking."""
        return self.enrolled().filter(booking__sealed_at__isnull=True)


class TemplateQuerySet(models.QuerySet["Template"]):
    def searchable(self) -> "TemplateQuerySet":
        """What the index holds: of searchable photographs."""
        return self.filter(photo__state=Photo.State.ENROLLED, photo__booking__sealed_at__isnull=True)


class ImportRunQuerySet(VisibleToRecords["ImportRun"]):
    pass


class Person(Sealed):
    """Names, number and day of birth are sealed under the person's own data key, which goes with the last booking.

    `date_of_birth` is None where it isn't recorded; of it only the year is in plain, which searches are narrowed by.
    """

    TOLD = ("person_id", "family_name", "given_names", "date_of_birth")
    FOUND_BY = ("id_digest", "name_digest", "birth_year")

    person_id = told("person_id")  # the agency's own number of this person
    family_name = told("family_name")
    given_names = told("given_names")
    date_of_birth = told("date_of_birth", None)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="+")
    id_digest = models.CharField(max_length=64, editable=False)
    name_digest = models.CharField(max_length=64, blank=True, editable=False)
    birth_year = models.PositiveSmallIntegerField(null=True, editable=False)
    # As recorded at booking, never guessed from a face.
    sex = models.CharField(max_length=1, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar = PersonQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "id"]
        verbose_name_plural = "people"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agency", "id_digest"], name="one_person_per_agency_id"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["agency", "-created_at", "id"], name="people_by_time"),
            models.Index(fields=["name_digest"], condition=~Q(name_digest=""), name="people_by_name"),
        ]

    def __str__(self) -> str:
        names = ", ".join(part for part in (self.family_name, self.given_names) if part)
        return (names or str(self.person_id)) if self.is_readable else LOST

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        is_new = self._state.adding
        super().save(*args, update_fields=update_fields, **kwargs)
        if not is_new and (update_fields is None or "date_of_birth" in update_fields):
            for booking in self.bookings.only("booked_on", "under_age"):
                minor = identity.under_age(self.date_of_birth, booking.booked_on)
                if minor != booking.under_age:
                    self.bookings.filter(pk=booking.pk).update(under_age=minor, ruled_since=timezone.now())

    def find_by(self) -> None:
        self.id_digest = identity.of_person(self.person_id)
        self.name_digest = identity.of_name(self.family_name, self.given_names, self.date_of_birth)
        self.birth_year = self.date_of_birth.year if self.date_of_birth else None


class Booking(Sealed):
    """One arrest. Its id is the owner of the data key under which its number, photographs and vectors are encrypted.

    While it is sealed (RULES 22) everything of it stays, but no search compares with it and only records staff see it.
    """

    TOLD = ("booking_number",)
    FOUND_BY = ("number_digest", "under_age")
    FOUND_FROM = ("booked_on",)

    booking_number = told("booking_number")  # as it was first written

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="bookings")
    # What bookings are looked up by, so that another spelling is not another booking.
    number_digest = models.CharField(max_length=64, editable=False)
    booked_on = models.DateField(null=True, blank=True)
    # Whether the person was a minor on that day; None where it isn't known. The day of birth is in no column.
    under_age = models.BooleanField(null=True, editable=False)
    # Since when what the rules of retention go by is recorded as it is: nobody makes one act at once by writing.
    ruled_since = models.DateTimeField(default=timezone.now, editable=False)
    unsealed_at = models.DateTimeField(null=True, editable=False, help_text="By order: no rule seals it again.")
    height_in = models.PositiveSmallIntegerField("height (in)", null=True, blank=True, validators=between(HEIGHT_IN))
    weight_lb = models.PositiveSmallIntegerField("weight (lb)", null=True, blank=True, validators=between(WEIGHT_LB))
    charge = models.CharField(max_length=200, blank=True)
    disposition = models.CharField(max_length=100, blank=True)
    sealed_at = models.DateTimeField(null=True, editable=False, help_text="By an order; empty: not sealed.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar = BookingQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-booked_on", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agency", "number_digest"], name="one_booking_per_number"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["agency", "-booked_on", "id"], name="bookings_by_day"),
            models.Index(fields=["sealed_at"], condition=Q(sealed_at__isnull=False), name="bookings_sealed"),
        ]

    def __str__(self) -> str:
        return str(self.booking_number)

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        if update_fields is not None and {"charge", "booked_on"}.intersection(update_fields):
            self.ruled_since = timezone.now()
            update_fields = {*update_fields, "ruled_since"}
        super().save(*args, update_fields=update_fields, **kwargs)

    def find_by(self) -> None:
        self.number_digest = identity.of_booking(self.booking_number)
        self.under_age = identity.under_age(self.person.date_of_birth, self.booked_on)


class Encoder(models.Model):
    """An encoder whose vectors we hold. At most one is ACTIVE (answers searches) and one PREPARING.

    PREPARING --every photo encoded--> ACTIVE --another became active--> RETIRED (its vectors are dropped)
    """

    class State(models.TextChoices):
        PREPARING = "preparing", "Preparing"
        ACTIVE = "active", "Active"
        RETIRED = "retired", "Retired"

    id = models.BigAutoField(primary_key=True)
    spec = models.CharField(max_length=300, help_text="What engine.encoders.load takes.")
    name = models.CharField(max_length=120)
    digest = models.CharField(max_length=64, help_text="SHA-256 over the weights.")
    dimension = models.PositiveIntegerField()
    licence = models.CharField(max_length=300)
    state = models.CharField(max_length=10, choices=State, default=State.PREPARING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    activated_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name", "digest"], name="encoder_once"),
            models.UniqueConstraint(fields=["state"], condition=Q(state="active"), name="one_active_encoder"),
            models.UniqueConstraint(fields=["state"], condition=Q(state="preparing"), name="one_preparing_encoder"),
        ]

    def __str__(self) -> str:
        return self.name


class Photo(models.Model):
    """A booking photograph, upright and without metadata, sealed in the vault under the name `id`.

    WAITING --pick_face, then the worker encodes--> ENROLLED   (no face or several were found: a clerk decides)
    WAITING --refuse_photo------------------------> REFUSED
    Between the clerk's pick and the worker's vector a photo is WAITING with `face` set.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting for a clerk"
        ENROLLED = "enrolled", "Enrolled"
        REFUSED = "refused", "Refused"

    class Trouble(models.TextChoices):
        NONE = "", "None"
        NO_FACE = "no_face", "No face was found"
        SEVERAL_FACES = "several_faces", "Several faces were found"

    class Refusal(models.TextChoices):
        """Codes, not free text: they go into the audit."""

        NONE = "", "None"
        NO_FACE = "no_face", "No face can be seen"
        NOT_THE_PERSON = "not_the_person", "It does not show the person of this booking"
        TOO_POOR = "too_poor", "Too poor to search with"
        NOT_A_PORTRAIT = "not_a_portrait", "Not a portrait (a tattoo, a document, an object)"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="photos")
    # The booking's. PostgreSQL writes it (migration 0010): nobody else has to, or can.
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="+", db_index=False, editable=False)
    sha256 = models.CharField(max_length=64, help_text="Of the file as it was received.")
    format = models.CharField(max_length=16)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    pose = models.CharField(max_length=40, blank=True)
    state = models.CharField(max_length=10, choices=State)
    trouble = models.CharField(max_length=16, choices=Trouble, blank=True)
    refusal = models.CharField(max_length=16, choices=Refusal, blank=True)
    # Faces found by the encoder at import, engine.encoders.Face.to_dict() and the "quality" of each, largest first;
    # `face` is the one enrolled or picked, `quality` is its quality.
    faces = models.JSONField(default=list)
    face = models.JSONField(null=True)
    quality = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar = PhotoQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["created_at", "id"]
        indexes: ClassVar = [
            models.Index(fields=["sha256"], name="photos_by_sha256"),
            models.Index(fields=["agency", "created_at", "id"], name="photos_by_time"),
            models.Index(fields=["agency", "state", "created_at", "id"], name="photos_by_state"),
            models.Index(
                fields=["agency", "trouble", "created_at", "id"], condition=~Q(trouble=""), name="photos_by_trouble"
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["booking", "sha256"], name="one_photo_per_booking"),
            models.CheckConstraint(
                condition=~Q(state="enrolled") | Q(face__isnull=False), name="enrolled_photo_has_a_face"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Template(models.Model):
    """The vector of a photo's face by one encoder: float32, L2-normalised, sealed. Its id is its id in the index."""

    id = models.BigAutoField(primary_key=True)
    photo = models.ForeignKey(Photo, on_delete=models.PROTECT, related_name="templates")
    encoder = models.ForeignKey(Encoder, on_delete=models.PROTECT, related_name="templates")
    sealed_vector = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar = TemplateQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["photo", "encoder"], name="one_template_per_encoder"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class GalleryChange(models.Model):
    """What the index has to be told, in the order of the commits: `number` is given out under a lock, without gaps.

    A change outlives its template: after an expungement the DROP stays, the vector does not. Its mark is its own: in
    another database, or in this one after an older backup was restored, the same number has another mark.
    """

    class What(models.TextChoices):
        PUT = "put", "Put"
        DROP = "drop", "Drop"

    number = models.BigIntegerField(primary_key=True)
    mark = models.UUIDField(default=uuid.uuid4, editable=False)
    what = models.CharField(max_length=4, choices=What)
    template_id = models.BigIntegerField()
    encoder = models.ForeignKey(Encoder, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["number"]

    def __str__(self) -> str:
        return f"{self.number} {self.what} {self.template_id}"


class IndexState(models.Model):
    """What the search worker says of the index of an encoder to processes that can't look into it.

    (no row, or READY) --missing, damaged, far behind--> REBUILDING --last template read--> READY
    """

    class State(models.TextChoices):
        READY = "ready", "Ready"
        REBUILDING = "rebuilding", "Being rebuilt"

    encoder = models.OneToOneField(Encoder, primary_key=True, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=State)
    why = models.CharField(max_length=20, help_text="Code of what made it necessary.")
    trouble = models.CharField(max_length=300, blank=True, help_text="Why it doesn't go on; tried again all the time.")
    done = models.BigIntegerField(help_text="Vectors in the index.")
    total = models.BigIntegerField()
    begun_with = models.BigIntegerField(help_text="Vectors in the index when it was taken up last.")
    started_at = models.DateTimeField(help_text="When it was taken up last.")
    updated_at = models.DateTimeField(help_text="Last sign of life of whoever rebuilds it.")

    def __str__(self) -> str:
        return f"{self.state} {self.done} of {self.total}"


class Suppression(models.Model):
    """A purged booking, remembered by a keyed digest of agency and number, so that a feed can't bring it back."""

    digest = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.digest[:12]


class ImportRun(models.Model):
    """One manifest on its way in.

    QUEUED --worker or command--> RUNNING --last row--> DONE
                                  RUNNING --the manifest itself can't be used--> FAILED
                                  RUNNING --the disk is full …--> QUEUED   (`failure` says why it pauses)
    Rows are taken in the manifest's order, a chunk and its counters in one transaction, so a run whose worker died
    goes on after `rows_done` rows. A run of the command line has no staged upload: the command makes a new run.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    class Several(models.TextChoices):
        ONLY = "only", "Only photos with exactly one face; others wait for a clerk"
        LARGEST = "largest", "Take the largest face"
        CENTRE = "centre", "Take the face nearest the centre"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="+")
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    several = models.CharField("several faces", max_length=8, choices=Several, default=Several.ONLY)
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    staged = models.BooleanField(default=False, help_text="The upload lies in the staging folder under this run's id.")
    failure = models.CharField(max_length=500, blank=True)
    ignored_columns = models.JSONField(default=list)
    rows = models.PositiveIntegerField(default=0)
    rows_done = models.PositiveIntegerField(default=0)
    enrolled = models.PositiveIntegerField(default=0)
    already = models.PositiveIntegerField("already here", default=0)
    waiting = models.PositiveIntegerField("waiting for a clerk", default=0)
    rejected = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    alive_at = models.DateTimeField(null=True, help_text="Last sign of life of whoever runs it, or last nudge.")
    finished_at = models.DateTimeField(null=True)
    # Of the attempt that runs it now; whoever holds another value has lost the run and may not write.
    runner = models.UUIDField(null=True, editable=False)
    tries = models.PositiveSmallIntegerField(default=0, help_text="Attempts since the last row that went in.")
    rate = models.FloatField(default=0, help_text="Rows a second, lately.")
    # Vault names of the chunk being written: what has no row when the run is taken over is removed from the vault.
    unwritten = models.JSONField(default=dict)

    objects: ClassVar = ImportRunQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"import {self.created_at:%Y-%m-%d %H:%M}"


class ImportReject(Sealed):
    """A row that could not be taken, with a reason a clerk understands.

    Its booking may not be here, so what names one is sealed under a key of its own.
    """

    TOLD = ("photo", "booking_number")
    FOUND_BY = ("number_digest",)

    photo = told("photo")  # its path in the manifest
    booking_number = told("booking_number")  # as it was typed there

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="rejects")
    line = models.PositiveIntegerField(help_text="Line in the manifest; the header is line 1.")
    owner = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    number_digest = models.CharField(max_length=64, blank=True, editable=False)
    reason = models.CharField(max_length=300)
    # The booking of another person, of the same agency, that holds the row's photo: gone with it, so that no
    # reason names a booking that was expunged.
    held_by = models.ForeignKey(Booking, null=True, on_delete=models.CASCADE, related_name="+")

    class Meta:
        ordering: ClassVar = ["line"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "line"], name="one_reject_per_line"),
        ]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"

    @property
    def key_owner(self) -> uuid.UUID:
        return self.owner

    def find_by(self) -> None:
        self.number_digest = identity.of_booking(self.booking_number) if self.booking_number else ""

    def explained(self) -> str:
        """The reason as the clerk reads it."""
        if self.held_by is None:
            return self.reason
        return f"{self.reason.removesuffix('.')} (booking {self.held_by.booking_number})."
