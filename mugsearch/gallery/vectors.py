"""Vectors at rest: sealed under their booking's data key, bound to their photo and encoder."""

import numpy as np
from numpy.typing import NDArray

from mugsearch.gallery.models import Encoder, Photo, Template
from mugsearch.vault import services as vault


def sealed(photo: Photo, encoder: Encoder, vector: NDArray[np.float32]) -> bytes:
    """`vector` has shape (encoder.dimension,) and length 1. The booking has to have its key already."""
    return vault.seal(photo.booking_id, _name(photo.pk, encoder.pk), vector.astype("<f4").tobytes())


def unseal(template: Template, into: NDArray[np.float32]) -> None:
    """Write the vector into `into`, (dimension,) of "<f4", contiguous: the only copy, for the caller to wipe.

    Raises vault.KeyDestroyed when the booking has been expunged.
    """
    name = _name(template.photo_id, template.encoder_id)
    vault.unseal_into(template.photo.booking_id, name, bytes(template.sealed_vector), into.view(np.uint8).data)


def _name(photo_id: object, encoder_id: object) -> str:
    return f"template/{photo_id}/{encoder_id}"
