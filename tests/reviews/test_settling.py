"""What two conclusions come to, and when a third examiner is asked."""

from typing import Any

import pytest

from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput
from reviews import queries, services
from reviews.models import Adjudication, Finding, Lead
from tests.factories import examiner
from tests.reviews.arrange import (
    SAME,
    candidate,
    claim,
    examine,
    find,
    finished_search,
    forget,
)
from tests.reviews.test_database_rules import sql
from tests.triggers import past_the_triggers

pytestmark = pytest.mark.django_db


def test_two_who_agree_on_one_candidate_make_a_lead():
    search = finished_search()
    first = examine(examiner(), search, same=(2,))
    assert queries.lead_of(search) is None
    assert queries.examination_state(search).result is None
    second = examine(examiner(), search, same=(2,))

    lead = Lead.objects.get()
    assert (lead.search, lead.candidate, lead.first, lead.second) == (search, candidate(search, 2), first, second)
    state = queries.examination_state(search)
    assert (state.over, state.result, state.concluded, state.concluded_at) == (True, "lead", 2, second.concluded_at)


def test_two_who_name_nobody_end_it_without_a_lead():
    search = finished_search()
    examine(examiner(), search)
    examine(examiner(), search)

    assert not Lead.objects.exists()
    assert queries.examination_state(search).result == "no_lead"
    assert not Adjudication.objects.exists()


@pytest.mark.parametrize(("first", "second"), [((1,), ()), ((), (1,)), ((1,), (2,)), ((1, 2), (1, 2)), ((1, 2), (1,))])
def test_two_who_disagree_are_followed_by_a_third(first: tuple[int, ...], second: tuple[int, ...]):
    search, third = finished_search(), examiner()
    one, other = examine(examiner(), search, same=first), examine(examiner(), search, same=second)

    state = queries.examination_state(search)
    assert (state.over, state.result, state.examiners_needed, state.concluded) == (False, None, 3, 2)
    for before in (one, other):
        assert not queries.awaiting_examination(by=before.examiner).exists()
    examine(third, search)
    assert not queries.awaiting_examination(by=examiner()).exists()
    assert not Lead.objects.exists()
    state = queries.examination_state(search)
    assert (state.over, state.result, state.concluded) == (True, "no_lead", 3)
    ends = [entry.details.get("outcome") for entry in Entry.objects.filter(act="examination.concluded").order_by("pk")]
    assert ends == [None, "third needed", "unresolved"]


def test_a_third_who_names_the_same_one_makes_a_lead_of_the_two_that_agree():
    search = finished_search()
    one = examine(examiner(), search, same=(2,))
    examine(examiner(), search)
    third = examine(examiner(), search, same=(2,))

    lead = Lead.objects.get()
    assert (lead.candidate, lead.first, lead.second) == (candidate(search, 2), one, third)
    sheet = queries.lead_sheet(lead)
    assert [said.confirms for said in sheet.confirmations] == [True, False, True]
    assert sheet.rating == 1  # of 3, -3 and 3


def test_a_search_that_needs_a_third_waits_since_then_as_if_it_were_new():
    older, newer = finished_search(), finished_search()
    examine(examiner(), older, same=(1,))
    examine(examiner(), older)
    third = examiner()
    assert list(queries.awaiting_examination(by=third)) == [newer, older]
    assert queries.queue_of(third).oldest == newer.finished_at


def test_the_policy_of_the_search_decides_and_not_todays():
    search = finished_search(positive_rating=1)
    for _ in range(2):
        user = examiner()
        mine = claim(user, search)
        find(user, mine, candidate(search), Finding.Conclusion.SAME_1)
        services.exclude_remaining(by=user, examination=mine)
        services.conclude(by=user, examination=mine)
    assert Lead.objects.get().candidate == candidate(search)


def test_nobody_is_asked_to_settle_what_was_said_of_somebody_who_is_erased():
    search, second = finished_search(), examiner()
    examine(examiner(), search, same=(1,))
    mine = claim(second, search)
    services.exclude_remaining(by=second, examination=mine)
    forget(candidate(search, 1))
    services.conclude(by=second, examination=mine)

    state = queries.examination_state(search)
    assert (state.over, state.result) == (True, "no_lead")


def test_what_was_concluded_before_there_were_grades_stays_and_names_nobody():
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    services.exclude_remaining(by=user, examination=mine)
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    with past_the_triggers():
        Finding.objects.filter(candidate=candidate(search)).update(conclusion="same")
    services.conclude(by=user, examination=mine)
    examine(examiner(), search)

    assert queries.list_of(search)[0].conclusions[0] == "Same person"
    assert queries.examination_state(search).result == "no_lead"
    other, third = finished_search(), examiner()
    with pytest.raises(BadInput):
        find(third, claim(third, other), candidate(other), "same")


def test_somebody_expunged_while_the_second_examines_does_not_become_a_lead():
    search, second = finished_search(), examiner()
    examine(examiner(), search, same=(1,))
    mine = claim(second, search)
    find(second, mine, candidate(search, 1), SAME)
    services.exclude_remaining(by=second, examination=mine)
    forget(candidate(search, 1))
    services.conclude(by=second, examination=mine)

    assert not Lead.objects.exists()
    assert queries.examination_state(search).result == "no_lead"


def test_the_states_of_many_searches_come_in_five_queries(django_assert_num_queries: Any):
    searches = [finished_search() for _ in range(4)]
    examine(examiner(), searches[0])

    with django_assert_num_queries(5):
        states = queries.examination_states(searches)
    assert [states[search.pk].concluded for search in searches] == [1, 0, 0, 0]
