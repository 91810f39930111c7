"""Encoding the face a clerk has picked. Loads the encoder, so web processes don't import this module."""

import logging
from uuid import UUID

from mugsearch.audit import services as audit
from mugsearch.engine import images
from mugsearch.engine.encoders import Face
from mugsearch.errors import Unavailable, WrongState
from mugsearch.gallery import changes, encoding, locks, vectors
from mugsearch.gallery.models import Encoder, Photo, Template
from mugsearch.vault import services as vault

logger = logging.getLogger(__name__)


def enroll(photo_id: UUID | str) -> None:
    """WAITING with a picked face -> ENROLLED, searchable from the commit on. Calling it twice is harmless."""
    photo = Photo.objects.picked().filter(pk=photo_id).first()
    if photo is None or photo.face is None:
        return
    encoder = encoding.active()
    try:
        pixels = images.read_png(vault.read_file(photo.booking_id, photo.pk))
    except Unavailable:
        if Photo.objects.filter(pk=photo_id).exists():
            raise
        return  # expunged meanwhile
    vector = encoding.loaded(encoder.spec).embed(pixels, Face.from_dict(photo.face))
    try:
        with audit.act("photo.enrolled", by=None, obj=photo, encoder=encoder.pk):
            locks.writing()
            if not Encoder.objects.filter(pk=encoder.pk, state=Encoder.State.ACTIVE).exists():
                raise WrongState("The encoder was changed meanwhile.")
            if Photo.objects.picked().filter(pk=photo_id).update(state=Photo.State.ENROLLED) != 1:
                raise WrongState("This photo is enrolled already, or gone.")
            template = Template.objects.create(
                photo=photo, encoder=encoder, sealed_vector=vectors.sealed(photo, encoder, vector)
            )
            changes.put([template])
    except WrongState as error:
        # Either there is nothing left to do, or `left_behind` finds it again.
        logger.info("photo %s was not enrolled: %s", photo_id, error.message)


def left_behind() -> list[UUID]:
    """Photographs whose face was picked and that are not enrolled yet: their message was lost, or is on its way."""
    return list(Photo.objects.picked().values_list("pk", flat=True)[:200])
