"""One entry for every act, allowed or refused. Opaque ids only: never a name, a file name or a vector.

And what is known of the chain outside the database: heads that left it, and entries that were archived.
"""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar
from uuid import UUID

from django.db import models


class Outcome(models.TextChoices):
    DONE = "done", "Done"
    REFUSED = "refused", "Refused"
    FAILED = "failed", "Failed"


class EntryQuerySet(models.QuerySet["Entry"]):
    def of(self, obj: models.Model) -> "EntryQuerySet":
        return self.filter(object_type=obj._meta.label_lower, object_id=str(obj.pk))


class Entry(models.Model):
    """A link of the chain. `number` counts without gaps from 1; `digest` covers every other column and `previous`.

    PostgreSQL refuses UPDATE, DELETE and TRUNCATE (migration 0002), but for what was archived (0006).
    """

    number = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(db_index=True)
    actor = models.UUIDField(null=True)
    address = models.GenericIPAddressField(null=True)
    act = models.CharField(max_length=64)
    outcome = models.CharField(max_length=8, choices=Outcome)
    object_type = models.CharField(max_length=64, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    case = models.UUIDField(null=True)
    details = models.JSONField(default=dict)
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, unique=True)

    objects: ClassVar = EntryQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-number"]
        verbose_name_plural = "entries"
        # Pages are cut by number.
        indexes: ClassVar = [
            models.Index(fields=["actor", "number"], name="entries_by_actor"),
            models.Index(fields=["act", "number"], name="entries_by_act"),
            models.Index(fields=["object_id", "number"], name="entries_by_object"),
            models.Index(fields=["case", "number"], name="entries_by_case"),
            models.Index(fields=["number"], condition=~models.Q(outcome="done"), name="entries_not_done"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.act} {self.outcome}"

    def canonical(self) -> bytes:
        """The bytes the digest is taken over: JSON, keys sorted, no blanks, time in UTC with microseconds."""
        return canonical(
            number=self.number,
            at=self.at,
            actor=self.actor,
            address=self.address,
            act=self.act,
            outcome=self.outcome,
            object_type=self.object_type,
            object_id=self.object_id,
            case=self.case,
            details=self.details,
            previous=self.previous,
        )

    def expected_digest(self) -> str:
        return sha256(self.canonical()).hexdigest()

    def line(self) -> bytes:
        """As it is in exports and archives: what was hashed but for its last brace, then the digest. Whoever checks it
        cuts that off again and needs no way of writing JSON."""
        return line(self.canonical(), self.digest)


class SignedHead(models.Model):
    """What left the database to be kept where whoever can change the database can't: see `auditing.heads`.

    `document` is exactly what was signed. `serial` counts without gaps from 1, so that a missing one is noticed.
    PostgreSQL refuses UPDATE, DELETE and TRUNCATE (migration 0005).
    """

    serial = models.BigIntegerField(primary_key=True)
    number = models.BigIntegerField(help_text="Of the entry it is about.")
    digest = models.CharField(max_length=64)
    at = models.DateTimeField(db_index=True)
    document = models.TextField()
    public_key = models.CharField(max_length=64)
    signature = models.CharField(max_length=128)

    class Meta:
        ordering: ClassVar = ["-serial"]

    def __str__(self) -> str:
        return f"{self.serial} {self.number}:{self.digest}"


class Destination(models.TextChoices):
    FOLDER = "folder", "Folder"
    EMAIL = "email", "E-mail"
    SYSLOG = "syslog", "Syslog"


class Delivery(models.Model):
    """One head on its way to one destination; `left_at` is empty until it was taken there."""

    head = models.ForeignKey(SignedHead, on_delete=models.PROTECT, related_name="deliveries")
    destination = models.CharField(max_length=8, choices=Destination)
    left_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)
    trouble = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["head", "destination"], name="one_delivery_per_destination"),
            models.CheckConstraint(condition=models.Q(destination__in=Destination.values), name="destination_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["destination", "head"], condition=models.Q(left_at=None), name="deliveries_waiting"),
            models.Index(fields=["destination", "-head"], name="deliveries_by_destination"),
        ]

    def __str__(self) -> str:
        return f"{self.head_id} {self.destination}"


class ArchivedSpan(models.Model):
    """Entries that are in a file outside the database, read back and signed for; after that they may go from here.

    Spans follow each other from entry 1 on. `previous` is the digest before `first`, `digest` that of `last`, `chain`
    that of entry 1; `head` the signed head of the file. PostgreSQL refuses UPDATE, DELETE and TRUNCATE, and a span that
    doesn't fit (migration 0005); it lets the entries of a span go at once or not at all, and no others (0006).
    """

    first = models.BigIntegerField(primary_key=True)
    last = models.BigIntegerField(unique=True)
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    chain = models.CharField(max_length=64)
    file = models.CharField(max_length=64, help_text="Its name, made of the numbers.")
    sha256 = models.CharField(max_length=64)
    bytes = models.BigIntegerField()
    head = models.TextField()
    recorded_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["first"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(last__gte=models.F("first")), name="span_holds_entries"),
        ]

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"

    def as_details(self) -> dict[str, Any]:
        """What the entry about it says, and the verification compares."""
        said = ("first", "last", "previous", "digest", "chain", "sha256", "bytes")
        return {name: getattr(self, name) for name in said}


def canonical(*, at: datetime, **columns: Any) -> bytes:
    at_utc = at.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps(
        {"at": at_utc, **columns}, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
    ).encode()


def line(canonical_form: bytes, digest: str) -> bytes:
    return b'%s,"digest":"%s"}\n' % (canonical_form[:-1], digest.encode())


def _plain(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} can't go into the audit")
