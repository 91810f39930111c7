"""./run manage import_bookings, as a clerk at a terminal meets it."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mugsearch.gallery import chunks
from mugsearch.gallery.models import ImportRun, Photo
from tests.factories import AgencyFactory
from tests.fakes import synthetic_photo
from tests.gallery.arrange import csv_of, folder_of, people, row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """m.csv and photos/ with three people."""
    rows, photos = people(3)
    folder_of(tmp_path / "photos", photos)
    (tmp_path / "m.csv").write_bytes(csv_of(rows))
    return tmp_path


def run(place: Path, *more: str) -> tuple[int, str, str]:
    """(exit status, what was printed, what was said on the side)"""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    try:
        call_command(
            "import_bookings",
            str(place / "m.csv"),
            "--photos",
            str(place / "photos"),
            *more,
            stdout=out,
            stderr=err,
        )
    except SystemExit as end:
        status = int(end.code or 0)
    return status, out.getvalue(), err.getvalue()


def test_everything_goes_in_and_a_second_time_is_nothing_new(place: Path) -> None:
    AgencyFactory()
    status, said, _ = run(place)
    assert status == 0
    assert "3  enrolled" in said
    assert not (place / "m-rejects.csv").exists()
    status, said, _ = run(place)
    assert "3  were here already" in said
    assert Photo.objects.count() == 3


def test_rejects_are_written_with_line_and_reason_and_the_exit_status_says_so(place: Path) -> None:
    AgencyFactory()
    rows, _ = people(1)
    (place / "m.csv").write_bytes(csv_of([*rows, row("=x.png", "P-9", "B-9")]))
    status, said, _ = run(place)
    assert status == 1
    assert str(place / "m-rejects.csv") in said
    lines = (place / "m-rejects.csv").read_text("utf-8-sig").splitlines()
    assert lines == ["line,photo,booking_number,reason", "3,'=x.png,B-9,There is no such photo in the folder."]
    status, said, _ = run(place, "--rejects", str(place / "elsewhere.csv"))
    assert (place / "elsewhere.csv").exists()


def test_the_manifest_is_never_overwritten_by_its_rejects(place: Path) -> None:
    AgencyFactory()
    before = (place / "m.csv").read_bytes()
    with pytest.raises(CommandError, match="over the manifest"):
        run(place, "--rejects", str(place / "m.csv"))
    assert (place / "m.csv").read_bytes() == before


def test_face_decides_for_photos_with_several(place: Path) -> None:
    AgencyFactory()
    folder_of(place / "photos", {"two.png": synthetic_photo(9, faces=2)})
    (place / "m.csv").write_bytes(csv_of([row("two.png")]))
    run(place, "--face", "largest")
    assert Photo.objects.get().state == Photo.State.ENROLLED


def test_the_agency_is_the_only_one_or_has_to_be_named(place: Path) -> None:
    with pytest.raises(CommandError, match="no agency yet"):
        run(place)
    AgencyFactory(code="one")
    AgencyFactory(code="two")
    with pytest.raises(CommandError, match="one, two"):
        run(place)
    with pytest.raises(CommandError, match="no agency three; there is: one, two"):
        run(place, "--agency", "three")
    run(place, "--agency", "two")
    assert {photo.booking.agency.code for photo in Photo.objects.all()} == {"two"}


@pytest.mark.parametrize(
    ("manifest", "says"), [(None, "can't be read"), (b"x,y\n1,2\n", "no column photo"), (b"", "is empty")]
)
def test_a_manifest_that_can_t_be_used_is_one_sentence(place: Path, manifest: bytes | None, says: str) -> None:
    AgencyFactory()
    (place / "m.csv").unlink()
    if manifest is not None:
        (place / "m.csv").write_bytes(manifest)
    with pytest.raises(CommandError, match=says) as error:
        run(place)
    assert error.value.returncode == 2


def test_ctrl_c_keeps_what_is_in_and_says_how_to_go_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AgencyFactory()
    monkeypatch.setattr("mugsearch.gallery.importing.CHUNK", 1)
    announce = chunks._announce

    def interrupted(this: ImportRun, *args: Any) -> None:
        if this.rows_done == 2:
            raise KeyboardInterrupt
        announce(this, *args)

    with monkeypatch.context() as patched:
        patched.setattr(chunks, "_announce", interrupted)
        status, _, aside = run(place)
    assert status == 130
    assert "run the same command again to go on" in aside
    assert Photo.objects.count() == 2
    assert ImportRun.objects.get().state == ImportRun.State.FAILED
    _, said, _ = run(place)
    assert "1  enrolled" in said
    assert "2  were here already" in said
