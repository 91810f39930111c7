"""A gallery with files, keys and vectors, enrolled without an import: for tests of what comes after."""

from hashlib import sha256

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from mugsearch.engine import images
from mugsearch.gallery import changes, encoding, vectors
from mugsearch.gallery.models import Booking, Photo, Template
from mugsearch.vault import services as vault
from tests.factories import BookingFactory
from tests.fakes import FakeEncoder, synthetic_pixels


def enrol(person: int, *, variant: int = 0, booking: Booking | None = None) -> Photo:
    """A photo of synthetic person number `person`, as an import with the fake encoder would have left it."""
    encoder = encoding.active()
    pixels = synthetic_pixels(person, variant=variant)
    face = FakeEncoder().faces(pixels)[0]
    png = images.encode_png(pixels)
    with transaction.atomic():
        booking = booking or BookingFactory()
        photo = Photo.objects.create(
            booking=booking,
            sha256=sha256(png).hexdigest(),
            format="PNG",
            width=pixels.shape[1],
            height=pixels.shape[0],
            state=Photo.State.ENROLLED,
            faces=[face.to_dict()],
            face=face.to_dict(),
        )
        vault.create_key(booking.pk)
        vault.store_file(booking.pk, photo.pk, png)
        template = Template.objects.create(
            photo=photo,
            encoder=encoder,
            sealed_vector=vectors.sealed(photo, encoder, FakeEncoder().embed(pixels, face)),
        )
        changes.put([template])
    return photo


def vector_of(template: Template) -> NDArray[np.float32]:
    """(dimension,), as PostgreSQL has it."""
    vector = np.empty(template.encoder.dimension, "<f4")
    vectors.unseal(template, vector)
    return vector
