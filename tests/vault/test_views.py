"""What people look at of a stored picture is kept sealed beside it, and goes with it."""

from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings

from mugsearch.errors import Unavailable
from mugsearch.vault import services as vault
from mugsearch.vault.keys import KeyDestroyed

OWNER, NAME = uuid4(), uuid4()


@pytest.fixture(autouse=True)
def stored() -> None:
    vault.create_key(OWNER)
    vault.store_file(OWNER, NAME, b"the picture")


def on_disk() -> list[Path]:
    return [path for path in Path(settings.VAULT_FILES).rglob("*") if path.is_file() and NAME.hex in path.name]


def test_a_view_is_read_back_and_lies_sealed_on_the_disk() -> None:
    assert vault.read_view(OWNER, NAME, "thumb") is None
    vault.store_view(OWNER, NAME, "thumb", b"a small picture")
    assert vault.read_view(OWNER, NAME, "thumb") == b"a small picture"
    assert vault.read_view(OWNER, NAME, "full") is None
    assert len(on_disk()) == 2
    assert not any(b"picture" in path.read_bytes() for path in on_disk())


def test_views_go_with_their_file_and_count_as_it_until_they_are_gone() -> None:
    for kind in vault.VIEWS:
        vault.store_view(OWNER, NAME, kind, b"x")
    on_disk()[0].with_name(NAME.hex).unlink()
    assert vault.has_file(NAME)
    assert not vault.is_whole(NAME)
    assert [name for name, _ in vault.files()].count(NAME) == 1
    vault.remove_file(NAME)
    assert not vault.has_file(NAME)
    assert on_disk() == []


def test_without_the_key_nobody_reads_a_view_and_one_is_no_other() -> None:
    vault.store_view(OWNER, NAME, "thumb", b"x")
    small = on_disk()[0].with_name(f"{NAME.hex}.thumb")
    small.rename(small.with_suffix(".full"))
    with pytest.raises(Unavailable):
        vault.read_view(OWNER, NAME, "full")
    vault.destroy_key(OWNER)
    with pytest.raises(KeyDestroyed):
        vault.read_view(OWNER, NAME, "full")


@pytest.mark.parametrize("length", [0, 1, 11, 12, 40])
def test_a_file_that_was_cut_off_anywhere_is_a_clear_error(length: int) -> None:
    owner = uuid4()
    vault.create_key(owner)
    vault.store_file(owner, owner, b"x" * 100)
    (path,) = Path(settings.VAULT_FILES).glob(f"??/{owner.hex}")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(Unavailable, match="damaged"):
        vault.read_file(owner, owner)
