"""Looking everywhere for what should be gone."""

import time
from collections.abc import Iterable
from pathlib import Path

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.hunting import files, memory, server, tables
from mugsearch.hunting.markers import Marker, Sought
from mugsearch.hunting.report import Hunt, Place, Progress


def hunt(*, by: User, markers: list[Marker], also: Iterable[Path] = (), progress: Progress = lambda _: None) -> Hunt:
    """Reads every place and changes none. The record says how much was read and found, never what was sought.

    The markers are in the memory of this process and reach no other: they are compared here, the database is sent none.
    """
    with audit.act("hunt.begun", by=by) as act:
        require(by, Role.ADMINISTRATOR, Role.AUDITOR)
        sought = Sought(markers)
        act.note(markers=len(markers))
    # Not one transaction: it would keep VACUUM from its work for as long as the hunt takes.
    started = time.monotonic()
    places: dict[str, Place] = {}
    for found in _everywhere(sought, also, progress):
        if (place := places.setdefault(found.name, found)) is not found:
            place.read(found.bytes, found.items)
            place.finds += found.finds
            place.missed += found.missed
    done = Hunt(len(markers), list(places.values()), time.monotonic() - started)
    audit.record(
        "hunt.run",
        by=by,
        markers=done.markers,
        bytes=done.bytes,
        seconds=round(done.seconds, 1),
        places=len(done.places),
        in_plain=len(done.in_plain),
        ages=sorted(done.ages),
        missed=sum(len(place.missed) for place in done.places),
    )
    return done


def _everywhere(sought: Sought, also: Iterable[Path], progress: Progress) -> Iterable[Place]:
    yield from tables.look(sought, progress)
    yield from files.look(sought, also, progress)
    if files.embedded():
        yield from memory.look(sought, None, progress)
    else:
        # In this order: what the server reads of its files for us is in the memory of its process afterwards.
        yield from memory.look(sought, server.process(), progress)
        yield from server.files(sought, progress)
    yield from server.redis(sought, progress)
