"""What could tell a trial from casework beside the answers themselves: digits, counts, roles, the work it makes."""

import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mugsearch.accounts.models import RoleGrant
from mugsearch.engine.index import DECIMALS
from mugsearch.gallery import encoding
from mugsearch.trials import lists
from mugsearch.trials.models import Trial
from reviews import queries, services, trials
from reviews.models import Examination
from tests.factories import examiner
from tests.reviews.arrange import claim, finished_search
from tests.trials.arrange import examine, material, prepare, search_of, supervisor

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("fake_encoder", "short_lists"),
]


def casework():
    return finished_search(2, encoder=encoding.active())


def concluded(by, search) -> Examination:
    mine = claim(by, search)
    services.exclude_remaining(by=by, examination=mine)
    services.conclude(by=by, examination=mine)
    return mine


def test_a_score_has_the_digits_of_a_search_of_the_gallery(api):
    assert lists.DECIMALS == DECIMALS
    mona, anna, ben = supervisor(), examiner(), examiner()
    material(mona, 8)
    (trial,) = prepare(mona, Trial.Kind.MATED)
    mine = examine(anna, search_of(trial))
    examine(ben, search_of(trial))
    told = [one["told"]["score"] for one in api(anna).get(f"/api/v1/examinations/{mine.pk}").json()["candidates"]]
    assert told == [round(score, DECIMALS) for score in told]
    assert any(score != round(score, DECIMALS - 2) for score in told)


def test_a_trial_for_several_pairs_counts_as_one_search_and_given_back_it_goes_behind_all_others():
    mona, anna = supervisor(), examiner()
    material(mona, 6)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED, pairs=4)
    works = [casework() for _ in range(3)]
    waiting = queries.awaiting_examination(by=anna)
    assert waiting.count() == 4
    mine = claim(anna, waiting.filter(trial=trial).get())
    assert queries.awaiting_examination(by=anna).count() == 3
    services.release(by=anna, examination=mine)
    assert queries.awaiting_examination(by=anna).count() == 4
    assert list(queries.awaiting_examination(by=anna))[:3] == works
    assert services.claim_next(by=examiner()).search == mine.search


def test_the_next_pair_gets_the_trial_when_the_one_before_has_it():
    mona, people = supervisor(), [examiner() for _ in range(4)]
    material(mona, 6)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED, pairs=2)
    got = [services.claim_next(by=one).search for one in people]
    assert got[0] == got[1] != got[2] == got[3]
    assert {one.trial for one in got} == {trial}


def test_whoever_became_an_examiner_anew_gives_back_casework_and_trials_alike(page):
    mona, anna = supervisor(), examiner()
    material(mona, 4)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    held = [claim(anna, search_of(trial)), claim(anna, casework())]
    RoleGrant.objects.filter(user=anna).update(granted_at=timezone.now())
    shown = [page(anna).get(f"/reviews/{one.pk}") for one in held]
    assert [one.status_code for one in shown] == [403, 403]
    texts = [re.sub(r"[0-9a-f-]{36}|\w{64}", "*", one.text) for one in shown]
    assert texts[0] == texts[1]
    assert "Give it back" in unescape(texts[0])


def test_looking_at_what_one_concluded_takes_as_many_queries_for_a_trial_as_for_casework(page):
    mona, anna = supervisor(), examiner()
    material(mona, 4)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    counts = []
    for search in (search_of(trial), casework()):
        mine = concluded(anna, search)
        page(anna).get(f"/reviews/{mine.pk}")
        with CaptureQueriesContext(connection) as captured:
            page(anna).get(f"/reviews/{mine.pk}")
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_a_list_by_chance_is_of_people_who_are_more_like_the_probe_than_others():
    mona = supervisor()
    material(mona, 30)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    held = lists.Material(trials.vectors.usable(mona.agency, encoding.active()))
    probe = next(one for one in held.held if one.photo == trial.photo_id)
    best: dict = {}
    for one, score in zip(held.held, held.scores(probe), strict=True):
        if one.subject != probe.subject:
            best[one.subject] = max(score, best.get(one.subject, -1.0))
    nearest = sorted(best, key=best.__getitem__)[-2 * lists.NEAREST :]
    listed = search_of(trial).candidates.values_list("trial_photo__subject", flat=True)
    assert set(listed) <= set(nearest)
