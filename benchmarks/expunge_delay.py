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

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gallery import percentile, photographs, set_up
from search_latency import WORKER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bookings", type=int, default=50)
    options = parser.parse_args()
    folder = photographs("lfw")
    set_up()

    from mugsearch.accounts.models import Agency, Role
    from mugsearch.accounts.services import add_user, console
    from mugsearch.errors import WrongState
    from mugsearch.gallery import importing, manifest, sources
    from mugsearch.gallery.models import Booking, ImportRun, Photo, Template
    from mugsearch.management.commands.demo_setup import PURPOSE
    from mugsearch.probes import services as probes
    from mugsearch.probes.models import Probe, Search
    from mugsearch.retention import queries, services
    from mugsearch.retention.models import ExpungementOrder
    from mugsearch.vault import services as vault

    agency, _ = Agency.objects.get_or_create(code="bench", defaults={"name": "Benchmark"})
    importing.run_here(
        by=console(),
        agency=agency,
        several=ImportRun.Several.CENTRE,
        manifest=manifest.read((folder / "manifest.csv").read_bytes()),
        source=sources.Folder(folder),
    )
    staff = [
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
    me, first, second = staff
    enrolled = list(Photo.objects.enrolled().order_by("pk").values_list("booking", flat=True).distinct())
    bookings = random.Random(1).sample(enrolled, min(options.bookings + 3, len(enrolled)))  # noqa: S311  a sample
    print(f"gallery: {Template.objects.count():,} vectors; {len(bookings) - 3} bookings, one after another")

    def until(row: Any, states: set[str]) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            row.refresh_from_db()
            if row.state in states:
                return
            time.sleep(0.005)
        raise SystemExit(f"nothing happened for a minute: {row._meta.label} is {row.state}")

    def not_returned(search: Search, photos: list[Any], when: str) -> None:
        until(search, {Search.State.DONE, Search.State.FAILED})
        if search.state == Search.State.FAILED or search.candidates.filter(photo__in=photos).exists():
            raise SystemExit(f"the search sent {when} the approval returned the booking, or failed")

    gone, complete = [], []
    worker = subprocess.Popen(WORKER)
    try:
        for number, booking_id in enumerate(bookings):
            booking = Booking.objects.get(pk=booking_id)
            photos = list(booking.photos.values_list("pk", flat=True))
            image = vault.read_file(booking.pk, photos[0])
            probe = probes.submit(by=me, purpose=replace(PURPOSE, case_number=f"B-{number}"), image=image)
            until(probe, {Probe.State.READY, Probe.State.NO_FACE, Probe.State.FAILED})
            if probe.state != Probe.State.READY:
                continue
            order = services.request_expungement(
                by=first, booking=booking, order_number=f"O-{number}", reason="Benchmark"
            )
            seen = queries.preview(booking).digest
            before = probes.search(by=me, probe=probe, face=0)
            started = time.perf_counter()
            while True:
                try:
                    services.approve(by=second, order=order, seen=seen)
                    break
                except WrongState:  # the search was quicker and put the booking on its list: look again
                    seen = queries.preview(booking).digest
            ended = time.perf_counter()
            until(order, {ExpungementOrder.State.COMPLETE})
            proved = time.perf_counter()
            not_returned(before, photos, "before")
            not_returned(probes.search(by=me, probe=probe, face=0), photos, "after")
            if number >= 3:  # the worker loads its models and the index with the first ones
                gone.append(ended - started)
                complete.append(proved - started)
    finally:
        worker.terminate()
        worker.wait(20)
    for label, values in (("no search can return it", gone), ("complete", complete)):
        p50, p95, most = percentile(values, 0.5), percentile(values, 0.95), max(values)
        print(f"{label:<24} n={len(values)}  p50 {p50:.3f} s  p95 {p95:.3f} s  max {most:.3f} s")


if __name__ == "__main__":
    main()
