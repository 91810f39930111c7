"""Over 200 searches nothing that a second examiner gets goes with the first's findings, with ranks or with scores.

What they get is the same for all 200 but for ids, times and the order, so only the order is left to be told by; and the
order goes with nothing.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.accounts.models import User
from reviews.models import Examination, Finding
from reviews.order import in_order
from tests.factories import CandidateFactory, PhotoFactory, ProbeFactory, SearchFactory, examiner
from tests.reviews.arrange import FILLED
from tests.reviews.test_blindness import plain, told_by

pytestmark = pytest.mark.django_db

SEARCHES, PEOPLE = 200, 5
# Of 1,000 pairs a correlation by chance has a standard deviation of 0.032; this is six of them.
BY_CHANCE = 0.19


@pytest.fixture
def pairs() -> list[tuple[Examination, Examination]]:
    """(the first, concluded with findings by chance; the second, claimed) of each search."""
    chance, found = random.Random(4), []
    firsts, seconds = [examiner() for _ in range(4)], [examiner() for _ in range(4)]
    probe, photos = ProbeFactory(), [PhotoFactory() for _ in range(PEOPLE)]
    for number in range(SEARCHES):
        probe = ProbeFactory(case=probe.case)
        search = SearchFactory(probe=probe)
        chance.shuffle(photos)
        first = Examination.objects.create(search=search, examiner=firsts[number % 4])
        for rank in range(1, PEOPLE + 1):
            score = 0.9 - rank / 10 - chance.random() / 20
            listed = CandidateFactory(search=search, rank=rank, score=score, photo=photos[rank - 1])
            said = str(chance.choice([-3, -2, -1, 0, 1, 2, 3]))
            Finding.objects.create(examination=first, candidate=listed, conclusion=said, worksheet=FILLED, notes="n")
        Examination.objects.filter(pk=first.pk).update(state="concluded", concluded_at=timezone.now())
        found.append((first, Examination.objects.create(search=search, examiner=seconds[number % 4])))
    return found


def correlation(first: list[float], second: list[float]) -> float:
    """Pearson's, of ranks or grades."""
    a, b = sum(first) / len(first), sum(second) / len(second)
    both = sum((x - a) * (y - b) for x, y in zip(first, second, strict=True))
    return both / (sum((x - a) ** 2 for x in first) * sum((y - b) ** 2 for y in second)) ** 0.5


def test_the_order_goes_with_nothing_that_must_not_be_known(pairs: list[tuple[Examination, Examination]]):
    mine: list[float] = []
    hidden: dict[str, list[float]] = {"rank": [], "score": [], "grade": [], "order of the first": [], "id": []}
    for first, second in pairs:
        said = {one.candidate_id: float(one.conclusion) for one in first.findings.all()}
        theirs = [candidate.pk for candidate in in_order(first)]
        ids = sorted(theirs)
        for position, candidate in enumerate(in_order(second)):
            mine.append(position)
            hidden["rank"].append(candidate.rank)
            hidden["score"].append(candidate.score or 0)
            hidden["grade"].append(said[candidate.pk])
            hidden["order of the first"].append(theirs.index(candidate.pk))
            hidden["id"].append(ids.index(candidate.pk))
    assert len(mine) == SEARCHES * PEOPLE
    for name, values in hidden.items():
        assert abs(correlation(mine, values)) < BY_CHANCE, name


def test_all_else_is_the_same_whatever_the_first_found(
    pairs: list[tuple[Examination, Examination]], page: Callable[[User], Any], api: Callable[[User], Any]
):
    as_json, as_page = set(), set()
    for _, second in pairs:
        as_json.add(plain(told_by(api(second.examiner).get(f"/api/v1/examinations/{second.pk}"), second), second))
        text = page(second.examiner).get(f"/reviews/{second.pk}").text
        as_page.add(plain(text, second).replace(second.examiner.full_name, "ME"))
    assert (len(as_json), len(as_page)) == (1, 1)
