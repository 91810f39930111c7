"""The pages of records staff, as their browser and others' browsers see them."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.gallery import importing
from mugsearch.gallery.models import Booking, ImportReject, ImportRun, Person, Photo
from tests.factories import (
    AgencyFactory,
    BookingFactory,
    PersonFactory,
    administrator,
    auditor,
    clerk,
    examiner,
    investigator,
)
from tests.fakes import synthetic_photo
from tests.gallery.arrange import csv_of, folder_of, import_folder, people, row, zip_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]
SignIn = Callable[[User], Client]


@pytest.fixture
def gallery(tmp_path: Path) -> ImportRun:
    """Two people with two bookings each; one photo with two faces, one with none; one reject."""
    rows, photos = people(2, per_person=2)
    photos |= {"two.png": synthetic_photo(20, faces=2), "none.png": synthetic_photo(30, faces=0)}
    rows += [row("two.png", "P-20", "B-20"), row("none.png", "P-30", "B-30"), row("=cmd.png", "P-40", "B-40")]
    return import_folder(rows, folder_of(tmp_path / "photos", photos))


def upload(rows: Any = None, **files: Any) -> dict[str, Any]:
    data, photos = people(2)
    sheet = csv_of(rows if rows is not None else data)
    return {
        "manifest": SimpleUploadedFile("m.csv", sheet),
        "photos": SimpleUploadedFile("photos.zip", zip_of(photos)),
        "several": "only",
        **files,
    }


def every_page() -> list[str]:
    person, booking, photo, run = (m.objects.first() for m in (Person, Booking, Photo, ImportRun))
    assert all((person, booking, photo, run))
    return [
        reverse("people"),
        reverse("people") + "?q=",
        reverse("person", args=[person.pk]),
        reverse("edit_person", args=[person.pk]),
        reverse("booking", args=[booking.pk]),
        reverse("edit_booking", args=[booking.pk]),
        reverse("waiting_photos"),
        reverse("photo", args=[photo.pk]),
        reverse("photo_image", args=[photo.pk]),
        reverse("imports"),
        reverse("new_import"),
        reverse("import_run", args=[run.pk]),
        reverse("import_progress", args=[run.pk]),
        reverse("import_rejects", args=[run.pk]),
    ]


def test_records_staff_open_every_page(gallery: ImportRun, page: SignIn) -> None:
    client = page(clerk())
    for url in every_page():
        assert client.get(url).status_code == 200, url


@pytest.mark.parametrize("outsider", [investigator, examiner, auditor, administrator])
def test_nobody_else_opens_any_of_them(gallery: ImportRun, page: SignIn, outsider: Any) -> None:
    client = page(outsider())
    for url in every_page():
        assert client.get(url).status_code == 403, url
    photo = Photo.objects.undecided().first()
    assert photo
    for name in ("pick_face", "refuse_photo"):
        assert client.post(reverse(name, args=[photo.pk]), {"face": 0, "reason": "too_poor"}).status_code == 403
    assert client.post(reverse("new_import"), upload()).status_code == 403
    assert Client().get(reverse("people")).status_code == 302


def test_another_agency_finds_nothing_of_it(gallery: ImportRun, page: SignIn) -> None:
    client = page(clerk(agency=AgencyFactory(code="shelbyville")))
    for url in every_page():
        expected = 200 if url.endswith(("/people/", "?q=", "/waiting", "/imports/", "/new")) else 404
        answer = client.get(url)
        assert answer.status_code == expected, url
        assert b"P-0" not in answer.content
    photo = Photo.objects.undecided().first()
    assert photo
    assert client.post(reverse("pick_face", args=[photo.pk]), {"face": 0}).status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "Doe, Jo Ann", "born": "1990-01-02"}, ["A-1"]),
        ({"q": "DOE JO", "born": "1990-01-02"}, ["A-1"]),
        ({"q": "jo doe", "born": "1990-01-02"}, ["A-1"]),
        ({"q": "doe", "born": "1990-01-02"}, []),
        ({"q": "jo doe"}, []),
        ({"q": "jo doe", "born": "1991-01-02"}, []),
        ({"q": "Maria de la O'Çruz", "born": "1980-05-06"}, ["A-3"]),
        ({"q": "de la ocruz, maria", "born": "1980-05-06"}, ["A-3"]),
        ({"q": "a-2"}, ["A-2"]),
        ({"q": " A/2 "}, ["A-2"]),
        ({"q": "a-2", "born": "1991-01-02"}, []),
        ({"q": "77/2"}, ["A-2"]),
        ({"q": "77"}, []),
        ({"q": ""}, ["A-1", "A-2", "A-3"]),
        ({"q": "nobody"}, []),
    ],
)
def test_people_are_found_by_name_number_booking_and_date_of_birth(
    page: SignIn, query: dict[str, str], found: list[str]
) -> None:
    PersonFactory(person_id="A-1", family_name="Doe", given_names="Jo Mary", date_of_birth=datetime.date(1990, 1, 2))
    other = PersonFactory(person_id="A-2", family_name="Doe", given_names="Ann")
    BookingFactory(person=other, booking_number="77-1")
    BookingFactory(person=other, booking_number="77-2")
    born = datetime.date(1980, 5, 6)
    PersonFactory(person_id="A-3", family_name="de la O'Cruz", given_names="María", date_of_birth=born)
    answer = page(clerk()).get(reverse("people"), query)
    assert sorted(person.person_id for person in answer.context["page"]) == found


def test_a_date_of_birth_alone_finds_nobody_and_says_what_is_missing(page: SignIn) -> None:
    answer = page(clerk()).get(reverse("people"), {"q": "", "born": "1990-01-02"})
    assert b"Enter the name that goes with the date of birth." in answer.content
    assert "page" not in answer.context
    assert b"write it as YYYY-MM-DD" in page(clerk()).get(reverse("people"), {"q": "", "born": "x"}).content


def test_every_look_up_is_recorded_without_what_was_typed(gallery: ImportRun, page: SignIn) -> None:
    by = clerk()
    client = page(by)
    person, photo = Person.objects.identified("P-0").get(), Photo.objects.enrolled().first()
    assert photo
    client.get(reverse("people"), {"q": "P-0"})
    client.get(reverse("person", args=[person.pk]))
    client.get(reverse("booking", args=[photo.booking_id]))
    client.get(reverse("photo", args=[photo.pk]))
    client.get(reverse("photo_image", args=[photo.pk]))
    client.get(reverse("photo_image", args=[photo.pk]), {"size": "320"})
    client.get(reverse("waiting_photos"))
    client.get(reverse("imports"))
    entries = Entry.objects.filter(actor=by.pk).order_by("number")
    assert [entry.act for entry in entries] == [
        "people.searched",
        "person.viewed",
        "booking.viewed",
        "photo.viewed",
        "photo.image-viewed",
        "photo.image-viewed",
        "photo.listed",
        "import.listed",
    ]
    assert [entry.details.get("side") for entry in entries[4:6]] == [1600, 320]
    assert entries[0].details == {"text": True, "born": False, "found": 1, "shown": [str(person.pk)]}


@pytest.mark.parametrize("name", ["edit_person", "edit_booking"])
def test_a_record_shown_again_because_of_a_mistake_is_a_look_at_it(page: SignIn, name: str) -> None:
    booking = BookingFactory()
    about = booking.person if name == "edit_person" else booking
    answer = page(clerk()).post(reverse(name, args=[about.pk]), {"sex": "Q", "height_in": "tall"})
    assert answer.status_code == 422
    assert Entry.objects.filter(act__endswith=".viewed", object_id=str(about.pk)).count() == 1


def test_a_photo_page_is_recorded_also_when_htmx_asks_for_it(gallery: ImportRun, page: SignIn) -> None:
    client, by_htmx = page(clerk()), {"HX-Request": "true"}
    looks = Entry.objects.filter(act="photo.viewed")
    two = Photo.objects.get(trouble="several_faces")
    for photo in (two, Photo.objects.enrolled().first()):
        client.get(reverse("photo", args=[photo.pk]), headers=by_htmx)
        assert looks.filter(object_id=str(photo.pk)).count() == 1
    client.post(reverse("pick_face", args=[two.pk]), {"face": "1"})
    client.get(reverse("photo", args=[two.pk]), headers=by_htmx)
    assert looks.count() == 3


def test_a_photo_is_sent_upright_uncached_and_in_two_sizes_only(gallery: ImportRun, page: SignIn) -> None:
    photo = Photo.objects.enrolled().first()
    assert photo
    client = page(clerk())
    for size in ("", "320", "1", "999999999999999999999", "-5", "x", "٣"):
        answer = client.get(reverse("photo_image", args=[photo.pk]), {"size": size})
        assert answer.content.startswith(b"\xff\xd8")
        assert (answer["Content-Type"], answer["Cache-Control"]) == ("image/jpeg", "no-store")
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_clerk_works_through_the_photos_to_check(gallery: ImportRun, page: SignIn) -> None:
    client = page(clerk())
    two, none = Photo.objects.undecided().order_by("-trouble")
    assert b"2 faces were found" in client.get(reverse("waiting_photos")).content
    shown = client.get(reverse("photo", args=[two.pk])).content.decode()
    assert shown.count('type="radio"') == 2
    assert shown.count("<rect") == 4  # a halo and a frame each
    answer = client.post(reverse("pick_face", args=[two.pk]), {"face": "1"})
    assert answer["Location"] == reverse("photo", args=[none.pk])
    assert b"is being enrolled" in client.get(reverse("photo", args=[two.pk])).content
    answer = client.post(reverse("refuse_photo", args=[none.pk]), {"reason": "no_face"})
    assert answer["Location"] == reverse("waiting_photos")
    assert b"Nothing to check" in client.get(reverse("waiting_photos")).content


def test_a_colleague_who_was_quicker_is_no_error(gallery: ImportRun, page: SignIn) -> None:
    two = Photo.objects.undecided().get(trouble="several_faces")
    page(clerk()).post(reverse("pick_face", args=[two.pk]), {"face": "1"})
    answer = page(clerk()).post(reverse("pick_face", args=[two.pk]), {"face": "0"}, follow=True)
    assert b"Somebody has decided about this photo already." in answer.content
    assert Photo.objects.get(pk=two.pk).face == {
        name: value for name, value in two.faces[1].items() if name != "quality"
    }


@pytest.mark.parametrize("face", ["", "x", "7", "-1", "9" * 30, "9" * 5000])
def test_a_face_that_is_none_is_refused_kindly(gallery: ImportRun, page: SignIn, face: str) -> None:
    two = Photo.objects.undecided().get(trouble="several_faces")
    here = reverse("photo", args=[two.pk])
    answer = page(clerk()).post(
        reverse("pick_face", args=[two.pk]), {"face": face}, headers={"referer": f"http://testserver{here}"}
    )
    assert answer["Location"].endswith(here)
    assert Photo.objects.undecided().count() == 2


def test_records_are_edited(page: SignIn) -> None:
    booking = BookingFactory()
    client = page(clerk())
    url = reverse("edit_person", args=[booking.person_id])
    assert client.post(url, {"family_name": "New", "given_names": "", "sex": "F", "person_id": "X"}).status_code == 302
    person = Person.objects.get()
    assert (person.family_name, person.sex) == ("New", "F")
    assert person.person_id != "X"
    answer = client.post(url, {"family_name": "Newer", "sex": "Q", "date_of_birth": "2999-01-01"})
    assert answer.status_code == 422
    assert b"<h1>Edit New</h1>" in answer.content
    url = reverse("edit_booking", args=[booking.pk])
    assert client.post(url, {"charge": "Theft", "booking_number": "X"}).status_code == 302
    booking.refresh_from_db()
    assert booking.charge == "Theft"
    assert booking.booking_number != "X"
    assert client.post(url, {"height_in": "tall"}).status_code == 422


def test_the_way_to_expunge_begins_at_the_booking(gallery: ImportRun, page: SignIn) -> None:
    booking = Booking.objects.first()
    assert booking
    shown = page(clerk()).get(reverse("booking", args=[booking.pk])).content.decode()
    assert f"{reverse('new_expungement')}?booking={booking.pk}" in shown


def test_an_upload_is_imported_and_its_page_follows(page: SignIn) -> None:
    client = page(clerk())
    answer = client.post(reverse("new_import"), upload())
    run = ImportRun.objects.get()
    assert answer["Location"] == reverse("import_run", args=[run.pk])
    progress = reverse("import_progress", args=[run.pk])
    assert progress in client.get(reverse("import_run", args=[run.pk])).content.decode()
    assert "HX-Refresh" not in client.get(progress)
    importing.run(run.pk)
    assert client.get(progress)["HX-Refresh"] == "true"
    done = client.get(reverse("import_run", args=[run.pk])).content.decode()
    assert progress not in done
    assert "Every row was taken" in done


def test_single_photo_files_can_be_uploaded_too(page: SignIn) -> None:
    _, photos = people(2)
    files = [SimpleUploadedFile(name, data) for name, data in photos.items()]
    page(clerk()).post(reverse("new_import"), upload(photos=files))
    importing.run(ImportRun.objects.get().pk)
    assert Photo.objects.enrolled().count() == 2


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"photos": ""}, "This field is required"),
        ({"manifest": ""}, "This field is required"),
        ({"manifest": SimpleUploadedFile("m.csv", b"a,b\n1,2\n")}, "no column photo"),
        ({"photos": SimpleUploadedFile("p.zip", b"not a zip")}, "not a ZIP"),
        (
            {"photos": [SimpleUploadedFile("p.zip", b"x"), SimpleUploadedFile("a.png", b"x")]},
            "either one ZIP or photo files",
        ),
        (
            {"photos": [SimpleUploadedFile("a.png", b"x"), SimpleUploadedFile("a.png", b"x")]},
            "same name",
        ),
    ],
)
def test_an_upload_that_can_t_be_used_says_why_and_leaves_nothing(
    page: SignIn, files: Any, says: str, settings: Any
) -> None:
    answer = page(clerk()).post(reverse("new_import"), upload(**files))
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not ImportRun.objects.exists()
    assert not list(settings.STAGING.iterdir() if settings.STAGING.exists() else ())


def test_rejects_are_listed_and_safe_to_open_in_a_spreadsheet(gallery: ImportRun, page: SignIn) -> None:
    ImportReject.objects.create(run=gallery, line=99, photo="+1", booking_number="@B", reason="-x")
    client = page(clerk())
    assert b"=cmd.png" in client.get(reverse("import_run", args=[gallery.pk])).content
    answer = client.get(reverse("import_rejects", args=[gallery.pk]))
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "line,photo,booking_number,reason"
    assert lines[1].startswith("8,'=cmd.png,B-40,There is no such photo")
    assert lines[2] == "99,'+1,'@B,'-x"


def test_progress_is_told_in_numbers_that_can_be_read(gallery: ImportRun, page: SignIn) -> None:
    ImportRun.objects.filter(pk=gallery.pk).update(state=ImportRun.State.RUNNING, rows=12400, rows_done=1240)
    shown = page(clerk()).get(reverse("import_progress", args=[gallery.pk])).content.decode()
    assert "<span>1,240 of 12,400</span>" in shown
    assert 'value="1240" max="12400"' in shown


def test_a_photo_that_another_person_has_is_told_of_with_the_booking(page: SignIn, tmp_path: Path) -> None:
    rows = [row("a.png"), row("a.png", "P-2", "B-2")]
    run = import_folder(rows, folder_of(tmp_path, {"a.png": synthetic_photo(1)}))
    client = page(clerk())
    told = "for another person (booking B-1)."
    assert told in client.get(reverse("import_run", args=[run.pk])).content.decode()
    answer = client.get(reverse("import_rejects", args=[run.pk]))
    assert told in b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


def test_names_from_a_manifest_are_shown_as_text(page: SignIn) -> None:
    person = PersonFactory(family_name="<script>alert(1)</script>", given_names="'\"")
    shown = page(clerk()).get(reverse("person", args=[person.pk])).content.decode()
    assert "<script>alert" not in shown
    assert "&lt;script&gt;" in shown


def test_a_correction_has_the_limits_an_import_has(page: SignIn) -> None:
    booking = BookingFactory(height_in=70)
    for wrong in ({"height_in": "-4"}, {"height_in": "700"}, {"weight_lb": "99999"}):
        answer = page(clerk()).post(f"/gallery/bookings/{booking.pk}/edit", wrong)
        assert answer.status_code in (200, 422)
        booking.refresh_from_db()
        assert (booking.height_in, booking.weight_lb) == (70, None)
