"""The search worker's side: finding faces in a probe, searching the gallery, writing the candidates.

Loads FAISS and the encoder, so only the worker imports it. Each step is safe to run twice, together or after one
another: a guarded update decides who does it, and the result is written only while the row is still ours.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.engine import images, quality
from mugsearch.engine.encoders import Face
from mugsearch.engine.index import Hit
from mugsearch.errors import MugsearchError, Unavailable, WrongState
from mugsearch.gallery import encoding, live, locks
from mugsearch.gallery.models import Encoder, Photo, Template
from mugsearch.probes.models import Candidate, Probe, Search, SiblingPhoto
from mugsearch.vault import services as vault

logger = logging.getLogger(__name__)

TRIES = 3
# A message normally arrives within a second; only after this long does PostgreSQL's own list step in.
LOST_AFTER = timedelta(seconds=10)
# A search takes well under a second; one that has been running for this long has lost its worker.
DEAD_AFTER = timedelta(seconds=60)
# So that a long queue isn't nudged over and over.
NUDGES = 50
# Photos ranked per search, at least: enough that siblings of listed people are accounted for.
DEPTH = 200


def find_faces(probe_id: str | UUID) -> None:
    """RECEIVED -> READY, NO_FACE or FAILED."""
    taken = Probe.objects.filter(pk=probe_id, state=Probe.State.RECEIVED).update(
        attempts=F("attempts") + 1, tried_at=timezone.now()
    )
    if not taken:
        return
    probe = Probe.objects.get(pk=probe_id)
    if probe.attempts > TRIES:
        _finish_probe(probe, Probe.State.FAILED, failure="Looking for faces failed three times.")
        return
    try:
        encoder = encoding.loaded(encoding.active().spec)
        pixels = images.read_png(vault.read_file(probe.pk, probe.pk))
        faces = [
            {"face": face.to_dict(), "quality": asdict(quality.assess(pixels, face))} for face in encoder.faces(pixels)
        ]
    except MugsearchError as error:
        _give_up_or_wait(probe.attempts, error, lambda text: _finish_probe(probe, Probe.State.FAILED, failure=text))
        return
    _finish_probe(probe, Probe.State.READY if faces else Probe.State.NO_FACE, faces=faces)


def _finish_probe(probe: Probe, state: Probe.State, **changes: object) -> None:
    with transaction.atomic():
        ours = Probe.objects.filter(pk=probe.pk, state=Probe.State.RECEIVED)
        if ours.update(state=state, **changes):
            found = changes.get("faces", [])
            count = len(found) if isinstance(found, list) else 0
            audit.record("probe.faces-found", by=None, obj=probe, case=probe.case_id, outcome=state, faces=count)


def run_search(search_id: str | UUID) -> None:
    """QUEUED -> RUNNING -> DONE or FAILED."""
    taken = Search.objects.filter(pk=search_id, state=Search.State.QUEUED).update(
        state=Search.State.RUNNING, attempts=F("attempts") + 1, started_at=timezone.now()
    )
    if not taken:
        return
    search = Search.objects.select_related("probe").get(pk=search_id)
    if search.attempts > TRIES:
        _fail(search, "The search failed three times.")
        return
    try:
        _search(search)
    except WrongState:
        logger.info("search %s was taken over by another worker", search.pk)
    except MugsearchError as error:
        Search.objects.filter(pk=search.pk, state=Search.State.RUNNING).update(state=Search.State.QUEUED)
        _give_up_or_wait(search.attempts, error, lambda text: _fail(search, text))


def _search(search: Search) -> None:
    probe = search.probe
    encoder = encoding.active()
    model = encoding.loaded(encoder.spec)
    pixels = images.read_png(vault.read_file(probe.pk, probe.pk))
    vector = model.embed(pixels, Face.from_dict(probe.faces[search.face]["face"]))
    index = live.catch_up(encoder)
    hits = _hits_of_enough_people(index.search, vector, search.list_size, size=len(index))
    with audit.act("search.finished", by=None, obj=search, case=probe.case_id) as act:
        locks.writing()
        if not Encoder.objects.filter(pk=encoder.pk, state=Encoder.State.ACTIVE).exists():
            raise Unavailable("The encoder was changed while this search ran; it is searched again.")
        still_ours = Search.objects.filter(pk=search.pk, state=Search.State.RUNNING).update(
            state=Search.State.DONE,
            finished_at=timezone.now(),
            encoder=encoder,
            generation=index.generation,
            gallery_size=len(index),
            depth=len(hits),
        )
        if not still_ours:
            raise WrongState("Another worker has finished this search.")
        candidates = _write_candidates(search, hits)
        act.note(
            started_at=search.started_at.isoformat() if search.started_at else "",
            probe=str(probe.pk),
            probe_sha256=probe.sha256,
            encoder=encoder.name,
            encoder_digest=encoder.digest,
            generation=index.generation,
            gallery_size=len(index),
            depth=len(hits),
            threshold=None,
            # Sorted by id: an examiner who is also an auditor must not learn the ranks here (RULES 12).
            candidates=sorted(str(candidate.pk) for candidate in candidates),
        )


def _hits_of_enough_people(find: Callable[..., list[Hit]], vector: object, people: int, *, size: int) -> list[Hit]:
    """The best photos, deep enough to hold `people` different people (or the whole gallery), at least DEPTH."""
    depth = DEPTH
    while True:
        hits = find(vector, min(depth, size)) if size else []
        if len(hits) >= size:
            return hits
        ids = [hit.id for hit in hits]
        found = Template.objects.filter(pk__in=ids).values("photo__booking__person").distinct().count()
        if found >= people:
            return hits
        depth *= 4


def _write_candidates(search: Search, hits: list[Hit]) -> list[Candidate]:
    """One candidate per person, best photo first. Rows are read again here, under the lock: what has no row any
    more (expunged since the index was asked) is not on the list."""
    rows = {
        template.pk: template.photo
        for template in Template.objects.filter(
            pk__in=[hit.id for hit in hits], photo__state=Photo.State.ENROLLED
        ).select_related("photo__booking")
    }
    best: dict[UUID, Candidate] = {}
    returned: dict[UUID, tuple[int, float]] = {}  # photo -> its rank among photos, its score
    rank = 0
    for hit in hits:
        if (photo := rows.get(hit.id)) is None:
            continue
        rank += 1
        returned[photo.pk] = (rank, hit.score)
        person = photo.booking.person_id
        if person not in best and len(best) < search.list_size:
            best[person] = Candidate(search=search, rank=len(best) + 1, person_id=person, photo=photo, score=hit.score)
    candidates = Candidate.objects.bulk_create(best.values())
    siblings = Photo.objects.enrolled().filter(booking__person__in=best).select_related("booking").order_by("pk")
    SiblingPhoto.objects.bulk_create(
        SiblingPhoto(
            candidate=best[photo.booking.person_id],
            photo=photo,
            rank=returned.get(photo.pk, (None, None))[0],
            score=returned.get(photo.pk, (None, None))[1],
        )
        for photo in siblings
        if photo.pk != best[photo.booking.person_id].photo_id
    )
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
    before = timezone.now() - LOST_AFTER
    waiting = Probe.objects.filter(state=Probe.State.RECEIVED, submitted_at__lt=before)
    lost = waiting.filter(Q(tried_at=None) | Q(tried_at__lt=before)).order_by("submitted_at")
    return list(lost.values_list("pk", flat=True)[:NUDGES])


def searches_left_behind() -> list[UUID]:
    """Searches whose message was lost; and those whose worker died, which go back into the queue first."""
    now = timezone.now()
    running = Search.objects.filter(state=Search.State.RUNNING, started_at__lt=now - DEAD_AFTER)
    running.update(state=Search.State.QUEUED)
    waiting = Search.objects.filter(state=Search.State.QUEUED, requested_at__lt=now - LOST_AFTER)
    return list(waiting.order_by("requested_at").values_list("pk", flat=True)[:NUDGES])
