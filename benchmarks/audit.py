"""What the record of acts costs: entries a second, what one adds to a request, and how quickly it is verified.

    ./run bench audit [--entries 1000000] [--writers 32]

What is added to a request: an auditor's look at one entry, and the same when its entry isn't written. The million
entries are made with right digests and put in with COPY.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402

from mugsearch.accounts.models import Role, RoleGrant, User  # noqa: E402
from mugsearch.audit import services as audit  # noqa: E402
from mugsearch.audit.models import Entry, canonical  # noqa: E402
from mugsearch.audit.verify import reading, verify  # noqa: E402
from mugsearch.auditing import chain_files, verify_audit  # noqa: E402

SOMEBODY = UUID("3f0c3f0e-6b1c-4c63-9d3e-0b6a6d7b8a10")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--writers", type=int, default=32)
    given = parser.parse_args()
    settings.SECURE_SSL_REDIRECT = False
    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)
    write(1, 1000)
    write(given.writers, 100)
    requests()
    fill(given.entries)
    say_rate("verified, product", lambda: verify().entries)
    with tempfile.TemporaryDirectory(dir=os.environ["MUGSEARCH_VAR"]) as folder:
        path, last = Path(folder) / "audit-all.jsonl", Entry.objects.latest("number").number

        def export() -> int:
            with reading():
                return chain_files.write(path, first=1, last=last, whole=True).last

        say_rate("exported", export)
        print(f"the file: {path.stat().st_size / 1e6:.0f} MB", flush=True)

        def alone() -> int:
            subprocess.run(
                [sys.executable, "-I", str(verify_audit.__file__), str(path)], check=True, stdout=subprocess.DEVNULL
            )
            return last

        say_rate("verified, verify_audit.py", alone)


def write(writers: int, each: int) -> None:
    """Every entry an act of its own, with its transaction, as in the product."""

    def one(writer: int) -> None:
        for step in range(each):
            with audit.act("thing.done", by=None, writer=writer, step=step):
                pass
        connection.close()

    started = time.perf_counter()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(one, range(writers)))
    took = time.perf_counter() - started
    print(
        f"{writers} writers: {writers * each:,} entries in {took:.1f} s, {writers * each / took:,.0f} a second",
        flush=True,
    )
    verdict = verify()
    assert verdict.intact, verdict


def requests() -> None:
    user = User.objects.create(username="reader", full_name="Reader")
    RoleGrant.objects.create(user=user, role=Role.AUDITOR)
    client = APIClient()
    client.force_authenticate(user)
    with_, without = [], []
    for _ in range(300):  # taking turns, so that what else the machine does falls on both
        with_.append(timed(client))
        with no_entry():
            without.append(timed(client))
    for name, times in (("with its entry", with_), ("without", without)):
        times.sort()
        print(f"a look at one entry, {name}: p50 {times[150] * 1e3:.1f} ms, p95 {times[285] * 1e3:.1f} ms", flush=True)


def timed(client: APIClient) -> float:
    started = time.perf_counter()
    assert client.get("/api/v1/audit/1").status_code == 200
    return time.perf_counter() - started


@contextmanager
def no_entry() -> Iterator[None]:
    with mock.patch("mugsearch.audit.services.append"):
        yield


def fill(count: int) -> None:
    last = Entry.objects.latest("number")
    number, previous, at = last.number, last.digest, datetime.now(UTC)
    names = ("number", "at", "actor", "address", "act", "outcome", "object_type", "object_id", "case", "details")
    started = time.perf_counter()
    with connection.cursor() as cursor:
        columns = ", ".join(f'"{name}"' for name in (*names, "previous", "digest"))
        with cursor.copy(f"COPY audit_entry ({columns}) FROM STDIN") as copy:
            for step in range(1, count + 1):
                row: dict[str, Any] = {
                    "number": number + step,
                    "at": at + timedelta(milliseconds=step),
                    "actor": SOMEBODY,
                    "address": "10.0.0.1",
                    "act": "candidate.viewed",
                    "outcome": "done",
                    "object_type": "probes.candidate",
                    "object_id": str(UUID(int=step)),
                    "case": UUID(int=step // 50),
                    "details": {"rank": step % 20, "search": str(UUID(int=step // 20))},
                    "previous": previous,
                }
                previous = sha256(canonical(**row)).hexdigest()
                copy.write_row([*({**row, "details": json.dumps(row["details"])}).values(), previous])
    print(f"{count:,} entries put in with COPY in {time.perf_counter() - started:.0f} s", flush=True)


def say_rate(what: str, act: Callable[[], int]) -> None:
    started = time.perf_counter()
    number = act()
    took = time.perf_counter() - started
    print(f"{what}: {number:,} entries in {took:.1f} s, {number / took:,.0f} a second", flush=True)


if __name__ == "__main__":
    main()
