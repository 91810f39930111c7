"""What encryption costs: the rate of an import, and the index made anew, with AES-GCM and without.

    ./run bench encryption [--rows 2000] [--vectors 100000]

"Without" puts bytes of the same length where the ciphertext would be, and makes no data key: what remains is everything
else that an import or a rebuild does. The two take turns on parts of the same data, so that a busy machine slows both.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import gallery
import rows as synthetic

PART = 100  # rows of an import
TURNS = 5  # of a rebuild, each way


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--vectors", type=int, default=100_000)
    options = parser.parse_args()
    folder = gallery.photographs("lfw")
    gallery.set_up()
    imports(folder, options.rows)
    rebuilds(options.vectors)


def imports(folder: Path, count: int) -> None:
    from mugsearch.accounts.models import Agency
    from mugsearch.accounts.services import console
    from mugsearch.gallery import encoding, importing, manifest, sources
    from mugsearch.gallery.models import ImportRun

    header, *lines = (folder / "manifest.csv").read_text().splitlines()
    agency = Agency.objects.create(code="lfw", name="Benchmark")
    encoding.loaded(encoding.active().spec)
    # Nobody is in two parts: what one way has written the other can't read.
    people: dict[str, list[str]] = {}
    for line in lines[:count]:
        people.setdefault(line.split(",")[1], []).append(line)
    parts: list[list[str]] = [[]]
    for person in people.values():
        if len(parts[-1]) >= PART:
            parts.append([])
        parts[-1] += person
    took: dict[bool, list[float]] = {True: [], False: []}
    for number, part in enumerate(parts):
        encrypted = number % 2 == 0
        with nullcontext() if encrypted else unencrypted():
            begin = time.perf_counter()
            done = importing.run_here(
                by=console(),
                agency=agency,
                several=ImportRun.Several.CENTRE,
                manifest=manifest.read("\n".join([header, *part]).encode()),
                source=sources.Folder(folder),
            )
            took[encrypted].append((time.perf_counter() - begin) / done.rows)
    say("import, ms a photograph", took)


def rebuilds(count: int) -> None:
    from mugsearch.gallery import live
    from mugsearch.gallery.models import Encoder

    Encoder.objects.update(state=Encoder.State.RETIRED)
    synthetic.bookings(count, 1, files=False)
    _, encoder = synthetic.agency_and_encoder()
    live.reset()
    live.rebuild(encoder)
    took: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * TURNS):
        encrypted = turn % 2 == 0
        with nullcontext() if encrypted else unencrypted():
            begin = time.perf_counter()
            live.start_over(encoder)
            live.rebuild(encoder)
            took[encrypted].append((time.perf_counter() - begin) / count)
    say(f"index of {count:,}, ms a vector", took)


@contextmanager
def unencrypted() -> Iterator[None]:
    import numpy as np

    from mugsearch.vault import services as vault

    unit = np.ones(synthetic.DIMENSION, "<f4") / np.float32(synthetic.DIMENSION) ** 0.5

    def unseal_into(_owner: Any, _name: str, _sealed: bytes, into: memoryview) -> None:
        into[:] = unit.view(np.uint8).data

    instead: dict[str, Callable[..., Any]] = {
        "seal": lambda _owner, _name, data: bytes(12) + data + bytes(16),
        "unseal": lambda _owner, _name, sealed: sealed[12:-16],
        "unseal_into": unseal_into,
        "create_keys": lambda _owners: None,
        "create_key": lambda _owner: None,
    }
    with mock.patch.multiple(vault, **instead):
        yield


def say(what: str, took: dict[bool, list[float]]) -> None:
    with_it, without = (1000 * median(took[encrypted]) for encrypted in (True, False))
    print(f"{what}: {with_it:.3f} with, {without:.3f} without; {with_it / without:.2f} times", flush=True)


if __name__ == "__main__":
    main()
