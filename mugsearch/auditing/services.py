"""Reading the record is itself recorded, before anything is shown."""

from collections.abc import Callable

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.audit.verify import Head, Verdict, unseen
from mugsearch.audit.verify import verify as verify_chain
from mugsearch.auditing.queries import Filters


def read(*, by: User, filters: Filters) -> None:
    with audit.act("audit.read", by=by, case=filters.only_case, **filters.as_details()):
        require(by, Role.AUDITOR)


def look_at(*, by: User, entry: Entry) -> None:
    with audit.act("audit.read", by=by, obj=entry, case=entry.case):
        require(by, Role.AUDITOR)


def export(*, by: User, filters: Filters, to: str) -> None:
    with audit.act("audit.exported", by=by, case=filters.only_case, to=to, **filters.as_details()) as act:
        require(by, Role.AUDITOR)
        act.note(entries=filters.entries().count())


def verify(*, by: User, against: Head | None = None, progress: Callable[[int], None] = unseen) -> Verdict:
    """The verdict is recorded too; the entry about it is the first that it doesn't cover."""
    with audit.act("audit.verified", by=by, against=str(against) if against else None) as act:
        require(by, Role.AUDITOR, Role.ADMINISTRATOR)
        verdict = verify_chain(against=against, progress=progress)
        act.note(entries=verdict.entries, head=verdict.head, intact=verdict.intact, first_bad=verdict.first_bad)
    return verdict
