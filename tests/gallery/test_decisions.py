"""What a clerk decides about a photo or corrects in a record: who may, once, and what it does to the gallery."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.audit.models import Entry, Outcome
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import enrolling, services, tasks
from mugsearch.gallery.models import GalleryChange, Photo, Template
from tests.factories import BookingFactory, PersonFactory, clerk, examiner, investigator
from tests.fakes import FakeEncoder, synthetic_photo, synthetic_pixels
from tests.gallery.arrange import folder_of, import_folder, row
from tests.gallery_rows import vector_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]


@pytest.fixture
def two_faces(tmp_path: Path) -> Photo:
    import_folder([row("two.png")], folder_of(tmp_path, {"two.png": synthetic_photo(7, faces=2)}))
    return Photo.objects.get()


def test_the_face_a_clerk_picks_is_enrolled_by_the_worker(
    two_faces: Photo, queued: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        services.pick_face(by=clerk(), photo=two_faces, face=1)
    assert queued == [("mugsearch.gallery.tasks.enroll_photo", (str(two_faces.pk),))]
    assert two_faces.state == Photo.State.WAITING
    assert not Photo.objects.undecided().exists()
    tasks.enroll_photo(str(two_faces.pk))
    two_faces.refresh_from_db()
    assert two_faces.state == Photo.State.ENROLLED
    second = FakeEncoder().faces(synthetic_pixels(7, faces=2))[1]
    assert two_faces.face == {**second.to_dict(), "box": list(second.box)}
    expected = FakeEncoder().embed(synthetic_pixels(7, faces=2), second)
    assert vector_of(Template.objects.get()) == pytest.approx(expected)
    assert GalleryChange.objects.count() == 1


def test_enrolling_a_photo_twice_is_one_effect(two_faces: Photo) -> None:
    services.pick_face(by=clerk(), photo=two_faces, face=0)
    enrolling.enroll(two_faces.pk)
    enrolling.enroll(two_faces.pk)
    assert (Template.objects.count(), GalleryChange.objects.count()) == (1, 1)


def test_a_pick_whose_message_was_lost_is_found_again(two_faces: Photo, queued: list[Any]) -> None:
    services.pick_face(by=clerk(), photo=two_faces, face=0)
    tasks.resume()
    assert queued == [("mugsearch.gallery.tasks.enroll_photo", (str(two_faces.pk),))]


def test_a_photo_expunged_before_it_was_enrolled_stays_gone(two_faces: Photo) -> None:
    services.pick_face(by=clerk(), photo=two_faces, face=0)
    Photo.objects.all().delete()
    enrolling.enroll(two_faces.pk)
    assert not Template.objects.exists()


def test_a_photo_is_decided_about_once(two_faces: Photo) -> None:
    services.pick_face(by=clerk(), photo=two_faces, face=0)
    with pytest.raises(WrongState):
        services.pick_face(by=clerk(), photo=two_faces, face=1)
    with pytest.raises(WrongState):
        services.refuse_photo(by=clerk(), photo=two_faces, reason=Photo.Refusal.TOO_POOR)
    outcomes = Entry.objects.filter(act__startswith="photo.").order_by("number").values_list("outcome", flat=True)
    assert list(outcomes) == [Outcome.DONE, Outcome.REFUSED, Outcome.REFUSED]


@pytest.mark.parametrize("face", [-1, 2, 100])
def test_only_a_face_that_was_found_can_be_picked(two_faces: Photo, face: int) -> None:
    with pytest.raises(BadInput):
        services.pick_face(by=clerk(), photo=two_faces, face=face)
    assert Photo.objects.undecided().count() == 1


def test_a_refused_photo_is_never_searchable(two_faces: Photo) -> None:
    services.refuse_photo(by=clerk(), photo=two_faces, reason=Photo.Refusal.NOT_THE_PERSON)
    assert (two_faces.state, two_faces.refusal) == (Photo.State.REFUSED, "not_the_person")
    enrolling.enroll(two_faces.pk)
    assert not Template.objects.exists()


@pytest.mark.parametrize("outsider", [investigator, examiner])
def test_only_records_staff_decide_and_correct(two_faces: Photo, outsider: Any) -> None:
    by, person, booking = outsider(), two_faces.booking.person, two_faces.booking
    with pytest.raises(NotAllowed):
        services.pick_face(by=by, photo=two_faces, face=0)
    with pytest.raises(NotAllowed):
        services.refuse_photo(by=by, photo=two_faces, reason=Photo.Refusal.TOO_POOR)
    with pytest.raises(NotAllowed):
        services.edit_person(by=by, person=person, family_name="X", given_names="", date_of_birth=None, sex="")
    with pytest.raises(NotAllowed):
        services.edit_booking(
            by=by, booking=booking, booked_on=None, height_in=None, weight_lb=None, charge="X", disposition=""
        )
    assert Entry.objects.filter(outcome=Outcome.REFUSED, actor=by.pk).count() == 4
    assert Photo.objects.undecided().count() == 1


def test_a_correction_says_in_the_audit_what_kind_of_thing_changed_but_not_what() -> None:
    person = PersonFactory(family_name="Doe", given_names="Jo")
    changed = services.edit_person(
        by=clerk(), person=person, family_name="Dough", given_names="Jo", date_of_birth=date(1990, 1, 2), sex="F"
    )
    assert changed == ["family_name", "date_of_birth", "sex"]
    entry = Entry.objects.get(act="person.edited")
    assert entry.details == {"fields": changed}
    assert person.family_name == "Dough"


def test_a_booking_is_corrected() -> None:
    booking = BookingFactory(charge="Theft")
    changed = services.edit_booking(
        by=clerk(), booking=booking, booked_on=None, height_in=70, weight_lb=None, charge="Theft", disposition="Fined"
    )
    assert changed == ["height_in", "disposition"]
    assert (booking.height_in, booking.disposition) == (70, "Fined")


def test_dates_in_the_future_and_unknown_sexes_are_refused() -> None:
    person = PersonFactory()
    soon = timezone.localdate() + timedelta(days=2)
    for born, sex in ((soon, ""), (None, "Q")):
        with pytest.raises(BadInput):
            services.edit_person(by=clerk(), person=person, family_name="", given_names="", date_of_birth=born, sex=sex)
