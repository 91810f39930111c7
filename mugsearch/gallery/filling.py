"""From PostgreSQL into the index: rows, a batch at a time, and the log of what was committed. Loads the search kernel.

An index is filled in order of the templates' numbers. `reached` is how far that came: all up to it that had been
recorded at the index's generation are in it, and those with a higher number are not, or will be read once more.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Q, QuerySet
from numpy.typing import NDArray

from mugsearch.engine.change import Change
from mugsearch.engine.index import FACTS, IndexDamaged, State
from mugsearch.engine.scan import NORM_TOLERANCE
from mugsearch.errors import Unavailable
from mugsearch.gallery import vectors
from mugsearch.gallery.models import Encoder, GalleryChange, Template
from mugsearch.vault.services import KeyDestroyed

logger = logging.getLogger(__name__)

BATCH = 2000  # templates in one change of the index: well under a second, 4 MB

Rows = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[Any]]

_NEEDED = (
    "encoder",
    "sealed_vector",
    "photo__booking__agency",
    "photo__booking__booked_on",
    "photo__booking__person__sex",
    "photo__booking__person__birth_year",
)


class AnotherHistory(IndexDamaged):
    """The index was made from another database, or from this one before an older backup was restored."""

    code = "index_foreign"


def templates(encoder: Encoder) -> "QuerySet[Template]":
    """Those the index holds, with what `unsealed` needs, in the order in which an index is filled."""
    found = Template.objects.searchable().filter(encoder=encoder).order_by("pk")
    return found.select_related("photo__booking__person").only(*_NEEDED)


def recorded(encoder: Encoder) -> NDArray[np.int64]:
    """The ids of `templates`, ascending."""
    with connection.cursor() as cursor:
        # In one value: a row each would take PostgreSQL and us fifty times as long.
        cursor.execute(
            """
            SELECT string_agg(int8send(id), ''::bytea ORDER BY id) FROM gallery_template
            WHERE encoder_id = %s AND photo_id NOT IN (
                SELECT photo.id FROM gallery_photo photo
                JOIN gallery_booking booking ON booking.id = photo.booking_id
                WHERE booking.sealed_at IS NOT NULL)
            """,
            [encoder.pk],
        )
        ids = cursor.fetchone()[0]
    return np.frombuffer(ids or b"", dtype=">i8").astype(np.int64)


def newest() -> tuple[int, str]:
    """Number and mark of the last committed change; 0 and "" when there was none."""
    last = GalleryChange.objects.order_by("-number").values_list("number", "mark").first()
    return (last[0], str(last[1])) if last else (0, "")


def changed_since(encoder: Encoder, generation: int) -> list[int]:
    """The templates that a later change speaks of: whether an index has them already says nothing."""
    return list(_log(encoder, generation).values_list("template_id", flat=True).distinct())


def is_current(state: State) -> bool:
    return state.complete and (state.generation, state.mark) == newest()


def much_is_left(state: State, encoder: Encoder) -> bool:
    """Whether it takes more than about two steps until the index is complete and current."""
    behind = _log(encoder, state.generation)[: BATCH + 1].count()
    unread = 0
    if not state.complete:
        unread = templates(encoder).filter(pk__gt=state.reached)[: BATCH + 1].count()
    return max(behind, unread) > BATCH


def take_in_log(change: Change, encoder: Encoder) -> bool:
    """Apply what was committed since, at most BATCH changes of this encoder; whether that was all.

    Changes are numbered without gaps in the order of their commits, so whoever has a change has all before it, and
    reading on from there misses none. Raises AnotherHistory.
    """
    last = newest()
    if not (change.generation or change.reached or change.complete):
        # Nothing was read yet, so nothing before counts. What is committed while we read is applied once more.
        change.generation, change.mark = last
        return True
    require_its_history(change)
    log = _log(encoder, change.generation).filter(number__lte=last[0])
    if not change.complete:  # what lies beyond is read there
        log = log.filter(Q(what=GalleryChange.What.DROP) | Q(template_id__lte=change.reached))
    found = list(log.order_by("number").values_list("number", "mark", "what", "template_id")[: BATCH + 1])
    whole, found = len(found) <= BATCH, found[:BATCH]
    last_word = {template: what for _, _, what, template in found}
    change.drop([template for template, what in last_word.items() if what == GalleryChange.What.DROP])
    comes = [template for template, what in last_word.items() if what == GalleryChange.What.PUT]
    put(change, encoder, comes)
    if change.complete:  # all before them are in it
        change.reached = max([change.reached, *comes])
    change.generation, change.mark = last if whole else (found[-1][0], str(found[-1][1]))
    if not whole:  # no search shall see half of it
        change.complete = False
    return whole


def read_on(change: Change, encoder: Encoder) -> None:
    """The next BATCH templates. Complete when there are no more, and nothing was committed since the log was read."""
    found = list(templates(encoder).filter(pk__gt=change.reached)[:BATCH])
    _put(change, encoder, found)
    if found:
        change.reached = found[-1].pk
    change.complete = len(found) < BATCH and (change.generation, change.mark) == newest()


def put(change: Change, encoder: Encoder, ids: Sequence[int]) -> None:
    """Put templates as PostgreSQL has them now; those it has no more, or that are sealed, are left out."""
    for start in range(0, len(ids), BATCH):
        _put(change, encoder, list(templates(encoder).filter(pk__in=ids[start : start + BATCH])))


@contextmanager
def unsealed(found: Sequence[Template], encoder: Encoder, damaged: list[int] | None = None) -> Iterator[Rows]:
    """Ids (n,), vectors (n, dimension) and FACTS (n,) of templates; the vectors are zeroed when the block ends.

    Leaves out those whose key was destroyed: expunged since their row was read, and their DROP is next in the log. One
    that doesn't open with its key is put on `damaged`, or else raises Unavailable: an index without it would miss that
    person in silence.
    """
    rows = np.zeros((len(found), encoder.dimension), "<f4")
    here: list[Template] = []
    try:
        for template in found:
            if _opens(template, rows[len(here)], damaged):
                here.append(template)
        ids = np.array([template.pk for template in here], np.int64)
        yield ids, rows[: len(here)], np.array([_facts(template) for template in here], FACTS)
    finally:
        rows.fill(0)


def _opens(template: Template, row: NDArray[np.float32], damaged: list[int] | None) -> bool:
    try:
        vectors.unseal(template, row)
    except KeyDestroyed:
        return False
    except Unavailable as error:
        logger.error("the vector of photo %s can't be read: %s", template.photo_id, error.message)
        if damaged is None:
            raise
        damaged.append(template.pk)
        return False
    return True


def _put(change: Change, encoder: Encoder, found: list[Template]) -> None:
    if not found:
        return
    with unsealed(found, encoder) as (ids, rows, facts):
        try:
            change.put(ids, rows, facts)
        except ValueError as error:
            wrong = ids[~(np.abs(np.linalg.norm(rows, axis=1) - 1) <= NORM_TOLERANCE)]  # NaN is wrong, too
            photos = [str(one.photo_id) for one in found if one.pk in set(wrong.tolist())]
            logger.error("no encoder made the vectors of the photos %s: %s", ", ".join(photos), error)
            raise Unavailable(
                f"{len(photos)} vectors were not made by an encoder; the log names their photos."
            ) from error


def _facts(template: Template) -> tuple[int, int, int, int]:
    """What searches filter by, 0 for what is not recorded; U says of a sex that it isn't known."""
    booking = template.photo.booking
    person = booking.person
    return (
        ord(person.sex) if person.sex not in ("", "U") else 0,
        person.birth_year or 0,
        booking.booked_on.toordinal() if booking.booked_on else 0,
        booking.agency_id.int >> 64,
    )


def _log(encoder: Encoder, after: int) -> "QuerySet[GalleryChange]":
    return GalleryChange.objects.filter(encoder=encoder, number__gt=after)


def require_its_history(index: Change | State) -> None:
    """Raises AnotherHistory unless the change that the index took in last is one of this database."""
    mark = GalleryChange.objects.filter(number=index.generation).values_list("mark", flat=True).first()
    if index.generation and str(mark) != index.mark:
        raise AnotherHistory("The index is not of this database, or of an older backup of it.")
