"""How long a sweep of the rules of retention takes: 1,000 dismissed bookings of a gallery of 20,000, with real files.

    ./run bench sweep [--due 1000] [--gallery 20000] [--photos 2]

Vectors are random and photographs are 40 kB of noise, sealed and written as an import would; the search worker's part,
which proves that the index forgot, is not in it (see expunge_delay). Times the plan (what a dry run shows), the sweep,
and what one booking took.
"""

import argparse
import datetime
import itertools
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gallery import percentile, set_up

BYTES, BATCH = 40_000, 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--due", type=int, default=1000)
    parser.add_argument("--gallery", type=int, default=20_000)
    parser.add_argument("--photos", type=int, default=2)
    options = parser.parse_args()
    set_up()
    from celery.app.task import Task

    from mugsearch.retention import sweeping

    Task.apply_async = lambda *_, **__: None  # no broker
    begin = time.perf_counter()
    fill(options.gallery, options.due, options.photos)
    print(f"{options.gallery:,} bookings made in {time.perf_counter() - begin:.0f} s, {options.due:,} of them due")
    begin = time.perf_counter()
    plan = sweeping.plan()
    print(f"plan                {time.perf_counter() - begin:.2f} s for {plan.count:,} bookings")
    stamps = [time.perf_counter()]
    swept = sweeping.sweep(confirm=plan.count, report=lambda *_: stamps.append(time.perf_counter()))
    took = time.perf_counter() - stamps[0]
    each = [later - before for before, later in itertools.pairwise(stamps)]
    print(f"sweep               {took:.1f} s, {swept.done:,} done, {swept.skipped.total()} left")
    p50, p95 = (percentile(each, share) * 1000 for share in (0.5, 0.95))
    print(f"one booking         p50 {p50:.0f} ms  p95 {p95:.0f} ms  longest {max(each) * 1000:.0f} ms")


def fill(gallery: int, due: int, photos: int) -> None:
    """Every booking of a person of its own; those that are due have files, a key and vectors as well."""
    from django.utils import timezone

    from mugsearch.accounts.models import Agency, Role
    from mugsearch.accounts.services import add_user, console
    from mugsearch.gallery import identity
    from mugsearch.gallery.models import Booking, Encoder, Person, Photo, Template
    from mugsearch.retention.models import Disposition
    from mugsearch.vault import services as vault

    agency, _ = Agency.objects.get_or_create(code="bench", defaults={"name": "Benchmark"})
    clerk = add_user(
        by=console(), username="bench", full_name="Bench", agency=agency, roles=[Role.RECORDS],
        password="a long enough passphrase",  # noqa: S106  a throw-away database
    )  # fmt: skip
    encoder = Encoder.objects.create(
        spec="bench", name="bench", digest="b" * 64, dimension=128, licence="None", state="active"
    )
    people = [Person(agency=agency, person_id=f"P-{number}") for number in range(gallery)]
    bookings = [
        Booking(agency=agency, person=person, booking_number=f"B-{at}", number_digest=identity.of_booking(f"B-{at}"))
        for at, person in enumerate(people)
    ]
    Person.objects.bulk_create(people, batch_size=BATCH)
    Booking.objects.bulk_create(bookings, batch_size=BATCH)
    face = {"box": [0, 0, 9, 9], "landmarks": [], "score": 1.0}
    made = [
        Photo(booking=one, sha256=os.urandom(32).hex(), format="PNG", width=9, height=9, state="enrolled", face=face)
        for one in bookings[:due]
        for _ in range(photos)
    ]
    Photo.objects.bulk_create(made, batch_size=BATCH)
    for booking in bookings[:due]:
        vault.create_key(booking.pk)
    for photo in made:
        vault.store_file(photo.booking_id, photo.pk, os.urandom(BYTES))
    vectors = (vault.seal(one.booking_id, f"{one.pk}", os.urandom(512)) for one in made)
    Template.objects.bulk_create(
        (Template(photo=one, encoder=encoder, sealed_vector=it) for one, it in zip(made, vectors, strict=True)),
        batch_size=BATCH,
    )
    today = timezone.localdate()
    Disposition.objects.bulk_create(
        Disposition(
            agency=agency,
            booking=booking,
            booking_number=booking.booking_number,
            number_digest=booking.number_digest,
            disposition="dismissed" if at < due else "convicted",
            disposed_on=today - datetime.timedelta(days=400),
            recorded_by=clerk,
        )
        for at, booking in enumerate(bookings)
    )


if __name__ == "__main__":
    main()
