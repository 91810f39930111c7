"""A gallery of 300,000 bookings under the running system: searches, also during an import, and every list page.

    ./run bench service [--rows N] [--searches N] [--seconds N] [--json FILE]

Fills PostgreSQL (see serving/records.py), starts the processes of `./run serve`, and works as people do: through the
API with tokens, and the pages with sessions. "Upload to candidates" is from sending the photograph until the list is
there; the person's own time to pick a face lies between and is not counted.

The goals are those of two cores. Numbers of queries are compared between the first thousand bookings and all of them.
"""

import argparse
import csv
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gallery

REAL = 300  # photographs imported through the product before the fill
FIRST = 1000  # bookings after which the queries of every page are counted once
GOAL = {"searches": 1.0, "searches during an import": 2.0, "pages": 0.3}  # seconds, p95
PER_SECOND = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000, help="bookings (300,000)")
    parser.add_argument("--searches", type=int, help="one after another (200; 30 below 20,000 rows)")
    parser.add_argument(
        "--seconds", type=float, help=f"of {PER_SECOND:.0f} searches a second (60; 15 below 20,000 rows)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if options.rows < FIRST:
        parser.error(f"--rows is at least {FIRST:,}")
    small = options.rows < 20_000
    searches = options.searches or (30 if small else 200)
    seconds = options.seconds or (15.0 if small else 60.0)
    folder = gallery.photographs("lfw")
    gallery.set_up()
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)  # pages name static files by their digests
    figures = measure(folder, options.rows, searches, seconds)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(folder: Path, rows: int, searches: int, seconds: float) -> dict[str, Any]:
    from django.conf import settings
    from serving import pages, running

    from mugsearch.accounts.models import Role

    staff, figures, queries = filled(folder, rows)
    every = pages.every_page(staff)
    began = time.time()
    with running.system(Path(settings.VAR) / "log" / "serve.log") as address:
        index = running.rebuilt(began)
        speed = f" in {index.seconds:.1f} s, {index.rate:,.0f} a second" if index.seconds else ""
        print(
            f"index rebuilt from PostgreSQL: {index.vectors:,} vectors{speed}; "
            f"ready {index.ready:.0f} s after ./run serve"
        )
        figures["index"] = asdict(index)

        print(f"every page, {pages.TIMES} times, one after another; not: {', '.join(pages.not_measured(every))}")
        figures["pages"] = shown(every, pages.seconds_of(every, staff, address), queries)

        with (folder / "manifest.csv").open() as sheet:
            rest = list(csv.DictReader(sheet))[REAL:]
        me = running.Client.of(staff.of_role[Role.INVESTIGATOR], address)
        clerk = running.Client.of(staff.of_role[Role.RECORDS], address)
        searching = running.Searching(me, [folder / row["photo"] for row in rest])
        for _ in range(3):  # the worker loads its models with the first ones
            searching.whole()
        print(f"{searches} searches, one after another")
        taken = [one for one in (searching.whole() for _ in range(searches)) if one is not None]
        figures["searches"] = told("searches", taken)

        print(f"{searches} searches while imports run")
        importing = running.Importing(clerk, folder, rest[: 20 * searches])
        taken, started, before = [], time.monotonic(), importing.rows_done()
        while len(taken) < searches:
            was_running = importing.go_on()
            one = searching.whole()
            if was_running and importing.go_on() and one is not None:
                taken.append(one)
        imported = (importing.rows_done() - before) / (time.monotonic() - started)
        figures["searches_during_import"] = told("searches during an import", taken) | {"imported_a_second": imported}
        print(f"  meanwhile {imported:.0f} photographs a second were imported; waiting for the last import", flush=True)
        running.wait_for_imports()

        print(f"{PER_SECOND:.0f} searches a second for {seconds:.0f} s")
        rate = searching.at_a_rate(PER_SECOND, seconds)
        lost = rate.wanted - len(rate.taken)
        figures["rate"] = {"wanted": rate.wanted, "lost": lost, "behind": rate.behind, **told("", rate.taken)}
        print(f"  {len(rate.taken)} of {rate.wanted} done, the last {rate.behind:.1f} s after the last upload")
        print(f"  lost: {lost}; goal: none: {'met' if not lost else 'MISSED'}")
    return figures


