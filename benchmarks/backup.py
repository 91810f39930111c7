"""How long a backup and a restore take: 20,000 photographs, some of them expunged and sealed in between.

    ./run bench backup [--photos 20000] [--bytes 100000] [--purged 20]

Every photograph is a booking of its own, with noise of so many bytes in the vault and a random vector. The restore goes
into the same database; beside the files of today (which stay) and once into an empty vault.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gallery import set_up

BATCH = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, default=100_000)
    parser.add_argument("--purged", type=int, default=20, help="expunged after the backup, and as many sealed")
    options = parser.parse_args()
    set_up()
    from celery.app.task import Task
    from django.conf import settings

    from mugsearch.accounts.services import console
    from mugsearch.backups import making
    from mugsearch.gallery.models import Booking

    Task.apply_async = lambda *_, **__: None  # no broker
    began = time.perf_counter()
    clerks = fill(options.photos, options.bytes)
    print(f"{options.photos:,} photographs made in {time.perf_counter() - began:.0f} s")
    with tempfile.TemporaryDirectory(dir=settings.VAR.parent, prefix="backups-") as home:
        made = timed("backup", making.make, by=console(), home=Path(home) / "data")
        print(f"                    {made.bytes / 2**20:,.0f} MiB")
        keys = timed("backup of the keys", making.make_of_keys, by=console(), home=Path(home) / "keys")
        print(f"                    {keys.bytes / 2**20:,.1f} MiB")
        bookings = list(Booking.objects.order_by("pk")[: 2 * options.purged])
        for number, booking in enumerate(bookings):
            purge(booking, "expunge" if number % 2 else "seal", *clerks)
        restored("restore, files there", made.folder)
        shutil.rmtree(settings.VAULT_FILES)
        restored("restore, files lost", made.folder)


def restored(what: str, folder: Path) -> None:
    """With the time of each of its steps."""
    from mugsearch.backups import restoring

    steps: list[tuple[str, float]] = []
    began = time.perf_counter()
    done = restoring.restore(folder, replace=True, say=lambda line: steps.append((line, time.perf_counter())))
    end = time.perf_counter()
    print(f"{what:<20}{end - began:.1f} s, {done.counts}")
    for (line, at), (_, until) in zip(steps, [*steps[1:], ("", end)], strict=True):
        print(f"{'':<20}  {until - at:6.1f} s  {line}")


def timed(what: str, do: Any, **how: Any) -> Any:
    began = time.perf_counter()
    result = do(**how)
    print(f"{what:<20}{time.perf_counter() - began:.1f} s")
    return result


def purge(booking: Any, kind: str, one: Any, other: Any) -> None:
    from mugsearch.retention import queries, services
    from mugsearch.retention.models import ExpungementOrder

    asked = {"kind": ExpungementOrder.Kind(kind), "order_number": "CV-1", "reason": "Benchmark"}
    order = services.request(by=one, booking=booking, **asked)
    preview = queries.of_order(order)
    if preview is None:
        raise SystemExit("Nothing to purge.")
    services.approve(by=other, order=order, seen=preview.digest)


def fill(photos: int, size: int) -> list[Any]:
    """Returns two records clerks."""
    import numpy as np
    from django.db import transaction

    from mugsearch.accounts.models import Agency, Role
    from mugsearch.accounts.services import add_user, console
    from mugsearch.gallery import changes, encoding, vectors
    from mugsearch.gallery.models import Booking, Person, Photo, Template
    from mugsearch.vault import services as vault

    agency = Agency.objects.create(code="bench", name="Benchmark")
    encoder, random = encoding.active(), np.random.default_rng(1)
    enrolled = {"state": "enrolled", "face": {"box": [0, 0, 9, 9], "landmarks": [], "score": 1.0}}
    for start in range(0, photos, BATCH):
        numbers = range(start, min(start + BATCH, photos))
        people = [Person(agency=agency, person_id=f"P-{at}") for at in numbers]
        bookings = [
            Booking(agency=agency, person=one, booking_number=f"B-{at}")
            for at, one in zip(numbers, people, strict=True)
        ]
        vault.create_keys(one.pk for one in (*people, *bookings))
        for row in (*people, *bookings):
            row.seal()
        Person.objects.bulk_create(people)
        Booking.objects.bulk_create(bookings)
        made = [
            Photo(booking=one, sha256=os.urandom(32).hex(), format="PNG", width=9, height=9, **enrolled)
            for one in bookings
        ]
        Photo.objects.bulk_create(made)
        rows = random.standard_normal((len(made), encoder.dimension)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        templates = Template.objects.bulk_create(
            Template(photo=photo, encoder=encoder, sealed_vector=vectors.sealed(photo, encoder, row))
            for photo, row in zip(made, rows, strict=True)
        )
        with transaction.atomic():
            changes.put(templates)
        for photo in made:
            path = Path(vault.settings.VAULT_FILES) / photo.pk.hex[:2] / photo.pk.hex
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(vault.seal(photo.booking_id, str(photo.pk), os.urandom(size)))  # without a sync for each
    os.sync()
    return [
        add_user(
            by=console(),
            username=f"bench{number}",
            full_name="Bench",
            agency=agency,
            password="a long enough passphrase",  # noqa: S106  a throw-away database
            roles=[Role.RECORDS],
        )
        for number in range(2)
    ]


if __name__ == "__main__":
    main()
