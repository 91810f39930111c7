"""An import takes every row it can, once, says why it did not take the others, and survives whatever happens."""

import os
import subprocess
import sys
import textwrap
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection
from django.utils import timezone

from mugsearch.accounts.services import console
from mugsearch.audit.models import Entry
from mugsearch.engine import images
from mugsearch.errors import NotAllowed, Unavailable
from mugsearch.gallery import (
    changes,
    chunks,
    encoding,
    importing,
    services,
    suppression,
    tasks,
    vectors,
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
from tests.gallery.arrange import csv_of, folder_of, import_folder, people, reasons, row

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
    assert vectors.unsealed(template) == pytest.approx(FakeEncoder().embed(stored, face))
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
    assert not Booking.objects.filter(booking_number__in=["B-2", "B-3", "B-4", "B-5"]).exists()


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
    assert not run.rejects.exclude(booking_number="").exists()


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
    assert suppression.digest(here, "2024-1-12") != suppression.digest(here, "2024-11-2")
    assert digest not in {suppression.digest(there, "B-1"), suppression.digest(here, "B-2")}
    settings.MUGSEARCH_MASTER_KEY = "1" * 64
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


def assert_the_vault_holds_what_postgresql_says() -> None:
    assert {name for name, _ in vault.files()} == set(Photo.objects.values_list("pk", flat=True))
    keys = {uuid.UUID(path.name) for path in Path(configured.VAULT_KEYS).glob("??/*")}
    assert keys == set(Booking.objects.values_list("pk", flat=True))


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


# --- runs of the worker ------------------------------------------------------------------------


class Upload:
    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.size, self._data = name, len(data), data

    def chunks(self, chunk_size: int | None = None) -> Any:
        yield self._data


def staged(count: int = 6, **kwargs: Any) -> ImportRun:
    from tests.gallery.arrange import zip_of

    rows, photos = people(count)
    upload = Upload("photos.zip", zip_of(photos))
    return services.start_import(
        by=kwargs.pop("by", None) or clerk(), several=Several.ONLY, manifest_file=csv_of(rows), photos=[upload]
    )


def staging_folders() -> list[str]:
    root = Path(configured.STAGING)
    return [path.name for path in root.iterdir()] if root.exists() else []


def test_an_upload_is_staged_closed_to_others_and_gone_when_the_run_ends() -> None:
    run = staged()
    folder = Path(configured.STAGING) / str(run.pk)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (run.state, run.rows) == (ImportRun.State.QUEUED, 6)
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.enrolled) == (ImportRun.State.DONE, 6)
    assert not folder.exists()


def test_an_import_that_was_started_is_handed_to_the_worker(
    queued: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = staged()
    assert queued == [("mugsearch.gallery.tasks.run_import", (str(run.pk),))]


def test_the_same_run_twice_is_one_effect() -> None:
    run = staged()
    importing.run(run.pk)
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.enrolled, run.already, Photo.objects.count()) == (6, 0, 6)


def test_a_run_that_is_alive_is_left_alone_and_a_dead_one_is_found(queued: list[Any]) -> None:
    run = staged()
    runs = ImportRun.objects.filter(pk=run.pk)
    runs.update(state=ImportRun.State.RUNNING, alive_at=timezone.now(), runner=uuid.uuid4())
    tasks.resume()
    importing.run(run.pk)
    assert not queued
    assert not Photo.objects.exists()
    runs.update(alive_at=timezone.now() - timedelta(seconds=61))
    tasks.resume()
    assert queued == [("mugsearch.gallery.tasks.run_import", (str(run.pk),))]
    importing.run(run.pk)
    run.refresh_from_db()
    assert run.enrolled == 6


def test_a_run_that_waits_is_nudged_once_a_minute(queued: list[Any]) -> None:
    run = staged()
    tasks.resume()
    assert not queued  # its own message is on its way
    ImportRun.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(seconds=20))
    tasks.resume()
    tasks.resume()
    assert len(queued) == 1


def test_who_was_thought_dead_can_t_write_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    run = staged(4)
    monkeypatch.setattr(importing, "CHUNK", 2)
    announce = chunks._announce
    theirs, their_booking = uuid.uuid4(), uuid.uuid4()

    def taken_over_at_the_second_chunk(this: ImportRun, runner: uuid.UUID, *args: Any) -> None:
        announce(this, runner, *args)
        if this.rows_done == 2:  # and the other worker is in the middle of a chunk, too
            vault.create_key(their_booking)
            vault.store_file(their_booking, theirs, b"not committed yet")
            in_flight = {"photos": [str(theirs)], "bookings": [str(their_booking)]}
            ImportRun.objects.filter(pk=this.pk).update(runner=uuid.uuid4(), unwritten=in_flight)

    monkeypatch.setattr(chunks, "_announce", taken_over_at_the_second_chunk)
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.rows_done, Photo.objects.count()) == (ImportRun.State.RUNNING, 2, 2)
    assert staging_folders() == [str(run.pk)]
    assert vault.read_file(their_booking, theirs) == b"not committed yet"
    vault.remove_file(theirs)
    vault.destroy_key(their_booking)
    assert_the_vault_holds_what_postgresql_says()


def test_a_full_disk_pauses_the_worker_s_run_and_it_goes_on_by_itself(
    monkeypatch: pytest.MonkeyPatch, queued: list[Any]
) -> None:
    run = staged()
    store = vault.store_file

    def full(*args: Any) -> None:
        raise Unavailable("The file can't be stored (No space left on device). Nothing was saved.")

    monkeypatch.setattr(vault, "store_file", full)
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.rows_done) == (ImportRun.State.QUEUED, 0)
    assert "No space" in run.failure
    monkeypatch.setattr(vault, "store_file", store)
    ImportRun.objects.filter(pk=run.pk).update(alive_at=timezone.now() - timedelta(seconds=61))
    tasks.resume()
    assert len(queued) == 1
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.enrolled, run.failure) == (ImportRun.State.DONE, 6, "")


