"""Upload to candidates: what an investigator waits for, over the LFW gallery, with the real worker and broker.

Times `probes.services.submit` (decode, seal, commit) to the faces being there, and the request of a search to its
candidates being there. The person's own time to pick a face lies between the two and is not counted.
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

WORKER = [
    *(sys.executable, "-m", "celery", "--quiet", "-A", "mugsearch.celery:app", "worker", "--loglevel=WARNING"),
    *("--pool=solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "-Q", "search"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=100)
    options = parser.parse_args()
    folder = photographs("lfw")
    set_up()

    from mugsearch.accounts.models import Agency, Role
    from mugsearch.accounts.services import add_user, console
    from mugsearch.gallery import importing, manifest, sources
    from mugsearch.gallery.models import ImportRun, Template
    from mugsearch.management.commands.demo_setup import PURPOSE
    from mugsearch.probes import services
    from mugsearch.probes.models import Probe, Search

    agency, _ = Agency.objects.get_or_create(code="bench", defaults={"name": "Benchmark"})
    importing.run_here(
        by=console(),
        agency=agency,
        several=ImportRun.Several.CENTRE,
        manifest=manifest.read((folder / "manifest.csv").read_bytes()),
        source=sources.Folder(folder),
    )
    me = add_user(
        by=console(),
        username="bench",
        full_name="Bench",
        agency=agency,
        password="a long enough passphrase",  # noqa: S106  a throw-away database
        roles=[Role.INVESTIGATOR],
    )
    photos = sorted(folder.glob("*.jpg"))
    chosen = random.Random(1).sample(photos, min(options.searches + 3, len(photos)))  # noqa: S311  a sample
    print(f"gallery: {Template.objects.count():,} vectors; {len(chosen) - 3} searches, one after another")

    def until(row: Any, states: set[str]) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            row.refresh_from_db()
            if row.state in states:
                return
            time.sleep(0.005)
        raise SystemExit(f"nothing happened for a minute: {row._meta.label} is {row.state}")

    faces, searched, whole = [], [], []
    worker = subprocess.Popen(WORKER)
    try:
        for number, photo in enumerate(chosen):
            image = photo.read_bytes()
            started = time.perf_counter()
            probe = services.submit(by=me, purpose=replace(PURPOSE, case_number=f"B-{number}"), image=image)
            until(probe, {Probe.State.READY, Probe.State.NO_FACE, Probe.State.FAILED})
            found = time.perf_counter()
            if probe.state != Probe.State.READY:
                print(f"{photo.name}: {probe.get_state_display()}")
                continue
            search = services.search(by=me, probe=probe, face=0)
            until(search, {Search.State.DONE, Search.State.FAILED})
            ended = time.perf_counter()
            if number < 3:  # the worker loads its models and the index with the first ones
                print(f"warm-up {number + 1}: {ended - started:.2f} s")
                continue
            faces.append(found - started)
            searched.append(ended - found)
            whole.append(ended - started)
    finally:
        worker.terminate()
        worker.wait(20)
    for label, values in (("faces found", faces), ("searched", searched), ("upload to candidates", whole)):
        p50, p95, most = percentile(values, 0.5), percentile(values, 0.95), max(values)
        print(f"{label:<22} n={len(values)}  p50 {p50:.3f} s  p95 {p95:.3f} s  max {most:.3f} s")


if __name__ == "__main__":
    main()
