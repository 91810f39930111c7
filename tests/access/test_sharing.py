"""Who is on a case: shared by name, ended, handed over and assigned; never left with nobody; strangers examine it."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, MugsearchError, NotAllowed, WrongState
from mugsearch.probes import sharing
from mugsearch.probes.models import Case, Membership
from reviews import queries, services
from reviews.models import Finding
from tests import factories
from tests.factories import AgencyFactory, UserFactory, examiner, investigator
from tests.reviews.arrange import claim, finished_search
from tests.triggers import as_owner

pytestmark = pytest.mark.django_db


@pytest.fixture
def case() -> Case:
    return factories.ProbeFactory().case


def owner(case: Case) -> User:
    return case.opened_by


def acts(case: Case) -> list[tuple[str, str]]:
    return list(Entry.objects.filter(case=case.pk).order_by("number").values_list("act", "outcome"))


def shared_with(case: Case, **kwargs: Any) -> User:
    colleague = investigator(**kwargs)
    sharing.share(by=owner(case), case=case, username=colleague.username, reason="a joint investigation")
    return colleague


def test_sharing_and_its_end_are_seen_at_once_and_are_on_record(case: Case, page, api) -> None:
    colleague = shared_with(case)
    browser, program = page(colleague), api(colleague)
    assert browser.get(f"/cases/{case.pk}").status_code == 200
    assert page(owner(case)).post(f"/cases/{case.pk}/members/{colleague.pk}/end").status_code == 302
    for address in (f"/cases/{case.pk}", f"/probes/{case.probes.get().pk}"):
        assert browser.get(address).status_code == 404
    for address in (f"/api/v1/cases/{case.pk}/members", f"/api/v1/probes/{case.probes.get().pk}"):
        assert program.get(address).status_code == 404
    assert program.get("/api/v1/cases").json()["results"] == []
    assert [act for act in acts(case) if act[0] != "case.viewed"] == [
        ("case.shared", "done"),
        ("case.sharing-ended", "done"),
    ]
    assert set(Entry.objects.filter(act__startswith="case.shar").values_list("details__with_user", flat=True)) == {
        str(colleague.pk)
    }


def test_the_page_and_the_api_say_who_is_on_the_case_since_when_by_whom_and_who_was(case: Case, page, api) -> None:
    colleague, gone = shared_with(case), shared_with(case)
    sharing.end_sharing(by=colleague, case=case, member=gone)
    shown = page(owner(case)).get(f"/cases/{case.pk}").content.decode()
    assert colleague.full_name in shown
    assert "a joint investigation" in shown
    assert "Who was on it" in shown
    rows = api(owner(case)).get(f"/api/v1/cases/{case.pk}/members").json()
    by_user = {row["user"]: row for row in rows}
    assert by_user[str(owner(case).pk)]["responsible"] is True
    assert by_user[str(colleague.pk)] | {"since": ""} == {
        "user": str(colleague.pk),
        "full_name": colleague.full_name,
        "responsible": False,
        "since": "",
        "added_by": str(owner(case).pk),
        "reason": "a joint investigation",
        "until": None,
        "ended_by": None,
    }
    assert by_user[str(gone.pk)]["until"] is not None
    assert by_user[str(gone.pk)]["ended_by"] == str(colleague.pk)


def test_another_agency_s_investigator_is_put_on_a_case_only_for_a_reason(case: Case) -> None:
    guest = investigator(agency=AgencyFactory(code="shelbyville"))
    with pytest.raises(BadInput, match="another agency"):
        sharing.share(by=owner(case), case=case, username=guest.username)
    assert not Case.objects.visible_to(guest).exists()
    sharing.share(by=owner(case), case=case, username=guest.username.upper(), reason="The same man is sought there.")
    assert Case.objects.visible_to(guest).get() == case
    entry = Entry.objects.get(act="case.shared", outcome="done")
    assert entry.details == {"with_user": str(guest.pk), "other_agency": True}  # the reason stays with the case


@pytest.mark.parametrize("role", [role for role in Role if role != Role.INVESTIGATOR])
def test_a_case_is_shared_with_nobody_but_investigators(case: Case, role: Role) -> None:
    with pytest.raises(BadInput, match="no investigator"):
        sharing.share(by=owner(case), case=case, username=UserFactory(roles=[role]).username)


def test_whoever_is_not_on_a_case_changes_nothing_about_who_is(case: Case) -> None:
    stranger, colleague = investigator(), shared_with(case)
    for attempt in (
        lambda: sharing.share(by=stranger, case=case, username=stranger.username),
        lambda: sharing.end_sharing(by=stranger, case=case, member=colleague),
        lambda: sharing.hand_over(by=stranger, case=case, username=stranger.username, reason="mine now"),
        lambda: sharing.hand_over(by=colleague, case=case, username=stranger.username, reason="not mine to give"),
        lambda: sharing.assign(by=colleague, number=case.number, username=stranger.username, reason="no supervisor"),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    assert set(case.members.all()) == {owner(case), colleague}


def test_a_case_is_handed_over_and_its_owner_sees_nothing_of_it_any_more(case: Case, page) -> None:
    me, successor = owner(case), investigator()
    answer = page(me).post(
        f"/cases/{case.pk}/hand-over", {"username": successor.username, "reason": "I move to another unit."}
    )
    assert answer.status_code == 302
    case.refresh_from_db()
    assert case.responsible == successor
    assert list(case.members.all()) == [successor]
    assert not Case.objects.visible_to(me).exists()
    entry = Entry.objects.get(act="case.handed-over")
    assert (entry.outcome, entry.actor, entry.details) == ("done", me.pk, {"to_user": str(successor.pk)})


def test_who_is_responsible_leaves_only_by_handing_over(case: Case) -> None:
    colleague = shared_with(case)
    for by in (colleague, owner(case)):
        with pytest.raises(WrongState, match="hands it over first"):
            sharing.end_sharing(by=by, case=case, member=owner(case))


def test_a_supervisor_assigns_a_case_whose_owner_has_left_and_sees_nothing_of_it(case: Case, page, api) -> None:
    boss, successor = UserFactory(roles=[Role.SUPERVISOR, Role.INVESTIGATOR]), investigator()
    body = {"number": case.number, "username": successor.username, "reason": "Its owner has left."}
    assert page(boss).post("/cases/assign", body).status_code == 302
    case.refresh_from_db()
    assert case.responsible == successor
    assert not Case.objects.visible_to(boss).exists()
    assert Entry.objects.get(act="case.assigned", outcome="done").case == case.pk
    with pytest.raises(NotAllowed, match="themselves"):
        sharing.assign(by=boss, number=case.number, username=boss.username, reason="I want to look.")
    elsewhere = UserFactory(roles=[Role.SUPERVISOR], agency=AgencyFactory(code="shelbyville"))
    assert api(elsewhere).post("/api/v1/cases/assign", body, format="json").status_code == 422


def test_postgresql_refuses_a_case_with_nobody_and_somebody_responsible_who_is_not_on_it(case: Case) -> None:
    colleague = shared_with(case)
    nobodys = factories.CaseFactory()
    Case.objects.filter(pk=nobodys.pk).update(responsible=None)
    for change, said in (
        (lambda: case.members.remove(owner(case)), "responsible for a case is on it"),
        (lambda: Case.objects.filter(pk=case.pk).update(responsible=investigator()), "responsible for a case is on it"),
        (nobodys.members.clear, "left with nobody"),
    ):
        with pytest.raises(IntegrityError, match=said):
            committed(change)
    assert set(case.members.all()) == {owner(case), colleague}


def committed(change: Callable[[], Any]) -> None:
    """With what PostgreSQL asks at the end of a transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        change()
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_postgresql_keeps_who_is_and_was_on_a_case_whoever_writes(case: Case) -> None:
    colleague = investigator()
    case.members.add(colleague)
    case.members.remove(colleague)
    row = Membership.objects.get(case=case, user=colleague)
    assert row.until is not None
    ours = Membership.objects.filter(pk=row.pk)
    for change in (
        ours.delete,
        lambda: ours.update(user=investigator()),
        lambda: ours.update(until=None),
        lambda: ours.update(since=row.until),
        lambda: Membership.objects.filter(case=case, user=owner(case)).update(until=row.until),
        lambda: Membership.objects.create(case=case, user=investigator()),
    ):
        with as_owner(), pytest.raises(IntegrityError, match="stays on record"), transaction.atomic():
            change()


