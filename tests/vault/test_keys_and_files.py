import os
import subprocess
import sys
from uuid import uuid4

import pytest

from mugsearch import durable
from mugsearch.errors import Unavailable
from mugsearch.vault import services as vault
from mugsearch.vault.keys import KeyDestroyed

SECRET = b"a face " * 100


@pytest.fixture
def owner():
    owner = uuid4()
    vault.create_key(owner)
    return owner


def test_what_is_stored_can_be_read_and_is_not_on_disk_in_plain(owner, settings):
    name = uuid4()
    vault.store_file(owner, name, SECRET)
    assert vault.read_file(owner, name) == SECRET
    written = b"".join(path.read_bytes() for path in settings.VAR.rglob("*") if path.is_file())
    assert b"a face" not in written


def test_a_destroyed_key_makes_everything_of_its_owner_unreadable(owner):
    name = uuid4()
    vault.store_file(owner, name, SECRET)
    sealed = vault.seal(owner, "vector", SECRET)
    vault.destroy_key(owner)
    for read in (lambda: vault.read_file(owner, name), lambda: vault.unseal(owner, "vector", sealed)):
        with pytest.raises(KeyDestroyed):
            read()
    with pytest.raises(KeyDestroyed):
        vault.seal(owner, "vector", SECRET)


def test_destroying_twice_is_no_error(owner):
    vault.destroy_key(owner)
    vault.destroy_key(owner)
    assert not vault.has_key(owner)


def test_creating_a_key_again_does_not_replace_it(owner):
    sealed = vault.seal(owner, "x", SECRET)
    vault.create_key(owner)
    assert vault.unseal(owner, "x", sealed) == SECRET


def test_ciphertext_cannot_be_moved_to_another_record(owner):
    first, second = uuid4(), uuid4()
    vault.store_file(owner, first, SECRET)
    vault.store_file(owner, second, b"other")
    (vault._path(second)).write_bytes(vault._path(first).read_bytes())
    with pytest.raises(Unavailable, match="damaged or was moved"):
        vault.read_file(owner, second)


def test_a_removed_file_is_overwritten_first(owner):
    name = uuid4()
    vault.store_file(owner, name, SECRET)
    kept_open = vault._path(name).open("rb")
    vault.remove_file(name)
    vault.remove_file(name)
    assert not any(kept_open.read())
    with pytest.raises(Unavailable, match="missing"):
        vault.read_file(owner, name)


def test_a_full_disk_is_a_clear_error_and_leaves_no_half_file(owner, monkeypatch, settings):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        vault.store_file(owner, uuid4(), SECRET)
    monkeypatch.undo()
    assert vault.files() == []
    assert not list(settings.VAR.rglob("*.part"))


def test_what_store_file_acknowledged_survives_a_kill(tmp_path):
    """A process writes and is killed with SIGKILL right after the acknowledgement; the file is whole."""
    script = (
        "import os, sys; from pathlib import Path; from mugsearch.durable import write;"
        "write(Path(sys.argv[1]), b'x' * 100_000); print('done', flush=True); os.kill(os.getpid(), 9)"
    )
    target = tmp_path / "deep" / "file"
    done = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, check=False)
    assert done.returncode == -9
    assert done.stdout == b"done\n"
    assert target.read_bytes() == b"x" * 100_000
    assert os.listdir(target.parent) == ["file"]  # noqa: PTH208  names only
