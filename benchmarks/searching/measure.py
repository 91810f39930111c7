"""One step of the benchmark in a process of its own: ``measure.py TASK``, the task as JSON; the result goes to a file.

A process for each engine and step, so that memory is the engine's alone and a crash ends nothing else.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from gallery import percentile
from searching import engines, servers
from searching.engines import CannotDo, Engine
from searching.faces import Faces, Ids, Where, checksum, truth

from mugsearch.launch.children import tied

ENGINES: dict[str, type[Engine]] = {
    engine.name: engine
    for engine in (
        engines.Mugsearch,
        engines.FaissFlat,
        engines.FaissFlatShards,
        engines.FaissFp16,
        engines.FaissFp16Shards,
        engines.Numpy,
        engines.Usearch,
        engines.UsearchInt8,
        servers.Pgvector,
        servers.PgvectorHalf,
        servers.Milvus,
    )
}
BATCH = 64
FEWEST = 50  # searches that are timed, however long they take
WARM_UP = 10
ONE, MANY = 20, 5  # times that one and that a thousand rows are added and dropped


@dataclass(frozen=True)
class Task:
    step: str
    rows: int
    dim: int
    seed: int
    queries: int
    filtered: int  # of them, searched with each filter
    threads: int
    patience: float  # seconds for the searches of one kind; ours is given all it takes
    folder: str  # of this size; the engine's own is below
    engine: str = ""

    @property
    def faces(self) -> Faces:
        return Faces(self.rows, self.dim, self.seed)

    @property
    def lists(self) -> Path:
        """Where the probes and their right lists are."""
        return Path(self.folder) / "truth.npz"

    @property
    def place(self) -> Path:
        """The engine's own folder."""
        return Path(self.folder) / self.engine.replace(" ", "-")

    def made(self) -> Engine:
        return ENGINES[self.engine](self.place, self.faces, self.threads)

    def command(self) -> list[str]:
        return tied([sys.executable, __file__, json.dumps(asdict(self))], signal.SIGTERM)

    @property
    def result(self) -> Path:
        return Path(self.folder) / f"{self.step}.json"


_told = time.monotonic()


def tell(text: str) -> None:
    """A line that is written over on a terminal, and elsewhere comes every ten seconds."""
    global _told
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif time.monotonic() - _told > 10:
        _told = time.monotonic()
        print(text, file=sys.stderr, flush=True)


def right_lists(task: Task) -> dict[str, Any]:
    probes = task.faces.probes(task.queries)
    filters = task.faces.filters()
    started = time.perf_counter()

    def told(done: int) -> None:
        tell(f"brute force: {done:,} of {task.rows:,} rows, {time.perf_counter() - started:.0f} s")

    lists = truth(task.faces, probes, filters, task.filtered, told)
    np.savez(task.lists, probes, *lists)
    return {"truth_s": time.perf_counter() - started}


def bandwidth(task: Task) -> dict[str, Any]:
    """GB a second that reading 1 GiB goes with, by the best of some ways to read: the medians of seven rounds."""
    floats = np.ones((2**18, 2**10), np.float32)
    readers: dict[str, Callable[[np.ndarray], Any]] = {
        "numpy max of float32": np.max,
        "numpy max of int64": lambda part: part.view(np.int64).max(),
        "numpy bitwise or": lambda part: np.bitwise_or.reduce(part.view(np.uint64)),
        "BLAS dot": lambda part: np.dot(part.ravel(), part.ravel()),
        "BLAS matrix times vector": lambda part: part @ floats[0],
    }
    told = {}
    with ThreadPoolExecutor(task.threads) as pool:
        for threads in sorted({1, task.threads}):
            parts = np.array_split(floats, threads)
            speeds = {}
            for name, reader in readers.items():
                times = [timed(_all, pool, reader, parts)[0] for _ in range(8)]
                speeds[name] = floats.nbytes / percentile(times[1:], 0.5) / 1e6
            best = max(speeds, key=lambda name: speeds[name])
            told[threads] = {"gb_s": speeds[best], "how": best}
    return {"bandwidth": told}


