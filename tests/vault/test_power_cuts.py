"""Power lost at every byte of every write of the key file: no live key is lost, and no dead one revived."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from mugsearch.errors import MugsearchError
from mugsearch.vault import slots
from mugsearch.vault.keys import KeyDestroyed, KeyStore
from mugsearch.vault.master import identity
from mugsearch.vault.slots import EMPTY, SLOT

OLD, NEW = b"m" * 32, b"n" * 32


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on the disk is made up here, byte by byte."""
    monkeypatch.setattr(os, "fsync", int)


@pytest.fixture
def keys(tmp_path: Path) -> dict[UUID, bytes]:
    store = KeyStore(tmp_path, [OLD])
    return {owner: store.create(owner) for owner in (uuid4(), uuid4(), uuid4())}


def cuts(folder: Path, act: Callable[[], object]) -> Iterator[None]:
    """Do `act`, then leave `folder` as it is when the power is lost in each of its writes, for every byte of it: of a
    write the first bytes may be on the disk, or the last."""
    path = folder / "keys"
    base, writes = path.read_bytes() if path.exists() else b"", []
    pwrite = os.pwrite

    def noted(file: int, data: bytes, place: int) -> int:
        writes.append((place, data))
        return pwrite(file, data, place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", noted)
        act()
    assert writes
    for at, (place, data) in enumerate(writes):
        whole = bytearray(base)
        for before, earlier in writes[:at]:
            put(whole, before, earlier)
        for cut in range(len(data) + 1):
            first, last = bytearray(whole), bytearray(whole)
            put(first, place, data[:cut])
            put(last, place + cut, data[cut:])
            for state in (first, last):
                path.write_bytes(state)
                yield


def put(into: bytearray, place: int, data: bytes) -> None:
    if len(into) < place:
        into.extend(bytes(place - len(into)))
    into[place : place + len(data)] = data


def found(store: KeyStore, owner: UUID) -> bytes | None:
    try:
        return store.get(owner)
    except KeyDestroyed:
        return None


def all_of(store: KeyStore, owners: dict[UUID, bytes]) -> dict[UUID, bytes | None]:
    return {owner: found(store, owner) for owner in owners}


def left_in(folder: Path) -> list[bytes]:
    raw = (folder / "keys").read_bytes()[slots.HEADER :]
    return [slot for at in range(0, len(raw), SLOT) if (slot := raw[at : at + SLOT]) != EMPTY]


def test_while_the_file_is_made(tmp_path: Path) -> None:
    for _ in cuts(tmp_path, lambda: KeyStore(tmp_path, [OLD]).written()):
        store = KeyStore(tmp_path, [OLD])
        digest_key, owner = store.digest_key(), uuid4()
        key = store.create(owner)
        again = KeyStore(tmp_path, [OLD])
        assert (again.get(owner), again.digest_key()) == (key, digest_key)


def test_while_a_key_is_created(tmp_path: Path, keys: dict[UUID, bytes]) -> None:
    new = uuid4()
    outcomes = set()
    for _ in cuts(tmp_path, lambda: keys.__setitem__(new, KeyStore(tmp_path, [OLD]).create(new))):
        store = KeyStore(tmp_path, [OLD])
        there = store.has(new)
        outcomes.add(there)
        assert all_of(store, keys) == {**keys, new: keys[new] if there else None}
        another = uuid4()
        key = store.create(another)
        again = KeyStore(tmp_path, [OLD])
        assert all_of(again, keys) == {**keys, new: keys[new] if there else None}
        assert again.get(another) == key
        assert all(slots.is_whole(slot) for slot in left_in(tmp_path)), "what was torn is overwritten"
    assert outcomes == {True, False}


def test_while_a_key_is_destroyed(tmp_path: Path, keys: dict[UUID, bytes]) -> None:
    gone, *kept = keys
    (slot,) = [slot for slot in left_in(tmp_path) if slots.owner_in(slot) == gone.bytes]
    outcomes = set()
    for _ in cuts(tmp_path, lambda: KeyStore(tmp_path, [OLD]).destroy(gone)):
        store = KeyStore(tmp_path, [OLD])
        outcomes.add(found(store, gone))
        assert found(store, gone) in (keys[gone], None)
        assert all(store.get(owner) == keys[owner] for owner in kept)
        store.destroy(gone)
        assert not store.has(gone)
        assert found(KeyStore(tmp_path, [OLD]), gone) is None
        assert all(store.get(owner) == keys[owner] for owner in kept)
        written = (tmp_path / "keys").read_bytes()
        assert not any(slot[at : at + 8] in written for at in range(36, 88)), "no piece of it is left"
    assert outcomes == {keys[gone], None}


def test_while_a_key_of_which_a_rotation_left_two_slots_is_destroyed(
    tmp_path: Path, keys: dict[UUID, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(slots, "wipe", dies_at(1))
        with pytest.raises(KeyboardInterrupt):
            KeyStore(tmp_path, [NEW, OLD]).rotate()
    gone, *kept = keys
    assert len([slot for slot in left_in(tmp_path) if slots.owner_in(slot) == gone.bytes]) == 2
    for _ in cuts(tmp_path, lambda: KeyStore(tmp_path, [NEW, OLD]).destroy(gone)):
        store = KeyStore(tmp_path, [NEW, OLD])
        assert found(store, gone) in (keys[gone], None)
        store.destroy(gone)
        assert found(KeyStore(tmp_path, [NEW, OLD]), gone) is None
        assert not any(slots.owner_in(slot) == gone.bytes for slot in left_in(tmp_path))
        store.rotate()
        assert all(KeyStore(tmp_path, [NEW]).get(owner) == keys[owner] for owner in kept)


def test_while_the_master_key_is_rotated(tmp_path: Path, keys: dict[UUID, bytes]) -> None:
    digest_key = KeyStore(tmp_path, [OLD]).digest_key()
    dead = uuid4()
    KeyStore(tmp_path, [OLD]).create(dead)
    KeyStore(tmp_path, [OLD]).destroy(dead)
    for _ in cuts(tmp_path, lambda: KeyStore(tmp_path, [NEW, OLD]).rotate()):
        assert all_of(KeyStore(tmp_path, [NEW, OLD]), keys) == keys
        KeyStore(tmp_path, [NEW, OLD]).rotate()
        after = KeyStore(tmp_path, [NEW])
        assert all_of(after, keys) == keys
        assert after.digest_key() == digest_key
        assert len(after.written()) == len(keys)
        slots_of_keys = [slots.owner_in(slot) for slot in left_in(tmp_path) if slot[0] == slots.Kind.KEY]
        assert sorted(slots_of_keys) == sorted(owner.bytes for owner in keys), "one slot of each"
        assert not after.has(dead)
        assert_opens_nothing(tmp_path, OLD)


def assert_opens_nothing(folder: Path, master: bytes) -> None:
    assert not any(
        slots.master_in(slot) == identity(master) and slot[0] != slots.Kind.MASTER for slot in left_in(folder)
    )
    store = KeyStore(folder, [master])
    for owner, _ in store.written():
        with pytest.raises(MugsearchError, match="right master key"):
            store.get(owner)


def dies_at(call: int, really: Callable[..., None] = slots.wipe) -> Callable[..., None]:
    """Of what writes to the file: does it, until that call, before which the process dies."""
    calls = iter(range(1, call + 1))

    def act(*args: object) -> None:
        if next(calls) == call:
            raise KeyboardInterrupt
        really(*args)

    return act


@pytest.mark.parametrize("step", ["append", "wipe"])
def test_a_rotation_killed_at_every_batch_loses_nothing_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store = KeyStore(tmp_path, [OLD])
    keys = {owner: store.create(owner) for owner in [uuid4() for _ in range(7)]}
    monkeypatch.setattr("mugsearch.vault.keys.BATCH", 2)
    reached, old, new = 0, OLD, NEW
    for call in range(1, 20):
        try:
            with monkeypatch.context() as patch:
                patch.setattr(slots, step, dies_at(call, getattr(slots, step)))
                KeyStore(tmp_path, [new, old]).rotate()
        except KeyboardInterrupt:
            reached += 1
            both = KeyStore(tmp_path, [new, old])
            assert all_of(both, keys) == keys
            made = uuid4()
            keys[made] = both.create(made)
            both.rotate()
        assert all_of(KeyStore(tmp_path, [new]), keys) == keys
        assert_opens_nothing(tmp_path, old)
        old, new = new, old
    assert reached > 5


def test_a_key_that_a_rotation_moves_while_it_is_looked_up_is_found(
    tmp_path: Path, keys: dict[UUID, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    both, follow = KeyStore(tmp_path, [NEW, OLD]), KeyStore._follow

    def and_then_it_moves(self: KeyStore, file: int) -> None:
        follow(self, file)
        monkeypatch.setattr(KeyStore, "_follow", follow)
        KeyStore(tmp_path, [NEW, OLD]).rotate()

    monkeypatch.setattr(KeyStore, "_follow", and_then_it_moves)
    assert all_of(both, keys) == keys
    assert_opens_nothing(tmp_path, OLD)


def test_while_the_master_key_is_rotated_others_read_create_and_destroy(
    tmp_path: Path, keys: dict[UUID, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    both, only_old = KeyStore(tmp_path, [NEW, OLD]), KeyStore(tmp_path, [OLD])
    gone, *_ = keys
    assert all_of(both, keys) == all_of(only_old, keys) == keys
    made = uuid4()

    rewrap = KeyStore._rewrap

    def and_then_others_work(self: KeyStore, stale: list[int]) -> int:
        done = rewrap(self, stale)
        if made not in keys:
            keys[made] = both.create(made)
            both.destroy(gone)
            with pytest.raises(MugsearchError, match="another master key"):
                only_old.create(uuid4())
        return done

    monkeypatch.setattr("mugsearch.vault.keys.BATCH", 1)
    monkeypatch.setattr(KeyStore, "_rewrap", and_then_others_work)
    KeyStore(tmp_path, [NEW, OLD]).rotate()
    del keys[gone]
    for store in (both, KeyStore(tmp_path, [NEW])):
        assert all_of(store, keys) == keys
        assert found(store, gone) is None
    assert_opens_nothing(tmp_path, OLD)
