"""Photographs a second into an empty gallery, through the product's own import, with the configured encoder.

./run bench import_rate [NAME] [--rows N]     NAME is lfw (the default) or meds
"""

import argparse
import os
import time

import gallery


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="lfw", choices=["lfw", "meds"])
    parser.add_argument("--rows", type=int, metavar="N", help="only the first N rows of the manifest")
    options = parser.parse_args()
    folder = gallery.photographs(options.name)
    gallery.set_up()

    from mugsearch.accounts.models import Agency
    from mugsearch.accounts.services import console
    from mugsearch.gallery import encoding, importing, manifest, sources
    from mugsearch.gallery.models import GalleryChange, ImportRun, Photo

    lines = (folder / "manifest.csv").read_text().splitlines()
    rows = manifest.read("\n".join(lines[: options.rows + 1 if options.rows else None]).encode())
    agency = Agency.objects.create(code="bench", name="Benchmark")
    encoder = encoding.active()
    encoding.loaded(encoder.spec)

    def run() -> tuple[ImportRun, float]:
        started = time.perf_counter()
        done = importing.run_here(
            by=console(),
            agency=agency,
            several=ImportRun.Several.CENTRE,
            manifest=rows,
            source=sources.Folder(folder),
        )
        return done, time.perf_counter() - started

    load = os.getloadavg()[0]
    first, seconds = run()
    print(f"encoder           {encoder.name}")
    print(f"processors        {len(os.sched_getaffinity(0))}, load average before {load:.2f}")
    print(f"rows              {first.rows}")
    print(f"enrolled          {first.enrolled}, waiting {first.waiting}, rejected {first.rejected}")
    print(f"time              {seconds:.1f} s")
    print(f"rate              {first.rows / seconds:.1f} photographs a second")
    again, seconds = run()
    print(f"the same again    {again.rows / seconds:.0f} rows a second, {again.already} here already")
    assert Photo.objects.count() == first.enrolled + first.waiting
    assert GalleryChange.objects.count() == first.enrolled


if __name__ == "__main__":
    main()
