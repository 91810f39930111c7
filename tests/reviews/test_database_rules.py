"""What PostgreSQL refuses by itself, whoever writes: everything here goes round the services."""

import datetime
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from mugsearch.accounts.models import ExaminerCertificate, User
from mugsearch.probes.models import Search
from reviews import queries, services
from reviews.models import Adjudication, Examination, Finding, Lead
from tests.factories import CandidateFactory, SearchFactory, examiner, investigator
from tests.reviews.arrange import DIFFERENT, FILLED, SAME, candidate, claim, examine, find, finished_search, forget
from tests.triggers import as_owner

EMPTIED: dict[str, Any] = {"sealed": b"", "owner": None, "said": {}}

pytestmark = pytest.mark.django_db

GIVEN_BACK = {"state": "released", "release": "given_back", "released_at": timezone.now()}


@contextmanager
def refused(saying: str) -> Iterator[None]:
    """Also to the owner of the tables, who may do more than the service."""
    with as_owner(), pytest.raises(IntegrityError, match=saying), transaction.atomic():
        yield


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def claimed(search: Search, by: User) -> Examination:
    return Examination.objects.create(search=search, examiner=by)


def certificates(user: User) -> Any:
    return ExaminerCertificate.objects.filter(examiner=user)


TODAY = timezone.localdate
WEEK = datetime.timedelta(days=7)


# --- examinations -----------------------------------------------------------------------------------


def test_a_certified_stranger_may_examine_a_finished_search():
    assert claimed(finished_search(), examiner()).state == "claimed"


def test_nobody_examines_a_probe_they_submitted_or_a_search_they_requested():
    submitter, requester = examiner(), examiner()
    search = finished_search(requested_by=requester, probe__submitted_by=submitter)

    with refused("of their own"):
        claimed(search, submitter)
    with refused("of their own"):
        claimed(search, requester)


def test_nobody_begins_or_ends_an_examination_of_a_case_they_are_on():
    before, meanwhile, search = examiner(), examiner(), finished_search(candidates=1)
    search.probe.case.members.add(before)
    with refused("a case they are on"):
        claimed(search, before)

    begun = claimed(search, meanwhile)
    Finding.objects.create(examination=begun, candidate=candidate(search), conclusion=SAME)
    search.probe.case.members.add(meanwhile)
    with refused("a case they are on"):
        end(begun)
    Examination.objects.filter(pk=begun.pk).update(**GIVEN_BACK)


@pytest.mark.parametrize(
    "change",
    [
        {"expires_on": TODAY() - WEEK},
        {"issued_on": TODAY() + WEEK},
        {"revoked_at": timezone.now()},
    ],
)
def test_an_examination_needs_a_valid_certificate_to_begin_and_to_end(change: dict[str, Any]):
    late, search = examiner(), finished_search(candidates=1)
    begun = claimed(search, late)
    Finding.objects.create(examination=begun, candidate=candidate(search), conclusion=SAME)
    early = examiner()
    certificates(early).update(**change)
    certificates(late).update(**change)

    with refused("valid certificate"):
        claimed(search, early)
    with refused("valid certificate"):
        claimed(search, investigator())
    with refused("valid certificate"):
        Examination.objects.filter(pk=begun.pk).update(state="concluded", concluded_at=timezone.now())


@pytest.mark.parametrize("state", ["queued", "running", "failed"])
def test_only_a_finished_search_is_examined(state: str):
    with refused("finished"):
        claimed(finished_search(state=state), examiner())


def test_two_people_examine_a_search_and_not_more_until_one_gives_back():
    search = finished_search()
    first = claimed(search, examiner())
    claimed(search, examiner())

    with refused("a third only"):
        claimed(search, examiner())
    Examination.objects.filter(pk=first.pk).update(**GIVEN_BACK)
    claimed(search, examiner())


def test_the_same_person_holds_one_place_only():
    search, user = finished_search(), examiner()
    claimed(search, user)
    with refused("one_examination_per_examiner"):
        claimed(search, user)


@pytest.mark.parametrize("state", ["concluded", "released"])
def test_an_examination_can_not_begin_with_its_end(state: str):
    with refused("begins claimed"):
        Examination.objects.create(
            search=finished_search(),
            examiner=examiner(),
            state=state,
            concluded_at=timezone.now() if state == "concluded" else None,
        )


