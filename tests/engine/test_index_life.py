"""Whatever is done to an index and wherever it is killed, it holds what it was told or says that it does not."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mugsearch.engine.index import FILE, FaceIndex, IndexDamaged
from mugsearch.engine.segments import IndexFile
from mugsearch.errors import Unavailable
from tests.engine.galleries import SMALL, Held, brute_force, dying, filled, held_of, put, reopened, vectors
from tests.engine.test_index import FILTERS, Asked


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

    @precondition(lambda self: self.log)
    @rule(seed=st.integers(0, 1000), k=st.integers(1, 60), asked=st.none() | FILTERS)
    def search(self, seed: int, k: int, asked: Asked | None) -> None:
        probe = vectors(1, seed)[0]
        found = self.index.search(probe, k, where=asked and asked.where)
        assert found.hits == brute_force(self.held, probe, k, asked and asked.passes)
        assert (found.generation, found.live) == (len(self.log), len(self.held))

    @invariant()
    def holds_what_it_was_told(self) -> None:
        if hasattr(self, "index"):
            assert self.index.ids().tolist() == sorted(self.held)


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestAnIndexFollowsItsGalleryThroughAnyLifeAndDeath = Life.TestCase


def test_a_writer_killed_anywhere_leaves_all_of_its_change_or_nothing_or_an_index_to_be_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every single write and fsync of a change, with a reader that had the index open before."""
    before, comes = held_of(110), held_of(40, seed=5)  # the second segment is begun
    goes = [key for key in sorted(before)[:20] if key not in comes]
    held = {key: value for key, value in before.items() if key not in goes} | comes
    probe, seen, after = vectors(1, 3)[0], [], 0
    lists = [brute_force(before, probe, 60), brute_force(held, probe, 60)]
    while True:
        folder = tmp_path / str(after)
        index = filled(folder, before)
        reader = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
        with dying(monkeypatch, after) as made, index.change() as change:
            change.drop(goes)
            put(change, comes)
        answers = []
        for restarted in (False, True):
            try:
                looking = reopened(index, folder) if restarted else reader
                answers.append(lists.index(looking.search(probe, 60).hits))
            except IndexDamaged:
                answers.append(-1)
        assert answers[0] == answers[1]
        seen.append(answers[0])
        FaceIndex.create(folder, dimension=16, encoder="e", rows=SMALL)
        data = (folder / FILE).read_bytes()
        assert not [row for row, _ in (before | comes).values() if row.tobytes() in data]
        shutil.rmtree(folder)
        if made[0] < after:
            break
        after += 1
    assert (seen[0], seen[-1], set(seen), after > 20) == (0, 1, {0, 1, -1}, True)


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
    for use in (lambda: index.search(vectors(1, 5)[0], 5), index.state, index.check, enrol):
        with pytest.raises(IndexDamaged, match="died"):
            use()
    index.close()
    data = (folder / FILE).read_bytes()
    index = filled(folder, held)
    after = (folder / FILE).read_bytes()
    for key, (row, _) in comes.items():
        assert (row.tobytes() in data) >= (row.tobytes() in after), key
        assert row.tobytes() not in after
    assert index.search(vectors(1, 5)[0], 50).hits == brute_force(held, vectors(1, 5)[0], 50)


