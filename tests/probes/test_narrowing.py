"""Narrowing a search by recorded fields: who is compared, what is refused, and where it is shown."""

import datetime
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput
from mugsearch.gallery.models import Photo
from mugsearch.probes import services, working
from mugsearch.probes.filters import Filters
from mugsearch.probes.models import Search
from tests.factories import AgencyFactory, BookingFactory, ProbeFactory, SearchFactory
from tests.gallery_rows import enrol
from tests.probes.test_searching import submitted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]

Page = Callable[[User], Any]
ELSEWHERE = UUID("7f000000-0000-4000-8000-000000000001")
THIS_YEAR = timezone.localdate().year
TOMORROW = timezone.localdate() + datetime.timedelta(days=1)


@pytest.fixture
def gallery() -> dict[str, Photo]:
    """Nobody's recorded fields are all the same; `blank` has none but the agency."""
    elsewhere = AgencyFactory(id=ELSEWHERE, code="shelbyville", name="Shelbyville Police")

    def booked(person: int, sex: str, born: int | None, day: datetime.date | None, **other: Any) -> Photo:
        birthday = datetime.date(born, 6, 1) if born else None
        booking = BookingFactory(person__sex=sex, person__date_of_birth=birthday, booked_on=day, **other)
        return enrol(person, booking=booking)

    return {
        "anna": booked(1, "F", 1960, datetime.date(2019, 5, 1)),
        "bea": booked(2, "F", 1990, datetime.date(2021, 5, 1), agency=elsewhere),
        "carl": booked(3, "M", 1990, datetime.date(2020, 5, 1)),
        "dara": booked(4, "X", 1975, None),
        "unknown": booked(5, "U", 1990, datetime.date(2020, 12, 31)),
        "blank": booked(6, "", None, None),
    }


def narrowed(**filters: Any) -> Search:
    probe = submitted(3)
    search = services.search(by=probe.submitted_by, probe=probe, face=0, filters=Filters(**filters))
    working.run_search(search.pk)
    search.refresh_from_db()
    return search


def day(year: int, month: int = 5, date: int = 1) -> datetime.date:
    return datetime.date(year, month, date)


@pytest.mark.parametrize(
    ("filters", "listed"),
    [
        ({}, {"anna", "bea", "carl", "dara", "unknown", "blank"}),
        ({"sexes": ("F",)}, {"anna", "bea", "unknown", "blank"}),
        ({"sexes": ("F", "X")}, {"anna", "bea", "dara", "unknown", "blank"}),
        ({"born_from": 1975, "born_to": 1975}, {"dara", "blank"}),
        ({"born_from": 1976}, {"bea", "carl", "unknown", "blank"}),
        ({"born_to": 1960}, {"anna", "blank"}),
        ({"booked_from": day(2020), "booked_to": day(2020, 12, 31)}, {"carl", "dara", "unknown", "blank"}),
        ({"booked_to": day(2019)}, {"anna", "dara", "blank"}),
        ({"agencies": (ELSEWHERE,)}, {"bea"}),
        ({"sexes": ("M",), "born_from": 1990, "booked_from": day(2020)}, {"carl", "unknown", "blank"}),
    ],
)  # fmt: skip
def test_only_those_who_pass_are_compared_and_what_was_not_recorded_hides_nobody(
    gallery: dict[str, Photo], filters: dict[str, Any], listed: set[str]
):
    search = narrowed(**filters)
    assert search.state == Search.State.DONE
    shown = {candidate.photo for candidate in search.candidates.all()}
    assert {name for name, photo in gallery.items() if photo in shown} == listed
    assert (search.scanned, search.gallery_size) == (len(listed), 6)


def test_a_filter_that_nobody_passes_gives_an_empty_list_and_says_why(gallery: dict[str, Photo], page: Page):
    AgencyFactory(id=(empty := uuid4()), code="ogdenville")
    search = narrowed(agencies=(empty,))
    assert (search.state, search.scanned, search.candidates.count()) == (Search.State.DONE, 0, 0)
    text = page(search.requested_by).get(f"/searches/{search.pk}").text
    assert "Nobody in the gallery passes what this search was narrowed to." in text


WRONG = [
    ({"sexes": ["Q"]}, "sexes"),
    ({"sexes": ["U"]}, "sexes"),
    ({"born_from": THIS_YEAR + 1}, "born_from"),
    ({"born_to": 85}, "born_to"),
    ({"born_from": 1990, "born_to": 1980}, "born_to"),
    ({"booked_from": str(TOMORROW)}, "booked_from"),
    ({"booked_from": "2020-05-02", "booked_to": "2020-05-01"}, "booked_to"),
    ({"agencies": [str(uuid4())]}, "agencies"),
]


@pytest.mark.parametrize(("filters", "field"), WRONG)
def test_a_filter_that_makes_no_sense_is_refused_by_the_service_itself(filters: dict[str, Any], field: str):
    probe = ProbeFactory()
    given = Filters.from_json(filters)
    (sentence,) = given.problems().values()
    with pytest.raises(BadInput) as refusal:
        services.search(by=probe.submitted_by, probe=probe, face=0, filters=given)
    assert refusal.value.message == sentence
    assert sentence.endswith(".")
    assert not Search.objects.exists()
    assert Entry.objects.filter(act="search.requested", outcome="refused").count() == 1


