"""Reading the record is itself recorded, before anything is shown."""

from collections.abc import Callable, Sequence
from pathlib import Path

from django.db.models import Model, Q

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry, SignedHead
from mugsearch.audit.verify import Head, Verdict, reading, unseen
from mugsearch.audit.verify import verify as verify_chain
from mugsearch.auditing import archiving, chain_files
from mugsearch.auditing.queries import Filters, hidden_from, last_number
from mugsearch.errors import BadInput, NotAllowed
from mugsearch.probes.models import Case

OWN_CASE = (
    "You are or were on this case, and nobody audits their own. Another auditor can; where there is none, an "
    "administrator makes somebody one."
)


def read(*, by: User, filters: Filters) -> None:
    """Asking for one's own case, or for something in it by its id, is refused, here and below. In lists that ask for
    neither its entries are seen, but for those of `hidden_from`: who reads the record reads it whole."""
    with audit.act("audit.read", by=by, case=filters.only_case, **filters.as_details()) as act:
        require(by, Role.AUDITOR)
        _require_of_others(by, filters, act)


def look_at(*, by: User, entry: Entry) -> None:
    with audit.act("audit.read", by=by, obj=entry, case=entry.case):
        require(by, Role.AUDITOR)
        if entry.pk in hidden_from(by):
            raise NotAllowed("This is about an examination of a case you are on. You can read it when that is over.")


def export(*, by: User, filters: Filters, to: str) -> None:
    with audit.act("audit.exported", by=by, case=filters.only_case, to=to, **filters.as_details()) as act:
        require(by, Role.AUDITOR)
        _require_of_others(by, filters, act)
        act.note(entries=filters.entries().count())


def export_chain(
    *, by: User, path: Path, first: int | None = None, last: int | None = None, progress: Callable[[int], None] = unseen
) -> chain_files.Written:
    """All entries, or those from `first` to `last`, with a signed head and the program that checks them. The entry
    about it is the last of them where no `last` is asked for. `path`: a file that ends in .jsonl, or a folder."""
    with audit.act("audit.exported", by=by, to="chain", first=first, last=last):
        require(by, Role.AUDITOR, Role.ADMINISTRATOR)
        begins, newest = audit.archived_to() + 1, last_number()
        from_, upto = first or begins, last or newest + 1
        if from_ < begins or upto < from_ or (last or 0) > newest:
            raise BadInput(f"In the database are the entries {begins} to {newest}; ask for some of these.")
    if last is None:
        upto = Entry.objects.filter(act="audit.exported", actor=by.pk).latest("number").number
    if path.suffix != ".jsonl":
        path = path / chain_files.name_of(from_, upto)
    with reading():
        return chain_files.write(path, first=from_, last=upto, whole=last is None, progress=progress)


def take_along(*, by: User, head: SignedHead) -> None:
    with audit.act("head.downloaded", by=by, serial=head.serial, number=head.number):
        require(by, Role.AUDITOR, Role.ADMINISTRATOR)


def verify(
    *, by: User, against: Head | Sequence[Head] | None = None, progress: Callable[[int], None] = unseen
) -> Verdict:
    """The verdict is recorded too; the entry about it is the first that it doesn't cover."""
    heads = [against] if isinstance(against, Head) else list(against or ())
    newest = max(heads, key=lambda head: head.number, default=None)
    with audit.act("audit.verified", by=by, against=str(newest) if newest else None) as act:
        require(by, Role.AUDITOR, Role.ADMINISTRATOR)
        if span := archiving.forged():
            verdict = Verdict.bad(
                span.first, span.previous, "it is missing: the head of its archive is not signed by this installation"
            )
        else:
            verdict = verify_chain(against=heads, progress=progress)
        act.note(entries=verdict.entries, head=verdict.head, intact=verdict.intact, first_bad=verdict.first_bad)
        if len(heads) > 1:
            act.note(heads=len(heads))
    return verdict


def read_timeline(*, by: User, of: str, obj: Model | None, filters: Filters) -> None:
    """`of`: case, user or booking. Of a booking that is gone there is no object, only its id in the record."""
    case = obj.pk if of == "case" and obj else None
    with audit.act("audit.timeline-read", by=by, obj=obj, case=case, of=of) as act:
        require(by, Role.AUDITOR)
        if obj is None:
            act.note(object=filters.objects[0] if filters.objects else None)
        _require_of_others(by, filters, act)


def _require_of_others(by: User, filters: Filters, act: audit.Act) -> None:
    own = Case.objects.ever_of(by)
    if filters.cases and own.filter(pk__in=filters.cases).exists():
        raise NotAllowed(OWN_CASE)
    if filters.objects and len(filters.objects) == 1:  # several are what one booking leads to, in many cases
        in_cases = Q(object_type__startswith="probes.") | Q(object_type__startswith="reviews.")
        about = Entry.objects.filter(in_cases, object_id__in=filters.objects, case__isnull=False).order_by()
        if found := own.filter(pk__in=list(about.values_list("case", flat=True).distinct())).first():
            act.case = found.pk
            raise NotAllowed(OWN_CASE)
