"""Whatever is done to an index and wherever it is killed, it holds what it was told or says that it does not."""

import errno
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mugsearch.engine.index import FILE, FaceIndex, Filter, IndexDamaged
from mugsearch.engine.segments import IndexFile
from mugsearch.errors import Unavailable
from tests.engine.galleries import SMALL, Held, brute_force, dying, filled, held_of, put, reopened, vectors
from tests.engine.test_index import FILTERS


class Life(RuleBasedStateMachine):
    """`held` is what PostgreSQL would hold, `log` the changes that led to it; the index has to follow."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(mkdtemp(prefix="mugsearch-life-"))
        self.index = FaceIndex.create(self.folder / "index", dimension=16, encoder="e", rows=SMALL)
        self.held: Held = {}
        self.log: list[tuple[Held, list[int]]] = []
        self.seed = 0

    def teardown(self) -> None:
        self.index.close()
        shutil.rmtree(self.folder)

    def _next(self, count: int, drops: int) -> None:
        """A change of PostgreSQL: new ids, some of the old ones again, some gone."""
        self.seed += 1
        comes = held_of(count, self.seed)
        goes = sorted(self.held)[self.seed % 3 :: 3][:drops]
        self.log.append((comes, goes))
        for key in goes:
            self.held.pop(key, None)
        self.held.update(comes)

    def _apply(self) -> None:
        with self.index.change() as change:
            for comes, goes in self.log[change.generation :]:
                change.drop(goes)
                put(change, comes)
            change.generation, change.complete = len(self.log), True

    @rule(count=st.integers(0, 90), drops=st.integers(0, 60))
    def follow(self, count: int, drops: int) -> None:
        self._next(count, drops)
        self._apply()

    @rule(
        count=st.integers(0, 90),
        drops=st.integers(0, 60),
        after=st.integers(0, 60),
        power=st.none() | st.integers(0, 99),
    )
    def die(self, count: int, drops: int, after: int, power: int | None) -> None:
        self._next(count, drops)
        keep = None if power is None else np.random.default_rng(power)
        with pytest.MonkeyPatch.context() as patched, dying(patched, after, keep):
            self._apply()
        self._open()

    @rule()
    def restart(self) -> None:
        self._open()

    def _open(self) -> None:
        """What the search worker does when it starts."""
        self.index.close()
        try:
            self.index = FaceIndex.open(self.folder / "index", dimension=16, encoder="e", rows=SMALL)
        except IndexDamaged:
            self.index = FaceIndex.create(self.folder / "index", dimension=16, encoder="e", rows=SMALL)
            self.log = [({}, []) for _ in self.log[:-1]] + [(dict(self.held), [])]
        self._apply()
        if not self.index.state().whole:
            ids = set(self.index.ids().tolist())
            with self.index.change() as change:
                change.drop(sorted(ids - set(self.held)))
                put(change, {key: value for key, value in self.held.items() if key not in ids})
                change.whole = True

    @precondition(lambda self: self.log)
    @rule(seed=st.integers(0, 1000), k=st.integers(1, 60), where=st.none() | FILTERS)
    def search(self, seed: int, k: int, where: Filter | None) -> None:
        probe = vectors(1, seed)[0]
        found = self.index.search(probe, k, where=where)
        assert found.hits == brute_force(self.held, probe, k, where)
        assert (found.generation, found.live) == (len(self.log), len(self.held))

    @invariant()
    def holds_what_it_was_told(self) -> None:
        if hasattr(self, "index"):
            assert self.index.ids().tolist() == sorted(self.held)


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestAnIndexFollowsItsGalleryThroughAnyLifeAndDeath = Life.TestCase


def test_a_writer_killed_anywhere_leaves_an_index_that_can_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every single write and fsync of a change, not only where chance leads."""
    before, comes = held_of(110), held_of(40, seed=5)  # the second segment is begun
    goes = [key for key in sorted(before)[:20] if key not in comes]
    after = 0
    while True:
        index = filled(tmp_path / str(after), before)
        with dying(monkeypatch, after) as made, index.change() as change:
            put(change, comes)
            change.drop(goes)
            change.generation = 2
        finished = made[0] < after
        index = reopened(index, tmp_path / str(after))
        assert index.state().generation in (1, 2)
        with index.change() as change:  # the log is read again from there, and ids compared if rows were lost
            put(change, comes)
            change.drop(goes)
            if not change.whole:
                put(change, {key: value for key, value in before.items() if key not in comes and key not in goes})
                change.whole = True
        held = {key: value for key, value in (before | comes).items() if key not in goes}
        probe = vectors(1, 3)[0]
        assert index.search(probe, 60).hits == brute_force(held, probe, 60)
        with index.change() as change:
            change.drop(list(held))
        data = (tmp_path / str(after) / FILE).read_bytes()
        assert not [row for row, _ in (before | comes).values() if row.tobytes() in data]
        index.close()
        shutil.rmtree(tmp_path / str(after))
        if finished:
            break
        after += 1
    assert after > 20  # there were that many places to die


