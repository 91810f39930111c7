"""The file of keys: what power cuts, other processes, a full disk and a new master key may and may not do to it."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mugsearch.errors import Unavailable
from mugsearch.vault import adoption, slots
from mugsearch.vault.keys import DIGESTS, KeyDestroyed, KeyStore
from mugsearch.vault.slots import HEADER, SLOT

MASTER, NEW = b"m" * 32, b"n" * 32
NEVER = datetime(2000, 1, 1, tzinfo=UTC)


def opened(folder: Path, *master_keys: bytes) -> KeyStore:
    """As another process would."""
    return KeyStore(folder, master_keys or (MASTER,))


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return opened(tmp_path)


def file_in(folder: Path) -> Path:
    return folder / "keys"


def full(*args: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_created_key_is_there_for_everybody_and_stays_the_same(store: KeyStore, tmp_path: Path) -> None:
    owner = uuid4()
    key = store.create(owner)
    assert len(key) == 32
    assert store.create(owner) == store.get(owner) == opened(tmp_path).get(owner) == key
    assert key not in file_in(tmp_path).read_bytes()


def test_slots_never_straddle_a_sector(store: KeyStore, tmp_path: Path) -> None:
    store.create_many(uuid4() for _ in range(5))
    assert HEADER % 512 == 0
    assert 512 % SLOT == 0
    assert (file_in(tmp_path).stat().st_size - HEADER) % SLOT == 0


def test_many_are_created_with_one_wait_for_the_disk(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.written()
    waits: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: waits.append(file) or fsync(file))
    owners = [uuid4() for _ in range(100)]
    store.create_many([*owners, owners[0]])
    assert len(waits) == 1
    assert {owner for owner, _ in store.written()} == set(owners)
    assert len({store.get(owner) for owner in owners}) == 100


def test_a_destroyed_key_is_nowhere_in_the_file_and_in_the_ledger(store: KeyStore, tmp_path: Path) -> None:
    kept, gone = uuid4(), uuid4()
    store.create_many([kept, gone])
    slot = file_in(tmp_path).read_bytes()[-SLOT:]
    before = datetime.now(UTC) - timedelta(seconds=1)
    store.destroy(gone)
    store.destroy(gone)
    written = file_in(tmp_path).read_bytes()
    assert gone.bytes not in written
    assert not any(slot[at : at + 8] in written for at in range(36, 88))
    assert [owner for owner, at in store.destroyed(before) if at >= before] == [gone]
    assert store.destroyed(datetime.now(UTC) + timedelta(hours=1)) == []
    assert (tmp_path / "destroyed").read_text().count(str(gone)) == 1
    assert store.has(kept)
    assert not opened(tmp_path).has(gone)


def _pretend(file: int, data: bytes, place: int) -> int:
    return len(data)


def test_destroying_is_refused_when_the_disk_still_has_the_key(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = uuid4()
    store.create(owner)
    monkeypatch.setattr(slots.os, "pwrite", _pretend)
    with pytest.raises(Unavailable, match="still on disk"):
        store.destroy(owner)
    monkeypatch.undo()
    store.destroy(owner)
    assert not store.has(owner)


def test_what_another_process_destroyed_is_gone_here_at_once(store: KeyStore, tmp_path: Path) -> None:
    owner, other = uuid4(), opened(tmp_path)
    store.create(owner)
    assert other.get(owner)
    store.destroy(owner)
    with pytest.raises(KeyDestroyed):
        other.get(owner)
    assert not other.has(owner)
    assert owner not in dict(other.written())


def test_a_key_cannot_be_given_to_another_owner(store: KeyStore, tmp_path: Path) -> None:
    mine, yours = uuid4(), uuid4()
    store.create(mine)
    slot = slots.unpacked(file_in(tmp_path).read_bytes()[-SLOT:])
    assert slot
    with file_in(tmp_path).open("ab") as file:
        file.write(slots.Slot(slot.kind, slot.created, slot.master, yours, slot.wrapped).packed())
    with pytest.raises(Unavailable, match="unwrapped"):
        store.get(yours)


def test_a_wrong_master_key_opens_and_creates_nothing_and_is_not_called_destroyed(
    store: KeyStore, tmp_path: Path
) -> None:
    owner = uuid4()
    store.create(owner)
    wrong = opened(tmp_path, NEW)
    with pytest.raises(Unavailable, match="right master key") as told:
        wrong.get(owner)
    assert not isinstance(told.value, KeyDestroyed)
    with pytest.raises(Unavailable, match="another master key"):
        wrong.create(uuid4())
    assert wrong.has(owner)
    assert len(wrong.written()) == 1


def test_a_damaged_key_is_not_called_destroyed_and_no_new_one_takes_its_place(store: KeyStore, tmp_path: Path) -> None:
    owner = uuid4()
    store.create(owner)
    raw = bytearray(file_in(tmp_path).read_bytes())
    raw[-60] ^= 1
    file_in(tmp_path).write_bytes(raw)
    for one in (store, opened(tmp_path)):
        with pytest.raises(Unavailable, match="damaged") as told:
            one.get(owner)
        assert not isinstance(told.value, KeyDestroyed)
        with pytest.raises(Unavailable, match="damaged"):
            one.create(owner)
        assert one.has(owner)
    opened(tmp_path).destroy(owner)
    assert not store.has(owner)
    assert owner.bytes not in file_in(tmp_path).read_bytes()


def test_a_file_of_a_newer_version_is_refused_with_a_sentence(store: KeyStore, tmp_path: Path) -> None:
    store.create(uuid4())
    raw = bytearray(file_in(tmp_path).read_bytes())
    raw[16] = 2
    file_in(tmp_path).write_bytes(raw)
    with pytest.raises(Unavailable, match="of version 2; this mugsearch reads 1"):
        opened(tmp_path).get(uuid4())
    assert file_in(tmp_path).read_bytes() == raw


def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path: Path) -> None:
    file_in(tmp_path).write_bytes(b"somebody's file")
    with pytest.raises(Unavailable, match="isn't one"):
        opened(tmp_path).create(uuid4())
    assert file_in(tmp_path).read_bytes() == b"somebody's file"


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_on_a_full_disk_nothing_is_lost_and_the_next_key_fits(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    old, new = uuid4(), uuid4()
    key = store.create(old)
    before = file_in(tmp_path).read_bytes()
    pwrite = os.pwrite

    def becomes_full(file: int, data: bytes, place: int) -> int:
        return pwrite(file, data[:50], place) if len(data) == SLOT else full()

    monkeypatch.setattr(slots.os, call, full if call == "fsync" else becomes_full)
    with pytest.raises(Unavailable, match="No space left"):
        store.create(new)
    monkeypatch.undo()
    assert file_in(tmp_path).read_bytes() == before
    assert not store.has(new)
    assert store.create(new) == opened(tmp_path).get(new)
    assert store.get(old) == key


def test_on_a_full_disk_no_key_is_destroyed_without_a_line_in_the_ledger(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = uuid4()
    store.create(owner)
    monkeypatch.setattr("mugsearch.vault.ledger.os.write", full)
    with pytest.raises(Unavailable, match="can't be destroyed"):
        store.destroy(owner)
    monkeypatch.undo()
    assert store.get(owner)
    assert store.destroyed(NEVER) == []


def test_32_threads_create_keys_and_none_is_lost(store: KeyStore, tmp_path: Path) -> None:
    owners = [[uuid4() for _ in range(5)] for _ in range(32)]
    shared, made = uuid4(), {}

    def work(mine: list[UUID]) -> None:
        for owner in [*mine, shared]:
            made.setdefault(owner, set()).add(store.create(owner))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(keys) == 1 for keys in made.values())
    assert len(made) == 161
    assert {owner: {opened(tmp_path).get(owner)} for owner in made} == made


CHILD = """
import sys
from pathlib import Path
from uuid import UUID
from mugsearch.vault.keys import KeyStore
store = KeyStore(Path(sys.argv[1]), [b"m" * 32])
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    print(UUID(int=number), store.create(UUID(int=number)).hex(), flush=True)
    if number % 3 == 0 and not 130 <= number < 160:
        store.destroy(UUID(int=number))