@pytest.mark.django_db(transaction=True)
def test_who_inserts_into_the_last_place_waits_for_the_one_who_is_just_taking_it():
    search = finished_search()
    claimed(search, examiner())
    early, late = examiner(), examiner()
    answers: list[object] = []

    def insert() -> None:
        try:
            answers.append(claimed(search, late))
        except IntegrityError as error:
            answers.append(str(error))
        finally:
            connection.close()

    thread = threading.Thread(target=insert)
    with transaction.atomic():
        claimed(search, early)
        thread.start()
        thread.join(timeout=0.5)
        assert thread.is_alive()
    thread.join()
    assert "a third only" in str(answers[0])
    assert set(search.examinations.values_list("examiner", flat=True)) >= {early.pk}
    assert search.examinations.count() == 2


def test_an_examination_stays_that_of_its_examiner_its_search_and_its_order():
    mine = claimed(finished_search(), examiner())
    for change in (
        {"examiner": examiner()},
        {"search": finished_search()},
        {"secret": b"x" * 32},
        {"claimed_at": timezone.now()},
    ):
        with refused("stays that of"):
            Examination.objects.filter(pk=mine.pk).update(**change)


def test_an_examination_is_concluded_only_when_every_living_candidate_has_a_finding():
    search = finished_search(candidates=2)
    mine = claimed(search, examiner())
    Finding.objects.create(examination=mine, candidate=candidate(search, 1), conclusion=DIFFERENT)
    end: Callable[[], int] = lambda: Examination.objects.filter(pk=mine.pk).update(  # noqa: E731  # said twice
        state="concluded", concluded_at=timezone.now()
    )

    with refused("every candidate"):
        end()
    forget(candidate(search, 2))
    assert end() == 1


def test_an_ended_examination_is_locked():
    search = finished_search()
    ended = examine(examiner(), search)
    given_back = claimed(finished_search(), examiner())
    Examination.objects.filter(pk=given_back.pk).update(**GIVEN_BACK)

    for pk in (ended.pk, given_back.pk):
        for state in ("claimed", "released", "concluded"):
            with refused("locked"):
                sql("UPDATE reviews_examination SET state = %s WHERE id = %s", state, pk)
        with refused("never deleted"):
            sql("DELETE FROM reviews_examination WHERE id = %s", pk)


@pytest.mark.parametrize("table", ["reviews_examination", "reviews_adjudication", "reviews_finding", "reviews_lead"])
def test_no_table_of_this_room_is_truncated(table: str):
    with refused("deleted"):
        sql(f"TRUNCATE {table} CASCADE")


# --- findings ---------------------------------------------------------------------------------------


def test_the_findings_of_an_ended_examination_are_locked():
    search, other = finished_search(candidates=2), finished_search(candidates=2)
    user = examiner()
    ended = examine(user, search, same=(1,))
    open_one = claim(user, other)
    find(user, open_one, candidate(other, 1), SAME)
    services.release(by=user, examination=open_one)

    for examination in (ended, open_one):
        with refused("locked"):
            sql("UPDATE reviews_finding SET conclusion = '-3' WHERE examination_id = %s", examination.pk)
        with refused("locked"):
            sql("UPDATE reviews_finding SET sealed = 'later' WHERE examination_id = %s", examination.pk)
        with refused("locked"):
            sql("DELETE FROM reviews_finding WHERE examination_id = %s", examination.pk)
    with refused("locked"):
        Finding.objects.create(examination=open_one, candidate=candidate(other, 2), conclusion=SAME)


def test_a_finding_is_on_a_candidate_of_the_search_examined_and_stays_there():
    search, other, user = finished_search(), finished_search(), examiner()
    mine, also_mine = claimed(search, user), claimed(other, user)
    Finding.objects.create(examination=mine, candidate=candidate(search, 1), conclusion=SAME)

    with refused("of the search examined"):
        Finding.objects.create(examination=mine, candidate=candidate(other), conclusion=SAME)
    with refused("stays with its candidate"):
        Finding.objects.filter(examination=mine).update(candidate=candidate(search, 2))
    with refused("stays with its candidate"):
        Finding.objects.filter(examination=mine).update(examination=also_mine)
    with refused("finding_conclusion_known"):
        Finding.objects.filter(examination=mine).update(conclusion="certain")


