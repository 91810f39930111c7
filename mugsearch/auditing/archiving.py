"""Old entries go into a signed file and then out of the database, and the chain stays one.

    plan      which entries may go: older than the setting, and nothing that is not finished needs them
    write     the file, its head, fsync                          killed here: the same again
    read back every line from the disk
    record    the span and the act, one transaction              killed here: the next run goes on with `remove`
    remove    one DELETE of the whole span, by the owner of the table, after the file was read back once more

PostgreSQL looks at it, too: see migrations 0006 and 0007 of the audit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from mugsearch import failpoints
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.audit.models import ArchivedSpan, Entry
from mugsearch.audit.verify import READING_LOCK, reading, unseen
from mugsearch.auditing import chain_files, heads, verify_audit
from mugsearch.auditing.chain_files import Written
from mugsearch.auditing.queries import last_number
from mugsearch.errors import BadInput, Unavailable, WrongState
from mugsearch.gallery import locks
from mugsearch.probes.models import Search
from mugsearch.retention.models import ExpungementOrder
from reviews.models import Lead
from reviews.queries import examination_states

_BATCH = 1000
# Entries are written a little after the rows they are about, or before.
_MARGIN = timedelta(days=1)


@dataclass(frozen=True)
class Plan:
    """The entries that may be archived now, `last` below `first` when there are none; and `because`, in a sentence, why
    not more."""

    first: int
    last: int
    because: str

    @property
    def count(self) -> int:
        return self.last - self.first + 1


def plan() -> Plan:
    first = audit.archived_to() + 1
    limit = timezone.now() - timedelta(days=settings.MUGSEARCH_AUDIT_KEPT_DAYS)
    because = f"Younger entries than {settings.MUGSEARCH_AUDIT_KEPT_DAYS} days stay (MUGSEARCH_AUDIT_KEPT_DAYS)."
    for at, what in _needed_from(limit):
        if at - _MARGIN < limit:
            limit, because = at - _MARGIN, f"Entries from {limit_day(at)} on are needed by {what}."
    after = Entry.objects.filter(at__gte=limit).order_by("number").values_list("number", flat=True).first()
    # Where all are old, the entry about the archiving will be the one that stays.
    return Plan(first, (after or last_number() + 1) - 1, because)


def limit_day(at: datetime) -> str:
    return f"{at - _MARGIN:%Y-%m-%d}"


def _needed_from(limit: datetime) -> list[tuple[datetime, str]]:
    """(since when, for what): what is begun and not finished reads its entries again."""
    needed = []
    open_orders = ExpungementOrder.objects.filter(
        state__in=(ExpungementOrder.State.REQUESTED, ExpungementOrder.State.APPROVED)
    )
    if order := open_orders.order_by("requested_at").first():
        needed.append((order.requested_at, f"the order {order.pk}, which is not complete"))
    if search := _oldest_open_search(limit):
        needed.append((search.probe.submitted_at, f"the search {search.pk}, whose examination is not over"))
    leads = Lead.objects.filter(withdrawn_at=None, outcomes=None).select_related("search__probe")
    if lead := leads.order_by("search__probe__submitted_at").first():
        needed.append((lead.search.probe.submitted_at, f"the lead {lead.pk}, which has no outcome yet"))
    return needed


def _oldest_open_search(limit: datetime) -> Search | None:
    old = Search.objects.casework().exclude(state=Search.State.FAILED).filter(probe__submitted_at__lt=limit + _MARGIN)
    old = old.select_related("probe").order_by("probe__submitted_at", "pk")
    for start in range(0, old.count(), _BATCH):
        batch = list(old[start : start + _BATCH])
        states = examination_states(batch)
        for search in batch:
            if not states[search.pk].over and search.probe.state != "erased":
                return search
    return None


def archive(*, by: User, folder: Path, progress: Callable[[int], None] = unseen) -> ArchivedSpan:
    """Raises WrongState where there is nothing to archive, BadInput, Unavailable; then nothing has gone. Calling it
    again goes on where a killed one was."""
    with locks.archiving_alone() as alone:
        with audit.act("audit.archiving-begun", by=by) as act:
            require(by, Role.ADMINISTRATOR)
            if not alone:
                raise WrongState("Entries are being archived already. Wait until that is over.")
            if folder.resolve().is_relative_to(Path(settings.VAR).resolve()):
                raise BadInput(
                    f"{folder} is inside {settings.VAR}: it would be lost together with it. Choose another disk."
                )
            span = unremoved()
            planned = Plan(span.first, span.last, "") if span else plan()
            if planned.count < 1:
                raise WrongState(f"There is nothing to archive. {planned.because}")
            act.note(first=planned.first, last=planned.last)
        path = folder / chain_files.name_of(planned.first, planned.last)
        if span is None:
            written = _written(path, planned, progress)
            failpoints.reached("archive.written")
            span = _record(by, written)
            failpoints.reached("archive.recorded")
        remove(by=by, span=span, path=path)
        return span


def unremoved() -> ArchivedSpan | None:
    """A span that is recorded and still in the database: somebody was killed in between, or may not delete."""
    return ArchivedSpan.objects.filter(first__gt=audit.archived_to()).order_by("first").first()


def _written(path: Path, planned: Plan, progress: Callable[[int], None]) -> Written:
    if not path.exists():  # else a killed run had got that far, and reading it back tells if it is right
        with reading():
            chain_files.write(path, first=planned.first, last=planned.last, whole=False, progress=progress)
    back = chain_files.read_back(path)
    here = Entry.objects.filter(number=planned.last).values_list("digest", flat=True).first()
    if (back.first, back.last, back.digest) != (planned.first, planned.last, here):
        raise Unavailable(f"{path} is not about the entries {planned.first} to {planned.last} of this record.")
    return back


def _record(by: User, written: Written) -> ArchivedSpan:
    with audit.act("audit.archived", by=by) as act:
        require(by, Role.ADMINISTRATOR)
        act.obj = span = ArchivedSpan.objects.create(
            first=written.first,
            last=written.last,
            previous=written.previous,
            digest=written.digest,
            chain=heads.chain(),
            file=written.path.name,
            sha256=written.sha256,
            bytes=written.bytes,
            head=verify_audit.head_beside(written.path).read_text(),
            recorded_at=timezone.now(),
        )
        act.note(**span.as_details())
    return span


def remove(*, by: User, span: ArchivedSpan, path: Path) -> None:
    """Only the owner of the table may: see docs/adr/0018. Nothing goes whose file can't be read back."""
    with audit.act("audit.archived-removed", by=by, obj=span) as act:
        require(by, Role.ADMINISTRATOR)
        back = chain_files.read_back(path)
        if (back.first, back.last, back.sha256) != (span.first, span.last, span.sha256):
            raise Unavailable(f"{path} is not the file that was archived: its SHA-256 has to be {span.sha256}.")
        act.note(entries=_delete(span))
        failpoints.reached("archive.removed")


def _delete(span: ArchivedSpan) -> int:
    """As the owner of the table; returns how many. Who reads the chain just now is waited for."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [READING_LOCK])
        cursor.execute("DELETE FROM audit_entry WHERE number BETWEEN %s AND %s", [span.first, span.last])
        return int(cursor.rowcount)


def forged() -> ArchivedSpan | None:
    """The first span whose signed head isn't ours, or is of something else. None when all are right."""
    for span in ArchivedSpan.objects.order_by("first"):
        try:
            head = heads.require_ours(span.head)
        except verify_audit.Refused:
            return span
        if (head.begins, head.number, head.digest, head.chain) != (span.first, span.last, span.digest, span.chain):
            return span
    return None
