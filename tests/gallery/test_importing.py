"""An import takes every row it can, once, says why it did not take the others, and survives whatever happens."""

import uuid
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError

from mugsearch.audit.models import Entry
from mugsearch.engine import images
from mugsearch.errors import NotAllowed, Unavailable
from mugsearch.gallery import (
    chunks,
    encoding,
    importing,
    suppression,
)
from mugsearch.gallery.models import (
    Booking,
    Encoder,
    GalleryChange,
    ImportRun,
    Person,
    Photo,
    Suppression,
    Template,
)
from mugsearch.vault import services as vault
from tests.factories import AgencyFactory, BookingFactory, PersonFactory, clerk, investigator
from tests.fakes import FakeEncoder, synthetic_photo
from tests.gallery.arrange import (
    assert_the_vault_holds_what_postgresql_says,
    folder_of,
    import_folder,
    people,
    reasons,
    row,
)
from tests.gallery_rows import vector_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]
Several = ImportRun.Several


def one_photo(folder: Path, **more: str) -> ImportRun:
    return import_folder([row("a.png", **more)], folder_of(folder, {"a.png": synthetic_photo(1)}))


def test_a_photo_becomes_a_person_a_booking_an_image_and_a_vector(tmp_path: Path) -> None:
    told = {"booked_on": "2020-01-02", "family_name": "Doe", "given_names": "Jo", "sex": "F", "pose": "Frontal"}
    run = one_photo(tmp_path, **told, height_in="63", weight_lb="145", charge="Theft", disposition="Fined")
    assert (run.state, run.rows, run.rows_done, run.enrolled) == (ImportRun.State.DONE, 1, 1, 1)
    photo = Photo.objects.get()
    booking, person = photo.booking, photo.booking.person
    assert (person.person_id, str(person), person.sex) == ("P-1", "Doe, Jo", "F")
    assert (booking.booking_number, booking.booked_on) == ("B-1", date(2020, 1, 2))
    assert (booking.height_in, booking.weight_lb, booking.charge, booking.disposition) == (63, 145, "Theft", "Fined")
    assert (photo.state, photo.pose, photo.format, photo.trouble) == ("enrolled", "Frontal", "PNG", "")
    stored = images.read_png(vault.read_file(booking.pk, photo.pk))
    assert (stored == images.decode(synthetic_photo(1)).pixels).all()
    template = Template.objects.get()
    face = FakeEncoder().faces(stored)[0]
    assert photo.face == {**face.to_dict(), "box": list(face.box)}
    assert vector_of(template) == pytest.approx(FakeEncoder().embed(stored, face))
    assert GalleryChange.objects.get().template_id == template.pk
    assert 0 <= photo.quality["score"] <= 100


def test_the_same_photo_of_the_same_booking_is_one_photo(tmp_path: Path) -> None:
    rows, photos = people(3, per_person=2)
    folder = folder_of(tmp_path, photos)
    import_folder(rows, folder)
    again = import_folder(rows, folder)
    assert (again.already, again.enrolled) == (6, 0)
    assert (Person.objects.count(), Booking.objects.count(), Photo.objects.count()) == (3, 6, 6)
    assert GalleryChange.objects.count() == 6


def test_a_second_import_does_not_decode_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, photos = people(3)
    import_folder(rows, folder_of(tmp_path, photos))
    monkeypatch.setattr(images, "decode", lambda _: pytest.fail("decoded again"))
    assert import_folder(rows, tmp_path).already == 3


def test_a_row_that_is_twice_in_a_manifest_is_taken_once(tmp_path: Path) -> None:
    copies = {"a.png": synthetic_photo(1), "copy.png": synthetic_photo(1)}
    run = import_folder([row("a.png"), row("a.png"), row("copy.png")], folder_of(tmp_path, copies))
    assert (run.enrolled, run.already, run.rows_done) == (1, 2, 3)


def test_what_is_recorded_stays_and_only_blanks_are_filled(tmp_path: Path) -> None:
    one_photo(tmp_path, family_name="Doe", charge="Theft")
    one_photo(tmp_path, family_name="Other", given_names="Jo", charge="Arson", disposition="Fined")
    assert str(Person.objects.get()) == "Doe, Jo"
    assert (Booking.objects.get().charge, Booking.objects.get().disposition) == ("Theft", "Fined")


