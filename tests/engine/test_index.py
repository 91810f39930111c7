"""The index gives what brute force gives, forgets what it is told to forget, and notices a damaged file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mugsearch.engine import index
from mugsearch.engine.index import FaceIndex, Hit, IndexDamaged

_DIMENSION = 8


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _vectors(count: int, seed: int, dimension: int = _DIMENSION, kinds: int | None = None) -> NDArray[np.float32]:
    """Random unit vectors; with `kinds`, only so many different ones, so that scores tie."""
    rows = _unit(np.random.default_rng(seed).standard_normal((kinds or count, dimension)))
    return rows if kinds is None else rows[np.random.default_rng(seed + 1).integers(0, kinds, count)]


def _brute_force(
    held: dict[int, NDArray[np.float32]], probe: NDArray[np.float32], k: int, allowed: list[int] | None = None
) -> list[Hit]:
    scores = {
        key: round(float(vector.astype(np.float64) @ probe.astype(np.float64)), index.DECIMALS) + 0.0
        for key, vector in held.items()
        if allowed is None or key in allowed
    }
    return [Hit(key, score) for key, score in sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]]


def _agree(found: list[Hit], expected: list[Hit]) -> None:
    assert [hit.id for hit in found] == [hit.id for hit in expected]
    assert np.allclose([hit.score for hit in found], [hit.score for hit in expected], atol=2e-6)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 120),
    kinds=st.integers(1, 5),
    k=st.integers(1, 60),
    seed=st.integers(0, 10_000),
    allowed=st.none() | st.lists(st.integers(-5, 200), max_size=40),
)
def test_a_search_equals_brute_force_also_where_scores_tie(
    count: int, kinds: int, k: int, seed: int, allowed: list[int] | None
) -> None:
    vectors = _vectors(count, seed, kinds=kinds)
    keys = np.random.default_rng(seed).permutation(200)[:count]
    faces = FaceIndex(dimension=_DIMENSION, encoder="e")
    faces.put(keys, vectors)
    probe = _vectors(1, seed + 2)[0]
    held = {int(key): vector for key, vector in zip(keys, vectors, strict=True)}
    _agree(faces.search(probe, k, allowed=allowed), _brute_force(held, probe, k, allowed))


def test_the_nearest_of_thousands_are_found_even_when_hundreds_tie() -> None:
    vectors = _vectors(3000, 5, dimension=128, kinds=6)
    faces = FaceIndex(dimension=128, encoder="e")
    faces.put(np.arange(3000)[::-1], vectors)
    held = {2999 - place: vector for place, vector in enumerate(vectors)}
    _agree(faces.search(vectors[0], 50), _brute_force(held, vectors[0], 50))


_acts = st.lists(
    st.tuples(st.sampled_from(["put", "drop"]), st.lists(st.integers(0, 20), max_size=6, unique=True)), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(acts=_acts, seed=st.integers(0, 1000))
def test_after_any_puts_and_drops_it_holds_exactly_what_was_left(acts: list[tuple[str, list[int]]], seed: int) -> None:
    faces = FaceIndex(dimension=_DIMENSION, encoder="e")
    held: dict[int, NDArray[np.float32]] = {}
    for step, (act, keys) in enumerate(acts):
        vectors = _vectors(len(keys), seed + step)
        if act == "put":
            faces.put(keys, vectors)
            held.update(zip(keys, vectors, strict=True))
        else:
            assert faces.drop(keys) == sum(held.pop(key, None) is not None for key in keys)
    assert len(faces) == len(held)
    assert faces.ids().tolist() == sorted(held)
    probe = _vectors(1, seed)[0]
    _agree(faces.search(probe, 30), _brute_force(held, probe, 30))


def test_a_dropped_vector_leaves_no_bytes_in_the_memory_of_the_index() -> None:
    vectors = _vectors(10, 3)
    faces = FaceIndex(dimension=_DIMENSION, encoder="e")
    faces.put(range(10), vectors)
    # A window onto the memory as it is now: dropping lowers FAISS's size but doesn't move the block.
    window = faces._vectors()
    # 8 is moved into the place of 0 before it is dropped itself: its old place must not keep it.
    for key in (9, 0, 8, 4):
        needle = vectors[key].tobytes()
        assert needle in window.tobytes()
        assert faces.drop([key]) == 1
        assert needle not in window.tobytes()
    assert faces._vectors().ctypes.data == window.ctypes.data
    assert vectors[5].tobytes() in window.tobytes()


def test_growing_leaves_no_vector_behind_in_the_memory_given_up() -> None:
    faces = FaceIndex(dimension=_DIMENSION, encoder="e")
    faces.put(range(4), _vectors(4, 1))
    before, kept = faces._vectors(), faces._flat
    faces.put(range(4, 40), _vectors(36, 2))
    assert faces._flat is not kept
    assert not before.any()


@pytest.mark.parametrize(
    ("ids", "vectors"),
    [
        ([1], np.zeros((1, _DIMENSION))),
        ([1], np.full((1, _DIMENSION), np.nan)),
        ([1], np.full((1, _DIMENSION), 5.0)),
        ([1], _vectors(1, 1, dimension=4)),
        ([1, 2], _vectors(1, 1)),
        ([1, 1], _vectors(2, 1)),
        ([1.5], _vectors(1, 1)),
    ],
)
def test_what_is_not_a_face_vector_is_refused_and_changes_nothing(ids: list[int], vectors: NDArray[np.float32]) -> None:
    faces = FaceIndex(dimension=_DIMENSION, encoder="e")
    faces.put([7], _vectors(1, 9))
    with pytest.raises(ValueError):  # noqa: PT011  (the sentence is for developers; the refusal is the promise)
        faces.put(ids, vectors)
    assert faces.ids().tolist() == [7]
    with pytest.raises(ValueError, match="norm"):
        faces.search(np.full(_DIMENSION, 3.0), 1)


def _saved(folder: Path, count: int = 3) -> FaceIndex:
    faces = FaceIndex(dimension=_DIMENSION, encoder="e")
    faces.put(np.arange(count) * 10, _vectors(count, 4))
    faces.generation, faces.mark = 12, "of the twelfth"
    faces.save(folder)
    return faces


def test_a_saved_index_comes_back_whole(tmp_path: Path) -> None:
    faces = _saved(tmp_path)
    again = FaceIndex.load(tmp_path, encoder="e", dimension=_DIMENSION)
    probe = _vectors(1, 8)[0]
    assert (again.generation, again.mark) == (12, "of the twelfth")
    assert again.ids().tolist() == faces.ids().tolist()
    assert again.search(probe, 3) == faces.search(probe, 3)
    FaceIndex(dimension=_DIMENSION, encoder="e").save(tmp_path)
    assert len(FaceIndex.load(tmp_path, encoder="e", dimension=_DIMENSION)) == 0
    assert [file.name for file in tmp_path.iterdir()] == [index.FILE]


def test_a_flipped_bit_anywhere_in_the_file_is_noticed(tmp_path: Path) -> None:
    _saved(tmp_path)
    file = tmp_path / index.FILE
    good = file.read_bytes()
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        file.write_bytes(bad)
        with pytest.raises(IndexDamaged):
            FaceIndex.load(tmp_path, encoder="e", dimension=_DIMENSION)


def test_a_torn_missing_or_foreign_file_is_noticed(tmp_path: Path) -> None:
    _saved(tmp_path)
    with pytest.raises(IndexDamaged):
        FaceIndex.load(tmp_path, encoder="another", dimension=_DIMENSION)
    with pytest.raises(IndexDamaged):
        FaceIndex.load(tmp_path, encoder="e", dimension=_DIMENSION * 2)
    with pytest.raises(IndexDamaged):
        FaceIndex.load(tmp_path / "nowhere", encoder="e", dimension=_DIMENSION)
    file = tmp_path / index.FILE
    good = file.read_bytes()
    for length in range(0, len(good), 7):
        file.write_bytes(good[:length])
        with pytest.raises(IndexDamaged):
            FaceIndex.load(tmp_path, encoder="e", dimension=_DIMENSION)


def test_saving_again_overwrites_the_bytes_of_the_file_before(tmp_path: Path) -> None:
    faces = _saved(tmp_path)
    with (tmp_path / index.FILE).open("rb") as before:
        needle = _vectors(3, 4)[1].tobytes()
        assert needle in before.read()
        faces.drop([10])
        faces.save(tmp_path)
        before.seek(0)
        assert not any(before.read()), "the old file still holds what was dropped"
    assert needle not in (tmp_path / index.FILE).read_bytes()


def test_what_a_killed_save_left_behind_is_cleared_by_the_next(tmp_path: Path) -> None:
    for name in ("faces.index.new", "faces.index.old"):
        (tmp_path / name).write_bytes(b"half")
    _saved(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [index.FILE]


def test_leftovers_are_overwritten_before_they_are_removed(tmp_path: Path) -> None:
    _saved(tmp_path)
    old = tmp_path / "faces.index.old"
    old.write_bytes(b"vectors")
    with old.open("rb") as before:
        FaceIndex.clear_leftovers(tmp_path)
        assert before.read() == bytes(7)
    assert [file.name for file in tmp_path.iterdir()] == [index.FILE]
    assert len(FaceIndex.load(tmp_path, encoder="e", dimension=_DIMENSION)) == 3


def test_a_wiped_index_holds_no_vector_in_its_memory_and_can_be_filled_again() -> None:
    faces = FaceIndex(dimension=_DIMENSION, encoder="e")
    faces.put([1, 2, 3], _vectors(3, 4))
    faces.generation, faces.mark = 5, "of the fifth"
    memory = faces._vectors()
    faces.wipe()
    assert not memory.any()
    assert (len(faces), faces.generation, faces.mark) == (0, 0, "")
    assert faces.search(_vectors(1, 8)[0], 3) == []
    faces.put([3, 4], _vectors(2, 6))
    assert faces.search(_vectors(2, 6)[1], 1) == [Hit(4, 1.0)]
