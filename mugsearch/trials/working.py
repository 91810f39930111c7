"""The worker's side: finding the one face of a trial photograph, and its vector.

Loads the encoder, so only the worker imports it. Safe to run twice: the result is written only while it is awaited.
"""

import logging
from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.engine import images, quality
from mugsearch.errors import MugsearchError
from mugsearch.gallery import encoding
from mugsearch.gallery.models import Encoder
from mugsearch.trials import vectors
from mugsearch.trials.models import TrialPhoto
from mugsearch.vault import services as vault

logger = logging.getLogger(__name__)

TRIES = 3
LOST_AFTER = timedelta(seconds=10)  # as in probes.working
NUDGES = 50


def look_at(photo_id: str | UUID) -> None:
    """RECEIVED -> READY, UNSUITABLE or FAILED."""
    received = TrialPhoto.objects.filter(pk=photo_id, state=TrialPhoto.State.RECEIVED)
    if not received.update(attempts=F("attempts") + 1, tried_at=timezone.now()):
        return
    photo = received.first()
    if photo is None:
        return
    if photo.attempts > TRIES:
        _finish(photo, TrialPhoto.State.FAILED, trouble="Looking for the face failed three times.")
        return
    try:
        encoder = encoding.active()
        model = encoding.loaded(encoder.spec)
        pixels = images.read_png(vault.read_file(photo.pk, photo.pk))
        faces = model.faces(pixels)
        if len(faces) != 1:
            found = "No face was found." if not faces else f"{len(faces)} faces were found; one is needed."
            _finish(photo, TrialPhoto.State.UNSUITABLE, trouble=found)
            return
        vector = model.embed(pixels, faces[0])
        assessed = asdict(quality.assess(pixels, faces[0]))
        _finish(
            photo,
            TrialPhoto.State.READY,
            face=faces[0].to_dict(),
            quality=assessed,
            encoder=encoder,
            sealed_vector=vectors.sealed(photo.pk, encoder, vector),
            trouble="",
        )
    except MugsearchError as error:
        logger.warning("try %d of %d: %s", photo.attempts, TRIES, error.message)
        if photo.attempts >= TRIES:
            _finish(photo, TrialPhoto.State.FAILED, trouble=error.message[:300])


def _finish(photo: TrialPhoto, state: TrialPhoto.State, **changes: object) -> None:
    with transaction.atomic():
        ours = TrialPhoto.objects.filter(pk=photo.pk, state=TrialPhoto.State.RECEIVED)
        if ours.update(state=state, **changes):
            audit.record("trial.photo-looked-at", by=None, obj=photo, outcome=state)


def left_behind() -> list[UUID]:
    """Those whose message or worker was lost; and, to be looked at anew, those whose encoder is no more."""
    before = timezone.now() - LOST_AFTER
    if active := Encoder.objects.filter(state=Encoder.State.ACTIVE).first():
        TrialPhoto.objects.filter(state=TrialPhoto.State.READY).exclude(encoder=active).update(
            state=TrialPhoto.State.RECEIVED, attempts=0, tried_at=None
        )
    waiting = TrialPhoto.objects.filter(state=TrialPhoto.State.RECEIVED, received_at__lt=before)
    lost = waiting.filter(Q(tried_at=None) | Q(tried_at__lt=before)).order_by("received_at")
    return list(lost.values_list("pk", flat=True)[:NUDGES])