def filled(folder: Path, rows: int) -> tuple[Any, dict[str, Any], dict[str, tuple[int, int]]]:
    """(staff, figures, by page its number of queries with FIRST bookings and with all)."""
    from serving import pages, records

    from mugsearch.accounts.services import console
    from mugsearch.gallery import encoding, importing, manifest, sources
    from mugsearch.gallery.models import Booking, ImportRun, Template

    staff = records.hire()
    lines = (folder / "manifest.csv").read_text().splitlines()
    run = importing.run_here(
        by=console(),
        agency=staff.agency,
        several=ImportRun.Several.CENTRE,
        manifest=manifest.read("\n".join(lines[: REAL + 1]).encode()),
        source=sources.Folder(folder),
    )
    print(f"{run.enrolled} photographs imported; filling up to {rows:,} bookings", flush=True)
    encoder = encoding.active()
    started = time.perf_counter()

    def say(done: int) -> None:
        seconds = time.perf_counter() - started
        print(f"  {done:,} bookings, {seconds:.0f} s, {done / seconds:,.0f} a second", flush=True)

    def counted() -> dict[str, int]:
        return {str(page): pages.queries_of(page, staff.of_role[page.role]) for page in pages.every_page(staff)}

    records.add(staff, encoder, FIRST - Booking.objects.count(), say)
    few = counted()
    started = time.perf_counter()
    records.add(staff, encoder, rows - Booking.objects.count(), say)
    seconds = time.perf_counter() - started
    many = counted()
    print(f"filled: {Booking.objects.count():,} bookings, {Template.objects.count():,} vectors, in {seconds:.0f} s")
    return staff, {"rows": rows, "fill_seconds": seconds}, {name: (few[name], many[name]) for name in many}


def shown(every: list[Any], taken: dict[Any, list[float]], queries: dict[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Every page's figures, the slowest of each role first."""
    rows = []
    for page in sorted(every, key=lambda page: (page.role.value, -gallery.percentile(taken[page], 0.95))):
        p50, p95 = (gallery.percentile(taken[page], share) for share in (0.5, 0.95))
        few, many = queries[str(page)]
        remarks = ["SLOW"] * (p95 > GOAL["pages"]) + ["MORE QUERIES WITH MORE ROWS"] * (many > few)
        print(
            f"  {page.role.value:<13} {str(page)[:60]:<60} p50 {p50 * 1000:4.0f} ms  p95 {p95 * 1000:4.0f} ms"
            f"  queries {few:>2} and {many:>2}  {', '.join(remarks)}".rstrip()
        )
        rows.append(
            {"role": page.role.value, "page": str(page), "p50": p50, "p95": p95, "queries_few": few, "queries": many}
        )
    slow, more = (
        sum(row["p95"] > GOAL["pages"] for row in rows),
        sum(row["queries"] > row["queries_few"] for row in rows),
    )
    print(f"  {len(rows)} pages; slower than {GOAL['pages'] * 1000:.0f} ms: {slow}; with more queries: {more}")
    return rows


def told(what: str, values: list[float]) -> dict[str, float]:
    if not values:
        return {"n": 0}
    p50, p95, most = gallery.percentile(values, 0.5), gallery.percentile(values, 0.95), max(values)
    goal = f"; goal {GOAL[what]:.0f} s: {'met' if p95 <= GOAL[what] else 'MISSED'}" if what in GOAL else ""
    print(f"  upload to candidates: n = {len(values)}, p50 {p50:.2f} s, p95 {p95:.2f} s, longest {most:.2f} s{goal}")
    return {"n": len(values), "p50": p50, "p95": p95, "longest": most}


if __name__ == "__main__":
    main()
