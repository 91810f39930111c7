"""The gallery over REST: what the pages can do, under the same rules."""

import datetime
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.gallery import enrolling, importing
from mugsearch.gallery.models import Booking, ImportRun, Person, Photo
from tests.factories import AgencyFactory, clerk, examiner, investigator, rename
from tests.fakes import synthetic_photo
from tests.gallery.arrange import csv_of, folder_of, import_folder, people, row, zip_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]
SignIn = Callable[[User], APIClient]
ROOT = "/api/v1"


@pytest.fixture
def gallery(tmp_path: Path) -> ImportRun:
    rows, photos = people(3)
    photos["two.png"] = synthetic_photo(20, faces=2)
    rows += [row("two.png", "P-20", "B-20", family_name="Doe"), row("none.png", "P-40", "B-40")]
    return import_folder(rows, folder_of(tmp_path / "photos", photos))


def addresses() -> list[str]:
    person, booking, photo, run = (m.objects.first() for m in (Person, Booking, Photo, ImportRun))
    assert all((person, booking, photo, run))
    paths = [f"people/{person.pk}", f"bookings/{booking.pk}", f"photos/{photo.pk}", f"photos/{photo.pk}/image"]
    paths += [f"imports/{run.pk}", f"imports/{run.pk}/rejects"]
    return [f"{ROOT}/{path}" for path in ("people", "bookings", "photos", "imports", *paths)]


def test_records_staff_read_everything_of_their_agency(gallery: ImportRun, api: SignIn) -> None:
    client = api(clerk())
    for address in addresses():
        assert client.get(address).status_code == 200, address


@pytest.mark.parametrize("outsider", [investigator, examiner])
def test_others_read_nothing(gallery: ImportRun, api: SignIn, outsider: Any) -> None:
    for address in addresses():
        assert api(outsider()).get(address).status_code == 403, address
        assert APIClient().get(address).status_code == 401, address


def test_strangers_get_404_and_empty_lists(gallery: ImportRun, api: SignIn) -> None:
    client = api(clerk(agency=AgencyFactory(code="shelbyville")))
    for address in addresses():
        answer = client.get(address)
        if address.count("/") == 3:
            assert answer.data["count"] == 0
        else:
            assert answer.status_code == 404, address
    person, photo = Person.objects.first(), Photo.objects.undecided().get()
    assert person
    assert client.patch(f"{ROOT}/people/{person.pk}", {"sex": "F"}, format="json").status_code == 404
    assert client.post(f"{ROOT}/photos/{photo.pk}/pick", {"face": 0}, format="json").status_code == 404


def test_people_and_bookings_are_found_and_the_look_up_is_recorded(gallery: ImportRun, api: SignIn) -> None:
    by = clerk()
    client = api(by)
    found = client.get(f"{ROOT}/people", {"search": "b/20"}).data["results"]
    assert [one["person_id"] for one in found] == ["P-20"]
    assert client.get(f"{ROOT}/bookings", {"booking_number": "B-20"}).data["count"] == 1
    client.get(f"{ROOT}/people/{found[0]['id']}")
    acts = list(Entry.objects.filter(actor=by.pk).order_by("number").values_list("act", flat=True))
    assert acts == ["people.searched", "booking.listed", "person.viewed"]
    assert "doe" not in str(list(Entry.objects.values())).lower()


def test_nothing_of_the_gallery_is_seen_unrecorded(gallery: ImportRun, api: SignIn) -> None:
    client = api(clerk())
    for address in (*addresses(), *(f"{one}?size=320" for one in addresses() if one.endswith("/image"))):
        before = Entry.objects.count()
        client.get(address)
        assert Entry.objects.count() == before + 1, address


def test_a_booking_is_found_in_any_spelling(gallery: ImportRun, api: SignIn) -> None:
    found = api(clerk()).get(f"{ROOT}/bookings", {"booking_number": "b 20"}).data["results"]
    assert [one["booking_number"] for one in found] == ["B-20"]


def test_a_filter_does_not_tell_whether_another_agency_has_a_person_or_booking(gallery: ImportRun, api: SignIn) -> None:
    client = api(clerk(agency=AgencyFactory(code="shelbyville")))
    person, booking = Person.objects.first(), Booking.objects.first()
    assert person
    assert booking
    for asked in ({"person": person.pk}, {"person": uuid.uuid4()}):
        assert client.get(f"{ROOT}/bookings", asked).data["count"] == 0
    for asked in ({"booking": booking.pk}, {"booking": uuid.uuid4()}):
        assert client.get(f"{ROOT}/photos", asked).data["count"] == 0
    own = api(clerk())
    assert own.get(f"{ROOT}/bookings", {"person": booking.person_id}).data["count"] == 1
    assert own.get(f"{ROOT}/photos", {"booking": booking.pk}).data["count"] == 1


