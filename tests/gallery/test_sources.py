"""Names in a manifest never reach outside of their folder or ZIP, and nothing in either can fill memory or hang."""

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest

from mugsearch.errors import BadInput
from mugsearch.gallery import sources
from mugsearch.gallery.sources import Archive, Files, Folder, Missing
from tests.gallery.arrange import zip_of


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """outside/secret.jpg beside photos/, which holds a.jpg, sub/b.jpg and what leads out."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").write_bytes(b"secret")
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    (photos / "a.jpg").write_bytes(b"a")
    (photos / "sub" / "b.jpg").write_bytes(b"b")
    (photos / "link.jpg").symlink_to(photos / "a.jpg")
    (photos / "out.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (photos / "relative.jpg").symlink_to("../outside/secret.jpg")
    (photos / "out").symlink_to(tmp_path / "outside")
    (photos / "loop.jpg").symlink_to(photos / "loop.jpg")
    (photos / "null.jpg").symlink_to("/dev/null")
    os.mkfifo(photos / "fifo.jpg")
    return photos


@pytest.mark.parametrize(
    ("name", "data"), [("a.jpg", b"a"), ("sub/b.jpg", b"b"), ("./a.jpg", b"a"), ("link.jpg", b"a")]
)
def test_photos_in_the_folder_are_read(place: Path, name: str, data: bytes) -> None:
    assert Folder(place).read(name) == data


@pytest.mark.parametrize(
    "name",
    [
        "../outside/secret.jpg",
        "sub/../../outside/secret.jpg",
        "sub/../a.jpg",
        "out.jpg",
        "relative.jpg",
        "out/secret.jpg",
        "loop.jpg",
        "null.jpg",
        "fifo.jpg",
        "/etc/passwd",
        "/dev/zero",
        "C:\\photos\\a.jpg",
        "C:a.jpg",
        "..\\outside\\secret.jpg",
        "sub\\b.jpg",
        "a.jpg\0.png",
        "",
        ".",
        "..",
        "sub",
        "nothing.jpg",
        "a.jpg/b.jpg",
        "x" * 300,
        "~/a.jpg",
    ],
)
def test_names_that_lead_elsewhere_are_refused_with_a_reason(place: Path, name: str) -> None:
    with pytest.raises(Missing) as refused:
        Folder(place).read(name)
    assert str(refused.value).endswith(".")


def test_a_link_swapped_in_at_the_last_moment_leads_nowhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`resolve` is made to say what was true before the swap."""
    monkeypatch.setattr(Path, "resolve", lambda self, **_: self)
    folder = Folder(place)
    for name in ("out.jpg", "out/secret.jpg"):
        with pytest.raises(Missing):
            folder.read(name)


def test_a_file_larger_than_a_photo_is_not_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_BYTES", 3)
    (place / "large.jpg").write_bytes(b"1234")
    with pytest.raises(Missing, match="larger"):
        Folder(place).read("large.jpg")


def archive(tmp_path: Path, data: bytes) -> Archive:
    (tmp_path / "photos.zip").write_bytes(data)
    return Archive(tmp_path / "photos.zip")


def test_photos_in_a_zip_are_read_by_their_exact_name(tmp_path: Path) -> None:
    found = archive(tmp_path, zip_of({"a.jpg": b"a", "sub/b.jpg": b"b"}))
    assert (found.read("a.jpg"), found.read("sub/b.jpg")) == (b"a", b"b")
    for name in ("A.jpg", "b.jpg", "../a.jpg", "/a.jpg", "sub\\b.jpg", "sub/", ""):
        with pytest.raises(Missing):
            found.read(name)


def test_a_zip_of_one_folder_needs_no_folder_in_the_manifest(tmp_path: Path) -> None:
    found = archive(tmp_path, zip_of({"June/a.jpg": b"a", "June/sub/b.jpg": b"b", "__MACOSX/June/._a.jpg": b""}))
    assert (found.read("a.jpg"), found.read("June/a.jpg"), found.read("sub/b.jpg")) == (b"a", b"a", b"b")


def test_a_bomb_in_a_zip_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_BYTES", 1000)
    data = zip_of({"bomb.jpg": bytes(100_000)})
    with pytest.raises(Missing, match="larger"):
        archive(tmp_path, data).read("bomb.jpg")
    # The declared size is a lie: what is read counts.
    lying = data.replace(struct.pack("<I", 100_000), struct.pack("<I", 900))
    with pytest.raises(Missing):
        archive(tmp_path, lying).read("bomb.jpg")


def test_an_encrypted_a_damaged_and_a_double_member_say_so(tmp_path: Path) -> None:
    encrypted = bytearray(zip_of({"a.jpg": b"a"}))
    encrypted[6] |= 1
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(Missing, match="encrypted"):
        archive(tmp_path, bytes(encrypted)).read("a.jpg")
    damaged = bytearray(zip_of({"a.jpg": os.urandom(1000)}))
    damaged[500] ^= 0xFF
    with pytest.raises(Missing, match="damaged"):
        archive(tmp_path, bytes(damaged)).read("a.jpg")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as double:
        double.writestr("a.jpg", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            double.writestr("a.jpg", b"2")
    with pytest.raises(Missing, match="two photos"):
        archive(tmp_path, out.getvalue()).read("a.jpg")


def test_what_is_no_zip_or_holds_a_monstrous_directory_is_refused(tmp_path: Path) -> None:
    good = zip_of({"a.jpg": b"a"})
    monstrous = bytearray(good)
    struct.pack_into("<I", monstrous, len(good) - 22 + 12, 2**31)
    for data in (b"", b"not a zip", good[:-10], good[30:], bytes(monstrous), b"PK\x05\x06" + bytes(18) + good[:40]):
        with pytest.raises((BadInput, Missing)):
            archive(tmp_path, data).read("a.jpg")


def test_uploaded_files_are_found_by_the_name_they_were_sent_under(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(b"a")
    found = Files(tmp_path, {"a.jpg": "0"})
    assert found.read("a.jpg") == found.read("./a.jpg") == b"a"
    for name in ("0", "names.json", "../0", "b.jpg", "June/a.jpg"):
        with pytest.raises(Missing):
            found.read(name)