def _all(pool: ThreadPoolExecutor, reader: Callable[[np.ndarray], Any], parts: list[np.ndarray]) -> None:
    list(pool.map(reader, parts))


def build(task: Task) -> dict[str, Any]:
    task.place.mkdir(mode=0o700)
    engine = task.made()
    seconds, total = 0.0, 0
    try:
        for ids, vectors, facts in task.faces.blocks():
            total = checksum(vectors, total)
            seconds += timed(engine.add, ids, vectors, facts)[0] / 1000
            tell(f"{task.engine}: {ids[-1]:,} of {task.rows:,} rows added, {seconds:.0f} s")
        tell(f"{task.engine}: saving")
        seconds += timed(engine.save)[0] / 1000
        return {"build_s": seconds, "checksum": total, "disk_bytes": engine.disk_bytes()}
    finally:
        engine.close()


def cold(task: Task) -> dict[str, Any]:
    """Opened with nothing of it in the page cache."""
    engine = task.made()
    probe = np.load(task.lists)["arr_0"][0]
    try:
        started = time.perf_counter()
        engine.open()
        engine.search(probe)
        return {"cold_start_disk_s": time.perf_counter() - started}
    finally:
        engine.close()


def use(task: Task) -> dict[str, Any]:
    engine = task.made()
    with np.load(task.lists) as saved:
        probes, right, *narrowed = (saved[name] for name in saved.files)
    filters = task.faces.filters()
    ctypes.CDLL(None).malloc_trim(0)  # else the engine gets memory that was counted already
    before = engine.memory_bytes()
    try:
        started = time.perf_counter()
        engine.open()
        told: dict[str, Any] = {"open_s": time.perf_counter() - started, "version": engine.version}
        engine.search(probes[0])
        told["cold_start_s"] = time.perf_counter() - started
        told |= _searches(task, engine, probes, right)
        told["ram_single_bytes"] = engine.memory_bytes() - before
        told |= _batches(task, engine, probes, right)
        told["ram_bytes"] = engine.memory_bytes() - before
        told |= engine.details()
        told["cannot"] = {}
        told |= _filters(task, engine, probes, list(zip(filters, narrowed, strict=True)), told["cannot"])
        told["ram_filtered_bytes"] = engine.memory_bytes() - before
        if isinstance(engine, engines.Mugsearch):
            subprocess.run(_with(task, "reader").command(), check=True)
            told |= json.loads(_with(task, "reader").result.read_text())
        return told | _changes(task, engine, told["cannot"])
    finally:
        engine.close()


def _searches(task: Task, engine: Engine, probes: np.ndarray, right: Ids) -> dict[str, Any]:
    for probe in probes[:WARM_UP]:
        engine.search(probe)
    times, identical, same = [], 0, 0
    for probe, ids in zip(probes, right, strict=True):
        if _enough(task, engine, times, FEWEST):
            break
        took, found = timed(engine.search, probe)
        times.append(took)
        identical += np.array_equal(found, ids[ids > 0])
        same += set(found.tolist()) == set(ids[ids > 0].tolist())
        tell(f"{task.engine}: {len(times)} of {len(probes)} searches")
    return {
        "queries": len(times), "identical_lists": identical, "same_sets": same, "p50_ms": percentile(times, 0.5),
        "p95_ms": percentile(times, 0.95),
    }  # fmt: skip


def _batches(task: Task, engine: Engine, probes: np.ndarray, right: Ids) -> dict[str, Any]:
    times, identical, searched = [], 0, 0
    for start in range(0, len(probes) - BATCH + 1, BATCH):
        if _enough(task, engine, times, 1):
            break
        took, lists = timed(engine.search_many, probes[start : start + BATCH])
        times.append(took)
        searched += BATCH
        identical += sum(
            np.array_equal(found, ids[ids > 0]) for found, ids in zip(lists, right[start : start + BATCH], strict=True)
        )
        tell(f"{task.engine}: {len(times)} batches")
    qps = BATCH * 1000 / percentile(times, 0.5) if times else None
    return {"qps64": qps, "batch_queries": searched, "batch_identical_lists": identical}