def both_roles() -> User:
    return UserFactory(roles=[Role.INVESTIGATOR, Role.EXAMINER], certified=True)


def test_whoever_was_on_a_case_is_never_given_its_searches_to_examine() -> None:
    search, both = finished_search(candidates=1), both_roles()
    case = search.probe.case
    assert queries.awaiting_examination(by=both).exists()
    sharing.share(by=search.probe.submitted_by, case=case, username=both.username)
    sharing.end_sharing(by=both, case=case, member=both)
    assert not queries.awaiting_examination(by=both).exists()
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="a case they are on"), transaction.atomic():
        cursor.execute(INSERT_EXAMINATION, {"search": search.pk, "examiner": both.pk})
    assert queries.awaiting_examination(by=examiner()).exists()


def test_whoever_saw_what_was_found_on_an_image_never_examines_it_under_another_case() -> None:
    search, both = finished_search(candidates=1), both_roles()
    known = factories.ProbeFactory(sha256=search.probe.sha256)
    assert queries.awaiting_examination(by=both).exists()
    mine = claim(both, search)
    sharing.share(by=known.submitted_by, case=known.case, username=both.username)
    with pytest.raises(NotAllowed, match="nor of an image of one"):
        services.conclude(by=both, examination=mine)
    services.release(by=both, examination=mine)
    assert not queries.awaiting_examination(by=both).exists()
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="a case they are on"), transaction.atomic():
        cursor.execute(INSERT_EXAMINATION, {"search": search.pk, "examiner": both.pk})
    assert queries.awaiting_examination(by=examiner()).exists()


