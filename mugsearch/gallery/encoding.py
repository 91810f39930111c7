"""Which encoder answers, and moving the gallery to another one while the old one keeps answering."""

from functools import lru_cache
from threading import Lock

from django.conf import settings

from mugsearch.engine import encoders
from mugsearch.engine.encoders import Encoder as LoadedEncoder
from mugsearch.errors import Unavailable
from mugsearch.gallery.models import Encoder

_loading = Lock()


@lru_cache(maxsize=4)
def _load(spec: str) -> LoadedEncoder:
    return encoders.load(spec)


def loaded(spec: str) -> LoadedEncoder:
    """The encoder's models, loaded once per process. Raises Unavailable when weights are missing or changed."""
    with _loading:
        return _load(spec)


def active() -> Encoder:
    """The encoder that answers searches. On an empty installation the configured one becomes it."""
    found = Encoder.objects.filter(state=Encoder.State.ACTIVE).first()
    found = found or register(settings.MUGSEARCH_ENCODER, state=Encoder.State.ACTIVE)
    if found.state != Encoder.State.ACTIVE:
        # Its vectors are dropped or incomplete: an answer would look like "nobody found".
        raise Unavailable("No encoder is active, although one was before; restore the database from a whole backup.")
    return found


def register(spec: str, *, state: Encoder.State) -> Encoder:
    """The row of an encoder, with what the loaded weights say of themselves. `state` is for a new row only."""
    model = loaded(spec)
    row, _ = Encoder.objects.get_or_create(
        name=model.name,
        digest=model.digest,
        defaults={"spec": spec, "dimension": model.dimension, "licence": model.licence, "state": state},
    )
    return row