@pytest.mark.parametrize(("filters", "field"), WRONG)
def test_the_form_comes_back_unfolded_with_the_error_at_its_field_and_all_that_was_typed(
    filters: dict[str, Any], field: str, page: Page
):
    AgencyFactory(code="shelbyville")
    probe = ProbeFactory(faces=ProbeFactory.faces * 2)
    answer = page(probe.submitted_by).post(f"/probes/{probe.pk}/search", {"face": 1, "list_size": 33, **filters})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert '<details class="fold" open>' in answer.text
    assert 'value="1" required checked' in answer.text
    assert 'value="33"' in answer.text
    assert not Search.objects.exists()


@pytest.mark.parametrize(("filters", "field"), WRONG)
def test_the_api_refuses_the_same(filters: dict[str, Any], field: str, api: Callable[[User], Any]):
    probe = ProbeFactory()
    sent = {"face": 0, "filters": filters}
    answer = api(probe.submitted_by).post(f"/api/v1/probes/{probe.pk}/searches", sent, format="json")
    assert answer.status_code in (400, 422)
    assert not Search.objects.exists()


def test_narrowing_is_folded_away_and_warns(page: Page):
    AgencyFactory(code="shelbyville", name="Shelbyville Police")
    probe = ProbeFactory()
    text = page(probe.submitted_by).get(f"/probes/{probe.pk}").text
    assert '<details class="fold">' in text
    assert "A wrong filter hides the right person" in text
    assert "Shelbyville Police" in text


def test_where_there_is_one_agency_nobody_is_asked_for_it(page: Page):
    probe = ProbeFactory()
    assert "Booked by" not in page(probe.submitted_by).get(f"/probes/{probe.pk}").text


def test_a_search_from_the_page_is_narrowed_as_it_was_typed_and_the_record_has_it(page: Page):
    agency = AgencyFactory(id=ELSEWHERE, code="shelbyville")
    probe = ProbeFactory()
    sent = {
        "face": 0, "list_size": 20, "sexes": ["X", "F"], "born_from": "1960", "born_to": "", "booked_from": "",
        "booked_to": "2020-05-01", "agencies": [str(agency.pk)],
    }  # fmt: skip
    page(probe.submitted_by).post(f"/probes/{probe.pk}/search", sent)
    search = Search.objects.get()
    kept = {"sexes": ["F", "X"], "born_from": 1960, "booked_to": "2020-05-01", "agencies": [str(ELSEWHERE)]}
    assert search.filters == kept
    assert Filters.from_json(search.filters).as_json() == kept
    assert Entry.objects.get(act="search.requested").details["filters"] == kept


def test_what_it_was_narrowed_to_is_shown_on_its_page_in_lists_and_over_the_api(page: Page, api: Callable[[User], Any]):
    AgencyFactory(id=ELSEWHERE, code="shelbyville", name="Shelbyville Police")
    kept = {"sexes": ["F", "X"], "born_from": 1960, "born_to": 1970, "booked_to": "2020-05-01"}
    search = SearchFactory(
        filters={**kept, "agencies": [str(ELSEWHERE)]}, gallery_size=300_000, scanned=1204, rescored=1204
    )
    me = search.requested_by
    text = page(me).get(f"/searches/{search.pk}").text
    for shown in ("F or X", "1960 to 1970", "1 May 2020 or earlier", "Shelbyville Police"):
        assert shown in text
    assert "1,204 of 300,000 photographs were compared" in text
    assert (
        "Narrowed by sex, year of birth, day of booking, agency" in page(me).get(f"/cases/{search.probe.case_id}").text
    )
    assert "narrowed by sex, year of birth" in page(me).get(f"/probes/{search.probe_id}").text
    told = {**kept, "booked_from": None, "agencies": [str(ELSEWHERE)]}
    for answer in (api(me).get(f"/api/v1/searches/{search.pk}"), api(me).get("/api/v1/searches")):
        body = answer.json()
        body = body["results"][0] if "results" in body else body
        assert body["filters"] == told
        assert (body["scanned"], body["gallery_size"]) == (1204, 300_000)


def test_over_the_api_a_search_is_narrowed_as_on_the_page(gallery: dict[str, Photo], api: Callable[[User], Any]):
    probe = submitted(3)
    sent = {"face": 0, "filters": {"sexes": ["M"], "born_to": 1995, "booked_from": None}}
    answer = api(probe.submitted_by).post(f"/api/v1/probes/{probe.pk}/searches", sent, format="json")
    assert answer.status_code == 201
    search = Search.objects.get(pk=answer.json()["id"])
    assert search.filters == {"sexes": ["M"], "born_to": 1995}
    working.run_search(search.pk)
    assert Entry.objects.get(act="search.finished").details["filters"] == search.filters
    assert search.candidates.count() == 3


def test_no_examiner_is_told_what_a_search_was_narrowed_to(page: Page, api: Callable[[User], Any]):
    from tests.factories import examiner
    from tests.reviews.arrange import claim, finished_search

    search = finished_search(filters={"born_from": 1911, "born_to": 1913, "sexes": ["X"]}, ceiling=0.23456, rescored=50)
    user = examiner()
    mine = claim(user, search)
    for answer in (
        page(user).get(f"/reviews/{mine.pk}"),
        page(user).get("/reviews/"),
        api(user).get(f"/api/v1/examinations/{mine.pk}"),
    ):
        assert answer.status_code == 200
        for secret in ("1911", "1913", "0.2345", "narrowed"):
            assert secret not in answer.text.lower()
    assert json.loads(api(user).get("/api/v1/examinations").content)["count"] == 1
    for forbidden in (
        f"/searches/{search.pk}",
        f"/searches/{search.pk}/repeats",
        f"/api/v1/searches/{search.pk}/repeats",
    ):
        assert api(user).get(forbidden).status_code in (302, 403)
