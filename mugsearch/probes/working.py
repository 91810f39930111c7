"""The search worker's side: finding faces in a probe, searching the gallery, writing the candidates; and repeats.

Loads the search kernel and the encoder, so only the worker imports it. Each step is safe to run twice, together or
after one another: a guarded update decides who does it, and the result is written only while the row is still ours.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.engine import quality
from mugsearch.errors import MugsearchError, Unavailable, WrongState
from mugsearch.gallery import encoding, live, locks
from mugsearch.gallery.models import Encoder, Photo
from mugsearch.probes import editing, ranking, repeating, tasks
from mugsearch.probes.models import Candidate, Probe, ProbeEdit, Repeat, Search, SiblingPhoto
from mugsearch.probes.ranking import Ranking

logger = logging.getLogger(__name__)

TRIES = 3
# A message normally arrives within a second; only after this long does PostgreSQL's own list step in.
LOST_AFTER = timedelta(seconds=10)
# A search takes well under a second; one that has been running for this long has lost its worker.
DEAD_AFTER = timedelta(seconds=60)
# So that a long queue isn't nudged over and over.
NUDGES = 50

R = TypeVar("R", Search, Repeat)  # both are queued, taken, tried and given up in the same way


def find_faces(probe_id: str | UUID) -> None:
    """RECEIVED -> READY, NO_FACE or FAILED."""
    _find_faces(Probe, probe_id)


def find_faces_of_edit(edit_id: str | UUID) -> None:
    """RECEIVED -> READY, NO_FACE or FAILED."""
    _find_faces(ProbeEdit, edit_id)


def _find_faces(model: type[Probe | ProbeEdit], pk: str | UUID) -> None:
    taken = model.objects.filter(pk=pk, state=Probe.State.RECEIVED).update(
        attempts=F("attempts") + 1, tried_at=timezone.now()
    )
    if not taken:
        return
    image = model.objects.get(pk=pk)
    if image.attempts > TRIES:
        _finish(image, Probe.State.FAILED, failure="Looking for faces failed three times.")
        return
    try:
        encoder = encoding.loaded(encoding.active().spec)
        pixels = editing.stored(image)
        faces = [
            {"face": face.to_dict(), "quality": asdict(quality.assess(pixels, face))} for face in encoder.faces(pixels)
        ]
    except MugsearchError as error:
        _give_up_or_wait(image.attempts, error, lambda text: _finish(image, Probe.State.FAILED, failure=text))
        return
    _finish(image, Probe.State.READY if faces else Probe.State.NO_FACE, faces=faces)


def _finish(image: Probe | ProbeEdit, state: Probe.State, **changes: object) -> None:
    with transaction.atomic():
        ours = type(image).objects.filter(pk=image.pk, state=Probe.State.RECEIVED)
        if ours.update(state=state, **changes):
            found = changes.get("faces", [])
            count = len(found) if isinstance(found, list) else 0
            probe, edit = (image, {}) if isinstance(image, Probe) else (image.probe, {"edit": str(image.pk)})
            said = {"outcome": state, "faces": count, **edit}
            audit.record("probe.faces-found", by=None, obj=probe, case=probe.case_id, **said)


def run_search(search_id: str | UUID) -> None:
    """QUEUED -> RUNNING -> DONE or FAILED."""
    _run(Search, search_id, _search, _fail)


def run_repeat(repeat_id: str | UUID) -> None:
    """QUEUED -> RUNNING -> DONE or FAILED."""
    _run(Repeat, repeat_id, repeating.repeat, repeating.fail)


def _run(model: type[R], pk: str | UUID, work: Callable[[R], None], fail: Callable[[R, str], None]) -> None:
    rows = model.objects.filter(pk=pk)
    taken = rows.filter(state=Search.State.QUEUED).update(
        state=Search.State.RUNNING, attempts=F("attempts") + 1, started_at=timezone.now()
    )
    if not taken:
        return
    row, mine = rows.get(), rows.filter(state=Search.State.RUNNING)
    if row.attempts > TRIES:
        fail(row, "The search failed three times.")
        return
    try:
        work(row)
    except WrongState:
        logger.info("search %s was taken over by another worker", pk)
    except live.NotReady:
        # No try of this search: it waits for the index, however long that takes.
        mine.update(state=Search.State.QUEUED, attempts=F("attempts") - 1)
    except MugsearchError as error:
        mine.update(state=Search.State.QUEUED)
        _give_up_or_wait(row.attempts, error, lambda text: fail(row, text))


def _search(search: Search) -> None:
    probe = search.probe
    encoder = encoding.active()
    vector = ranking.face_vector(search, encoder)
    where = ranking.where(search.narrowed_to)
    found = ranking.ask(encoder, lambda index: ranking.deep_enough(index, vector, people=search.list_size, where=where))
    with audit.act("search.finished", by=None, obj=search, case=probe.case_id) as act:
        locks.writing()
        if not Encoder.objects.filter(pk=encoder.pk, state=Encoder.State.ACTIVE).exists():
            raise Unavailable("The encoder was changed while this search ran; it is searched again.")
        searched = {
            "generation": found.generation,
            "gallery_size": found.live,
            "depth": len(found.hits),
            "scanned": found.scanned,
            "rescored": found.rescored,
            "ceiling": found.ceiling,
        }
        still_ours = Search.objects.filter(pk=search.pk, state=Search.State.RUNNING).update(
            state=Search.State.DONE, finished_at=timezone.now(), encoder=encoder, **searched
        )
        if not still_ours:
            raise WrongState("Another worker has finished this search.")
        tasks.have_views_prepared(search.pk)
        candidates = _write_candidates(search, ranking.rank(found.hits, people=search.list_size))
        act.note(
            started_at=search.started_at.isoformat() if search.started_at else "",
            probe=str(probe.pk),
            probe_sha256=probe.sha256,
            **({"edit": str(search.edit.pk), "edit_sha256": search.edit.sha256} if search.edit else {}),
            encoder=encoder.name,
            encoder_digest=encoder.digest,
            **searched,
            filters=search.filters,
            threshold=None,
            # Sorted by id: an examiner who is also an auditor must not learn the ranks here (RULES 12).
            candidates=sorted(str(candidate.pk) for candidate in candidates),
        )


def _write_candidates(search: Search, ranked: Ranking) -> list[Candidate]:
    """One candidate per person, the best photo speaking for them; of their other photos the ranks are kept."""
    listed = {
        person: Candidate(search=search, rank=rank, person_id=person, photo=photo, score=ranked.ranks[photo.pk][1])
        for rank, (person, photo) in enumerate(ranked.best.items(), start=1)
    }
    candidates = Candidate.objects.bulk_create(listed.values())
    photos = Photo.objects.searchable().filter(booking__person__in=listed).select_related("booking").order_by("pk")
    siblings = []
    for photo in photos:
        candidate, (rank, score) = listed[photo.booking.person_id], ranked.of(photo.pk)
        if photo.pk != candidate.photo_id:
            siblings.append(SiblingPhoto(candidate=candidate, photo=photo, rank=rank, score=score))
    SiblingPhoto.objects.bulk_create(siblings)
    return candidates


def _fail(search: Search, failure: str) -> None:
    with transaction.atomic():
        unfinished = Search.objects.filter(pk=search.pk).exclude(state=Search.State.DONE)
        if unfinished.update(state=Search.State.FAILED, failure=failure, finished_at=timezone.now()):
            audit.record("search.failed", by=None, obj=search, case=search.probe.case_id)


def _give_up_or_wait(attempts: int, error: MugsearchError, give_up: Callable[[str], None]) -> None:
    """Below the last try the row stays as it is, and `resume` nudges again; then it fails, visibly."""
    logger.warning("try %d of %d: %s", attempts, TRIES, error.message)
    if attempts >= TRIES:
        give_up(error.message[:300])


def probes_left_behind() -> list[UUID]:
    """Probes whose message or worker was lost."""
    return _not_looked_at(Probe, "submitted_at")


def edits_left_behind() -> list[UUID]:
    return _not_looked_at(ProbeEdit, "made_at")


def _not_looked_at(model: type[Probe | ProbeEdit], since: str) -> list[UUID]:
    before = timezone.now() - LOST_AFTER
    waiting = model.objects.filter(**{"state": Probe.State.RECEIVED, f"{since}__lt": before})
    lost = waiting.filter(Q(tried_at=None) | Q(tried_at__lt=before)).order_by(since)
    return list(lost.values_list("pk", flat=True)[:NUDGES])


def searches_left_behind() -> list[UUID]:
    return _left_behind(Search)


def repeats_left_behind() -> list[UUID]:
    return _left_behind(Repeat)


def _left_behind(model: type[R]) -> list[UUID]:
    """Those whose message was lost; and those whose worker died, which go back into the queue first."""
    now, rows = timezone.now(), model.objects
    rows.filter(state=Search.State.RUNNING, started_at__lt=now - DEAD_AFTER).update(state=Search.State.QUEUED)
    waiting = rows.filter(state=Search.State.QUEUED, requested_at__lt=now - LOST_AFTER)
    return list(waiting.order_by("requested_at").values_list("pk", flat=True)[:NUDGES])
