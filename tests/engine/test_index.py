"""The index gives what brute force gives, whatever it is asked, and can prove it."""

import threading
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import faiss
import numkong
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mugsearch.engine import index as engine
from mugsearch.engine import scan
from mugsearch.engine.index import FaceIndex, IndexDamaged, Where
from mugsearch.errors import Unavailable
from mugsearch.probes import ranking
from mugsearch.probes.filters import Filters
from tests.engine.galleries import Held, brute_force, filled, held_of, put, reopened, unit, vectors


@dataclass(frozen=True)
class Asked:
    """What a search is narrowed to."""

    filters: Filters
    allowed: NDArray[np.int64] | None

    @property
    def where(self) -> Where | None:
        return ranking.where(self.filters, self.allowed)

    def passes(self, key: int, facts: Any) -> bool:
        """The meaning of a filter, said once more and one row at a time."""
        sex, born, booked, agency = chr(facts["sex"]), int(facts["born"]), int(facts["booked"]), int(facts["agency"])
        filters = self.filters
        first_day, last_day = (day and day.toordinal() for day in (filters.booked_from, filters.booked_to))
        return (
            (not filters.sexes or sex == "\0" or sex in filters.sexes)
            and (born == 0 or (filters.born_from or born) <= born <= (filters.born_to or born))
            and (booked == 0 or (first_day or booked) <= booked <= (last_day or booked))
            and (not filters.agencies or agency in [one.int >> 64 for one in filters.agencies])
            and (self.allowed is None or key in self.allowed)
        )


