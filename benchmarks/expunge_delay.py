"""Approval to the moment no search can return the booking, over the LFW gallery, with the real worker and broker.

Times `retention.services.approve`: when it returns, the records are gone. Each time a search with the booking's own
photograph is sent just before, so that it runs into the erasure, and another one just after: a candidate of the
booking on either list ends the benchmark. Also times the way to "complete", when the index has been proved.
"""

import argparse
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gallery import percentile, photographs, set_up
from search_latency import WORKER

WARM_UP = 3  # the worker loads its models and the index with the first ones


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bookings", type=int, default=50)
    options = parser.parse_args()
    folder = photographs("lfw")
    set_up()
    staff = people()
    bookings = imported(folder, staff[0], options.bookings + WARM_UP)
    print(f"{len(bookings) - WARM_UP} bookings, one after another")
    worker = subprocess.Popen(WORKER)
    try:
        times = [expunged(booking, number, *staff) for number, booking in enumerate(bookings)][WARM_UP:]
    finally:
        worker.terminate()
        worker.wait(20)
    gone, complete = zip(*(pair for pair in times if pair), strict=True)
    for label, values in (("no search can return it", list(gone)), ("complete", list(complete))):
        p50, p95, most = percentile(values, 0.5), percentile(values, 0.95), max(values)
        print(f"{label:<24} n={len(values)}  p50 {p50:.3f} s  p95 {p95:.3f} s  max {most:.3f} s")


def people() -> list[Any]:
    """An investigator and two records clerks."""
    from mugsearch.accounts.models import Agency, Role
    from mugsearch.accounts.services import add_user, console

    agency, _ = Agency.objects.get_or_create(code="bench", defaults={"name": "Benchmark"})
    return [
        add_user(
            by=console(),
            username=f"bench{number}",
            full_name="Bench",
            agency=agency,
            password="a long enough passphrase",  # noqa: S106  a throw-away database
            roles=[role],
        )
        for number, role in enumerate((Role.INVESTIGATOR, Role.RECORDS, Role.RECORDS))
    ]


def imported(folder: Path, investigator: Any, bookings: int) -> list[UUID]:
    """Import all photographs; a sample of their bookings."""
    from mugsearch.accounts.services import console
    from mugsearch.gallery import importing, manifest, sources
    from mugsearch.gallery.models import ImportRun, Photo

    importing.run_here(
        by=console(),
        agency=investigator.agency,
        several=ImportRun.Several.CENTRE,
        manifest=manifest.read((folder / "manifest.csv").read_bytes()),
        source=sources.Folder(folder),
    )
    enrolled = Photo.objects.enrolled()
    print(f"gallery: {enrolled.count():,} photographs")
    found = list(enrolled.order_by("booking").values_list("booking", flat=True).distinct())
    return random.Random(1).sample(found, min(bookings, len(found)))  # noqa: S311  a sample


def expunged(booking_id: UUID, number: int, investigator: Any, first: Any, second: Any) -> tuple[float, float] | None:
    """Seconds from approval until no search can return the booking, and until the order is complete."""
    from mugsearch.errors import WrongState
    from mugsearch.gallery.models import Booking
    from mugsearch.management.commands.demo_setup import PURPOSE
    from mugsearch.probes import services as probes
    from mugsearch.probes.models import Probe
    from mugsearch.retention import queries, services, tasks
    from mugsearch.retention.models import ExpungementOrder
    from mugsearch.vault import services as vault

    booking = Booking.objects.get(pk=booking_id)
    photos = list(booking.photos.values_list("pk", flat=True))
    purpose = replace(PURPOSE, case_number=f"B-{number}")
    probe = probes.submit(by=investigator, purpose=purpose, image=vault.read_file(booking.pk, photos[0]))
    until(probe, {Probe.State.READY, Probe.State.NO_FACE, Probe.State.FAILED})
    if probe.state != Probe.State.READY:
        return None
    order = services.request(by=first, booking=booking, order_number=f"O-{number}", reason="Benchmark")
    seen = queries.preview(booking).digest
    before = probes.search(by=investigator, probe=probe, face=0)
    started = time.perf_counter()
    while order.state == ExpungementOrder.State.REQUESTED:
        try:
            services.approve(by=second, order=order, seen=seen)
        except WrongState:  # the search was quicker and put the booking on its list: the clerk looks again
            seen = queries.preview(booking).digest
    gone = time.perf_counter()
    while not ExpungementOrder.objects.filter(pk=order.pk, forgotten_at__isnull=False).exists():
        time.sleep(0.005)
    tasks.finish()  # as the import worker would
    until(order, {ExpungementOrder.State.COMPLETE})
    complete = time.perf_counter()
    not_returned(before, photos, "before")
    not_returned(probes.search(by=investigator, probe=probe, face=0), photos, "after")
    return gone - started, complete - started


def not_returned(search: Any, photos: list[UUID], when: str) -> None:
    until(search, {"done", "failed"})
    if search.state == "failed" or search.candidates.filter(photo__in=photos).exists():
        raise SystemExit(f"the search sent {when} the approval returned the booking, or failed")


def until(row: Any, states: set[Any]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        row.refresh_from_db()
        if row.state in states:
            return
        time.sleep(0.005)
    raise SystemExit(f"nothing happened for a minute: {row._meta.label} is {row.state}")


if __name__ == "__main__":
    main()