def test_a_row_that_kills_every_worker_ends_the_run_visibly(monkeypatch: pytest.MonkeyPatch) -> None:
    run = staged()

    def killed(*args: Any, **kwargs: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(importing._Attempt, "_go_on", killed)
    for _ in range(importing.TRIES):
        with pytest.raises(SystemExit):
            importing.run(run.pk)
        ImportRun.objects.filter(pk=run.pk).update(alive_at=timezone.now() - timedelta(seconds=61))
    importing.run(run.pk)
    run.refresh_from_db()
    assert run.state == ImportRun.State.FAILED
    assert "stopped 3 times" in run.failure
    assert not staging_folders()


def test_a_run_of_a_command_that_died_is_ended_with_advice(tmp_path: Path) -> None:
    run = one_photo(tmp_path)
    long_ago = timezone.now() - timedelta(seconds=61)
    ImportRun.objects.filter(pk=run.pk).update(state=ImportRun.State.RUNNING, alive_at=long_ago)
    tasks.resume()
    run.refresh_from_db()
    assert (run.state, run.failure) == (ImportRun.State.FAILED, importing.INTERRUPTED)


def test_uploads_of_processes_that_died_are_swept_away(queued: list[Any]) -> None:
    run = staged()
    root = Path(configured.STAGING)
    (root / str(uuid.uuid4())).mkdir()
    old = root / str(uuid.uuid4())
    old.mkdir()
    os.utime(old, (0, 0))
    tasks.resume()
    assert len(staging_folders()) == 2
    assert str(run.pk) in staging_folders()


KILLED = """
    import os, signal, sys
    import django
    django.setup()
    from pathlib import Path
    from mugsearch.accounts.models import Agency
    from mugsearch.engine import encoders
    from mugsearch.gallery import changes, importing, manifest, sources
    from mugsearch.gallery.models import Photo, ImportRun
    from mugsearch.accounts.services import console
    from mugsearch.vault import services as vault
    from tests.fakes import FakeEncoder
    from django.conf import settings

    encoders.ENCODERS["fake"] = lambda argument: FakeEncoder()
    settings.MUGSEARCH_ENCODER = "fake"
    importing.CHUNK = 4
    where = sys.argv[1]
    module, name = {"file": (vault, "store_file"), "change": (changes, "put"), "end": (importing, "_end")}[where]
    real, calls = getattr(module, name), []

    def deadly(*args, **kwargs):
        calls.append(1)
        if len(calls) == {"file": 6, "change": 2, "end": 1}[where]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(module, name, deadly)
    if len(sys.argv) > 2:
        importing.run(sys.argv[2])
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("where", "in_before"), [("file", 4), ("change", 4), ("end", 10)])
def test_a_worker_killed_at_any_point_loses_nothing_and_doubles_nothing(
    where: str, in_before: int, tmp_path: Path, settings: Any
) -> None:
    run = staged(10)
    database = connection.settings_dict
    url = (
        f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    )
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), where, str(run.pk)],
        env={
            **os.environ,
            "DATABASE_URL": url,
            "MUGSEARCH_VAR": str(settings.VAR),
            "DJANGO_SETTINGS_MODULE": "mugsearch.settings",
            "SECRET_KEY": "x",
            "MUGSEARCH_MASTER_KEY": settings.MUGSEARCH_MASTER_KEY,
        },
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    run.refresh_from_db()
    assert (run.state, run.rows_done, Photo.objects.count()) == (ImportRun.State.RUNNING, in_before, in_before)
    ImportRun.objects.filter(pk=run.pk).update(alive_at=timezone.now() - timedelta(seconds=61))
    importing.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.rows_done, run.enrolled, run.already) == (ImportRun.State.DONE, 10, 10, 0)
    assert (Photo.objects.count(), Template.objects.count()) == (10, 10)
    assert [change.number for change in GalleryChange.objects.all()] == list(range(1, 11))
    assert changes.latest() == 10
    assert_the_vault_holds_what_postgresql_says()
    for photo in Photo.objects.all():
        images.read_png(vault.read_file(photo.booking_id, photo.pk))
    assert not staging_folders()


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_the_same_rows_at_once_take_each_photo_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, photos = people(12, per_person=2)
    folder_of(tmp_path, photos)
    monkeypatch.setattr(importing, "CHUNK", 3)
    by, agency = console(), AgencyFactory()
    encoding.active()
    store = chunks._store

    def slowly(*args: Any) -> Any:
        time.sleep(0.1)  # wide enough for the other one's transaction to fall into
        return store(*args)

    monkeypatch.setattr(chunks, "_store", slowly)

    def one(order: int) -> ImportRun:
        try:
            return import_folder(rows[::order], tmp_path, by=by, agency=agency)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as both:
        runs = list(both.map(one, (1, -1)))  # the other one backwards, so that they meet
    assert [run.rows_done for run in runs] == [24, 24]
    assert sum(run.enrolled for run in runs) == sum(run.already for run in runs) == 24
    assert (Person.objects.count(), Booking.objects.count(), Photo.objects.count()) == (12, 24, 24)
    assert [change.number for change in GalleryChange.objects.all()] == list(range(1, 25))
    assert_the_vault_holds_what_postgresql_says()