FILTERS = st.builds(
    Asked,
    st.builds(
        Filters,
        sexes=st.sampled_from([(), ("F",), ("F", "M")]),
        born_from=st.sampled_from([None, 1970, 1975]),
        born_to=st.sampled_from([None, 1975, 1980]),
        booked_from=st.sampled_from([None, date.fromordinal(737_000), date.fromordinal(737_500)]),
        booked_to=st.sampled_from([None, date.fromordinal(738_000)]),
        agencies=st.sampled_from([(), (UUID(int=1 << 64),), (UUID(int=2 << 64), UUID(int=2**127 + (5 << 64)))]),
    ),
    st.none() | st.lists(st.integers(-5, 900), max_size=60).map(lambda keys: np.array(keys, np.int64)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(0, 300),
    kinds=st.none() | st.integers(1, 5),
    k=st.integers(1, 60),
    seed=st.integers(0, 10_000),
    asked=st.none() | FILTERS,
)
def test_a_search_equals_brute_force_also_with_ties_and_filters(
    tmp_path: Path, count: int, kinds: int | None, k: int, seed: int, asked: Asked | None
) -> None:
    held = held_of(count, seed, kinds=kinds)
    index = filled(tmp_path / "index", held)
    probes = vectors(3, seed + 2)
    together = index.search_many(probes, k, where=asked and asked.where)
    for probe, beside in zip(probes, together, strict=True):
        found = index.search(probe, k, where=asked and asked.where)
        assert found.hits == brute_force(held, probe, k, asked and asked.passes)
        assert beside.hits == found.hits
        assert found.ceiling is None or found.ceiling < found.hits[-1].score
        assert found.rescored <= found.scanned <= found.live == count
    index.close()


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> tuple[FaceIndex, Held]:
    """20,000 vectors of 512 dimensions with groups of near-duplicates, in several segments."""
    faces = vectors(2_000, 1, 512)
    rows = unit(np.repeat(faces, 10, axis=0) + 0.02 * np.random.default_rng(2).standard_normal((20_000, 512)))
    facts = np.zeros(20_000, engine.FACTS)
    held = {at + 1: (row, fact) for at, (row, fact) in enumerate(zip(rows, facts, strict=True))}
    return filled(tmp_path_factory.mktemp("county"), held, 512, rows=8192), held


def test_lists_are_those_of_faiss_and_of_brute_force(county: tuple[FaceIndex, Held]) -> None:
    index, held = county
    flat = faiss.IndexFlatIP(512)
    flat.add(np.stack([row for row, _ in held.values()]))
    probes = np.concatenate([vectors(20, 7, 512), np.stack([held[key][0] for key in range(1, 20_000, 1000)])])
    for probe, found in zip(probes, index.search_many(probes, 50), strict=True):
        assert found.hits == brute_force(held, probe, 50) == index.search(probe, 50).hits
        scores, places = flat.search(probe[None], 50)
        clear = scores[0] > found.hits[-1].score + 1e-5  # FAISS adds up in float32
        assert {int(place) + 1 for place in places[0][clear]} <= {hit.id for hit in found.hits}
        assert found.rescored < 1000


def test_the_list_does_not_depend_on_the_threads(
    county: tuple[FaceIndex, Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, _ = county
    probes = vectors(5, 11, 512)
    lists = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(scan, "threads", lambda count=threads: count)
        lists.append([found.hits for found in index.search_many(probes, 50)])
        lists.append([index.search(probe, 50).hits for probe in probes])
    assert all(some == lists[0] for some in lists)


@pytest.mark.parametrize("spoiled", ["errors", "ties", "nothing"])
def test_a_proof_that_assumes_too_little_error_lets_wrong_lists_through(
    spoiled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison with brute force notices a broken certificate: this is the test of the tests above."""
    encode = scan.encode

    def too_sure(rows: NDArray[np.float32]) -> tuple[Any, Any, Any]:
        codes, scales, errors = encode(rows)
        return codes, scales, errors * np.float32(0)

    if spoiled == "errors":
        monkeypatch.setattr(scan, "encode", too_sure)
    if spoiled == "ties":
        monkeypatch.setattr(scan, "_TIE", -0.02)
    people = np.repeat(vectors(40, 1, 512), 100, axis=0)  # each nearly the same a hundred times
    rows = unit(people + 0.0004 * np.random.default_rng(2).standard_normal(people.shape))
    held = {at + 1: (row, np.zeros(1, engine.FACTS)[0]) for at, row in enumerate(rows)}
    index = filled(tmp_path / "index", held, 512, rows=8192)
    probes = unit(vectors(40, 1, 512) + 0.02 * vectors(40, 3, 512))
    wrong = [probe for probe in probes if index.search(probe, 5).hits != brute_force(held, probe, 5)]
    assert bool(wrong) == (spoiled != "nothing")


@pytest.mark.parametrize("without", [[], ["turin"], ["turin", "genoa", "icelake", "skylake", "alder", "haswell"]])
def test_products_are_exact_on_other_processors_too(without: list[str]) -> None:
    had = numkong.get_capabilities()
    for name in without:
        numkong.disable_capability(name)
    try:
        for dimension in (1, 3, 128, 512, 1024):
            scan.require_exact_kernel.__wrapped__(dimension)
    finally:
        for name in without:
            if had[name]:
                numkong.enable_capability(name)


def test_a_kernel_that_is_wrong_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    right = numkong.cdist
    monkeypatch.setattr(numkong, "cdist", lambda *given, **more: np.asarray(right(*given, **more)) * 0.0)
    with pytest.raises(Unavailable, match="wrong products"):
        scan.require_exact_kernel.__wrapped__(64)


def test_a_long_list_of_equal_scores_is_complete_and_in_the_order_of_the_ids(tmp_path: Path) -> None:
    held = held_of(5_000, kinds=1)
    found = filled(tmp_path / "index", held, rows=1024).search(held[min(held)][0], 50)
    assert [hit.id for hit in found.hits] == sorted(held)[:50]


def test_fewer_rows_than_asked_for_are_all_listed(tmp_path: Path) -> None:
    found = filled(tmp_path / "index", held_of(3)).search(vectors(1, 5)[0], 50)
    assert (len(found.hits), found.scanned, found.rescored, found.ceiling) == (3, 3, 3, None)


def test_an_empty_index_lists_nobody(tmp_path: Path) -> None:
    found = filled(tmp_path / "index", {}).search(vectors(1, 5)[0], 50)
    assert (found.hits, found.scanned, found.ceiling) == ([], 0, None)


def test_what_is_put_again_replaces_what_was_there(tmp_path: Path) -> None:
    held = held_of(200)
    index = filled(tmp_path / "index", held)
    again: Held = {key: (row, facts) for key, (row, facts) in zip(held, held_of(200, seed=9).values(), strict=True)}
    with index.change() as change:
        put(change, again)
        put(change, again)  # twice in one change, too
    assert index.state().live == 200
    assert index.search(vectors(1, 5)[0], 50).hits == brute_force(again, vectors(1, 5)[0], 50)


def test_the_places_of_dropped_rows_are_used_again(tmp_path: Path) -> None:
    index = filled(tmp_path / "index", held_of(200))
    size = (tmp_path / "index" / engine.FILE).stat().st_size
    for seed in range(5):
        held = held_of(200, seed=seed)
        with index.change() as change:
            change.drop(index.ids())
        with index.change() as change:
            put(change, held)
    assert (tmp_path / "index" / engine.FILE).stat().st_size == size
    assert index.search(vectors(1, 5)[0], 50).hits == brute_force(held, vectors(1, 5)[0], 50)


def test_a_change_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    held = held_of(200)
    index = filled(tmp_path / "index", held)

    def fail() -> None:
        with index.change() as change:
            put(change, held_of(100, seed=3))
            change.drop(list(held)[:50])
            change.generation = 7
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    probe = vectors(1, 5)[0]
    assert index.search(probe, 50).hits == brute_force(held, probe, 50)
    index = reopened(index, tmp_path / "index")
    assert index.state().generation == 1
    assert index.search(probe, 50).hits == brute_force(held, probe, 50)


def test_a_change_is_seen_all_at_once_when_it_ends(tmp_path: Path) -> None:
    held = held_of(50)
    index = filled(tmp_path / "index", held)
    with index.change() as change:
        put(change, {key + 1000: value for key, value in held_of(50, seed=4).items()})
        change.drop(list(held)[:10])
        change.generation = 2
        during = index.search(vectors(1, 5)[0], 200)
        assert ({hit.id for hit in during.hits}, during.generation) == (set(held), 1)
    after = index.search(vectors(1, 5)[0], 200)
    assert (len(after.hits), after.generation) == (90, 2)


def test_a_second_writer_waits_for_the_first(tmp_path: Path) -> None:
    index = filled(tmp_path / "index", {})
    order: list[str] = []

    def write() -> None:
        with index.change() as change:
            order.append("second")
            put(change, held_of(5))

    second = threading.Thread(target=write)
    with index.change():
        second.start()
        second.join(0.2)
        order.append("first")
    second.join(10)
    assert (order, index.state().live) == (["first", "second"], 5)


@pytest.mark.parametrize(
    ("keys", "rows", "complaint"),
    [
        ([1, 1], vectors(2, 0), "once"),
        ([0], vectors(1, 0), "positive"),
        ([1], vectors(2, 0), "shape"),
        ([1], vectors(1, 0, 8), "shape"),
        ([1], vectors(1, 0) * 2, "norm 1"),
        ([1], np.full((1, 16), np.nan, np.float32), "finite"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused_and_nothing_changes(
    keys: list[int], rows: NDArray[np.float32], complaint: str, tmp_path: Path
) -> None:
    index = filled(tmp_path / "index", held_of(3))
    with pytest.raises(ValueError, match=complaint), index.change() as change:
        change.put(keys, rows)
    assert index.state().live == 3


@pytest.mark.parametrize("probe", [np.zeros(16), np.ones(16), np.full(16, np.inf), np.ones(8) / np.sqrt(8)])
def test_a_probe_that_cannot_be_compared_is_refused(probe: NDArray[np.float64], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"norm 1|shape"):
        filled(tmp_path / "index", held_of(3)).search(probe, 5)


def test_a_folder_without_an_index_says_so(tmp_path: Path) -> None:
    with pytest.raises(IndexDamaged):
        FaceIndex.open(tmp_path / "nowhere", dimension=16, encoder="e")


def test_contents_tell_the_vectors_and_facts_that_were_put(tmp_path: Path) -> None:
    held = held_of(300)
    index = filled(tmp_path / "index", held)
    for first, last in ((1, 2**63 - 1), (100, 700), (901, 1000)):
        ids, digests, facts = index.contents(first, last)
        expected = [key for key in sorted(held) if first <= key <= last]
        assert ids.tolist() == expected
        assert [bytes(digest) for digest in digests] == [sha256(held[key][0].tobytes()).digest() for key in expected]
        assert facts.tolist() == [held[key][1].tolist() for key in expected]
