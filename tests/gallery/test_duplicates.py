"""One face under two person numbers is found, for records staff to look into."""

import csv
import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mugsearch.audit.models import Entry
from mugsearch.gallery import duplicates
from mugsearch.gallery.models import Photo
from tests.factories import AgencyFactory, BookingFactory
from tests.gallery_rows import enrol

pytestmark = pytest.mark.django_db


@pytest.fixture
def agency(fake_encoder: Any) -> Any:
    return AgencyFactory(code="metro")


def booked(agency: Any, face: int, variant: int = 0, **more: Any) -> Photo:
    return enrol(face, variant=variant, booking=BookingFactory(agency=agency, **({"person__agency": agency} | more)))


def found(*arguments: str) -> list[dict[str, str]]:
    out, err = io.StringIO(), io.StringIO()
    call_command("find_duplicates", "--agency", "metro", *arguments, stdout=out, stderr=err)
    assert "pairs of people" in err.getvalue()
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def test_one_face_under_two_numbers_is_listed_once_with_both_bookings(
    agency: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "BATCH", 3)
    first = booked(agency, 1)
    for person in range(2, 9):
        booked(agency, person)
    second = booked(agency, 1, variant=1)
    (pair,) = found()
    assert {pair["booking_number"], pair["other_booking_number"]} == {
        first.booking.booking_number,
        second.booking.booking_number,
    }
    assert pair["person_id"] != pair["other_person_id"]
    assert float(pair["score"]) >= 0.6
    entry = Entry.objects.get(act="gallery.duplicates-sought")
    assert entry.details == {"photos": 9, "pairs": 1, "score": 0.6}


def test_several_photographs_of_one_person_are_no_duplicate(agency: Any) -> None:
    first = booked(agency, 1)
    booked(agency, 1, variant=1, person=first.booking.person)
    assert found() == []


def test_people_of_another_agency_are_not_listed(agency: Any) -> None:
    booked(agency, 1)
    booked(AgencyFactory(code="county"), 1, variant=1)
    assert found() == []


def test_a_lower_score_lists_more(agency: Any) -> None:
    for person in range(4):
        booked(agency, person)
    assert found() == []
    assert len(found("--score", "-1")) == 6


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["--agency", "x"], "there are: metro"), (["--agency", "metro", "--score", "7"], "cosine")],
)
def test_what_cannot_be_meant_is_said(arguments: list[str], complaint: str, agency: Any) -> None:
    with pytest.raises(CommandError, match=complaint):
        call_command("find_duplicates", *arguments)


def test_people_of_another_agency_take_no_place_among_the_neighbours(
    agency: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "NEIGHBOURS", 2)
    for variant in range(3):
        booked(AgencyFactory(code=f"other{variant}"), 1, variant=variant)
    booked(agency, 1, variant=3)
    booked(agency, 1, variant=4)
    assert len(found()) == 1