def test_a_new_conclusion_is_graded_and_what_was_written_of_somebody_expunged_can_only_be_emptied():
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    find(user, mine, candidate(search), SAME, "a mole")
    of_one = Finding.objects.filter(examination=mine, candidate=candidate(search))
    with refused("is graded"):
        of_one.update(conclusion="same")
    services.exclude_remaining(by=user, examination=mine)
    services.conclude(by=user, examination=mine)
    with refused("locked"):
        of_one.update(**EMPTIED)
    forget(candidate(search))
    for wrong in ({**EMPTIED, "sealed": b"x"}, {**EMPTIED, "conclusion": "-3"}):
        with refused("locked"):
            of_one.update(**wrong)
    of_one.update(**EMPTIED)


def test_nobody_examines_an_image_twice_in_whatever_search():
    first, user = finished_search(), examiner()
    again = SearchFactory(probe=first.probe)
    elsewhere = finished_search(probe__sha256=first.probe.sha256)
    CandidateFactory(search=again, rank=1)
    examine(user, first)
    assert not queries.awaiting_examination(by=user).exists()
    for search in (again, elsewhere):
        with refused("an image twice"):
            claimed(search, user)
    assert queries.awaiting_examination(by=examiner()).count() == 3


@pytest.mark.django_db(transaction=True)
def test_the_rules_hold_under_no_isolation_in_which_they_would_not_see_what_others_did():
    search, user = finished_search(), examiner()
    with refused("READ COMMITTED"):
        sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        claimed(search, user)


# --- leads ------------------------------------------------------------------------------------------


def lead(search: Search, first: Examination, second: Examination, rank: int = 1, **kwargs: Any) -> Lead:
    return Lead.objects.create(search=search, candidate=candidate(search, rank), first=first, second=second, **kwargs)


def half_a_lead(search: Search, *, same: tuple[int, ...] = (1,)) -> Examination:
    """Claimed, with findings on everybody, not concluded: the services would make the lead themselves."""
    user = examiner()
    mine = claim(user, search)
    for rank in same:
        find(user, mine, candidate(search, rank), SAME)
    services.exclude_remaining(by=user, examination=mine)
    return mine


def end(examination: Examination) -> None:
    Examination.objects.filter(pk=examination.pk).update(state="concluded", concluded_at=timezone.now())


def test_a_lead_with_both_confirmations_is_taken():
    search = finished_search()
    first, second = half_a_lead(search), half_a_lead(search)
    end(first)
    end(second)
    assert lead(search, first, second)


def test_a_lead_needs_both_examinations_concluded():
    search = finished_search()
    first, second = half_a_lead(search), half_a_lead(search)
    end(first)

    with refused("two concluded examinations"):
        lead(search, first, second)
    with refused("two concluded examinations|lead_needs_two"):
        lead(search, first, first)


def test_a_lead_needs_the_same_person_confirmed_by_both():
    search = finished_search()
    first, second = half_a_lead(search, same=(1,)), half_a_lead(search, same=(2,))
    end(first)
    end(second)

    for rank in (1, 2, 3):
        with refused("two concluded examinations"):
            lead(search, first, second, rank)


def test_a_lead_is_the_only_candidate_confirmed():
    search = finished_search()
    first, second = half_a_lead(search, same=(1, 2)), half_a_lead(search, same=(1,))
    end(first)
    end(second)

    with refused("name it alone"):
        lead(search, first, second)


@pytest.mark.parametrize(("rating", "asked"), [("1", 2), ("2", 3), ("0", 1), ("no_conclusion", 1)])
def test_a_lead_needs_ratings_as_high_as_the_policy_asked_when_the_search_was_requested(rating: str, asked: int):
    search = finished_search(positive_rating=asked)
    first, second = half_a_lead(search), half_a_lead(search)
    Finding.objects.filter(examination=second, candidate=candidate(search)).update(conclusion=rating)
    end(first)
    end(second)

    with refused("two concluded examinations"):
        lead(search, first, second)
    with refused("stays what was asked for"):
        sql("UPDATE probes_search SET positive_rating = 1 WHERE id = %s", search.pk)