@pytest.mark.parametrize("call", ["pwrite", "fsync", "posix_fallocate", "preadv"])
def test_an_error_of_the_disk_never_leaves_half_a_change(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each call in turn, and the same object goes on being used."""
    before, comes = held_of(110), {key + 5000: value for key, value in held_of(40, seed=5).items()}
    goes, probe = sorted(before)[:20], vectors(1, 3)[0]
    held = {key: value for key, value in before.items() if key not in goes} | comes
    lists = [brute_force(before, probe, 60), brute_force(held, probe, 60)]
    real, fails = getattr(os, call), 0
    while True:
        index, calls = filled(tmp_path / str(fails), before), [0]

        def failing(*given: Any, fails: int = fails, calls: list[int] = calls) -> Any:
            calls[0] += 1
            if calls[0] > fails:
                raise OSError(errno.EIO, "Input/output error")
            return real(*given)

        with monkeypatch.context() as patched, suppress(IndexDamaged, Unavailable), index.change() as change:
            patched.setattr(os, call, failing)
            change.drop(goes)
            put(change, comes)
        with suppress(IndexDamaged):
            assert index.search(probe, 60).hits in lists
        index.close()
        shutil.rmtree(tmp_path / str(fails))
        if calls[0] <= fails:
            break
        fails += 1
    assert fails > 0


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


REGIONS = ["ids", "scales", "errors", "facts", "codes", "vectors", "sums"]


def _place(folder: Path, region: str, segment: int = 0) -> int:
    file = IndexFile(folder, 16, rows=SMALL)
    file.close()
    return 4096 + segment * file.segment.itemsize + (file.segment.fields or {})[region][1]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("segment", [0, 1, 2])
def test_a_flipped_bit_is_noticed(region: str, segment: int, saved: tuple[Path, Held]) -> None:
    folder, _ = saved
    _flip(folder / FILE, _place(folder, region, segment))
    with pytest.raises(IndexDamaged, match="as it was written"):
        FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)


@pytest.mark.parametrize("region", REGIONS)
def test_a_change_gives_no_new_digest_to_rows_that_were_damaged_meanwhile(
    region: str, saved: tuple[Path, Held]
) -> None:
    folder, held = saved
    index = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
    _flip(folder / FILE, _place(folder, region))
    touched = index.ids()[np.isin(index.ids(), list(held)[:64])]
    with pytest.raises(IndexDamaged, match="as it was written"), index.change() as change:
        change.drop(touched)
    for use in (index.check, index.state, lambda: index.search(vectors(1, 5)[0], 5)):
        with pytest.raises(IndexDamaged, match="found damaged"):
            use()


def test_a_block_of_another_place_is_noticed_by_a_change_elsewhere(saved: tuple[Path, Held]) -> None:
    """Else the change would write a digest of all, the misplaced block included."""
    folder, held = saved
    index = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
    _copy_a_segment(folder / FILE, folder)
    with pytest.raises(IndexDamaged, match="as it was written"), index.change() as change:
        change.drop(list(held)[-1:])  # in the last segment


def _zero_a_block(file: Path, folder: Path) -> None:
    with file.open("r+b") as stream:
        for region, width in {"ids": 8, "scales": 4, "errors": 4, "facts": 15, "codes": 16, "vectors": 64}.items():
            stream.seek(_place(folder, region) + width * 64)
            stream.write(bytes(width * 64))
        stream.seek(_place(folder, "sums") + 32)
        stream.write(bytes(32))


def _copy_a_segment(file: Path, folder: Path) -> None:
    first, second = _place(folder, "ids"), _place(folder, "ids", 1)
    with file.open("r+b") as stream:
        stream.seek(first)
        segment = stream.read(second - first)
        stream.write(segment)


def _zero_a_segment(file: Path, folder: Path) -> None:
    size = file.stat().st_size
    os.truncate(file, _place(folder, "ids", 2))
    os.truncate(file, size)


@pytest.mark.parametrize("damage", [_zero_a_block, _copy_a_segment, _zero_a_segment])
def test_a_block_in_the_place_of_another_is_noticed_though_its_own_digest_is_right(
    damage: Any, saved: tuple[Path, Held]
) -> None:
    folder, _ = saved
    damage(folder / FILE, folder)
    with pytest.raises(IndexDamaged, match="as it was written"):
        FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)


def test_rows_of_one_time_under_a_header_of_another_are_noticed(saved: tuple[Path, Held]) -> None:
    folder, held = saved
    old = (folder / FILE).read_bytes()
    index = FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)
    with index.change() as change:
        change.drop(sorted(held)[:3])
    new = (folder / FILE).read_bytes()
    index.close()
    for mixed in (old[:4096] + new[4096:], new[:4096] + old[4096:]):
        (folder / FILE).write_bytes(mixed)
        with pytest.raises(IndexDamaged, match="as it was written"):
            FaceIndex.open(folder, dimension=16, encoder="e", rows=SMALL)


def test_an_index_that_cannot_be_made_leaves_no_open_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    opened = len(list(Path("/dev/fd").iterdir()))
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        for _ in range(5):
            with pytest.raises(Unavailable):
                FaceIndex.create(tmp_path / "index", dimension=16, encoder="e")
            with pytest.raises(IndexDamaged):
                FaceIndex.open(tmp_path / "index", dimension=16, encoder="e")
    assert len(list(Path("/dev/fd").iterdir())) == opened


def test_an_index_whose_folder_was_erased_says_so(tmp_path: Path) -> None:
    index = filled(tmp_path / "index", held_of(50))
    FaceIndex.erase(tmp_path / "index")
    for use in (index.state, index.check, lambda: index.search(vectors(1, 5)[0], 5), index.change().__enter__):
        with pytest.raises(IndexDamaged, match="no saved index"):
            use()


def test_dropping_no_id_takes_no_free_place_for_a_row(tmp_path: Path) -> None:
    index = filled(tmp_path / "index", held_of(10))
    for goes in (index.ids()[:2], [0, -1]):
        with index.change() as change:
            change.drop(goes)
    assert (index.state().live, len(index.ids())) == (8, 8)


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
    reopened(index, folder).close()


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


def test_a_change_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    index = filled(tmp_path / "index", held_of(8))
    file = tmp_path / "index" / FILE
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    with index.change():
        pass
    with index.change() as change:
        change.drop([10_000])
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
