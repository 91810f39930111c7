"""What the investigator reads: nothing of the candidates until it is over, then the lead with its notice."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.probes.models import Search, SiblingPhoto
from reviews import notice, queries
from reviews.models import Lead
from tests.factories import CandidateFactory, PhotoFactory, SearchFactory, UserFactory, examiner, investigator
from tests.reviews.arrange import DIFFERENT, SAME, candidate, examine, forget, store_images

pytestmark = pytest.mark.django_db


@pytest.fixture
def search() -> Search:
    search = SearchFactory(list_size=7)
    for rank in (1, 2, 3):
        photo = PhotoFactory(
            booking__booking_number=f"BOOKING-{rank}",
            booking__person__family_name=f"Family{rank}",
            booking__person__person_id=f"PERSON-{rank}",
            booking__charge=f"charge-{rank}",
        )
        found = CandidateFactory(
            search=search, rank=rank, photo=photo, person=photo.booking.person, score=0.9 - rank / 10
        )
        SiblingPhoto.objects.create(candidate=found, photo=PhotoFactory(booking=photo.booking), rank=10 * rank)
        SiblingPhoto.objects.create(candidate=found, photo=PhotoFactory(booking=photo.booking), rank=None)
    store_images(search)
    return search


@pytest.fixture
def lead(search: Search) -> Lead:
    examine(examiner(), search, same=(2,), notes="mole on the left cheek")
    examine(examiner(), search, same=(2,), notes="ear lobes alike")
    return Lead.objects.get(search=search)


def texts(lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]) -> list[str]:
    user = lead.search.requested_by
    return [page(user).get(f"/reviews/leads/{lead.pk}").text, api(user).get(f"/api/v1/leads/{lead.pk}").text]


def test_a_lead_says_who_how_it_was_found_and_what_became_of_the_rest(
    lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]
):
    for text in texts(lead, page, api):
        for part in ("Family2", "PERSON-2", "BOOKING-2", "mole on the left cheek", "ear lobes alike", "0.7", "20"):
            assert part in text
        without_places = re.sub(r'<svg class="drawn".*?</svg>', "", text, flags=re.DOTALL)
        assert "%" not in without_places
    assert "Did not return" in texts(lead, page, api)[0]
    answer = api(lead.search.requested_by).get(f"/api/v1/leads/{lead.pk}").json()
    assert [row["conclusions"] for row in answer["ranks"]] == [
        [DIFFERENT.label, DIFFERENT.label],
        [SAME.label, SAME.label],
        [DIFFERENT.label, DIFFERENT.label],
    ]
    assert [row["rating"] for row in answer["ranks"]] == [-3, 3, -3]
    assert answer["rating"] == 3
    assert [sibling["rank"] for sibling in answer["siblings"]] == [20, None]
    assert answer["list_size"] == 7


def test_who_was_not_confirmed_is_not_named(lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]):
    for text in texts(lead, page, api):
        for rank in (1, 3):
            person = candidate(lead.search, rank).person
            assert person
            for part in (f"Family{rank}", f"PERSON-{rank}", f"BOOKING-{rank}", f"charge-{rank}", str(person.pk)):
                assert part not in text


def test_every_lead_carries_the_notice_withdrawn_or_not(
    lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]
):
    user = lead.search.requested_by
    for _ in range(2):
        shown = page(user).get(f"/reviews/leads/{lead.pk}").text
        assert notice.TITLE in shown
        assert notice.TEXT in shown
        assert api(user).get(f"/api/v1/leads/{lead.pk}").json()["notice"] == notice.NOTICE
        assert api(user).get("/api/v1/leads").json()["results"][0]["notice"] == notice.NOTICE
        if lead.withdrawn_at is None:
            Lead.objects.update(withdrawn_at=timezone.now(), withdrawn_why="expunged")
        lead.refresh_from_db()


def test_the_notice_says_the_same_on_pages_and_over_the_api():
    shown = render_to_string("partials/lead_notice.html")
    assert notice.TITLE in shown
    assert notice.TEXT in shown
    for words in ("investigative lead only", "not a positive identification", "not probable cause", "sole basis"):
        assert words in notice.NOTICE.lower()


def test_a_withdrawn_lead_shows_nobody(lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]):
    forget(candidate(lead.search, 2))
    Lead.objects.update(withdrawn_at=timezone.now(), withdrawn_why="expunged")

    for text in texts(lead, page, api):
        for part in ("Family2", "PERSON-2", "BOOKING-2"):
            assert part not in text
        assert "strong support for the same person" in text  # what the examiners concluded stays
        assert "mole on the left cheek" not in text  # what they wrote about the face does not
    assert "This lead is withdrawn" in texts(lead, page, api)[0]
    assert_no_images_but_the_probe(lead, page, api)


def test_a_lead_withdrawn_before_its_candidate_is_forgotten_shows_nobody_either(
    lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]
):
    Lead.objects.update(withdrawn_at=timezone.now(), withdrawn_why="expunged")
    for text in texts(lead, page, api):
        assert "Family2" not in text
    assert_no_images_but_the_probe(lead, page, api)


def assert_no_images_but_the_probe(lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]) -> None:
    user = lead.search.requested_by
    for at in ("/reviews/leads/", "/api/v1/leads/"):
        client = page(user) if at.startswith("/reviews") else api(user)
        assert client.get(f"{at}{lead.pk}/candidate.jpg").status_code == 404
        assert client.get(f"{at}{lead.pk}/photos/1.jpg").status_code == 404
        assert client.get(f"{at}{lead.pk}/probe.jpg").status_code == 200


def test_only_investigators_on_the_case_see_its_lead(
    lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]
):
    on_case = lead.search.requested_by
    colleague = investigator()
    lead.search.probe.case.members.add(colleague)
    paths = ["", "/probe.jpg", "/candidate.jpg"]
    for person, status in ((on_case, 200), (colleague, 200), (investigator(), 404), (lead.first.examiner, 403)):
        for path in paths:
            assert page(person).get(f"/reviews/leads/{lead.pk}{path}").status_code == status
            assert api(person).get(f"/api/v1/leads/{lead.pk}{path}").status_code == status
    assert api(on_case).get("/api/v1/leads").json()["count"] == 1
    assert api(investigator()).get("/api/v1/leads").json()["count"] == 0


def test_an_examiner_who_is_also_an_investigator_sees_no_lead_of_a_case_they_are_not_on(
    lead: Lead, page: Callable[[User], Any]
):
    both = UserFactory(roles=[Role.EXAMINER, Role.INVESTIGATOR], certified=True)
    assert page(both).get(f"/reviews/leads/{lead.pk}").status_code == 404


def test_opening_a_lead_and_its_images_is_recorded_under_the_case(lead: Lead, page: Callable[[User], Any]):
    user = lead.search.requested_by
    before = Entry.objects.count()
    for path in ("", "/probe.jpg", "/candidate.jpg"):
        page(user).get(f"/reviews/leads/{lead.pk}{path}")

    entries = Entry.objects.filter(number__gt=before, case=lead.search.probe.case_id, actor=user.pk)
    assert [entry.act for entry in entries.order_by("number")] == ["lead.viewed", "probe.viewed", "candidate.viewed"]


def test_until_it_is_over_the_investigator_is_told_how_far_and_nothing_more(search: Search, api: Callable[[User], Any]):
    user = search.requested_by
    examine(examiner(), search, same=(1,))

    answer = api(user).get(f"/api/v1/searches/{search.pk}/examination").json()
    assert answer == {
        "examiners_needed": 2,
        "concluded": 1,
        "candidates": 3,
        "over": False,
        "result": None,
        "concluded_at": None,
        "lead": None,
        "ceiling": None,
        "ranks": [],
    }
    assert queries.list_of(search) == []
    assert api(investigator()).get(f"/api/v1/searches/{search.pk}/examination").status_code == 404


def test_without_a_lead_the_end_tells_conclusions_by_rank_and_names_nobody(search: Search, api: Callable[[User], Any]):
    examine(examiner(), search, same=(1,))
    examine(examiner(), search)
    answer = api(search.requested_by).get(f"/api/v1/searches/{search.pk}/examination").json()
    assert (answer["over"], answer["result"], answer["examiners_needed"], answer["ranks"]) == (False, None, 3, [])

    examine(examiner(), search)
    response = api(search.requested_by).get(f"/api/v1/searches/{search.pk}/examination")
    answer = response.json()
    assert (answer["over"], answer["result"], answer["lead"]) == (True, "no_lead", None)
    assert answer["ranks"][0] == {
        "rank": 1,
        "score": pytest.approx(0.8),
        "false_positives": None,
        "gone": False,
        "is_lead": False,
        "conclusions": [SAME.label, DIFFERENT.label, DIFFERENT.label],
        "rating": -1,
    }
    for one in search.candidates.all():
        assert str(one.person_id) not in response.text
        assert str(one.photo_id) not in response.text