def test_a_reader_sees_all_of_a_change_or_nothing_wherever_its_writer_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while another process looks the file through, and when both changes have the same generation."""
    before = held_of(110)
    comes, goes = held_of(40, seed=5), sorted(before)[:20]
    held = {key: value for key, value in before.items() if key not in goes} | comes
    probe, refused, seen, after = vectors(1, 3)[0], 0, [], 0
    lists = [brute_force(before, probe, 60), brute_force(held, probe, 60)]
    while True:
        folder = tmp_path / str(after)
        index = filled(folder, before)
        reader = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
        with dying(monkeypatch, after) as made, index.change() as change:
            change.drop(goes)
            put(change, comes)
        for _ in range(2):
            try:
                seen.append(lists.index(reader.search(probe, 60).hits))
            except IndexDamaged:
                refused += 1
            with monkeypatch.context() as patched:  # another process begins to check, and gets no further
                patched.setattr(IndexFile, "damaged", _stop)
                with pytest.raises(InterruptedError):
                    FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
        for one in (index, reader):
            one.close()
        shutil.rmtree(folder)
        if made[0] < after:
            break
        after += 1
    assert (set(seen), refused > 5) == ({0, 1}, True)


def _stop(*_: Any) -> None:
    raise InterruptedError


@pytest.mark.parametrize("region", ["ids", "codes", "vectors", "sums"])
def test_what_a_failing_change_had_written_is_overwritten(
    region: str, saved: tuple[Path, Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure comes between two regions of the same rows; what is not in the gallery is nowhere in the file."""
    folder, held = saved
    index = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
    comes = {key + 5000: value for key, value in held_of(100, seed=8).items()}
    write = IndexFile.write

    def interrupted(self: IndexFile, name: str, slots: Any, values: Any) -> None:
        write(self, name, slots, values)
        if name == region:
            raise KeyboardInterrupt

    def enrol() -> None:
        with monkeypatch.context() as patched, index.change() as change:
            patched.setattr(IndexFile, "write", interrupted)
            put(change, comes)

    with pytest.raises(KeyboardInterrupt):
        enrol()
    with pytest.raises(IndexDamaged, match="opened anew"):
        index.search(vectors(1, 5)[0], 5)
    index = reopened(index, folder)
    with index.change() as change:
        change.drop(list(comes))
        put(change, held)
        change.whole = True
    data = (folder / FILE).read_bytes()
    assert not [key for key, (row, _) in comes.items() if row.tobytes() in data]
    assert index.search(vectors(1, 5)[0], 50).hits == brute_force(held, vectors(1, 5)[0], 50)