"""


def child(folder: Path, first: int, last: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, str(folder), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def is_kept(owner: str) -> bool:
    return bool(UUID(owner).int % 3) or 130 <= UUID(owner).int < 160


def test_two_processes_create_and_destroy_while_a_third_reads(store: KeyStore, tmp_path: Path) -> None:
    children = [child(tmp_path, 100, 160), child(tmp_path, 130, 190)]
    told: dict[str, set[str]] = {}
    for one in children:
        for line in one.communicate(timeout=60)[0].splitlines():
            owner, key = line.split()
            told.setdefault(owner, set()).add(key)
            assert store.has(UUID(owner)) == is_kept(owner)
    assert all(one.returncode == 0 for one in children)
    kept = {owner: keys for owner, keys in told.items() if is_kept(owner)}
    assert {owner: {store.get(UUID(owner)).hex()} for owner in kept} == kept
    assert len(store.written()) == len(kept) == 70


def test_what_create_acknowledged_survives_a_kill(store: KeyStore, tmp_path: Path) -> None:
    one = child(tmp_path, 1001, 10**6)
    assert one.stdout
    told = [one.stdout.readline().split() for _ in range(20)]
    one.kill()
    told += [line.split() for line in one.communicate()[0].splitlines() if len(line) == 36 + 1 + 64]
    for owner, key in told[:-1]:
        if is_kept(owner):
            assert store.get(UUID(owner)).hex() == key
    store.create(UUID(int=999))
    assert opened(tmp_path).get(UUID(int=999))


def test_a_file_put_back_from_a_backup_is_read_anew(store: KeyStore, tmp_path: Path) -> None:
    first, second = uuid4(), uuid4()
    key = store.create(first)
    backup = file_in(tmp_path).read_bytes()
    store.create(second)
    store.destroy(first)
    (tmp_path / "restored").write_bytes(backup)
    (tmp_path / "restored").rename(file_in(tmp_path))
    assert store.get(first) == key
    assert not store.has(second)


def test_a_backup_copied_over_the_file_is_read_anew(store: KeyStore, tmp_path: Path) -> None:
    first = uuid4()
    key = store.create(first)
    backup = file_in(tmp_path).read_bytes()
    store.create_many(uuid4() for _ in range(3))
    file_in(tmp_path).write_bytes(backup)
    new = uuid4()
    assert store.create(new) == store.get(new) == opened(tmp_path).get(new)
    assert store.get(first) == key


def test_no_key_is_written_into_a_file_that_was_taken_away(store: KeyStore, tmp_path: Path) -> None:
    store.create(uuid4())
    held = file_in(tmp_path).open("rb")
    fcntl.flock(held, fcntl.LOCK_EX)
    refused: list[Unavailable] = []

    def waits() -> None:
        try:
            store.create(uuid4())
        except Unavailable as error:
            refused.append(error)

    thread = threading.Thread(target=waits)
    thread.start()
    time.sleep(0.2)  # it has the file open and waits for its lock
    file_in(tmp_path).unlink()
    held.close()
    thread.join()
    assert "being replaced" in refused[0].message
    with pytest.raises(Unavailable, match="can't be opened"):
        store.get(uuid4())


def test_a_line_of_the_ledger_that_a_power_cut_tore_counts_for_nothing(store: KeyStore, tmp_path: Path) -> None:
    path, owners = tmp_path / "destroyed", [uuid4(), uuid4()]
    store.create_many(owners)
    for owner in owners:
        store.destroy(owner)
    whole = path.read_bytes()
    (length,) = {len(line) for line in whole.splitlines(keepends=True)}
    after = uuid4()
    for cut in range(length):
        path.write_bytes(whole[: length + cut])
        store.create(after)
        store.destroy(after)
        listed = [owner for owner, _ in store.destroyed(NEVER)]
        assert listed in ([owners[0], after], [*owners, after])
        assert (owners[1] in listed) == (cut == length - 1), "all but the end of the line was there"


def one_per_file(folder: Path, count: int = 3, master: bytes = MASTER) -> dict[UUID, bytes]:
    """As the first form of the store kept them."""
    made = {}
    for _ in range(count):
        owner, key, nonce = uuid4(), AESGCM.generate_key(256), os.urandom(12)
        path = adoption.path(folder, owner)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(nonce + AESGCM(master).encrypt(nonce, key, owner.bytes))
        os.utime(path, (1e9, 1e9))
        made[owner] = key
    return made


def test_files_of_one_key_each_are_taken_over_with_their_times(tmp_path: Path) -> None:
    keys = one_per_file(tmp_path)
    path = adoption.path(tmp_path, next(iter(keys)))
    path.with_name("x.1.part").write_bytes(b"half")
    held = path.open("rb")
    store = opened(tmp_path)
    assert all(store.has(owner) for owner in keys)
    assert {owner: store.get(owner) for owner in keys} == keys
    assert dict(store.written()) == dict.fromkeys(keys, 1e9)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys"]
    assert not any(held.read())


def test_a_killed_take_over_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = one_per_file(tmp_path, 5)
    monkeypatch.setattr("mugsearch.vault.keys.BATCH", 2)
    really = adoption.remove
    for dies_at in (1, 2, 2):
        calls = iter(range(1, 10))

        def remove(found: list[Path], calls: Iterator[int] = calls, dies_at: int = dies_at) -> None:
            if next(calls) == dies_at:
                raise KeyboardInterrupt
            really(found)

        monkeypatch.setattr(adoption, "remove", remove)
        with pytest.raises(KeyboardInterrupt):
            opened(tmp_path).written()
        monkeypatch.setattr(adoption, "remove", really)
    store = opened(tmp_path)
    assert {owner: store.get(owner) for owner in keys} == keys
    assert len(store.written()) == len(keys)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_files_of_another_master_key_are_neither_taken_over_nor_touched(tmp_path: Path) -> None:
    keys = one_per_file(tmp_path)
    for _ in range(2):
        with pytest.raises(Unavailable, match="right master key"):
            opened(tmp_path, NEW).get(next(iter(keys)))
    store = opened(tmp_path)
    assert {owner: store.get(owner) for owner in keys} == keys


def test_a_damaged_file_stays_where_it_is_and_is_not_called_destroyed(tmp_path: Path) -> None:
    keys = one_per_file(tmp_path)
    owner = next(iter(keys))
    adoption.path(tmp_path, owner).write_bytes(b"x" * 60)
    store = opened(tmp_path)
    with pytest.raises(Unavailable, match="unwrapped") as told:
        store.get(owner)
    assert not isinstance(told.value, KeyDestroyed)
    assert store.has(owner)
    assert len(store.written()) == len(keys) - 1
    store.destroy(owner)
    assert not store.has(owner)


def test_the_key_of_digests_is_no_owners_and_stays(store: KeyStore, tmp_path: Path) -> None:
    key = store.digest_key()
    assert store.written() == []
    assert opened(tmp_path).digest_key() == key
    assert store.has(DIGESTS)


def test_a_damaged_key_of_digests_is_not_replaced_by_another_that_knows_no_expunged_booking(tmp_path: Path) -> None:
    opened(tmp_path).create(uuid4())
    opened(tmp_path, NEW, MASTER).rotate()
    raw = bytearray(file_in(tmp_path).read_bytes())
    at = raw.rindex(DIGESTS.bytes)
    raw[at + 40] ^= 1
    file_in(tmp_path).write_bytes(raw)
    with pytest.raises(Unavailable, match="damaged"):
        opened(tmp_path, NEW).digest_key()
    raw[at - 20] = 0  # the slot's first byte, as if it had been half overwritten
    file_in(tmp_path).write_bytes(raw)
    with pytest.raises(KeyDestroyed):
        opened(tmp_path, NEW).digest_key()