@pytest.mark.parametrize("rating", ["1", "2", "3"])
def test_no_positive_conclusion_without_its_worksheet_and_no_draft_is_concluded(rating: str):
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    find(user, mine, candidate(search), rating)
    services.exclude_remaining(by=user, examination=mine)
    of_one = Finding.objects.filter(examination=mine, candidate=candidate(search))
    drawn_only = {**FILLED, "ears": {"drawn": FILLED["scars"]["drawn"]}}
    for worksheet in (
        {},
        {**FILLED, "ears": {}},
        {**FILLED, "ears": {"said": "alike"}},
        {**FILLED, "ears": None},
        drawn_only,
    ):
        of_one.update(said=worksheet)
        with refused("needs its worksheet"):
            end(mine)
    of_one.update(conclusion="", said=FILLED)
    with refused("every candidate has a finding"):
        end(mine)
    of_one.update(conclusion=rating)
    end(mine)


def test_a_third_examines_only_what_two_disagreed_on():
    search = finished_search()
    first, second = half_a_lead(search, same=(1,)), half_a_lead(search, same=())
    with refused("follows two concluded"):
        Adjudication.objects.create(search=search)
    end(first)
    with refused("follows two concluded"):
        Adjudication.objects.create(search=search)
    end(second)
    with refused("a third only when they disagree"):
        Examination.objects.create(search=search, examiner=examiner())

    Adjudication.objects.create(search=search)
    with refused("never changed or deleted"):
        sql("DELETE FROM reviews_adjudication")
    with refused("never changed or deleted"):
        sql("UPDATE reviews_adjudication SET opened_at = now()")
    Examination.objects.create(search=search, examiner=examiner())
    with refused("a third only when they disagree"):
        Examination.objects.create(search=search, examiner=examiner())


@pytest.mark.parametrize("same", [(), (1,)])
def test_two_who_agree_get_no_third(same: tuple[int, ...]):
    search = finished_search()
    first, second = half_a_lead(search, same=same), half_a_lead(search, same=same)
    end(first)
    end(second)
    with refused("need no third"):
        Adjudication.objects.create(search=search)


def test_a_lead_needs_two_different_people():
    """The index that keeps one person from holding both places is taken away, to see that the lead is refused too."""
    search = finished_search()
    first = half_a_lead(search)
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    with as_owner():
        sql("DROP INDEX one_examination_per_examiner")
    second = Examination.objects.create(search=search, examiner=first.examiner)
    Finding.objects.bulk_create(
        Finding(examination=second, candidate=one.candidate, conclusion=one.conclusion, said=one.said)
        for one in first.findings.all()
    )
    end(first)
    end(second)

    with refused("by two people"):
        lead(search, first, second)


def test_a_lead_is_of_its_own_search():
    search, other = finished_search(), finished_search()
    first, second = half_a_lead(search), half_a_lead(search)
    end(first)
    end(second)

    with refused("its own search"):
        Lead.objects.create(search=other, candidate=candidate(search), first=first, second=second)
    with refused("two concluded examinations"):
        Lead.objects.create(search=other, candidate=candidate(other), first=first, second=second)


def test_a_tombstone_becomes_no_lead_and_no_lead_begins_withdrawn():
    search = finished_search()
    first, second = half_a_lead(search), half_a_lead(search)
    end(first)
    end(second)

    with refused("begin withdrawn"):
        lead(search, first, second, withdrawn_at=timezone.now())
    forget(candidate(search, 1))
    with refused("living candidate"):
        lead(search, first, second)


def test_a_lead_can_be_withdrawn_once_and_nothing_else_of_it_changes():
    search = finished_search()
    examine(examiner(), search, same=(1,))
    examine(examiner(), search, same=(1,))
    only = Lead.objects.filter(search=search)

    with refused("nothing else"):
        only.update(candidate=candidate(search, 2))
    with refused("nothing else"):
        only.update(released_at=timezone.now(), withdrawn_at=timezone.now(), withdrawn_why="expunged")
    forget(candidate(search, 1))
    assert only.update(withdrawn_at=timezone.now(), withdrawn_why="expunged") == 1
    with refused("nothing else"):
        only.update(withdrawn_at=None)
    with refused("nothing else"):
        only.update(withdrawn_at=timezone.now(), withdrawn_why="expunged")
    with refused("never deleted"):
        sql("DELETE FROM reviews_lead")
    assert Finding.objects.filter(candidate=candidate(search, 1), conclusion=SAME).count() == 2
