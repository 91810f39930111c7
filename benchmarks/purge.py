"""A purge, step by step: bookings of 3 photographs, one after another, in a gallery of 300,000.

    ./run bench purge [--photos 300000] [--purges 7]

The crowd is made by PostgreSQL, its vectors are random, in the index alone. Those that go are as an import writes them,
each photograph a file of 40 kB. One process does what the web process, the search worker and the import worker do,
without a broker: what they wait for each other (see expunge_delay) is not in it. At the end: what VACUUM and VACUUM
FULL of each large table take.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import rows
from gallery import percentile, set_up

EACH = 3  # photographs of a booking
SHOWN = {
    "erased_at.committed": "unsearchable: the rows are gone",
    "key_destroyed_at.committed": "keys gone",
    "files_removed_at.committed": "files gone",
    "uploads_gone_at.committed": "uploads gone",
    "forgotten_at.committed": "index forgot, searched with each vector",
    "leavings_gone_at.committed": "leavings gone",
    "vacuumed_at.committed": "vacuumed",
    "verified_at.committed": "complete: the last look found nothing",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=300_000)
    parser.add_argument("--purges", type=int, default=7)
    options = parser.parse_args()
    set_up()
    from celery.app.task import Task
    from django.db import connection

    from mugsearch import ownership

    Task.apply_async = lambda *_, **__: None  # no broker
    begin = time.perf_counter()
    rows.crowd(options.photos - EACH * options.purges, EACH)
    going = rows.bookings(options.purges, EACH, files=True)
    print(f"{options.photos:,} photographs made in {time.perf_counter() - begin:.0f} s")
    begin = time.perf_counter()
    rows.index_crowd()
    print(f"index filled in {time.perf_counter() - begin:.0f} s")
    with ownership.acting(), connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    times = [purged(booking, number) for number, booking in enumerate(going)]
    print(f"\nmedian of {len(times)}, from the approval on          step       until then")
    before = 0.0
    for name, words in SHOWN.items():
        until = percentile([one[name] for one in times], 0.5)
        print(f"{words:<44} {until - before:7.3f} s  {until:7.3f} s")
        before = until
    print(f"longest until complete: {max(one['verified_at.committed'] for one in times):.2f} s\n")
    for table in ("gallery_person", "gallery_booking", "gallery_photo", "gallery_template"):
        size, plain, full = megabytes(table), taken(table, ""), taken(table, "FULL")
        print(f"{table:<20} {size:>6.0f} MB  VACUUM {plain:.2f} s  FULL {full:.2f} s")


def purged(booking: Any, number: int) -> dict[str, float]:
    """{failpoint: seconds since the approval began}."""
    from mugsearch import failpoints
    from mugsearch.accounts.models import Role, User
    from mugsearch.accounts.services import add_user, console
    from mugsearch.retention import queries, services, tasks

    clerks = list(User.objects.filter(username__startswith="bench"))
    while len(clerks) < 2:
        clerks.append(
            add_user(
                by=console(), username=f"bench{len(clerks)}", full_name="Bench", agency=booking.agency,
                roles=[Role.RECORDS], password="a long enough passphrase",  # noqa: S106  a throw-away database
            )
        )  # fmt: skip
    order = services.request(by=clerks[0], booking=booking, order_number=f"O-{number}", reason="Benchmark")
    seen = queries.preview(booking).digest
    stamps: dict[str, float] = {}
    start = time.perf_counter()
    failpoints.armed = lambda name: stamps.update({name: time.perf_counter() - start})
    services.approve(by=clerks[1], order=order, seen=seen)
    tasks.prove_forgotten(str(order.pk))
    tasks.finish()
    failpoints.armed = None
    order.refresh_from_db()
    if order.state != order.State.COMPLETE:
        raise SystemExit(f"it was not complete: {order.troubles}")
    if not number:
        print("checked:", order.checks)
    return stamps


def megabytes(table: str) -> float:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size(%s)", [table])
        return float(cursor.fetchone()[0]) / 2**20


def taken(table: str, how: str) -> float:
    from django.db import connection

    from mugsearch import ownership

    begin = time.perf_counter()
    with ownership.acting(), connection.cursor() as cursor:
        cursor.execute(f"VACUUM {'(FULL)' if how else ''} {table}")
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
