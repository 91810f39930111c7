"""Which rows of the index a search compares, by what was recorded at booking. Needs numpy only: benchmarks use it too.

A row without a fact passes what is asked of that fact: a field that somebody left empty must hide nobody.
"""

from collections.abc import Collection
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mugsearch.engine.index import Where


def narrowed(
    *,
    sexes: Collection[str] = (),
    born: tuple[int | None, int | None] = (None, None),
    booked: tuple[date | None, date | None] = (None, None),
    agencies: Collection[int] = (),
    allowed: ArrayLike | None = None,
) -> Where:
    """All of what is given has to be met. `born`: first and last year; `booked`: first and last day; `agencies`: the
    first 64 bits of their ids; `allowed`: ids of templates (n,)."""
    listed = None if allowed is None else np.sort(np.asarray(allowed, np.int64))
    days = [day and day.toordinal() for day in booked]

    def compared(ids: NDArray[np.int64], facts: NDArray[Any]) -> NDArray[np.bool_]:
        passing = _listed(ids, listed) if listed is not None else np.ones(len(ids), np.bool_)
        if sexes:
            passing &= np.isin(facts["sex"], [0, *map(ord, sexes)])
        if agencies:
            passing &= np.isin(facts["agency"], np.array([0, *agencies], np.uint64))
        for fact, (first, last) in (("born", born), ("booked", days)):
            if first is not None:
                passing &= (facts[fact] >= first) | (facts[fact] == 0)
            if last is not None:
                passing &= facts[fact] <= last
        return passing

    return compared


def _listed(ids: NDArray[np.int64], listed: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Looked up one by one: of a few thousand rows at a time, sorting a whole allow-list again would cost most."""
    if not len(listed):
        return np.zeros(len(ids), np.bool_)
    at = np.searchsorted(listed, ids)
    return np.asarray(listed[np.minimum(at, len(listed) - 1)] == ids)
