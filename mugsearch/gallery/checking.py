"""Comparing the index with PostgreSQL, both ways and byte by byte, and mending what differs.

First every byte of the index is checked, which keeps changes of it waiting (0.3 s at 300,000 photographs); a damaged
one is made anew. Then no lock is held for longer than a batch takes, so searches and imports go on. What is changed
meanwhile is in the log of changes, and no difference. Loads the search kernel: not for web processes.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mugsearch.audit import services as audit
from mugsearch.gallery import filling, live
from mugsearch.gallery.models import Encoder, Template

logger = logging.getLogger(__name__)

_LAST = 2**63 - 1  # of all ids there can be

Contents = tuple[bytes, bytes]  # the SHA-256 of a vector, and its FACTS


@dataclass
class Checked:
    """How many templates were compared, and how many rows of the index differed and are mended.

    `unreadable` are vectors in PostgreSQL that nobody can open: damaged ones, whose rows in the index are left as they
    are, and those whose key was destroyed, which have none any more.
    """

    vectors: int = 0
    missing: int = 0
    superfluous: int = 0
    different: int = 0  # another vector, or other facts
    unreadable: int = 0

    def all_is_well(self) -> bool:
        return not (self.missing or self.superfluous or self.different or self.unreadable)


def check(encoder: Encoder, report: Callable[[Checked], None] | None = None) -> Checked:
    """Raises live.NotReady while the index is being rebuilt."""
    missing, superfluous = live.verify(encoder)
    checked, first = Checked(missing=missing, superfluous=superfluous), 1
    while first <= _LAST:
        first = _check_batch(encoder, first, checked)
        if report:
            report(checked)
    counts = asdict(checked)
    if not checked.all_is_well():
        logger.error("the index differed from PostgreSQL and was mended: %s", counts)
    audit.record("index.checked", by=None, obj=encoder, **counts)
    return checked


def _check_batch(encoder: Encoder, first: int, checked: Checked) -> int:
    """Compare and mend from id `first` on; where to go on."""
    index = live.catch_up(encoder)
    generation = index.state().generation  # read first: what comes later is in the log
    found = list(filling.templates(encoder).filter(pk__gte=first)[: filling.BATCH])
    last = found[-1].pk if len(found) == filling.BATCH else _LAST
    damaged: list[int] = []
    recorded = _recorded(found, encoder, damaged)
    ids, digests, facts = index.contents(first, last)
    held = _by_id(ids, digests, facts)
    recent = set(filling.changed_since(encoder, generation))
    settled = recent.union(damaged)
    missing = recorded.keys() - held.keys() - settled
    superfluous = held.keys() - recorded.keys() - settled
    different = {one for one in recorded.keys() & held.keys() - settled if recorded[one] != held[one]}
    if wrong := missing | superfluous | different:
        live.mend(encoder, wrong)
    checked.vectors += len(found)
    checked.missing += len(missing)
    checked.superfluous += len(superfluous)
    checked.different += len(different)
    checked.unreadable += len({template.pk for template in found} - recorded.keys() - recent)
    return last + 1


def _recorded(found: list[Template], encoder: Encoder, damaged: list[int]) -> dict[int, Contents]:
    with filling.unsealed(found, encoder, damaged) as (ids, rows, facts):
        return _by_id(ids, [np.frombuffer(sha256(row.data).digest(), np.uint8) for row in rows], facts)


def _by_id(ids: NDArray[np.int64], digests: Iterable[NDArray[np.uint8]], facts: NDArray[Any]) -> dict[int, Contents]:
    told = zip(ids.tolist(), digests, facts, strict=True)
    return {one: (digest.tobytes(), its.tobytes()) for one, digest, its in told}
