"""What a score is read by: shown with it once an examination is over, and never before."""

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.probes.models import Search
from reviews.models import Lead
from tests.factories import examiner, measured
from tests.reviews.arrange import candidate, examine, finished_search, forget
from tests.reviews.leads import a_lead, investigator_of

pytestmark = pytest.mark.django_db

Page = Callable[[User], Any]
NOT_MEASURED = "has not been calibrated on this gallery"
WORDS = "false-positive rate: 20.0 %, 1 of 5 searches (95 % interval 3.6 % to 62.4 %)"


@pytest.fixture
def lead() -> Lead:
    """At 0.89, 0.88 and 0.87."""
    lead = a_lead()
    measured(encoder=lead.search.encoder, scores=[0.1, 0.2, 0.3, 0.875, 0.9], gallery_size=4711)
    return lead


def test_a_lead_says_how_many_strangers_would_reach_its_score(lead: Lead, page: Page, api: Page) -> None:
    shown = page(investigator_of(lead)).get(reverse("lead", args=[lead.pk])).text.replace("\N{NO-BREAK SPACE}", " ")
    assert f"The algorithm gave it a cosine of 0.890; {WORDS}" in shown
    assert "people who are <strong>not</strong> in the gallery" in shown
    assert "among 4,711 photographs" in shown
    assert "may behave differently" in shown
    assert NOT_MEASURED not in shown
    assert "2 of 5" in shown
    told = api(investigator_of(lead)).get(f"/api/v1/leads/{lead.pk}").json()
    found = told["false_positives"]
    assert (found["count"], found["searches"], found["rate"], found["gallery_size"]) == (1, 5, 0.2, 4711)
    assert (found["low"], found["high"]) == pytest.approx((0.0362, 0.6245), abs=1e-4)
    assert any("fewer" in one for one in found["caveats"])
    assert [one["false_positives"]["count"] for one in told["ranks"]] == [1, 1, 2]


def test_what_was_not_measured_is_not_stated(page: Page, api: Page) -> None:
    lead = a_lead()
    shown = page(investigator_of(lead)).get(reverse("lead", args=[lead.pk])).text
    assert shown.count(NOT_MEASURED) == 1
    assert "false-positive rate:" not in shown
    assert api(investigator_of(lead)).get(f"/api/v1/leads/{lead.pk}").json()["false_positives"] is None


def test_a_rate_is_never_called_a_match(lead: Lead, page: Page) -> None:
    for path in (reverse("lead", args=[lead.pk]), f"/searches/{lead.search_id}"):
        shown = page(investigator_of(lead)).get(path)
        assert shown.status_code == 200
        assert "% match" not in shown.text.lower()


def test_an_erased_lead_has_no_rate(lead: Lead, page: Page, api: Page) -> None:
    forget(candidate(lead.search, 1))
    Lead.objects.filter(pk=lead.pk).update(withdrawn_at=timezone.now(), withdrawn_why=Lead.Why.EXPUNGED)
    shown = page(investigator_of(lead)).get(reverse("lead", args=[lead.pk]))
    assert shown.status_code == 200
    assert "The algorithm gave it" not in shown.text
    assert api(investigator_of(lead)).get(f"/api/v1/leads/{lead.pk}").json()["false_positives"] is None


@pytest.fixture
def undecided() -> Search:
    """One of two has examined it."""
    search = finished_search()
    measured(encoder=search.encoder, scores=[0.1, 0.2, 0.3, 0.875, 0.9], gallery_size=4711)
    examine(examiner(), search)
    return search


def test_an_investigator_reads_rates_once_the_examination_is_over_and_not_before(
    undecided: Search, page: Page, api: Page
) -> None:
    def told() -> str:
        user, at = undecided.requested_by, f"searches/{undecided.pk}"
        return page(user).get(f"/{at}").text + api(user).get(f"/api/v1/{at}/examination").content.decode()

    before = told().lower()
    for words in ("false positives", "of 5", "4,711", "4711", "calibrat", '"count"'):
        assert words not in before
    examine(examiner(), undecided)
    after = told()
    for words in ("1 of 5", "2 of 5", "4,711", '"count":2', "4711"):
        assert words in after


def test_examiners_read_rates_beside_the_scores_once_all_have_concluded(page: Page, api: Page) -> None:
    search, one, other = finished_search(), examiner(), examiner()
    measured(encoder=search.encoder, scores=[0.1, 0.2, 0.3, 0.875, 0.9], gallery_size=4711)
    mine = examine(one, search)
    assert "false" not in api(one).get(f"/api/v1/examinations/{mine.pk}").json()["candidates"][0]
    assert "4,711" not in page(one).get(f"/reviews/{mine.pk}").text
    examine(other, search)
    shown = page(one).get(f"/reviews/{mine.pk}").text
    assert "1 of 5" in shown
    assert "among 4,711 photographs" in shown
    told = [place["told"] for place in api(one).get(f"/api/v1/examinations/{mine.pk}").json()["candidates"]]
    assert {place["rank"]: place["false_positives"]["count"] for place in told} == {1: 1, 2: 1, 3: 2}