def test_every_row_that_can_t_be_taken_has_its_line_and_reason_and_the_rest_goes_in(tmp_path: Path) -> None:
    BookingFactory(booking_number="B-9", person=PersonFactory(person_id="P-9"))
    folder = folder_of(tmp_path, {"a.png": synthetic_photo(1), "b.png": b"no photo", "c.png": synthetic_photo(2)})
    rows = [
        row("a.png"),
        row("b.png", booking="B-2"),
        row("../c.png", booking="B-3"),
        row("none.png", booking="B-4"),
        row("c.png", person="P-1", booking="B-9"),
        row("c.png", person="", booking="B-5"),
        row("c.png", person="P-2", booking="B-1"),
        row("c.png", person="P-2", booking="B-6"),
    ]
    run = import_folder(rows, folder)
    assert (run.enrolled, run.rejected, run.rows_done) == (2, 6, 8)
    assert reasons(run) == {
        3: f"This is not a photograph we can read; send {images.TAKEN}.",
        4: "The photo's name leads out of the folder of photographs.",
        5: "There is no such photo in the folder.",
        6: chunks.SOMEBODY_ELSES,
        7: "person_id is empty.",
        8: chunks.SOMEBODY_ELSES,
    }
    assert not Booking.objects.numbered("B-2", "B-3", "B-4", "B-5").exists()


def test_a_photo_with_no_face_or_several_waits_for_a_clerk(tmp_path: Path) -> None:
    photos = {"none.png": synthetic_photo(1, faces=0), "two.png": synthetic_photo(2, faces=2)}
    run = import_folder([row("none.png"), row("two.png")], folder_of(tmp_path, photos))
    assert (run.waiting, run.enrolled) == (2, 0)
    found = {photo.trouble: len(photo.faces) for photo in Photo.objects.undecided()}
    assert found == {"no_face": 0, "several_faces": 2}
    assert not Template.objects.exists()


@pytest.mark.parametrize(("several", "expected"), [(Several.LARGEST, 0), (Several.CENTRE, 1)])
def test_largest_and_centre_decide_for_several_faces(tmp_path: Path, several: Several, expected: int) -> None:
    """Three tiles in a row, all of one size: the first is the largest, the second lies in the centre."""
    photo = synthetic_photo(5, faces=3, size=(3 * 56 + 8, 80))
    run = import_folder([row("a.png")], folder_of(tmp_path, {"a.png": photo}), several=several)
    assert run.enrolled == 1
    found = Photo.objects.get()
    assert found.face["box"] == found.faces[expected]["box"]
    assert found.trouble == ""


def test_an_expunged_booking_can_t_come_back_in_any_spelling(tmp_path: Path) -> None:
    agency = AgencyFactory()
    Suppression.objects.create(digest=suppression.digest(agency.pk, "B-1"))
    run = import_folder(
        [row("a.png", booking="B-1"), row("a.png", booking="b 1"), row("a.png", booking="B-2")],
        folder_of(tmp_path, {"a.png": synthetic_photo(1)}),
    )
    assert set(reasons(run).values()) == {"This booking was expunged; it can't be imported again."}
    assert [booking.booking_number for booking in Booking.objects.all()] == ["B-2"]
    assert not any(reject.booking_number or reject.photo for reject in run.rejects.all())


def test_a_row_of_a_booking_whose_key_was_lost_is_refused_and_the_others_go_in(tmp_path: Path) -> None:
    one_photo(tmp_path)
    vault.destroy_key(Booking.objects.get().pk)
    folder = folder_of(tmp_path, {"b.png": synthetic_photo(2), "c.png": synthetic_photo(3)})
    run = import_folder([row("b.png"), row("c.png", "P-2", "B-2")], folder)
    assert (run.enrolled, reasons(run)) == (1, {2: chunks.KEY_LOST})


def test_nothing_of_an_expunged_booking_is_written_down_again_whatever_else_is_wrong_with_its_row(
    tmp_path: Path,
) -> None:
    agency = AgencyFactory()
    Suppression.objects.create(digest=suppression.digest(agency.pk, "B-KENNY-7"))
    names = {"booking": "B-KENNY-7", "photo": "B-KENNY-7_DOE_JOHN.png"}
    rows = [row(**names), row(**names, booked_on="31/31/2020"), row("a.png", booking="B-KENNY\u00ad-7")]
    run = import_folder(rows, folder_of(tmp_path, {"a.png": synthetic_photo(1)}), agency=agency)
    unseen = "booking_number holds characters that can't be seen; type it anew."
    assert reasons(run) == {2: chunks.EXPUNGED, 3: chunks.EXPUNGED, 4: unseen}
    kept = str([reject.identity for reject in run.rejects.all()])
    assert "KENNY" not in kept
    assert "DOE" not in kept


