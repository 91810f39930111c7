"""Moving the gallery to another encoder in the background, while the old one keeps answering.

The setting names the encoder wanted. Photos without a vector of it are encoded batch by batch; when none is left,
it becomes the active one in a single transaction and the old vectors are dropped. Each batch is committed with its
entry in the record, so a killed run goes on where it stopped. Loads the encoder: not for web processes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.engine import images
from mugsearch.engine.encoders import Encoder as LoadedEncoder
from mugsearch.engine.encoders import Face
from mugsearch.errors import Unavailable, WrongState
from mugsearch.gallery import changes, encoding, locks, vectors
from mugsearch.gallery.models import Encoder, Photo, Template
from mugsearch.vault import services as vault

BATCH = 16  # photos per transaction
# Boxes of two detectors around one face overlap by far more; two neighbours' by far less.
SAME_FACE = 0.3


@dataclass(frozen=True)
class Progress:
    encoder: str
    done: int
    total: int


Report = Callable[[Progress], None]


class _PhotoCameIn(WrongState):
    """The change isn't over yet; what came in is encoded next."""


def reencode(report: Report | None = None) -> Encoder:
    """Encode what lacks a vector of the wanted encoder, then make it the active one. Returns the active encoder.

    With nothing to do, or with another process at it, it returns at once: the scheduler may call it often.
    """
    with locks.reencoding_alone() as alone:
        return _reencode(report) if alone else encoding.active()


def _reencode(report: Report | None) -> Encoder:
    active = encoding.active()
    target = active if active.spec == settings.MUGSEARCH_ENCODER else _prepare(active)
    model = encoding.loaded(target.spec)
    while True:
        while batch := list(_missing(target).select_related("booking")[:BATCH]):
            _encode(target, model, batch)
            if report:
                total = Photo.objects.enrolled().count()
                report(Progress(target.name, total - _missing(target).count(), total))
        if target == active or _activated(active, target):
            return target


def _missing(target: Encoder) -> "QuerySet[Photo]":
    return Photo.objects.enrolled().exclude(templates__encoder=target).order_by("pk")


def _prepare(active: Encoder) -> Encoder:
    """The row of the wanted encoder. Another one that was being prepared is given up."""
    target = encoding.register(settings.MUGSEARCH_ENCODER, state=Encoder.State.RETIRED)
    if target.pk == active.pk:  # the same weights under another name of the setting
        Encoder.objects.filter(pk=active.pk).update(spec=settings.MUGSEARCH_ENCODER)
        active.refresh_from_db()
        return active
    if target.state != Encoder.State.PREPARING:
        with audit.act("encoder.preparing", by=None, obj=target, digest=target.digest):
            locks.erasing()
            for other in Encoder.objects.filter(state=Encoder.State.PREPARING):
                _retire(other)
            retired = Encoder.objects.filter(pk=target.pk, state=Encoder.State.RETIRED)
            if retired.update(state=Encoder.State.PREPARING, spec=settings.MUGSEARCH_ENCODER) != 1:
                raise WrongState("The encoder was changed by somebody else meanwhile.")
        target.refresh_from_db()
    return target


def _encode(target: Encoder, model: LoadedEncoder, batch: list[Photo]) -> None:
    found = {}
    for photo in batch:
        try:
            pixels = images.read_png(vault.read_file(photo.booking_id, photo.pk))
        except Unavailable:
            if Photo.objects.filter(pk=photo.pk).exists():
                raise
            continue  # expunged between reading the row and the file
        found[photo.pk] = model.embed(pixels, _same_face(Face.from_dict(photo.face or {}), model.faces(pixels)))
    with audit.act("photos.encoded", by=None, obj=target) as act:
        locks.writing()
        still_here = Photo.objects.enrolled().filter(pk__in=found).exclude(templates__encoder=target)
        templates = Template.objects.bulk_create(
            Template(photo=photo, encoder=target, sealed_vector=vectors.sealed(photo, target, found[photo.pk]))
            for photo in still_here
        )
        changes.put(templates)
        act.note(photos=[str(template.photo_id) for template in templates])


def _same_face(enrolled: Face, faces: list[Face]) -> Face:
    """The enrolled face as the new encoder's own detector sees it; else as the old one did, so nobody is lost."""
    best = max(faces, key=lambda face: _overlap(face.box, enrolled.box), default=enrolled)
    return best if _overlap(best.box, enrolled.box) >= SAME_FACE else enrolled


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def _activated(active: Encoder, target: Encoder) -> bool:
    """Switch, unless a photo came in meanwhile. Exclusive: no import or search is writing."""
    try:
        with audit.act("encoder.activated", by=None, obj=target, digest=target.digest, before=active.digest):
            locks.erasing()
            if _missing(target).exists():
                raise _PhotoCameIn("A photograph came in while the encoder was being changed.")
            _retire(active)
            ready = Encoder.objects.filter(pk=target.pk, state=Encoder.State.PREPARING)
            if ready.update(state=Encoder.State.ACTIVE, activated_at=timezone.now()) != 1:
                raise WrongState("The encoder is no longer being prepared; the next run starts the change anew.")
    except _PhotoCameIn:
        return False
    target.refresh_from_db()
    return True


def _retire(encoder: Encoder) -> None:
    old = Template.objects.filter(encoder=encoder)
    changes.drop(list(old))
    old.delete()
    Encoder.objects.filter(pk=encoder.pk).update(state=Encoder.State.RETIRED)
