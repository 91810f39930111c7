"""Lists stay complete, in order and as quick when there are many rows."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.gallery import queries
from mugsearch.gallery.models import Person, Photo
from mugsearch.gallery.paging import LongPaginator
from reviews.models import Examination
from tests.factories import BookingFactory, PersonFactory, PhotoFactory, UserFactory, administrator, clerk, examiner
from tests.reviews.arrange import finished_search

pytestmark = pytest.mark.django_db
SignIn = Callable[[User], Any]

LISTS = {
    Role.RECORDS: [
        "/gallery/people/?q=",
        "/gallery/photos/waiting",
        "/api/v1/people",
        "/api/v1/bookings",
        "/api/v1/photos",
    ],
    Role.ADMINISTRATOR: ["/users/", "/api/v1/users"],
    Role.SUPERVISOR: ["/reviews/open", "/api/v1/examinations/open"],
    Role.AUDITOR: ["/audit/", "/api/v1/audit"],
}


def more_rows(count: int) -> None:
    for _ in range(count):
        number = Entry.objects.count()
        audit.record(f"row.added-{number}", by=clerk())  # another kind of act each time
        booking = PhotoFactory().booking
        PhotoFactory(booking=booking, state=Photo.State.WAITING, face=None)
        Examination.objects.create(search=finished_search(), examiner=examiner())


@pytest.mark.parametrize(("role", "path"), [(role, path) for role, paths in LISTS.items() for path in paths])
def test_a_list_takes_no_more_queries_for_more_rows(role: Role, path: str, page: SignIn) -> None:
    def queries_of() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        return len(captured)

    client = page(UserFactory(roles=[role]))
    more_rows(2)
    few = queries_of()
    more_rows(3)
    assert queries_of() == few


def test_every_person_is_on_one_page_and_with_what_the_page_shows(page: SignIn) -> None:
    for number in range(60):
        PersonFactory(family_name=f"Name{number % 7}", given_names="Same")
    booked = PhotoFactory(booking__booked_on=datetime.date(2020, 1, 1))
    newer = BookingFactory(person=booked.booking.person, booked_on=datetime.date(2021, 1, 1))
    picture = PhotoFactory(booking=newer)
    pages = [LongPaginator(queries.find_people(clerk(), ""), 25).page(number) for number in (1, 2, 3)]
    shown = [one for found in pages for one in found]
    assert [one.created_at for one in shown] == sorted((one.created_at for one in shown), reverse=True)
    assert len({one.pk for one in shown}) == Person.objects.count() == 61
    (booked_twice,) = [one for found in pages for one in found if one.pk == newer.person_id]
    assert (booked_twice.bookings_count, booked_twice.picture) == (2, picture.pk)
    assert {one.bookings_count for found in pages for one in found if one.pk != newer.person_id} == {0}


def test_users_beyond_the_first_page_are_on_the_next(page: SignIn) -> None:
    admin = administrator()
    people = [UserFactory(username=f"z{number:03}", full_name=f"Person {number:03}") for number in range(60)]
    shown = page(admin).get("/users/").text + page(admin).get("/users/?page=2").text
    assert [person.full_name for person in people if person.full_name not in shown] == []
