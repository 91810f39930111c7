"""What one notes before one concludes, and the worksheet that a positive conclusion needs."""

import json
from typing import Any

import pytest

from mugsearch.errors import BadInput, WrongState
from reviews import queries, services
from reviews.models import Examination, Finding
from tests.factories import examiner
from tests.reviews.arrange import (
    DIFFERENT,
    FILLED,
    SAME,
    candidate,
    claim,
    find,
    finished_search,
    forget,
    position_of,
)

pytestmark = pytest.mark.django_db


def test_notes_and_worksheet_are_kept_before_anything_is_concluded():
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    services.save_finding(by=user, examination=mine, position=2, notes="ears", worksheet={"ears": {"said": "similar"}})

    place = queries.sheet(mine).places[1]
    assert (place.conclusion, place.notes, place.worksheet) == ("", "ears", {"ears": {"said": "similar"}})
    assert (queries.sheet(mine).found, queries.with_progress(Examination.objects.all()).get().found) == (0, 0)
    with pytest.raises(WrongState, match="3 candidates need a conclusion"):
        services.conclude(by=user, examination=mine)


def test_excluding_the_rest_keeps_what_was_noted_on_them():
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    draft = services.save_finding(by=user, examination=mine, position=2, notes="ears")
    assert services.exclude_remaining(by=user, examination=mine, drafts={2: draft.saved_at}) == 3
    place = queries.sheet(mine).places[1]
    assert (place.conclusion, place.notes) == (DIFFERENT, "ears")


def test_a_positive_conclusion_needs_every_component_of_its_worksheet():
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    now = find(user, mine, candidate(search), Finding.Conclusion.SAME_1).saved_at
    services.exclude_remaining(by=user, examination=mine)
    position = position_of(mine, candidate(search))
    but_one = {name: told for name, told in FILLED.items() if name != "ears"}
    about = {"by": user, "examination": mine, "position": position, "worksheet": but_one}
    now = services.save_finding(**about, conclusion="1", saved_at=now).saved_at
    with pytest.raises(WrongState, match=f"worksheet of candidate {position}"):
        services.conclude(by=user, examination=mine)

    services.save_finding(**about, conclusion="0", saved_at=now)
    services.conclude(by=user, examination=mine)


def test_what_is_not_sent_again_stays():
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    now = find(user, mine, candidate(search), SAME, "ears").saved_at
    position = position_of(mine, candidate(search))
    now = services.save_finding(by=user, examination=mine, position=position, conclusion="2", saved_at=now).saved_at
    services.save_finding(by=user, examination=mine, position=position, notes="chin", saved_at=now)
    finding = Finding.objects.get()
    assert (finding.conclusion, finding.notes, finding.worksheet) == ("2", "chin", FILLED)


@pytest.mark.parametrize(
    "worksheet",
    [
        [],
        "eyes",
        {"hat": {"said": "similar"}},
        {"eyes": "similar"},
        {"eyes": {"said": "alike"}},
        {"eyes": {"said": "similar", "score": 1}},
        {"eyes": {"notes": "x" * 501}},
        {"eyes": {"notes": "a\x00"}},
        {"eyes": {"notes": "a\ud800"}},
        {"eyes": {"notes": ["a"]}},
        {"eyes": {"said": ["similar"]}},
    ],
)
def test_what_is_not_on_the_worksheet_is_refused(worksheet: Any):
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    with pytest.raises(BadInput):
        services.save_finding(by=user, examination=mine, position=1, conclusion="-3", worksheet=worksheet)
    assert not Finding.objects.exists()


def test_half_a_character_is_refused_over_the_api_and_breaks_nothing(api: Any):
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    body = {"position": 1, "worksheet": {"eyes": {"notes": "a\ud800"}}}
    sent = api(user).post(f"/api/v1/examinations/{mine.pk}/findings", json.dumps(body), content_type="application/json")
    assert (sent.status_code, sent.json()["detail"]) == (400, "The text holds NUL or half a character.")


def test_a_worksheet_of_somebody_who_is_erased_holds_nobody_up():
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    position = position_of(mine, candidate(search))
    services.save_finding(by=user, examination=mine, position=position, conclusion="3")
    services.exclude_remaining(by=user, examination=mine)
    forget(candidate(search))
    services.conclude(by=user, examination=mine)
