"""Looking for one face under two person numbers, of all the gallery: a records clerk's work list, no search of a case.

Loads the search kernel: for the command line, not for web processes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mugsearch.accounts.models import Agency
from mugsearch.audit import services as audit
from mugsearch.gallery import filling, live
from mugsearch.gallery.models import Encoder, Photo, Template
from mugsearch.gallery.narrowing import narrowed

BATCH = 64  # vectors multiplied at once
NEIGHBOURS = 20  # photographs looked at for each; a person with more photographs than that hides the others


@dataclass(frozen=True)
class Pair:
    """Two photographs of different person numbers that are at least as alike as was asked for."""

    score: float
    one: Photo
    other: Photo


def find(
    encoder: Encoder, agency: Agency, *, score: float, report: Callable[[int], None] | None = None
) -> Iterator[Pair]:
    """The best pair of any two people of the agency, in the order of their photographs. `score`: a cosine, the least.

    It goes through the gallery once, as it is while it is read. The record says that it was looked through and how
    many pairs were found, when the last one was taken.
    """
    theirs = filling.templates(encoder).filter(photo__booking__agency=agency)
    seen: set[tuple[Any, Any]] = set()
    looked_at, last = 0, 0
    while batch := list(theirs.filter(pk__gt=last)[:BATCH]):
        last = batch[-1].pk
        looked_at += len(batch)
        for pair in _of_batch(encoder, batch, agency, score):
            people = tuple(sorted((pair.one.booking.person_id, pair.other.booking.person_id)))
            if people not in seen:
                seen.add((people[0], people[1]))
                yield pair
        if report:
            report(looked_at)
    audit.record("gallery.duplicates-sought", by=None, obj=agency, photos=looked_at, pairs=len(seen), score=score)


def _of_batch(encoder: Encoder, batch: list[Template], agency: Agency, score: float) -> list[Pair]:
    with filling.unsealed(batch, encoder) as (ids, rows, _):
        ours = narrowed(agencies=[agency.pk.int >> 64])
        found = live.catch_up(encoder).search_many(rows, NEIGHBOURS, where=ours)
    hits = {
        one: {hit.id: hit.score for hit in answer.hits if hit.score >= score and hit.id != one}
        for one, answer in zip(ids.tolist(), found, strict=True)
    }
    wanted = {key for one, others in hits.items() for key in (one, *others)}
    templates = Template.objects.filter(pk__in=wanted, photo__booking__agency=agency)
    photos = {one.pk: one.photo for one in templates.select_related("photo__booking__person")}
    pairs = [
        Pair(cosine, photos[one], photos[other])
        for one, others in hits.items()
        for other, cosine in others.items()
        if one in photos and other in photos and photos[one].booking.person_id != photos[other].booking.person_id
    ]
    return sorted(pairs, key=lambda pair: -pair.score)
