"""What waits of an urgent case is offered first, and nobody who examines is told which it is."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.probes import services as probes
from mugsearch.probes.models import Search
from reviews import queries, services
from tests.factories import examiner
from tests.probes.test_priority import urge
from tests.reviews.arrange import examine, finished_search, store_images
from tests.reviews.test_blindness import plain, told_by

pytestmark = pytest.mark.django_db
Page = Callable[[User], Any]
NOW = timezone.now()


def waiting(hours: int, *, urgent: bool = False) -> Search:
    search = finished_search(finished_at=NOW - datetime.timedelta(hours=hours))
    if urgent:
        urge(search.probe.case)
    return search


def test_urgent_ones_come_first_and_within_each_priority_the_longest_waiting():
    normal, older = waiting(3), waiting(9)
    urgent, oldest = waiting(1, urgent=True), waiting(2, urgent=True)
    user = examiner()
    assert list(queries.awaiting_examination(by=user)) == [oldest, urgent, older, normal]
    assert services.claim_next(by=user).search == oldest
    assert services.claim_next(by=user).search == urgent
    assert services.claim_next(by=user).search == older


def test_a_case_that_is_normal_again_waits_as_the_others_do():
    older, search = waiting(9), waiting(1, urgent=True)
    case = search.probe.case
    user = examiner()
    assert queries.awaiting_examination(by=user)[0] == search
    probes.change_priority(by=case.opened_by, case=case, priority="normal", reason="Over")
    assert list(queries.awaiting_examination(by=user)) == [older, search]


def test_an_urgent_one_that_was_given_back_holds_nobody_up_and_is_first_for_everybody_else():
    normal, urgent = waiting(3), waiting(1, urgent=True)
    user, other = examiner(), examiner()
    given_back = services.claim_next(by=user)
    assert given_back.search == urgent
    services.release(by=user, examination=given_back)
    assert list(queries.awaiting_examination(by=user)) == [normal, urgent]
    assert list(queries.awaiting_examination(by=other)) == [urgent, normal]


def test_an_urgent_one_that_needs_a_third_waits_as_if_it_were_new_among_the_urgent():
    settled, newer = waiting(9, urgent=True), waiting(1, urgent=True)
    normal = waiting(5)
    examine(examiner(), settled, same=(1,))
    examine(examiner(), settled)
    third = examiner()
    assert list(queries.awaiting_examination(by=third)) == [newer, settled, normal]


def test_the_queue_says_how_many_wait_with_what_priority_and_since_when(page: Page, api: Page):
    waiting(3), waiting(9), waiting(2, urgent=True)
    user = examiner()
    shown = page(user).get("/reviews/").text
    assert "1 urgent" in shown
    assert "2 normal" in shown
    for hours in (2, 9):
        assert f"{hours}\xa0hours" in shown
    told = api(user).get("/api/v1/examinations/queue").json()
    assert (told["waiting"], told["oldest"]) == (3, told["levels"][1]["oldest"])
    assert [(level["priority"], level["waiting"]) for level in told["levels"]] == [("urgent", 1), ("normal", 2)]


def test_a_queue_without_urgent_ones_says_nothing_of_them(page: Page, api: Page):
    waiting(3)
    user = examiner()
    assert "0 urgent" not in page(user).get("/reviews/").text
    levels = api(user).get("/api/v1/examinations/queue").json()["levels"]
    assert levels[0] == {"priority": "urgent", "waiting": 0, "oldest": None}


def test_the_counts_are_the_same_however_many_examined_before_me(api: Page):
    """Else the queue would tell who is first."""
    user, search = examiner(), waiting(2, urgent=True)
    nobody = api(user).get("/api/v1/examinations/queue").json()
    examine(examiner(), search, same=(1,))
    assert nobody["levels"][0]["waiting"] == 1
    assert api(user).get("/api/v1/examinations/queue").json() == nobody


def test_an_examination_is_the_same_byte_for_byte_whether_its_case_is_urgent_or_not(page: Page, api: Page):
    answers = []
    for urgent in (False, True):
        search = waiting(2, urgent=urgent)
        store_images(search)
        user = examiner(full_name="Same Name")
        mine = services.claim_next(by=user)
        assert mine.search == search
        shown = [
            page(user).get(f"/reviews/{mine.pk}").text,
            page(user).get(f"/reviews/{mine.pk}/conclude").text,
            told_by(api(user).get(f"/api/v1/examinations/{mine.pk}"), mine),
            told_by(api(user).get("/api/v1/examinations"), mine),
        ]
        assert not [text for text in shown if "urgent" in text.lower()]
        answers.append([plain(text, mine) for text in shown])
        services.claim_next(by=examiner())  # full now
    assert answers[0] == answers[1]