def test_a_row_that_a_power_cut_left_there_twice_is_listed_once(
    saved: tuple[Path, Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new row had reached the disk, the zeros over the old one had not."""
    folder, held = saved
    key = min(held)
    index = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)

    def cut_off(*_: Any) -> None:
        raise InterruptedError

    def power_cut() -> None:
        with monkeypatch.context() as patched, index.change() as change:
            patched.setattr(IndexFile, "zero", lambda *_: None)
            patched.setattr(IndexFile, "sync", lambda _: None)
            header = IndexFile.write_header
            patched.setattr(IndexFile, "write_header", lambda *told: header(*told) if told[1]["torn"] else cut_off())
            put(change, {key: held[key]})

    with pytest.raises(InterruptedError):
        power_cut()
    index = reopened(index, folder)
    with index.change() as change:
        put(change, {one: value for one, value in held.items() if one not in index.ids()})
        change.whole = True
    assert index.ids().tolist() == sorted(held)
    assert index.search(held[key][0], 50).hits == brute_force(held, held[key][0], 50)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Held]:
    held = held_of(300)
    filled(tmp_path / "index", held).close()
    return tmp_path / "index", held


def _flip(file: Path, place: int) -> None:
    with file.open("r+b") as stream:
        stream.seek(place)
        byte = stream.read(1)[0]
        stream.seek(place)
        stream.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("region", ["ids", "scales", "errors", "facts", "codes", "vectors", "sums"])
@pytest.mark.parametrize("segment", [0, 1, 2])
def test_a_flipped_bit_costs_a_block_of_rows_and_never_gives_a_wrong_list(
    region: str, segment: int, saved: tuple[Path, Held]
) -> None:
    folder, held = saved
    file = IndexFile(folder, 16, rows=SMALL)
    _flip(folder / FILE, 4096 + segment * file.segment.itemsize + file.segment.fields[region][1])
    file.close()
    index = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
    assert 0 < index.lost <= 64
    left = index.ids().tolist()
    assert len(left) + index.lost == len(held)
    probe = vectors(1, 5)[0]
    with pytest.raises(IndexDamaged, match="put back"):
        index.search(probe, 50)
    index = reopened(index, folder)
    assert (index.lost, index.state().whole) == (0, False)  # not forgotten by a restart
    with index.change() as change:
        put(change, {key: value for key, value in held.items() if key not in left})
        change.whole = True
    assert index.search(probe, 50).hits == brute_force(held, probe, 50)
    assert reopened(index, folder).lost == 0


def test_a_reader_gives_no_list_without_the_rows_that_another_process_has_cleared(saved: tuple[Path, Held]) -> None:
    folder, held = saved
    reader = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
    file = IndexFile(folder, 16, rows=SMALL)
    _flip(folder / FILE, 4096 + file.segment.fields["codes"][1])
    file.close()
    FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL).close()
    with pytest.raises(IndexDamaged, match="put back"):
        reader.search(held[min(held)][0], 5)


def _shorter(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)


def _torn(file: Path) -> None:
    _flip(file, 40)


def _of_the_previous_version(file: Path) -> None:
    file.write_bytes(b"MUGIDX01" + bytes(20_000))


@pytest.mark.parametrize(
    "damage", [Path.unlink, _shorter, _torn, _of_the_previous_version, lambda file: file.write_bytes(b"")]
)
def test_a_file_that_cannot_be_the_index_is_refused(damage: Any, saved: tuple[Path, Held]) -> None:
    folder, _ = saved
    damage(folder / FILE)
    with pytest.raises(IndexDamaged):
        FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)


@pytest.mark.parametrize("other", [{"encoder": "another"}, {"dimension": 8}, {"rows": 64}])
def test_the_index_of_another_encoder_is_refused(other: dict[str, Any], saved: tuple[Path, Held]) -> None:
    with pytest.raises(IndexDamaged):
        FaceIndex.open(saved[0], **{"dimension": 16, "encoder": "e", "rows": SMALL} | other)


def test_a_full_disk_loses_nothing_and_is_over_when_there_is_room(
    saved: tuple[Path, Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, held = saved
    index = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def enrol() -> None:
        with monkeypatch.context() as patched, index.change() as change:
            patched.setattr(os, "posix_fallocate", full)
            put(change, held_of(200, seed=8))

    with pytest.raises(Unavailable, match="No space left"):
        enrol()
    probe = vectors(1, 5)[0]
    assert index.search(probe, 50).hits == brute_force(held, probe, 50)
    with index.change() as change:
        put(change, held_of(200, seed=8))
    assert reopened(index, folder).lost == 0


def test_an_erased_index_is_overwritten_before_it_is_removed(tmp_path: Path) -> None:
    filled(tmp_path / "index", held_of(50)).close()
    other_name = tmp_path / "kept"
    other_name.hardlink_to(tmp_path / "index" / FILE)
    FaceIndex.erase(tmp_path / "index")
    assert not (tmp_path / "index").exists()
    assert not any(other_name.read_bytes())


def test_what_was_dropped_is_in_no_byte_of_the_file(saved: tuple[Path, Held]) -> None:
    folder, held = saved
    gone = sorted(held)[::7]
    index = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
    kept = {key: row.tobytes() for key, (row, _) in held.items()}
    assert all(kept[key] in (folder / FILE).read_bytes() for key in gone)
    with index.change() as change:
        change.drop(gone)
    data = (folder / FILE).read_bytes()
    assert not [key for key in gone if kept[key] in data]
    assert all(kept[key] in data for key in held if key not in gone)


def test_a_drop_that_does_not_reach_the_disk_is_no_success(
    saved: tuple[Path, Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, held = saved
    index = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
    zero = IndexFile.zero
    monkeypatch.setattr(IndexFile, "zero", lambda self, slots: zero(self, slots[1:]))
    with pytest.raises(Unavailable, match="still holds"), index.change() as change:
        change.drop(sorted(held)[:3])