def test_another_spelling_of_the_number_is_the_same_booking(tmp_path: Path) -> None:
    photos = {"a.png": synthetic_photo(1), "b.png": synthetic_photo(1, variant=1), "c.png": synthetic_photo(2)}
    rows = [row("a.png", booking="B-00012"), row("b.png", booking="b 00012"), row("c.png", "P-2", "B/00012")]
    run = import_folder(rows, folder_of(tmp_path, photos))
    assert reasons(run) == {4: chunks.SOMEBODY_ELSES}
    again = import_folder([row("a.png", booking="b.00012")], tmp_path)
    assert again.already == 1
    booking = Booking.objects.get()
    assert (booking.booking_number, booking.photos.count()) == ("B-00012", 2)
    with pytest.raises(IntegrityError):
        BookingFactory(booking_number="b.00012")


def test_one_photo_for_two_people_is_refused_and_the_clerk_is_told_where_it_is(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"a.png": synthetic_photo(1), "copy.png": synthetic_photo(1)})
    run = import_folder([row("a.png"), row("a.png", booking="B-2"), row("copy.png", "P-2", "B-3")], folder)
    assert (run.enrolled, run.rejected) == (2, 1)  # another booking of the same person may have it
    again = import_folder([row("a.png", "P-3", "B-4")], folder)
    first, second = run.rejects.get(), again.rejects.get()
    assert first.explained() == "This very photo is in the gallery already, for another person (booking B-2)."
    assert second.held_by is not None
    assert second.held_by.person.person_id == "P-1"
    assert [person.person_id for person in Person.objects.all()] == ["P-1"]
    said = [(reject.reason, reject.identity) for reject in run.rejects.all()]
    assert "B-2" not in str(said)  # so that its expungement has nothing to look for


def test_a_photo_of_another_agency_s_person_is_refused_without_a_word_about_them(tmp_path: Path) -> None:
    one_photo(tmp_path)
    run = import_folder([row("a.png", "P-1", "B-9")], tmp_path, agency=AgencyFactory(code="shelbyville"))
    reject = run.rejects.get()
    assert reject.explained() == chunks.HELD_ELSEWHERE
    assert reject.held_by is None


def test_a_photo_that_was_refused_for_the_wrong_person_can_be_imported_for_the_right_one(tmp_path: Path) -> None:
    one_photo(tmp_path)
    Photo.objects.update(state=Photo.State.REFUSED, refusal=Photo.Refusal.NOT_THE_PERSON)
    assert import_folder([row("a.png", "P-2", "B-2")], tmp_path).enrolled == 1


def test_a_booking_expunged_while_its_photo_was_being_prepared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agency = AgencyFactory()
    announce = chunks._announce

    def expunged_now(*args: Any) -> None:
        Suppression.objects.get_or_create(digest=suppression.digest(agency.pk, "B-1"))
        announce(*args)

    monkeypatch.setattr(chunks, "_announce", expunged_now)
    run = one_photo(tmp_path)
    assert reasons(run) == {2: chunks.EXPUNGED}
    assert not Photo.objects.exists()


def test_the_digest_of_a_purged_booking_depends_on_agency_and_key_but_not_on_spelling(settings: Any) -> None:
    here, there = uuid.uuid4(), uuid.uuid4()
    digest = suppression.digest(here, "B-1")
    assert digest == suppression.digest(here, " b １ ") == suppression.digest(here, "B–1")
    assert digest == suppression.digest(here, "\ufeffB-\u00ad\u200b1\ufe0f")
    assert suppression.digest(here, "2024-1-12") != suppression.digest(here, "2024-11-2")
    assert digest not in {suppression.digest(there, "B-1"), suppression.digest(here, "B-2")}
    settings.MUGSEARCH_MASTER_KEY, settings.VAULT_KEYS = "1" * 64, settings.VAR / "other keys"
    assert digest != suppression.digest(here, "B-1")


def test_only_records_staff_may_import(tmp_path: Path) -> None:
    rows, photos = people(1)
    folder_of(tmp_path, photos)
    with pytest.raises(NotAllowed):
        import_folder(rows, tmp_path, by=investigator())
    assert not ImportRun.objects.exists()
    assert import_folder(rows, tmp_path, by=clerk()).enrolled == 1


def test_a_clerk_who_loses_the_role_stops_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, photos = people(4)
    monkeypatch.setattr(importing, "CHUNK", 2)
    by = clerk()
    announce = chunks._announce

    def and_then_the_role_goes(run: ImportRun, *args: Any) -> None:
        if run.rows_done:
            by.grants.all().delete()
        announce(run, *args)

    monkeypatch.setattr(chunks, "_announce", and_then_the_role_goes)
    with pytest.raises(NotAllowed):
        import_folder(rows, folder_of(tmp_path, photos), by=by)
    assert Photo.objects.count() == 2
    assert ImportRun.objects.get().state == ImportRun.State.FAILED


