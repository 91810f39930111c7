"""Which searches a bundle can be had of, for whom, and which entries of the audit belong into it."""

from uuid import UUID

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.probes.models import Search, SearchQuerySet
from reviews.models import Examination
from reviews.queries import examination_states

# In an entry's details: ids of what the act was about, beside its object.
_REFERENCES = ("probe", "search", "examination", "lead", "candidate", "repeat")


def within_reach(user: User) -> SearchQuerySet:
    """Auditors reach every search, as with repeats; supervisors those of their agency's cases they are not on."""
    found: SearchQuerySet = Search.objects.casework().select_related("probe__case__agency", "encoder", "requested_by")
    if user.has_role(Role.AUDITOR):
        return found
    if not user.has_role(Role.SUPERVISOR):
        return found.none()
    # A bundle names everybody on the list, confirmed or not: that is not for those who work on the case.
    return found.filter(probe__case__agency=user.agency_id).exclude(probe__case__members=user)


def of_case(user: User, number: str) -> list[Search]:
    """Those of the cases of this number whose bundle this person can have, the newest first."""
    found = within_reach(user).finished().filter(probe__case__number__iexact=number.strip())
    searches = list(found.order_by("-requested_at"))
    states = examination_states(searches)
    return [search for search in searches if states[search.pk].over and not is_blind(user, search)]


def is_blind(user: User, search: Search) -> bool:
    """Whether this person has to stay blind for it: an examiner who has not concluded it, or who may still be asked
    about another search of the same image."""
    if not user.has_role(Role.EXAMINER):
        return False
    mine = Examination.objects.concluded().filter(examiner=user)
    if not mine.filter(search=search).exists():
        return True
    others = search.probe.searches.exclude(pk=search.pk).exclude(state=Search.State.FAILED)
    return any(not state.over for state in examination_states(others.exclude(examinations__in=mine)).values())


def entries_of(search: Search, own: set[UUID]) -> list[Entry]:
    """The entries about this search, oldest first. `own`: the ids of it, its probe, examinations, candidates, lead …

    An entry that also names another search or examination of the same image is not among them: who examines that
    one may not be known yet.
    """
    ids = {str(one) for one in own}
    entries = Entry.objects.filter(case=search.probe.case_id, object_id__in=ids).order_by("number")
    return [entry for entry in entries if {entry.details[key] for key in _REFERENCES if entry.details.get(key)} <= ids]
