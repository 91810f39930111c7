"""How long a sweep of the rules of retention takes: 1,000 dismissed bookings of a gallery of 20,000, with real files.

    ./run bench sweep [--due 1000] [--gallery 20000] [--photos 2]

Vectors are random and photographs are 40 kB of noise, sealed and written as an import would. Times the plan (what a dry
run shows), the sweep and what one booking took of it, and what the workers do afterwards: proving the index for each
order, and then leavings, VACUUM and the last look for all together.
"""

import argparse
import datetime
import itertools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import rows
from gallery import percentile, set_up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--due", type=int, default=1000)
    parser.add_argument("--gallery", type=int, default=20_000)
    parser.add_argument("--photos", type=int, default=2)
    options = parser.parse_args()
    set_up()
    from celery.app.task import Task

    from mugsearch.retention import sweeping, tasks
    from mugsearch.retention.models import ExpungementOrder

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
    begin = time.perf_counter()
    for order in ExpungementOrder.objects.filter(forgotten_at=None):
        tasks.prove_forgotten(str(order.pk))
    print(f"index               {time.perf_counter() - begin:.1f} s")
    begin = time.perf_counter()
    tasks.finish()
    complete = ExpungementOrder.objects.filter(state="complete").count()
    print(f"the rest, together  {time.perf_counter() - begin:.1f} s, {complete:,} complete")


def fill(gallery: int, due: int, photos: int) -> None:
    """Those that are due have files and vectors; the others have neither, for nothing looks at them."""
    from django.utils import timezone

    from mugsearch.accounts.models import Role
    from mugsearch.accounts.services import add_user, console
    from mugsearch.retention.models import Disposition

    bookings = rows.bookings(due, photos, files=True) + rows.bookings(gallery - due, 0, first=due, files=False)
    clerk = add_user(
        by=console(), username="bench", full_name="Bench", agency=bookings[0].agency, roles=[Role.RECORDS],
        password="a long enough passphrase",  # noqa: S106  a throw-away database
    )  # fmt: skip
    day = timezone.localdate() - datetime.timedelta(days=400)
    long_ago = timezone.now() - datetime.timedelta(days=399)  # the window begins no earlier than it is recorded
    Booking = type(bookings[0])  # noqa: N806  a model
    Booking.objects.update(ruled_since=long_ago)
    Disposition.create_all(
        [
            Disposition(
                agency=booking.agency, booking=booking, booking_number=booking.booking_number,
                disposition="dismissed" if at < due else "convicted", disposed_on=day, recorded_by=clerk,
                counts_since=long_ago,
            )
            for at, booking in enumerate(bookings)
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