def test_the_audit_tells_of_every_chunk_with_opaque_ids_only(tmp_path: Path) -> None:
    one_photo(tmp_path, family_name="Zyxwv", charge="Theftish")
    acts = list(Entry.objects.order_by("number").values_list("act", flat=True))
    assert acts == ["import.started", "photos.imported", "import.finished"]
    written = Entry.objects.get(act="photos.imported")
    assert written.details["photos"] == [str(Photo.objects.get().pk)]
    everything = str(list(Entry.objects.values()))
    assert not any(word in everything for word in ("Zyxwv", "Theftish", "a.png", "B-1", "P-1"))


def test_a_full_disk_stops_the_run_keeps_what_is_in_and_leaves_no_stray_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, photos = people(6)
    folder_of(tmp_path / "photos", photos)
    monkeypatch.setattr(importing, "CHUNK", 2)
    store, stored = vault.store_file, []

    def full_at_the_fourth(*args: Any) -> None:
        if len(stored) == 3:
            raise Unavailable("The file can't be stored (No space left on device). Nothing was saved.")
        stored.append(args)
        store(*args)

    monkeypatch.setattr(vault, "store_file", full_at_the_fourth)
    with pytest.raises(Unavailable):
        import_folder(rows, tmp_path / "photos")
    run = ImportRun.objects.get()
    assert (run.state, run.rows_done, run.enrolled) == (ImportRun.State.FAILED, 2, 2)
    assert "No space left" in run.failure
    assert_the_vault_holds_what_postgresql_says()
    monkeypatch.setattr(vault, "store_file", store)
    again = import_folder(rows, tmp_path / "photos")
    assert (again.already, again.enrolled) == (2, 4)


def test_a_picture_no_model_can_take_is_rejected_and_the_rest_goes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faces(self: FakeEncoder, pixels: Any) -> Any:
        raise RuntimeError("a bug in a model")

    rows, photos = people(2)
    monkeypatch.setattr(FakeEncoder, "faces", faces)
    run = import_folder(rows, folder_of(tmp_path, photos))
    assert (run.state, run.rejected) == (ImportRun.State.DONE, 2)


def test_a_busy_decoder_is_waited_for_and_no_photo_is_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mugsearch.gallery import preparing

    decode, calls = images.decode, []

    def busy_twice(data: bytes) -> images.Decoded:
        calls.append(data)
        if len(calls) < 3:
            raise Unavailable("Too many photographs are being read at the moment; try again shortly.")
        return decode(data)

    monkeypatch.setattr(preparing, "_PATIENCE", (0.0, 0.0, 0.0))
    monkeypatch.setattr(images, "decode", busy_twice)
    assert one_photo(tmp_path).enrolled == 1


def test_a_change_of_the_encoder_in_the_middle_leaves_no_vector_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mugsearch.engine import encoders

    class Newer(FakeEncoder):
        name, digest = "fake/newer", "e" * 64

    rows, photos = people(4)
    monkeypatch.setattr(importing, "CHUNK", 4)
    monkeypatch.setitem(encoders.ENCODERS, "newer", lambda _: Newer())
    announce = chunks._announce

    def and_then_another_becomes_active(run: ImportRun, *args: Any) -> None:
        if not Encoder.objects.filter(name="fake/newer").exists():
            newer = encoding.register("newer", state=Encoder.State.PREPARING)
            Encoder.objects.filter(state=Encoder.State.ACTIVE).update(state=Encoder.State.RETIRED)
            Encoder.objects.filter(pk=newer.pk).update(state=Encoder.State.ACTIVE)
        announce(run, *args)

    monkeypatch.setattr(chunks, "_announce", and_then_another_becomes_active)
    run = import_folder(rows, folder_of(tmp_path, photos))
    assert run.enrolled == 4
    assert set(Template.objects.values_list("encoder__name", flat=True)) == {"fake/newer"}


def test_a_minor_whose_birth_and_booking_are_filled_in_by_one_row_is_known_to_be_one(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"a.png": synthetic_photo(1)})
    import_folder([row("a.png")], folder)
    assert Booking.objects.get().under_age is None
    import_folder([row("a.png", date_of_birth="2010-01-01", booked_on="2025-06-01")], folder)
    assert Booking.objects.get().under_age is True


def test_a_row_of_somebody_else_s_booking_keeps_no_name_of_a_file(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"a.png": synthetic_photo(1), "Doe_Jo.png": synthetic_photo(2)})
    run = import_folder([row("a.png"), row("Doe_Jo.png", "P-2", "B-1")], folder)
    reject = run.rejects.get()
    assert (reject.reason, reject.photo, reject.booking_number) == (chunks.SOMEBODY_ELSES, "", "B-1")
