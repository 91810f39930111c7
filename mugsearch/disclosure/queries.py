"""Which searches a bundle can be had of, for whom, and which entries of the audit belong into it."""

from uuid import UUID

from django.db.models import Max

from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.audit.models import ArchivedSpan, Entry, SignedHead
from mugsearch.probes.models import Case, Search, SearchQuerySet
from reviews.models import Examination
from reviews.queries import examination_states

# In an entry's details: ids of what the act was about, beside its object.
_REFERENCES = ("probe", "search", "examination", "lead", "candidate", "repeat")


def within_reach(user: User) -> SearchQuerySet:
    """Auditors reach every search, as with repeats, and are told why there is no bundle for them of a case of theirs;
    supervisors those of their agency's cases they never were on."""
    found: SearchQuerySet = Search.objects.casework().select_related("probe__case__agency", "encoder", "requested_by")
    if user.has_role(Role.AUDITOR):
        return found
    if not user.has_role(Role.SUPERVISOR):
        return found.none()
    # A bundle names everybody on the list, confirmed or not: that is not for those who work on the case.
    return found.filter(probe__case__agency=user.agency_id).exclude(probe__case__memberships__user=user)


def of_case(user: User, number: str) -> list[Search]:
    """Those of the cases of this number whose bundle this person can have, the newest first."""
    found = within_reach(user).finished().filter(probe__case__number__iexact=number.strip())
    searches = list(found.exclude(probe__case__in=Case.objects.ever_of(user)).order_by("-requested_at"))
    states = examination_states(searches)
    return [search for search in searches if states[search.pk].over and not is_blind(user, search)]


def is_own(user: User, search: Search) -> bool:
    return bool(Case.objects.ever_of(user).filter(pk=search.probe.case_id).exists())


def is_blind(user: User, search: Search) -> bool:
    """Whether this person has to stay blind for it: an examiner who has not concluded it, or who may still be asked
    about another search of the same image."""
    if not user.holds(Role.EXAMINER):
        return False
    mine = Examination.objects.concluded().filter(examiner=user)
    if not mine.filter(search=search).exists():
        return True
    others = search.probe.searches.exclude(pk=search.pk).exclude(state=Search.State.FAILED)
    return any(not state.over for state in examination_states(others.exclude(examinations__in=mine)).values())


def is_archived(search: Search) -> bool:
    """Whether entries about it are no longer in the database: those of the day its probe was uploaded."""
    if not audit.archived_to():
        return False
    first = Entry.objects.order_by("number").values_list("at", flat=True)[0]
    return bool(search.probe.submitted_at <= first)


def archives_of(search: Search) -> list[str]:
    """Names of the archive's files that may hold entries about it. When archived entries were written is told by the
    heads that were signed meanwhile; where there are none every file is named."""
    concluded = search.examinations.aggregate(last=Max("concluded_at"))["last"]
    over = concluded or search.finished_at or search.requested_at
    heads = SignedHead.objects.order_by("at").values_list("number", flat=True)
    after = heads.filter(at__lt=search.probe.submitted_at).last() or 0
    upto = heads.filter(at__gt=over).first() or audit.archived_to()
    files = ArchivedSpan.objects.filter(last__lte=audit.archived_to()).values_list("file", flat=True)
    return list(files.filter(last__gt=after, first__lte=upto) or files)


def entries_of(search: Search, own: set[UUID]) -> list[Entry]:
    """The entries about this search, oldest first. `own`: the ids of it, its probe, examinations, candidates, lead …

    An entry that also names another search or examination of the same image is not among them: who examines that
    one may not be known yet.
    """
    ids = {str(one) for one in own}
    entries = Entry.objects.filter(case=search.probe.case_id, object_id__in=ids).order_by("number")
    return [entry for entry in entries if {entry.details[key] for key in _REFERENCES if entry.details.get(key)} <= ids]
