"""Who is on a case: sharing it by name, ending that, handing it over, and a supervisor's assigning it.

Every change locks the case first: two people who change it wait for each other.
"""

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.probes.models import Case, Membership
from mugsearch.probes.services import require_member
from mugsearch.validators import require_text

RESTORED = "case.narrowed-after-restore"
BEFORE_RESTORE = "As it was when a backup from before it was restored."
NOBODY = "There is no investigator with that user name."


def share(*, by: User, case: Case, username: str, reason: str = "") -> User:
    """Put another investigator on the case; one of another agency only for a reason, which stays with the case.

    Somebody who is examining one of its searches isn't refused: that would tell who examines. From now on they can't
    go on with that examination (reviews.services), only give it back, and they are never given another of the case.
    """
    with audit.act("case.shared", by=by, obj=case, case=case.pk) as act:
        require(by, Role.INVESTIGATOR)
        _lock(case)
        require_member(by, case)
        colleague = _investigator(username)
        reason = reason.strip()
        elsewhere = colleague.agency_id != case.agency_id
        _check_reason(reason, needed=elsewhere, what="why somebody of another agency has to see this case")
        act.note(with_user=str(colleague.pk), other_agency=elsewhere)
        if case.members.filter(pk=colleague.pk).exists():
            raise WrongState("They are on this case already.")
        _put_on(case, colleague, by=by, reason=reason)
    return colleague


def end_sharing(*, by: User, case: Case, member: User) -> None:
    """Take somebody off the case, or leave it. They see nothing of it from the next request on."""
    with audit.act("case.sharing-ended", by=by, obj=case, case=case.pk, with_user=str(member.pk)):
        require(by, Role.INVESTIGATOR)
        _lock(case)
        require_member(by, case)
        if not case.members.filter(pk=member.pk).exists():
            raise WrongState("They are not on this case.")
        if case.responsible_id == member.pk:
            raise WrongState("Who is responsible for a case hands it over first.")
        _take_off(case, member, by=by)


def hand_over(*, by: User, case: Case, username: str, reason: str) -> User:
    """Make another investigator of the agency responsible, and leave the case."""
    with audit.act("case.handed-over", by=by, obj=case, case=case.pk) as act:
        require(by, Role.INVESTIGATOR)
        _lock(case)
        require_member(by, case)
        if case.responsible_id != by.pk:
            raise NotAllowed("Only who is responsible for a case hands it over. A supervisor can assign it.")
        successor = _make_responsible(case, username, by=by, reason=reason)
        act.note(to_user=str(successor.pk))
        _take_off(case, by, by=by)
    return successor


def assign(*, by: User, number: str, username: str, reason: str) -> Case:
    """A supervisor makes an investigator of the agency responsible for a case, known by its number: who was before may
    have left. That shows the supervisor nothing of it; whoever else is on it stays."""
    with audit.act("case.assigned", by=by) as act:
        require(by, Role.SUPERVISOR)
        found = Case.objects.filter(agency=by.agency, number=number.strip(), responsible__isnull=False)
        case = found.first()
        if case is None:
            raise BadInput("There is no case of your agency with that number.")
        act.obj, act.case = case, case.pk
        _lock(case)
        successor = _make_responsible(case, username, by=by, reason=reason)
        act.note(to_user=str(successor.pk))
    return case


def as_before_restore(*, by: User, case: Case, responsible: User, left: list[User], seen: list[User]) -> None:
    """Who was on a case when its database was replaced by an older backup counts still. `left`: who had left it, or
    never was on it. `seen`: who came on it after the backup; they are not on it, but were."""
    told = {"left": _ids(left), "seen": _ids(seen), "to_user": str(responsible.pk)}
    with audit.act(RESTORED, by=by, obj=case, case=case.pk, **told):
        _lock(case)
        for user in (*seen, responsible):
            if not case.members.filter(pk=user.pk).exists():
                _put_on(case, user, by=by, reason=BEFORE_RESTORE)
        case.responsible = responsible
        case.save(update_fields=["responsible"])
        for user in (*seen, *left):
            _take_off(case, user, by=by)


def _ids(people: list[User]) -> list[str]:
    return sorted(str(user.pk) for user in people)


def _make_responsible(case: Case, username: str, *, by: User, reason: str) -> User:
    reason = reason.strip()
    _check_reason(reason, needed=True, what="why")
    successor = _investigator(username)
    if successor.pk == by.pk:
        raise NotAllowed("Nobody gives a case to themselves.")
    if successor.agency_id != case.agency_id:
        raise BadInput("Who is responsible for a case belongs to its agency.")
    if successor.pk == case.responsible_id:
        raise WrongState("They are responsible for this case already.")
    if not case.members.filter(pk=successor.pk).exists():
        _put_on(case, successor, by=by, reason=reason)
    case.responsible = successor
    case.save(update_fields=["responsible"])
    return successor


def _investigator(username: str) -> User:
    named = User.objects.people().filter(username__iexact=username.strip()).first()
    if named is None or not named.has_role(Role.INVESTIGATOR):
        raise BadInput(NOBODY)
    return named


def _check_reason(reason: str, *, needed: bool, what: str) -> None:
    refusal = f"Say {what}, in up to {Membership.REASON_LIMIT} characters."
    require_text(reason, least=1 if needed else 0, most=Membership.REASON_LIMIT, refusal=refusal)


def _lock(case: Case) -> None:
    Case.objects.select_for_update(no_key=True).get(pk=case.pk)
    case.refresh_from_db(fields=["responsible", "agency"])


def _put_on(case: Case, user: User, *, by: User, reason: str) -> None:
    case.members.add(user)
    case.memberships.filter(user=user, until__isnull=True).update(added_by=by, reason=reason)


def _take_off(case: Case, user: User, *, by: User) -> None:
    latest = case.memberships.filter(user=user, until__isnull=True)
    membership = latest.get()
    case.members.remove(user)
    case.memberships.filter(pk=membership.pk).update(ended_by=by)
