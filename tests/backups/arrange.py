"""A gallery with a backup of it, and what is purged after the backup was made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mugsearch.accounts.services import console
from mugsearch.backups import making, restoring
from mugsearch.backups.restoring import Restored
from mugsearch.gallery.models import Photo
from mugsearch.probes import working
from mugsearch.probes.models import Search
from mugsearch.vault import services as vault
from tests.factories import ProbeFactory, SearchFactory
from tests.fakes import FakeEncoder, synthetic_photo, synthetic_pixels
from tests.gallery_rows import enrol
from tests.retention.arrange import Life, a_life, expunged, finish, sealed

EXPUNGED, SEALED, LIVING = 7, 20, 30  # numbers of synthetic people; a_life's stranger is number 8


@dataclass
class Drill:
    """`life` is expunged and `hidden` sealed after the backup in `data`; `living` stays."""

    life: Life
    number: str
    hidden: Photo
    living: Photo
    data: Path
    keys: Path


def a_drill(folder: Path) -> Drill:
    life, hidden, living = a_life(booking_number="24-00017"), enrol(SEALED), enrol(LIVING)
    probe = life.candidate.search.probe
    vault.create_key(probe.pk)
    vault.store_file(probe.pk, probe.pk, synthetic_photo(EXPUNGED, variant=9))
    a_search(LIVING)  # so that there is an index of before
    data = making.make(by=console(), home=folder / "data").folder
    keys = making.make_of_keys(by=console(), home=folder / "keys").folder
    drill = Drill(life, life.booking.booking_number, hidden, living, data, keys)
    sealed(hidden.booking)
    expunged(life.booking)
    return drill


def restored(drill: Drill, **options: Any) -> Restored:
    done = restoring.restore(drill.data, say=lambda _: None, **options)
    finish()
    return done


def a_search(person: int) -> set[Any]:
    """The photographs that a search with another photograph of this person returns."""
    face = FakeEncoder().faces(synthetic_pixels(person, variant=9))[0]
    probe = ProbeFactory(faces=[{"face": face.to_dict(), "quality": {"score": 80, "reasons": [], "measures": {}}}])
    vault.create_key(probe.pk)
    vault.store_file(probe.pk, probe.pk, synthetic_photo(person, variant=9))
    queued = {"encoder": None, "generation": None, "gallery_size": None, "depth": None, "started_at": None}
    search = SearchFactory(probe=probe, state=Search.State.QUEUED, finished_at=None, **queued)
    working.run_search(search.pk)
    search.refresh_from_db()
    assert search.state == Search.State.DONE
    return set(search.candidates.values_list("photo", flat=True))
