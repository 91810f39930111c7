"""The index step searches with the very vectors it removes, and says how many it could."""

from typing import Any

import numpy as np
import pytest

from mugsearch.engine.index import FaceIndex, Found
from mugsearch.gallery import encoding, live
from mugsearch.retention import tasks
from mugsearch.retention.models import ExpungementOrder
from tests.gallery_rows import enrol
from tests.retention.arrange import Life, a_life, approved, proved, requested, sealed

pytestmark = pytest.mark.django_db(transaction=True)

State = ExpungementOrder.State


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


@pytest.fixture
def indexed() -> Life:
    life = a_life()
    live.catch_up(encoding.active())
    return life


def checked(order: ExpungementOrder) -> dict[str, int]:
    return order.checks["forgotten_at"]


def test_every_vector_that_is_removed_is_searched_with_afterwards_and_then_wiped(
    indexed: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = FaceIndex.search_many, []

    def searched(self: FaceIndex, vectors: Any, k: int, **how: Any) -> list[Found]:
        found = real(self, vectors, k, **how)
        seen.append((vectors, vectors.copy(), [hit.id for one in found for hit in one.hits]))
        return found

    monkeypatch.setattr(FaceIndex, "search_many", searched)
    order = proved(approved(requested(indexed.booking)))
    assert len(seen) == 2, "one by one: of several at once the kernel makes a copy that can't be wiped"
    for in_hand, as_searched, hits in seen:
        assert np.allclose(np.linalg.norm(as_searched, axis=1), [1])
        assert hits == [indexed.other.photo.templates.get().pk], "it is a search as any other, and finds who is there"
        assert not in_hand.any(), "nothing of them is left in memory"
    assert checked(order) == {"vectors": 2, "searches": 2, "found": 0}


def test_a_vector_that_comes_back_keeps_the_order_open(indexed: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    real, templates = FaceIndex.search_many, [photo.templates.get().pk for photo in indexed.photos]

    def come_back(self: FaceIndex, vectors: Any, k: int, **how: Any) -> list[Found]:
        found = real(self, vectors, k, **how)
        object.__setattr__(found[0].hits[0], "id", templates[0])
        return found

    order = approved(requested(indexed.booking))
    with monkeypatch.context() as broken:
        broken.setattr(FaceIndex, "search_many", come_back)
        assert proved(order).state == State.APPROVED
    assert order.troubles == {"forgotten_at": "A search with a vector that was removed still finds it."}
    tasks.resume()
    assert proved(order).state == State.COMPLETE


def test_of_a_sealed_booking_nothing_is_in_hand_any_more_and_the_order_says_so(indexed: Life) -> None:
    sealing = sealed(indexed.booking)
    assert checked(sealing) == {"vectors": 2, "searches": 2, "found": 0}
    order = proved(approved(requested(indexed.booking)))
    assert order.state == State.COMPLETE
    assert checked(order) == {"vectors": 2, "searches": 0, "found": 0}


def test_an_index_that_is_being_rebuilt_forgets_what_it_has_and_never_takes_in_the_rest(
    indexed: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mugsearch.gallery.filling.BATCH", 1)
    encoder, more = encoding.active(), enrol(9)
    live.start_over(encoder)
    live.rebuild(encoder, seconds=0)
    order = proved(approved(requested(indexed.booking)))
    assert order.state == State.COMPLETE
    assert checked(order) == {"vectors": 2, "searches": 1, "found": 0}, "it had not come to the other one"
    assert live.rebuild(encoder)
    kept = {indexed.other.photo.templates.get().pk, more.templates.get().pk}
    assert set(live.catch_up(encoder).ids().tolist()) == kept
