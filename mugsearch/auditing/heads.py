"""Signed heads of the audit: made every hour and on demand, then taken to where the database's master can't reach.

A head says: at this time the last entry was this one, with this digest. Whoever keeps it finds out later if that entry,
or one before it, was changed, removed or written anew. Making one is an act; taking it away is not, and holds up none.
"""

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.audit.models import ArchivedSpan, Delivery, Entry, SignedHead
from mugsearch.auditing import destinations
from mugsearch.auditing.destinations import Way
from mugsearch.auditing.verify_audit import FORMAT, Head, framed, read_head
from mugsearch.errors import MugsearchError, WrongState
from mugsearch.vault import signing

logger = logging.getLogger(__name__)

# Beat looks every five minutes, so that one leaves at least every hour.
EVERY: Final = timedelta(minutes=55)
LATE: Final = timedelta(hours=2)
_LOCK: Final = 0x6D756722
_AT_ONCE: Final = 100


def sign(*, by: User | None) -> SignedHead:
    """Of the last entry there is; the entry about it is the first that it doesn't cover. `deliver` takes it away."""
    with audit.act("head.signed", by=by) as act:
        if by is not None:
            require(by, Role.AUDITOR, Role.ADMINISTRATOR)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        newest = Entry.objects.order_by("-number").values_list("number", "digest").first()
        if newest is None:
            raise WrongState("Nothing has been recorded yet.")
        before = SignedHead.objects.order_by("-serial").first()
        serial, at = (before.serial + 1 if before else 1), timezone.now()
        text = document(
            *newest,
            at=at,
            begins=audit.archived_to() + 1,
            serial=serial,
            before=sha256(before.document.encode()).hexdigest() if before else "",
        )
        head = SignedHead.objects.create(
            serial=serial,
            number=newest[0],
            digest=newest[1],
            at=at,
            document=text,
            public_key=signing.public_key().hex(),
            signature=signing.sign(text.encode()).hex(),
        )
        ways = destinations.configured()
        Delivery.objects.bulk_create(Delivery(head=head, destination=way.name) for way in ways)
        act.note(serial=serial, number=head.number, digest=head.digest, destinations=sorted(way.name for way in ways))
    return head


def sign_if_due() -> SignedHead | None:
    last = SignedHead.objects.order_by("-serial").first()
    if (last and timezone.now() - last.at < EVERY) or not Entry.objects.exists():
        return None
    for way in destinations.configured():
        if way.caution:
            logger.warning("heads of the audit: %s", way.caution)
    return sign(by=None)


def document(
    number: int, digest: str, *, at: datetime, begins: int = 1, whole: bool = True, serial: int = 0, before: str = ""
) -> str:
    """What is signed. It is JSON in one line, and nobody has to write it again to check it."""
    said = {
        "format": FORMAT,
        "number": number,
        "digest": digest,
        "at": at.astimezone(UTC).isoformat(timespec="seconds"),
        "chain": chain(),
        "begins": begins,
        "whole": whole,
        "serial": serial,
        "before": before,
        "key": signing.fingerprint(),
    }
    return json.dumps(said, separators=(",", ":"))


def signed(number: int, digest: str, *, begins: int, whole: bool) -> bytes:
    """The file of a head that goes with an export, an archive or a backup, and counts for itself alone."""
    text = document(number, digest, at=timezone.now(), begins=begins, whole=whole).encode()
    return framed(text, signing.public_key().hex(), signing.sign(text).hex())


def chain() -> str:
    """The digest of entry 1, which no other record has."""
    first = Entry.objects.filter(number=1).values_list("digest", flat=True).first()
    return first or ArchivedSpan.objects.order_by("first").values_list("chain", flat=True).first() or ""


def require_ours(file: str) -> Head:
    """Raises verify_audit.Refused."""
    return read_head(file.encode(), {signing.fingerprint()})


def deliver() -> None:
    """Take every head that waits to where it should be. One that fails is tried again by the next call."""
    for way in destinations.configured():
        waiting = Delivery.objects.filter(destination=way.name, left_at=None).order_by("head_id")
        for pk in list(waiting.values_list("pk", flat=True)[:_AT_ONCE]):
            if not _deliver(pk, way):
                break


def _deliver(pk: int, way: Way) -> bool:
    """Whether it is there. Two at once don't send it twice; one killed in between sends it once more."""
    with transaction.atomic():
        found = Delivery.objects.select_for_update(skip_locked=True, of=("self",)).select_related("head")
        delivery = found.filter(pk=pk, left_at=None).first()
        if delivery is None:
            return True
        try:
            way.send(delivery.head)
            said = {"left_at": timezone.now(), "trouble": ""}
        except Exception as error:  # noqa: BLE001  whatever it was: it is shown, tried again, and no other way waits
            said = {"trouble": _in_words(error)}
            logger.error("a head of the audit can't leave by %s: %s", way.name, said["trouble"])
        mine = Delivery.objects.filter(pk=pk)
        mine.update(tried_at=timezone.now(), tries=delivery.tries + 1, **said)
    return not said["trouble"]


def _in_words(error: Exception) -> str:
    told = error.message if isinstance(error, MugsearchError) else getattr(error, "strerror", None) or str(error)
    return (f"{told}" or type(error).__name__)[:300]


@dataclass(frozen=True)
class Status:
    """How one destination stands. `last`: the newest head that got there; `waiting`: how many haven't yet."""

    way: Way
    last: SignedHead | None
    left_at: datetime | None
    waiting: int
    trouble: str
    late: bool

    @property
    def label(self) -> str:
        return str(self.way.name.label)


def statuses() -> list[Status]:
    """For auditors and administrators: by destination, the last head that left."""
    return [_status(way) for way in destinations.configured()]


def _status(way: Way) -> Status:
    mine = Delivery.objects.filter(destination=way.name).select_related("head")
    last = mine.filter(left_at__isnull=False).order_by("-head_id").first()
    waiting = mine.filter(left_at=None).order_by("head_id")
    oldest = waiting.first()
    trouble = next((one.trouble for one in waiting if one.trouble), "")
    since = last.head.at if last else None
    return Status(
        way=way,
        last=last.head if last else None,
        left_at=last.left_at if last else None,
        waiting=waiting.count(),
        trouble=trouble,
        late=(timezone.now() - since > LATE) if since else bool(oldest and timezone.now() - oldest.head.at > LATE),
    )


def as_said(head: SignedHead) -> dict[str, Any]:
    return {"serial": head.serial, "number": head.number, "digest": head.digest, "at": head.at}
