"""The store of data keys: opening it, creating, reading and destroying keys, and rotating the master key.

    ./run bench keys [--keys 300000]

On the file system of the data folder, whose fsync it waits for. "Open" is a new process's first use: it reads the file,
checks every slot and remembers where each owner's is. The file is in the system's cache by then.
"""

import argparse
import os
import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

from mugsearch.vault.keys import KeyStore

BATCH = 1000
OLD, NEW = b"o" * 32, b"n" * 32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=300_000)
    count = parser.parse_args().keys
    var = Path(os.environ["MUGSEARCH_VAR"])
    var.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=var) as name:
        measure(Path(name), [uuid4() for _ in range(count)])


def measure(folder: Path, owners: list[UUID]) -> None:
    store = KeyStore(folder, [OLD])
    some = random.sample(owners, min(1000, len(owners)))
    say("create, one by one", lambda: [store.create(uuid4()) for _ in range(500)], 500)
    batches = [owners[start : start + BATCH] for start in range(0, len(owners), BATCH)]
    say(f"create, {BATCH} at a time", lambda: [store.create_many(batch) for batch in batches], len(owners))
    opens(folder, some[0], OLD)
    store.get(some[0])
    say("get", lambda: [store.get(owner) for owner in owners[:20_000]], len(owners[:20_000]))
    say("destroy", lambda: [store.destroy(owner) for owner in some[:500]], len(some[:500]))
    both = KeyStore(folder, [NEW, OLD])
    say("rotate the master key", both.rotate, len(owners))
    opens(folder, owners[-1], NEW)
    print(f"the file: {(folder / 'keys').stat().st_size / 1e6:.1f} MB")


def opens(folder: Path, owner: UUID, master: bytes) -> None:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        KeyStore(folder, [master]).has(owner)
        times.append(time.perf_counter() - started)
    tracemalloc.start()
    held = KeyStore(folder, [master])
    held.has(owner)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(
        f"open: {sorted(times)[2]:.2f} s (five times, the slowest {max(times):.2f} s), {memory / 1e6:.0f} MB",
        flush=True,
    )


def say(what: str, act: Callable[[], object], number: int) -> None:
    started = time.perf_counter()
    act()
    took = time.perf_counter() - started
    print(f"{what}: {number:,} in {took:.2f} s, {number / took:,.0f} a second", flush=True)


if __name__ == "__main__":
    main()
