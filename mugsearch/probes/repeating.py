"""A finished search once more, for a disclosure: over what of the gallery of then is still there, and with what result.

What the gallery held then is known from the change log. What was erased since is gone for good, and what was sealed
is gone until it is unsealed, so a list can be compared but for that: its places are free, and everybody below may have
moved up by as many ranks as were erased.

Loads the search kernel, so only the search worker imports it.
"""

from typing import cast

import numpy as np
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from numpy.typing import NDArray

from mugsearch.audit import services as audit
from mugsearch.errors import Unavailable, WrongState
from mugsearch.gallery import locks
from mugsearch.gallery.models import Encoder, GalleryChange
from mugsearch.probes import ranking, services
from mugsearch.probes.models import Candidate, Repeat, Search, SiblingPhoto
from mugsearch.probes.ranking import Ranking

PUT, DROP = GalleryChange.What.PUT, GalleryChange.What.DROP


def repeat(again: Repeat) -> None:
    """RUNNING -> DONE; -> FAILED when it can't be done at all."""
    search = again.search
    if reason := services.unrepeatable(search):
        fail(again, reason)
        return
    encoder, generation, depth = cast(Encoder, search.encoder), search.generation or 0, search.depth or 0
    if depth == search.scanned:
        depth += 1  # all were ranked then, so whoever passes a filter only now would come after them
    live_then = _live_at(encoder, generation)
    vector = ranking.face_vector(search, encoder)
    where = ranking.where(search.narrowed_to, live_then)
    found = ranking.ask(encoder, lambda index: index.search(vector, depth, where=where))
    with audit.act("search.repeated", by=None, obj=search, case=search.probe.case_id, repeat=str(again.pk)) as act:
        locks.writing()
        drops = GalleryChange.objects.filter(encoder=encoder, what=DROP, number__gt=generation)
        if drops.filter(number__gt=found.generation).exists():
            raise Unavailable("Somebody was erased while the search was repeated; it is repeated once more.")
        erased = np.isin(live_then, _live_at(encoder, found.generation), invert=True).sum()
        now = ranking.rank(found.hits, people=search.list_size)
        outcome = {
            "generation": found.generation,
            "scanned": found.scanned,
            "erased_photos": int(erased),
            "erased_people": search.candidates.filter(forgotten_at__isnull=False).count(),
            "differing": differing(search, now, erased=int(erased)),
        }
        ours = Repeat.objects.filter(pk=again.pk, state=Search.State.RUNNING)
        if not ours.update(state=Search.State.DONE, finished_at=timezone.now(), **outcome):
            raise WrongState("Another worker has repeated this search.")
        act.note(**outcome, live=found.live, rescored=found.rescored, ceiling=found.ceiling)


def fail(again: Repeat, failure: str) -> None:
    with transaction.atomic():
        open_ = Repeat.objects.filter(pk=again.pk, state__in=[Search.State.QUEUED, Search.State.RUNNING])
        if open_.update(state=Search.State.FAILED, failure=failure, finished_at=timezone.now()):
            search = again.search
            audit.record("search.repeat-failed", by=None, obj=search, case=search.probe.case_id, repeat=str(again.pk))


def differing(search: Search, now: Ranking, *, erased: int) -> int:
    """How many photographs have another score or another rank than was recorded, beyond what `erased` photographs
    explain."""
    recorded = list(search.candidates.filter(forgotten_at__isnull=True).order_by("rank"))
    wrong = {one.photo_id for one in recorded if now.of(one.photo_id)[1] != one.score}
    for sibling in SiblingPhoto.objects.filter(candidate__in=recorded):
        if not _as_before(sibling, now, erased=erased, depth=search.depth or 0):
            wrong.add(sibling.photo_id)
    then, listed = [one.photo_id for one in recorded], [photo.pk for photo in now.best.values()]
    wrong |= set(then).difference(listed)
    in_order = zip(
        [photo for photo in then if photo in listed], [photo for photo in listed if photo in then], strict=True
    )
    wrong |= {photo for photo, instead in in_order if photo != instead}
    strangers = len(set(listed).difference(then))
    return len(wrong) + max(0, strangers - _free_places(search, recorded, erased=erased))


def _as_before(sibling: SiblingPhoto, now: Ranking, *, erased: int, depth: int) -> bool:
    rank, score = now.of(sibling.photo_id)
    if sibling.rank is None:  # did not return; it may have moved up to the depth
        return rank is None or rank > depth - erased
    return score == sibling.score and rank is not None and sibling.rank - erased <= rank <= sibling.rank


def _free_places(search: Search, recorded: list[Candidate], *, erased: int) -> int:
    """How many people may be on the list who weren't: nobody when nobody was erased. When all photos were ranked
    then, only people of whom another photo was erased come anew."""
    if not erased:
        return 0
    if search.depth == search.scanned:
        return search.candidates.count() - len(recorded)
    return search.list_size - len(recorded)


def _live_at(encoder: Encoder, generation: int) -> NDArray[np.int64]:
    """Ids of the templates that an index of this generation holds: those whose last change isn't that they went."""
    log = GalleryChange.objects.filter(encoder=encoder, number__lte=generation)
    dropped = dict(log.filter(what=DROP).order_by().values_list("template_id").annotate(Max("number")))
    back = log.filter(what=PUT, template_id__in=dropped).order_by().values_list("template_id").annotate(Max("number"))
    put_again = {template for template, number in back if number > dropped[template]}
    put = np.fromiter(log.filter(what=PUT).values_list("template_id", flat=True).iterator(), np.int64)
    return np.setdiff1d(put, np.array(sorted(dropped.keys() - put_again), np.int64))
