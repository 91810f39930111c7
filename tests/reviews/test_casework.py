"""The investigator's pages and lists: what they say of a search, and that each look leaves an entry."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.probes.models import Search
from tests.factories import SearchFactory, examiner, investigator
from tests.reviews.arrange import candidate, examine, finished_search, forget

pytestmark = pytest.mark.django_db

Page = Callable[[User], Any]
POLL = {"HX-Request": "true"}


def test_a_list_expunged_before_anybody_looked_is_no_disagreement(page: Page, api: Page):
    search = finished_search(candidates=2)
    me = search.requested_by
    examine(examiner(), search)
    forget(candidate(search, 1))
    assert "1 candidate waits" in page(me).get(f"/searches/{search.pk}").text
    assert "1 candidate waits" in page(me).get(f"/cases/{search.probe.case_id}").text
    assert api(me).get(f"/api/v1/searches/{search.pk}").json()["candidates_waiting"] == 1

    forget(candidate(search, 2))

    shown = page(me).get(f"/searches/{search.pk}").text
    assert "Nobody was left to examine" in shown
    assert "did not agree" not in shown
    assert api(me).get(f"/api/v1/searches/{search.pk}").json()["candidates_waiting"] == 0


def test_a_list_expunged_after_both_had_concluded_is_still_what_they_concluded(page: Page):
    search = finished_search(candidates=1)
    examine(examiner(), search)
    examine(examiner(), search)
    forget(candidate(search))
    assert "did not agree on one candidate" in page(search.requested_by).get(f"/searches/{search.pk}").text


def test_an_empty_gallery_is_said_to_be_empty(page: Page):
    search = finished_search(candidates=0)
    assert "The gallery held nobody" in page(search.requested_by).get(f"/searches/{search.pk}").text


@pytest.mark.parametrize(("state", "entries"), [("queued", 0), ("running", 0), ("done", 1), ("failed", 1)], ids=str)
def test_asking_again_for_a_search_is_a_look_once_it_has_ended(state: str, entries: int, page: Page):
    search = finished_search(state=state)
    page(search.requested_by).get(f"/searches/{search.pk}", headers=POLL)
    assert Entry.objects.of(search).filter(act="search.viewed").count() == entries


def test_a_case_number_that_can_be_none_finds_no_case(page: Page):
    search = SearchFactory()
    me, number = search.requested_by, search.probe.case.number
    everything = page(me).get("/cases/").text
    assert number in everything
    assert 'type="search" value=""' in everything
    assert number in page(me).get("/cases/", {"number": f" {number[:4]} "}).text
    for typed in ("a\0b", "\0", "9" * 65):
        answer = page(me).get("/cases/", {"number": typed})
        assert answer.status_code == 200
        assert "None of your cases has this number" in answer.text


def test_a_list_of_leads_leaves_an_entry_and_does_not_tell_which_searches_there_are(api: Page):
    search = finished_search()
    examine(examiner(), search, same=(1,))
    examine(examiner(), search, same=(1,))
    me, stranger = search.requested_by, investigator()

    assert api(me).get(f"/api/v1/leads?search={search.pk}").json()["count"] == 1
    entry = Entry.objects.get(act="lead.listed")
    assert (entry.actor, entry.details["shown"]) == (me.pk, [str(search.lead.pk)])
    for unseen in (search.pk, uuid4()):
        answer = api(stranger).get(f"/api/v1/leads?search={unseen}")
        assert (answer.status_code, answer.json()["count"]) == (200, 0)


def proved(**numbers: Any) -> Search:
    numbers = {"gallery_size": 300_000, "scanned": 300_000, "rescored": 164, "ceiling": 0.293146, **numbers}
    search = finished_search(**numbers)
    examine(examiner(), search, same=(2,))
    return search


def test_the_proof_of_a_list_has_scores_only_once_the_examination_is_over(page: Page, api: Page):
    search = proved()
    me = search.requested_by
    page_of, told = f"/searches/{search.pk}", f"/api/v1/searches/{search.pk}/examination"

    text = page(me).get(page_of).text
    assert "300,000 of 300,000 photographs were compared" in text
    assert "None of the other 299,836 photographs can belong on the list." in text
    assert "0.2931" not in text
    assert "0.87" not in text
    assert api(me).get(told).json()["ceiling"] is None
    assert "ceiling" not in api(me).get(f"/api/v1/searches/{search.pk}").json()

    examine(examiner(), search, same=(2,))
    proof = "None of the other 299,836 photographs can score above 0.293146; the last on the list has 0.870000."
    assert proof in page(me).get(page_of).text
    assert proof in page(me).get(f"/reviews/leads/{search.lead.pk}").text
    assert api(me).get(told).json()["ceiling"] == 0.293146


def test_the_proof_goes_without_scores_when_all_of_the_list_was_erased(page: Page):
    search = proved()
    for one in search.candidates.all():
        forget(one)
    text = page(search.requested_by).get(f"/searches/{search.pk}").text
    assert "None of the other 299,836 photographs can belong on the list." in text
    assert "0.2931" not in text


def test_where_all_were_compared_in_full_precision_that_is_the_proof(page: Page):
    search = proved(rescored=300_000, ceiling=None)
    text = page(search.requested_by).get(f"/searches/{search.pk}").text
    assert "Each of these photographs was compared in full precision." in text


def test_the_page_of_a_case_asks_no_more_often_for_more_images(page: Page):
    search = finished_search()
    user, case = search.requested_by, search.probe.case
    browser = page(user)
    browser.get(f"/cases/{case.pk}")
    with CaptureQueriesContext(connection) as of_one:
        browser.get(f"/cases/{case.pk}")
    for _ in range(4):
        finished_search(probe__case=case, probe__submitted_by=user)
    with CaptureQueriesContext(connection) as of_five:
        assert browser.get(f"/cases/{case.pk}").status_code == 200
    assert len(of_five) == len(of_one)
