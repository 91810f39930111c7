"""Vectors of trial photographs: sealed under the photo's own data key, bound to their encoder."""

from contextlib import suppress
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from mugsearch.accounts.models import Agency
from mugsearch.gallery.models import Encoder
from mugsearch.trials.lists import Held
from mugsearch.trials.models import TrialPhoto
from mugsearch.vault import services as vault


def sealed(photo: UUID, encoder: Encoder, vector: NDArray[np.float32]) -> bytes:
    """`vector`: (encoder.dimension,), norm 1."""
    return vault.seal(photo, f"trial/{encoder.pk}", vector.astype("<f4").tobytes())


def usable(agency: Agency, encoder: Encoder) -> list[Held]:
    """Every photograph a trial of this agency can use today."""
    ready = TrialPhoto.objects.filter(subject__agency=agency, state=TrialPhoto.State.READY, encoder=encoder)
    held = []
    for photo in ready.only("subject", "sealed_vector").order_by("pk"):
        with suppress(vault.KeyDestroyed):  # a withdrawal that was killed on its way; it can be asked for again
            held.append(Held(photo.pk, photo.subject_id, np.frombuffer(_opened(photo, encoder), "<f4")))
    return held


def _opened(photo: TrialPhoto, encoder: Encoder) -> bytes:
    return vault.unseal(photo.pk, f"trial/{encoder.pk}", bytes(photo.sealed_vector or b""))