def _filters(
    task: Task, engine: Engine, probes: np.ndarray, narrowed: list[tuple[Where, Ids]], cannot: dict[str, str]
) -> dict[str, Any]:
    told: dict[str, Any] = {}
    queries = identical = 0
    for where, right in narrowed:
        name = f"filter_{where.kind}_{where.percent}_ms"
        times: list[float] = []
        try:
            engine.search_where(probes[0], where)
            for probe, ids in zip(probes, right, strict=False):
                if _enough(task, engine, times, 5):
                    break
                took, found = timed(engine.search_where, probe, where)
                times.append(took)
                identical += np.array_equal(found, ids[ids > 0])
                tell(f"{task.engine}: {len(times)} searches with a filter of {where.percent} % by {where.kind}")
        except CannotDo as why:
            cannot[name] = str(why)
        queries += len(times)
        told[name] = percentile(times, 0.5) if times else None
    return told | {"filter_queries": queries, "filter_identical_lists": identical}


def _changes(task: Task, engine: Engine, cannot: dict[str, str]) -> dict[str, Any]:
    """Rows are added and dropped one at a time, then a thousand at a time; `use` ends with this."""
    rounds = [*[1] * ONE, *[1000] * MANY]
    ends = np.cumsum(rounds)
    ids, vectors, facts = task.faces.newcomers(int(ends[-1]))
    gone = np.random.default_rng(task.seed).permutation(task.rows)[: ends[-1]] + 1
    told: dict[str, Any] = {}
    kinds: dict[str, Callable[[slice], None]] = {
        "add": lambda some: engine.insert(ids[some], vectors[some], facts[some]),
        "drop": lambda some: engine.drop(np.sort(gone[some])),
    }
    for kind, change in kinds.items():
        times: dict[int, list[float]] = {1: [], 1000: []}
        try:
            for count, end in zip(rounds, ends.tolist(), strict=True):
                times[count].append(timed(change, slice(end - count, end))[0])
                tell(f"{task.engine}: {kind} {count}")
        except CannotDo as why:
            cannot[kind] = str(why)
        for count, some in times.items():
            told[f"{kind}{count}_ms"] = percentile(some, 0.5) if some else None
    return told


def reader(task: Task) -> dict[str, Any]:
    """What a second process costs that searches in what the first has open."""
    engine = task.made()
    probes = np.load(task.lists)["arr_0"]
    before = _memory()
    engine.open()
    for probe in probes[:20]:
        engine.search(probe)
    after = _memory()
    engine.close()
    return {f"second_reader_{name}_bytes": after[name] - before[name] for name in after}


def _memory() -> dict[str, int]:
    """Of this process: all it has mapped and in memory, its share of that, and what is its alone."""
    sizes = {line.split()[0]: line.split()[1] for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]}
    kib = {name: int(size) for name, size in sizes.items()}
    private = kib["Private_Clean:"] + kib["Private_Dirty:"]
    return {"rss": kib["Rss:"] * 1024, "pss": kib["Pss:"] * 1024, "private": private * 1024}


def timed(action: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Milliseconds, and what came of it."""
    started = time.perf_counter()
    result = action(*arguments)
    return (time.perf_counter() - started) * 1000, result


def _enough(task: Task, engine: Engine, times: list[float], fewest: int) -> bool:
    ours = isinstance(engine, engines.Mugsearch)
    return not ours and len(times) >= fewest and sum(times) > task.patience * 1000


def _with(task: Task, step: str) -> Task:
    return Task(**{**asdict(task), "step": step})


STEPS = {"truth": right_lists, "bandwidth": bandwidth, "build": build, "cold": cold, "use": use, "reader": reader}


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task.threads])
    try:
        result = STEPS[task.step](task)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        task.result.write_text(json.dumps({"failed": f"{type(error).__name__}: {error}"}))
        raise
    result["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    task.result.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
