"""One entry for every act, allowed or refused. Opaque ids only: never a name, a file name or a vector."""

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

    PostgreSQL refuses UPDATE, DELETE and TRUNCATE (migration 0002).
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


def canonical(*, at: datetime, **columns: Any) -> bytes:
    at_utc = at.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps(
        {"at": at_utc, **columns}, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
    ).encode()


def _plain(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} can't go into the audit")
