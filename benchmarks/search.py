"""The search index against other engines that search exactly, and against what reading the memory takes.

Every engine is built, opened and searched in processes of its own, one after the other, over the same synthetic faces
(`searching.faces`), and every list is compared with brute force. Memory is what the process that opened the index
gained until its searches were done. `floor_ms` is how long reading the vectors as float16 takes at the speed
measured in the same run.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from searching.measure import ENGINES, Task
from searching.table import growth, table

OURS, *PEERS = ENGINES
Row = dict[str, Any]


class Failed(Exception):
    """A step came to no result."""


def main() -> None:
    options = arguments()
    # So that a kill ends in the same clearing away as Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    busy = os.getloadavg()[0]
    if busy > 0.5:
        print(f"The machine isn't quiet (load {busy:.1f}); take the times with care.")
    rows: list[Row] = []
    try:
        with scratch(options) as folder:
            for size in options.sizes:
                compared(options, size, folder, rows)
    except KeyboardInterrupt:
        sys.exit("\nStopped; the temporary files are removed.")
    except Failed as why:
        sys.exit(f"\nNothing could be measured: {why}")
    if len(options.sizes) > 1:
        print(f"\n{growth(rows)}")
    if not any(row["engine"] == OURS for row in rows):
        sys.exit(1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench search", description=__doc__)
    add = parser.add_argument
    add("--rows", type=int, default=300_000, metavar="N", help="vectors (300000)")
    add("--growth", metavar="N,N", help="several numbers of vectors, and how each figure grows with them")
    add("--dim", type=int, default=512, metavar="D", help="dimensions (512)")
    add("--json", type=Path, metavar="FILE", help="write the figures there, a row for each engine")
    add("--peers", metavar="NAME,NAME", help=f"the peers whose names start so, or none; of {', '.join(PEERS)} (all)")
    add("--queries", type=int, default=750, metavar="N", help="probes, two thirds with mates in the gallery (750)")
    add("--seed", type=int, default=1, metavar="N", help="of the faces (1)")
    add("--threads", type=int, default=2, metavar="N", help="and processors, for every engine (2)")
    add("--patience", type=float, default=120, metavar="S", help="seconds for a slow peer's searches of a kind (120)")
    add("--memory", type=float, default=12, metavar="GIB", help="peers that need more are left out (12)")
    add("--folder", type=Path, metavar="DIR", help="for temporary files (MUGSEARCH_VAR)")
    options = parser.parse_args()
    options.sizes = [int(size) for size in options.growth.split(",")] if options.growth else [options.rows]
    options.threads = min(options.threads, len(os.sched_getaffinity(0)))
    if min(options.sizes) < 10_000 or options.queries < 64 or not 8 <= options.dim <= 1024:
        parser.error("it takes 10000 rows and 64 queries at least, and 8 to 1024 dimensions")
    starts = ("",) if options.peers is None else tuple(options.peers.split(","))
    if unknown := [start for start in starts if start != "none" and not any(name.startswith(start) for name in PEERS)]:
        parser.error(f"no peer's name starts with {unknown[0]}")
    options.engines = [OURS, *(name for name in PEERS if name.startswith(starts))]
    if options.json:
        options.json.write_text("[]")  # now rather than after an hour, if it can't be written
    return options


@contextmanager
def scratch(options: argparse.Namespace) -> Iterator[Path]:
    """A folder that is gone afterwards, when the disk has room for the largest engine."""
    root = options.folder or Path(os.environ.get("MUGSEARCH_VAR") or "var")
    root.mkdir(parents=True, exist_ok=True)
    cells = max(options.sizes) * options.dim
    needed = max(ENGINES[name].disk for name in kept(options, max(options.sizes))) * cells + 2e9
    free = shutil.disk_usage(root).free
    print(f"Temporary files: up to {needed / 1e9:.1f} GB in {root}, where {free / 1e9:.0f} GB are free.", flush=True)
    if free < needed:
        sys.exit("Not enough: name another folder with --folder.")
    with tempfile.TemporaryDirectory(prefix="search-", dir=root) as folder:
        yield Path(folder)


def kept(options: argparse.Namespace, rows: int) -> list[str]:
    """The engines that the memory allows."""
    limit = options.memory * 2**30
    return [name for name in options.engines if name == OURS or ENGINES[name].memory * rows * options.dim <= limit]


def compared(options: argparse.Namespace, size: int, folder: Path, rows: list[Row]) -> None:
    """The figures of every engine at one size, printed, and added to `rows`."""
    names = kept(options, size)
    print(f"\n{size:,} x {options.dim}, {options.queries} probes, {options.threads} threads, seed {options.seed}")
    for name in options.engines:
        if name not in names:
            print(f"{name} is left out: it needs up to {ENGINES[name].memory * size * options.dim / 2**30:.0f} GiB.")
    task = Task(
        step="truth", rows=size, dim=options.dim, seed=options.seed, queries=options.queries,
        filtered=min(50, options.queries), threads=options.threads, patience=options.patience, folder=str(folder),
    )  # fmt: skip
    took = run(task)["truth_s"]
    print(f"Brute force took {took:.0f} s with the making of the faces.", flush=True)
    speeds = run(replace(task, step="bandwidth"))["bandwidth"]
    for threads, speed in speeds.items():
        many = "thread" if threads == "1" else "threads"
        print(f"Memory is read at {speed['gb_s']:.1f} GB/s by {threads} {many} ({speed['how']}).", flush=True)
    told = speeds[str(options.threads)]["gb_s"]
    floors = {
        "floor_ms": size * options.dim * 2 / told / 1e6,
        "floor_int8_ms": size * options.dim / told / 1e6,
        "read_gb_s": told,
        "read_gb_s_one_thread": speeds["1"]["gb_s"],
        "threads": options.threads,
    }
    for name in names:
        figures = measured(replace(task, engine=name))
        if figures is None:
            continue
        rows.append({"engine": name, "rows": size, "dim": options.dim, **figures, **floors})
        if options.json:  # each time, so that nothing which comes after can lose it
            options.json.write_text(json.dumps(rows, indent=1))
    here = [row for row in rows if row["rows"] == size]
    if len({row["checksum"] for row in here}) > 1:
        sys.exit("The engines were given different faces; these figures mean nothing.")
    if here:
        print(table(here), flush=True)


def measured(task: Task) -> Row | None:
    """One engine's figures; None where it can't be measured, which is said."""
    try:
        built = run(replace(task, step="build"))
        forget_pages(task.place)
        opened, used = (run(replace(task, step=step)) for step in ("cold", "use"))
    except Failed as why:
        print(f"\n{task.engine} could not be measured: {why}", flush=True)
        return None
    finally:
        if task.place.exists():
            task.made().clear()
            shutil.rmtree(task.place, ignore_errors=True)
    peak = max(built["peak_bytes"], used["peak_bytes"])
    return {**built, **opened, **used, "peak_bytes": peak, "notes": ENGINES[task.engine].notes}


def run(task: Task) -> dict[str, Any]:
    """The result of a step. Raises Failed."""
    numbers = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(task.threads))
    environ = {**os.environ, **numbers, "OMP_WAIT_POLICY": "PASSIVE"}
    task.result.unlink(missing_ok=True)
    ended = subprocess.run(task.command(), env=environ, check=False).returncode
    if not task.result.exists():
        raise Failed(f"its process ended with {ended}")
    result = json.loads(task.result.read_text())
    if "failed" in result:
        raise Failed(result["failed"])
    return result


def forget_pages(folder: Path) -> None:
    """Write the files out and have the kernel drop its copies, so that the next opening reads the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