def test_people_are_found_by_their_own_number_or_by_name_and_date_of_birth(gallery: ImportRun, api: SignIn) -> None:
    person = Person.objects.identified("P-20").get()
    rename(person.pk, date_of_birth=datetime.date(1990, 1, 2))
    client = api(clerk())
    name = f"{person.given_names} {person.family_name}"
    for asked in ({"person_id": "p 20"}, {"search": "P-20"}, {"search": name, "born": "1990-01-02"}):
        assert [one["person_id"] for one in client.get(f"{ROOT}/people", asked).data["results"]] == ["P-20"], asked
    assert client.get(f"{ROOT}/people", {"search": name}).data["count"] == 0
    assert client.get(f"{ROOT}/people", {"born": "1990-01-02"}).status_code == 422


def test_records_are_corrected_but_ids_and_numbers_stay(gallery: ImportRun, api: SignIn) -> None:
    client = api(clerk())
    person, booking = Person.objects.identified("P-20").get(), Booking.objects.numbered("B-20").get()
    answer = client.patch(f"{ROOT}/people/{person.pk}", {"given_names": "Jo", "person_id": "X"}, format="json")
    assert (answer.status_code, answer.data["given_names"], answer.data["person_id"]) == (200, "Jo", "P-20")
    assert answer.data["family_name"] == "Doe"
    sent = {"charge": "Theft", "booking_number": "X", "person": str(Person.objects.first())}
    answer = client.patch(f"{ROOT}/bookings/{booking.pk}", sent, format="json")
    assert (answer.data["charge"], answer.data["booking_number"], answer.data["person"]) == ("Theft", "B-20", person.pk)
    assert client.patch(f"{ROOT}/people/{person.pk}", {"sex": "Q"}, format="json").status_code == 400
    assert client.patch(f"{ROOT}/people/{person.pk}", {"date_of_birth": "2999-01-01"}, format="json").status_code == 422
    assert client.put(f"{ROOT}/people/{person.pk}", {}, format="json").status_code == 405
    assert client.delete(f"{ROOT}/people/{person.pk}").status_code == 405


def test_a_waiting_photo_is_picked_or_refused(gallery: ImportRun, api: SignIn) -> None:
    client = api(clerk())
    (photo,) = client.get(f"{ROOT}/photos", {"state": "waiting"}).data["results"]
    assert len(photo["faces"]) == 2
    address = f"{ROOT}/photos/{photo['id']}"
    assert client.post(f"{address}/pick", {"face": 5}, format="json").status_code == 422
    assert client.post(f"{address}/pick", {"face": 1}, format="json").status_code == 202
    enrolling.enroll(photo["id"])
    assert client.get(address).data["state"] == "enrolled"
    answer = client.post(f"{address}/refuse", {"refusal": "too_poor"}, format="json")
    assert (answer.status_code, answer.data["code"]) == (409, "wrong_state")
    assert client.get(f"{address}/image").content.startswith(b"\xff\xd8")


def test_an_import_goes_in_and_says_what_it_rejected(api: SignIn) -> None:
    client = api(clerk())
    rows, photos = people(2)
    sheet = csv_of([*rows, row("none.png", "P-9", "B-9")])
    body = {
        "manifest": SimpleUploadedFile("m.csv", sheet),
        "photos": SimpleUploadedFile("p.zip", zip_of(photos)),
        "several": "largest",
    }
    answer = client.post(f"{ROOT}/imports", body, format="multipart")
    assert (answer.status_code, answer.data["state"], answer.data["rows"]) == (202, "queued", 3)
    importing.run(answer.data["id"])
    run = client.get(f"{ROOT}/imports/{answer.data['id']}").data
    assert (run["state"], run["enrolled"], run["rejected"], run["several"]) == ("done", 2, 1, "largest")
    (reject,) = client.get(f"{ROOT}/imports/{run['id']}/rejects").data["results"]
    assert (reject["line"], reject["photo"]) == (4, "none.png")


def test_single_files_are_taken_too_and_what_is_no_import_is_refused(api: SignIn) -> None:
    client = api(clerk())
    rows, photos = people(2)
    body = {
        "manifest": SimpleUploadedFile("m.csv", csv_of(rows)),
        "photos": [SimpleUploadedFile(name, data) for name, data in photos.items()],
    }
    run = client.post(f"{ROOT}/imports", body, format="multipart").data
    importing.run(run["id"])
    assert Photo.objects.enrolled().count() == 2
    assert client.post(f"{ROOT}/imports", {}, format="multipart").status_code == 400
    bad = {"manifest": SimpleUploadedFile("m.csv", b"x"), "photos": SimpleUploadedFile("p.zip", zip_of(photos))}
    answer = client.post(f"{ROOT}/imports", bad, format="multipart")
    assert (answer.status_code, answer.data["code"]) == (422, "bad_input")
    assert api(investigator()).post(f"{ROOT}/imports", {}, format="multipart").status_code == 403
