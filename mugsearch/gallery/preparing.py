"""One photograph of a manifest, from its bytes to everything that gets stored. Runs in threads, without PostgreSQL.

Loads no model by itself: it is given the encoder.
"""

import hashlib
import logging
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mugsearch.engine import images, quality
from mugsearch.engine.encoders import Encoder, Face
from mugsearch.errors import BadImage, Unavailable
from mugsearch.gallery.manifest import Row
from mugsearch.gallery.models import ImportRun, Photo
from mugsearch.gallery.sources import Missing, Source

logger = logging.getLogger(__name__)

Several = ImportRun.Several
# A photograph with more faces than this shows a crowd; the largest are offered to the clerk.
MOST_FACES = 50
# The decoders are shared with everybody else in this process: a busy moment is not the photograph's fault.
_PATIENCE = (0.5, 2.0, 5.0)


@dataclass(frozen=True)
class Prepared:
    """`png` is upright and without metadata; `face`, `quality` and `vector` are of the face that is enrolled."""

    sha256: str
    format: str
    width: int
    height: int
    png: bytes
    faces: list[dict[str, Any]]
    trouble: Photo.Trouble
    face: dict[str, Any] | None = None
    quality: dict[str, Any] | None = None
    vector: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a row: rejected with a reason, already here (only `sha256`), or prepared."""

    row: Row
    reason: str = ""
    sha256: str = ""
    photo: Prepared | None = None


def prepare(row: Row, source: Source, here: frozenset[str], model: Encoder, several: Several) -> Outcome:
    """`here` are the sha256 of the photographs that the row's booking has already: those are not decoded again."""
    try:
        data = source.read(row.photo)
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in here:
            return Outcome(row, sha256=sha256)
        return Outcome(row, sha256=sha256, photo=_prepared(_decoded(data), model, several))
    except Missing as missing:
        return Outcome(row, reason=str(missing))
    except BadImage as bad:
        return Outcome(row, reason=bad.message)
    except Unavailable:
        raise
    except Exception:  # what a model makes of a strange picture must not stop the other rows
        logger.exception("line %d could not be processed", row.line)
        return Outcome(row, reason="This photo could not be processed; have it looked at, it may be damaged.")


def choose(faces: list[Face], several: Several, width: int, height: int) -> Face | None:
    """The face to enrol, or None when a clerk has to decide. Ties go to the larger face, which comes first."""
    if not faces or (len(faces) > 1 and several == Several.ONLY):
        return None
    if several == Several.CENTRE:
        return min(faces, key=lambda face: _from_centre(face, width, height))
    return max(faces, key=lambda face: face.box[2] * face.box[3])


def _decoded(data: bytes) -> images.Decoded:
    for pause in _PATIENCE:
        try:
            return images.decode(data)
        except Unavailable:
            time.sleep(pause)
    return images.decode(data)


def _prepared(decoded: images.Decoded, model: Encoder, several: Several) -> Prepared:
    pixels = decoded.pixels
    height, width = pixels.shape[:2]
    faces = model.faces(pixels)[:MOST_FACES]
    chosen = choose(faces, several, width, height)
    qualities = [asdict(quality.assess(pixels, face)) for face in faces]
    at = faces.index(chosen) if chosen else None
    trouble = Photo.Trouble.NONE
    if chosen is None:
        trouble = Photo.Trouble.SEVERAL_FACES if faces else Photo.Trouble.NO_FACE
    return Prepared(
        sha256=decoded.sha256,
        format=decoded.format,
        width=width,
        height=height,
        png=images.encode_png(pixels),
        faces=[{**face.to_dict(), "quality": its} for face, its in zip(faces, qualities, strict=True)],
        trouble=trouble,
        face=chosen.to_dict() if chosen else None,
        quality=qualities[at] if at is not None else None,
        vector=model.embed(pixels, chosen) if chosen else None,
    )


def _from_centre(face: Face, width: int, height: int) -> float:
    """Squared distance, in pixels, of the box's middle from the picture's."""
    x, y, box_width, box_height = face.box
    return (x + box_width / 2 - width / 2) ** 2 + (y + box_height / 2 - height / 2) ** 2