INSERT_EXAMINATION = """
    INSERT INTO reviews_examination (id, search_id, examiner_id, state, secret, claimed_at, release)
    VALUES (gen_random_uuid(), %(search)s, %(examiner)s, 'claimed', decode(repeat('00', 32), 'hex'), now(), '')
"""


def test_a_claim_of_before_the_sharing_is_worth_nothing_in_postgresql_either() -> None:
    search, both = finished_search(candidates=1), both_roles()
    mine = claim(both, search)
    sharing.share(by=search.probe.submitted_by, case=search.probe.case, username=both.username)
    sharing.end_sharing(by=both, case=search.probe.case, member=both)  # having looked
    candidate = search.candidates.get()
    with pytest.raises(IntegrityError, match="are or were on"), transaction.atomic():
        Finding.objects.create(examination=mine, candidate=candidate, conclusion="-3")
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="a case they are on"), transaction.atomic():
        cursor.execute(
            "UPDATE reviews_examination SET state = 'concluded', concluded_at = now() WHERE id = %s", [mine.pk]
        )
    with pytest.raises(NotAllowed, match="are on, or were"):
        services.conclude(by=both, examination=mine)


def test_two_roles_in_one_person_never_meet_in_one_search() -> None:
    """As SQL: who submitted the image, who asked for the search, who is on the case."""
    search = finished_search(candidates=1)
    for person in (search.probe.submitted_by, search.requested_by):
        factories.CertificateFactory(examiner=person)
        with (
            connection.cursor() as cursor,
            pytest.raises(IntegrityError, match="nobody examines"),
            transaction.atomic(),
        ):
            cursor.execute(INSERT_EXAMINATION, {"search": search.pk, "examiner": person.pk})
    other = both_roles()  # who may: so it is the person, not the statement, that was refused
    with connection.cursor() as cursor:
        cursor.execute(INSERT_EXAMINATION, {"search": search.pk, "examiner": other.pk})


@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_each_other_off_a_case_at_once_one_stays() -> None:
    case = factories.ProbeFactory().case
    one, other = shared_with(case), shared_with(case)
    said: list[str] = []
    start = threading.Barrier(2)

    def off(by: User, member: User) -> None:
        start.wait()
        try:
            sharing.end_sharing(by=by, case=case, member=member)
            said.append("done")
        except MugsearchError as error:
            said.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=off, args=pair) for pair in ((one, other), (other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == ["done", "not_allowed"]
    assert case.members.count() == 2
