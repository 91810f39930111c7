"""One face of a probe against the index, and the people behind the photographs it finds.

Loads the search kernel and the encoder, so only the search worker imports it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mugsearch.engine.encoders import Face
from mugsearch.engine.index import FaceIndex, Found, Hit, Where
from mugsearch.errors import Unavailable
from mugsearch.gallery import encoding, live
from mugsearch.gallery.models import Encoder, Photo, Template
from mugsearch.gallery.narrowing import narrowed
from mugsearch.probes import editing
from mugsearch.probes.filters import Filters
from mugsearch.probes.models import Probe, Search

# Photos ranked per search, at least: enough that siblings of listed people are accounted for.
DEPTH = 200


@dataclass(frozen=True)
class Ranking:
    """`best`: each person's best photo, the best person first. `ranks`: photo -> its rank among photos, its score."""

    best: dict[UUID, Photo]
    ranks: dict[UUID, tuple[int, float]]

    def of(self, photo: UUID | None) -> tuple[int | None, float | None]:
        return self.ranks.get(photo, (None, None)) if photo else (None, None)


def face_vector(search: Search, encoder: Encoder) -> NDArray[np.float32]:
    """Of the face that is searched: (encoder.dimension,), norm 1. Raises Unavailable where the image was erased."""
    if search.image.state == Probe.State.ERASED:
        raise Unavailable(editing.ERASED)
    face = Face.from_dict(editing.face_of(search)["face"])
    return encoding.loaded(encoder.spec).embed(editing.stored(search.image), face)


def ask(encoder: Encoder, question: Callable[[FaceIndex], Found]) -> Found:
    """Asked of the index as of the last commit, or of a later one: never of one that another process has taken only
    half of an import into since. Raises live.NotReady."""
    while True:
        index = live.catch_up(encoder)
        state = index.state()
        found = question(index)
        if state.complete and found.generation == state.generation:
            return found


def deep_enough(index: FaceIndex, vector: NDArray[np.float32], *, people: int, where: Where | None) -> Found:
    """The best photos, of at least `people` different people (or all that pass the filter), and at least DEPTH."""
    depth = DEPTH
    while True:
        found = index.search(vector, depth, where=where)
        if len(found.hits) < depth or _people(found.hits) >= people:
            return found
        depth *= 4


def where(filters: Filters, allowed: NDArray[np.int64] | None = None) -> Where | None:
    """As the engine takes it; None to compare with everybody. `allowed`: of which templates."""
    if not filters and allowed is None:
        return None
    return narrowed(
        sexes=filters.sexes,
        born=(filters.born_from, filters.born_to),
        booked=(filters.booked_from, filters.booked_to),
        agencies=[agency.int >> 64 for agency in filters.agencies],
        allowed=allowed,
    )


def rank(hits: list[Hit], *, people: int) -> Ranking:
    """Rows are read again here: what was expunged or sealed since the index was asked has no rank."""
    templates = Template.objects.searchable().filter(pk__in=[hit.id for hit in hits])
    photos = {template.pk: template.photo for template in templates.select_related("photo__booking")}
    ranking = Ranking({}, {})
    for hit in hits:
        if (photo := photos.get(hit.id)) is None:
            continue
        ranking.ranks[photo.pk] = (len(ranking.ranks) + 1, hit.score)
        if len(ranking.best) < people:
            ranking.best.setdefault(photo.booking.person_id, photo)
    return ranking


def _people(hits: list[Hit]) -> int:
    found = Template.objects.filter(pk__in=[hit.id for hit in hits])
    return found.values("photo__booking__person").distinct().count()
