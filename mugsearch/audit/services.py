"""Writing the record: every service does its work inside `act`, so an act without an entry can't be committed."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

from django.db import DatabaseError, connection, models, transaction

from mugsearch.audit.models import ArchivedSpan, Entry, Outcome, canonical
from mugsearch.errors import MugsearchError, Unavailable

# Any fixed number will do; it only has to differ from the other advisory locks (see gallery.locks).
CHAIN_LOCK = 0x6D756701
GENESIS = "0" * 64

logger = logging.getLogger(__name__)


class NotRecorded(Unavailable):
    """The entry of an act could not be written, so there is no act either."""

    code = "not_recorded"


# The address a request came from; set by OriginMiddleware, empty in workers and commands.
origin: ContextVar[str | None] = ContextVar("origin", default=None)


class Actor(Protocol):
    @property
    def pk(self) -> Any: ...


@dataclass
class Act:
    """What is being done. A service fills in the object, the case and the details while it does it."""

    name: str
    by: Actor | None
    obj: models.Model | None = None
    case: UUID | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def note(self, **details: Any) -> None:
        """Add details: opaque ids, counts, digests, measures. Never a name or a file name."""
        self.details.update(details)


@contextmanager
def act(
    name: str, *, by: Actor | None, obj: models.Model | None = None, case: UUID | None = None, **details: Any
) -> Iterator[Act]:
    """One transaction for the act and its entry. A refusal undoes the work and leaves a `refused` entry instead.

    Name it `object.verb-in-past`, for example `search.submitted`. Use it as the outermost transaction
    (`durable`), so that the entry of a refusal is never rolled back by somebody else.
    """
    this = Act(name, by, obj, case, dict(details))
    try:
        with transaction.atomic(durable=True):
            yield this
            append(this, Outcome.DONE)
    except NotRecorded:
        raise  # nor could that it failed be
    except MugsearchError as error:
        _append_alone(this, Outcome.REFUSED, reason=error.code)
        raise
    except Exception as error:
        # The kind only: what databases say of an error quotes rows. Without a database there is no entry either.
        with suppress(DatabaseError, NotRecorded):
            _append_alone(this, Outcome.FAILED, reason=type(error).__name__)
        raise


def _append_alone(this: Act, outcome: Outcome, *, reason: str) -> None:
    with transaction.atomic(durable=True):
        this.note(reason=reason)
        append(this, outcome)


def append(this: Act, outcome: Outcome) -> Entry:
    """Link one entry to the chain, in the caller's transaction. Waits for whoever is appending now.

    Raises NotRecorded when PostgreSQL doesn't take it: then the caller's transaction can't be committed.
    """
    try:
        return _append(this, outcome)
    except DatabaseError as error:
        logger.error("%s could not be recorded: %s", this.name, type(error).__name__)
        raise NotRecorded(
            "Nothing was done or shown, because it can't be recorded. Try again later, and tell the operator if it "
            "stays so."
        ) from error


def _append(this: Act, outcome: Outcome) -> Entry:
    address = (origin.get() or "").partition("%")[0] or None  # inet knows no zones (fe80::1%eth0)
    with connection.cursor() as cursor:
        # The digest is taken over what PostgreSQL will give back: it writes 1e16, -0.0 or ::FFFF:1 in its own way.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s), %s::jsonb, host(%s::inet)",
            [CHAIN_LOCK, json.dumps(this.details), address],
        )
        _, details, address = cursor.fetchone()
    last = Entry.objects.order_by("-number").values_list("number", "digest").first()
    number, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
    columns: dict[str, Any] = {
        "number": number,
        "at": datetime.now(UTC),
        "actor": this.by.pk if this.by else None,
        "address": address,
        "act": this.name,
        "outcome": outcome.value,
        "object_type": this.obj._meta.label_lower if this.obj else "",
        "object_id": str(this.obj.pk) if this.obj else "",
        "case": this.case,
        "details": json.loads(details),
        "previous": previous,
    }
    return Entry.objects.create(**columns, digest=digest_of(columns))


def digest_of(columns: dict[str, Any]) -> str:
    """Of an entry, given every column but the digest itself."""
    return sha256(canonical(**columns)).hexdigest()


def archived_to() -> int:
    """The last entry that is in the archive alone; 0 when none is."""
    lowest = Entry.objects.order_by("number").values_list("number", flat=True).first() or 0
    spans = ArchivedSpan.objects.filter(last__lt=lowest).order_by("-last")
    return spans.values_list("last", flat=True).first() or 0


def record(
    name: str, *, by: Actor | None, obj: models.Model | None = None, case: UUID | None = None, **details: Any
) -> Entry:
    """For acts that change nothing else, such as looking at a candidate: the entry is the whole transaction."""
    with transaction.atomic():
        return append(Act(name, by, obj, case, dict(details)), Outcome.DONE)


def refuse(name: str, *, by: Actor | None, reason: str, **details: Any) -> Entry:
    """For refusals that happen before a service is reached, such as a page one has no role for."""
    with transaction.atomic():
        return append(Act(name, by, details={"reason": reason, **details}), Outcome.REFUSED)
