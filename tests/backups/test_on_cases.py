"""A restore puts nobody back on a case they were taken off, and forgets nobody who has seen one: see on_cases.py."""

from pathlib import Path

import pytest

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import console
from mugsearch.audit.models import Entry
from mugsearch.audit.verify import verify
from mugsearch.backups import making, on_cases, restoring
from mugsearch.errors import NotAllowed, WrongState
from mugsearch.probes import sharing
from mugsearch.probes.models import Case
from reviews import queries, services
from tests.backups.conftest import Elsewhere
from tests.backups.test_people import restored, with_factor
from tests.factories import CaseFactory, UserFactory
from tests.reviews.arrange import claim, finished_search


def backup(folder: Path) -> Path:
    """The rows are what matters here; the images of their probes were never stored."""
    return making.make(by=console(), home=folder / "data", without_lost=True).folder


def somebody(*also: Role) -> User:
    return with_factor(roles=[Role.INVESTIGATOR, *also], certified=Role.EXAMINER in also)


def share(case: Case, user: User) -> None:
    sharing.share(by=case.opened_by, case=case, username=user.username)


def hand_over(case: Case, to: User) -> None:
    sharing.hand_over(by=case.opened_by, case=case, username=to.username, reason="A longer leave")


def on(case: Case) -> set[User]:
    return {one.user for one in case.memberships.filter(until=None)} & set(case.members.all())


def test_who_was_taken_off_a_case_after_the_backup_does_not_see_it_again(tmp_path: Path) -> None:
    case, untouched = CaseFactory(), CaseFactory()
    left, stays, came = somebody(), somebody(), somebody()
    for user in (left, stays):
        share(case, user)
    data = backup(tmp_path)
    sharing.end_sharing(by=case.opened_by, case=case, member=left)
    share(case, came)
    share(untouched, stays)
    done = restored(data, replace=True)
    assert not Case.objects.visible_to(left).exists()
    assert on(case) == {case.opened_by, stays}, "nobody is added, and who is still on it stays"
    assert on(untouched) == {untouched.opened_by}
    assert case.memberships.get(user=left).ended_by.username == "console"
    assert done.cases == 2
    [entry] = Entry.objects.filter(act=sharing.RESTORED, case=case.pk)
    assert (entry.details["left"], entry.details["seen"]) == ([str(left.pk)], [str(came.pk)])
    assert verify().intact


def test_who_came_on_a_case_after_the_backup_examines_none_of_its_searches_although_that_is_lost(
    tmp_path: Path,
) -> None:
    claimed = finished_search()
    both, left_again, stranger = (somebody(Role.EXAMINER) for _ in range(3))
    mine = claim(both, claimed)
    search = finished_search()
    data = backup(tmp_path)
    for user in (both, left_again):
        share(search.probe.case, user)
    share(claimed.probe.case, both)
    sharing.end_sharing(by=search.probe.case.opened_by, case=search.probe.case, member=left_again)
    restored(data, replace=True)
    offered = {user: set(queries.awaiting_examination(by=user)) for user in (both, left_again, stranger)}
    assert search in offered[stranger]
    assert search not in offered[both] | offered[left_again]
    with pytest.raises(NotAllowed, match="a case you are on, or were"):
        services.require_fit(both, mine)


def test_a_case_that_was_handed_over_or_assigned_after_the_backup_stays_with_who_got_it(tmp_path: Path) -> None:
    handed, assigned = CaseFactory(), CaseFactory()
    successor, supervisor = somebody(), UserFactory(roles=[Role.SUPERVISOR])
    data = backup(tmp_path)
    hand_over(handed, successor)
    sharing.assign(by=supervisor, number=assigned.number, username=successor.username, reason="They are ill")
    restored(data, replace=True)
    for case in (handed, assigned):
        case.refresh_from_db()
        assert case.responsible == successor
    assert on(handed) == {successor}
    assert on(assigned) == {successor, assigned.opened_by}, "whoever else was on it stays"
    with pytest.raises(WrongState, match="responsible for this case already"):
        sharing.assign(by=supervisor, number=handed.number, username=successor.username, reason="Once more")


def test_a_case_whose_new_owner_is_not_in_the_backup_is_nobodys_until_a_supervisor_assigns_it(tmp_path: Path) -> None:
    case, supervisor, another = CaseFactory(), UserFactory(roles=[Role.SUPERVISOR]), somebody()
    data = backup(tmp_path)
    hand_over(case, somebody())
    done = restored(data, replace=True)
    assert done.unassigned == [case.number]
    assert not Case.objects.visible_to(case.opened_by).exists()
    sharing.assign(by=supervisor, number=case.number, username=another.username, reason="After a restore")
    assert on(case) >= {another}
    assert not on_cases.unassigned()


def test_who_is_on_which_case_outlasts_a_restore_that_is_given_up_for_another_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the database that knew is replaced."""
    case, left = CaseFactory(), somebody()
    share(case, left)
    older, newer = backup(tmp_path / "older"), backup(tmp_path / "newer")
    sharing.end_sharing(by=case.opened_by, case=case, member=left)
    with monkeypatch.context() as broken:

        def killed(before: on_cases.Known) -> None:
            raise KeyboardInterrupt

        broken.setattr(on_cases, "take_again", killed)
        with pytest.raises(KeyboardInterrupt):
            restored(newer, replace=True)
    restored(older, replace=True)
    assert on(case) == {case.opened_by}


def test_where_the_replaced_database_is_empty_the_restore_says_that_it_cannot_tell_of_cases(
    tmp_path: Path, elsewhere: Elsewhere
) -> None:
    CaseFactory()
    data = backup(tmp_path)
    with elsewhere():
        done: restoring.Restored = restored(data)
        assert (done.cases, done.unassigned) == (None, [])


def test_nobody_is_taken_off_a_case_twice() -> None:
    case, left, came = CaseFactory(), somebody(), somebody()
    share(case, left)
    before = on_cases.known()
    before[str(case.pk)] |= {"on": [str(case.opened_by.pk)], "was": [str(left.pk), str(came.pk)]}
    on_cases.take_again(before)
    rows = list(case.memberships.values_list())
    on_cases.take_again(before)
    assert list(case.memberships.values_list()) == rows
    assert Entry.objects.filter(act=sharing.RESTORED).count() == 1
