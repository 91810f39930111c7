"""Entries, ways to tamper with them as a superuser can, and the two verifiers asked about the same record."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connection

from mugsearch.audit import services as audit
from mugsearch.audit import verify as chain
from mugsearch.audit.models import Entry
from mugsearch.auditing import chain_files, verify_audit
from tests.triggers import past_the_triggers

VERIFIER = Path(verify_audit.__file__)


def entries(count: int) -> list[Entry]:
    return [audit.record("thing.done", by=None, step=number) for number in range(1, count + 1)]


def old_entries(count: int, *, days: int = 500) -> None:
    """As if they had been written then, a minute apart."""
    start = datetime.now(UTC) - timedelta(days=days)
    last = Entry.objects.order_by("-number").first()
    number, previous = (last.number, last.digest) if last else (0, audit.GENESIS)
    rows = []
    for step in range(1, count + 1):
        columns: dict[str, Any] = {
            "number": number + step,
            "at": start + timedelta(minutes=step),
            "actor": None,
            "address": None,
            "act": "thing.done",
            "outcome": "done",
            "object_type": "",
            "object_id": "",
            "case": None,
            "details": {"step": step},
            "previous": previous,
        }
        previous = audit.digest_of(columns)
        rows.append(Entry(**columns, digest=previous))
    Entry.objects.bulk_create(rows)


def run(statement: str) -> None:
    with past_the_triggers(), connection.cursor() as cursor:
        cursor.execute(statement)


def rewrite_from(number: int) -> None:
    """Give every entry from `number` on the digest that its contents ask for: the chain fits again."""
    previous = Entry.objects.get(pk=number - 1).digest if number > 1 else audit.GENESIS
    for entry in Entry.objects.filter(pk__gte=number).order_by("pk"):
        entry.previous = previous
        entry.digest = previous = entry.expected_digest()
        Entry.objects.filter(pk=entry.pk).update(previous=entry.previous, digest=entry.digest)


def edit() -> None:
    run("UPDATE audit_entry SET details = '{\"step\": 99}' WHERE number = 5")


def delete_in_the_middle() -> None:
    run("DELETE FROM audit_entry WHERE number = 5")


def cut_the_tail() -> None:
    run("DELETE FROM audit_entry WHERE number > 7")


def swap_two() -> None:
    for old, new in ((4, 9999), (5, 4), (9999, 5)):
        run(f"UPDATE audit_entry SET number = {new} WHERE number = {old}")  # noqa: S608  numbers of ours


def rewrite_everything() -> None:
    with past_the_triggers():
        Entry.objects.filter(pk=2).update(act="thing.undone")
        Entry.objects.filter(pk=1).update(act="thing.undone")
        rewrite_from(1)


# What was done, and the first bad entry against a signed head of entry 10.
TAMPERINGS: dict[str, tuple[Callable[[], None], int]] = {
    "edit": (edit, 5),
    "delete in the middle": (delete_in_the_middle, 5),
    "cut the tail": (cut_the_tail, 8),
    "swap two": (swap_two, 4),
    "rewrite the whole chain": (rewrite_everything, 1),
}


def exported(folder: Path) -> Path:
    """Everything that is in the table now, as it is there."""
    numbers = list(Entry.objects.order_by("number").values_list("number", flat=True))
    path = folder / chain_files.name_of(1, numbers[-1])
    with chain.reading():
        chain_files.write(path, first=1, last=numbers[-1], whole=True)
    return path


def standalone(*arguments: object) -> subprocess.CompletedProcess[str]:
    """As a stranger runs it: by itself, without this project on the path."""
    told = [str(one) for one in arguments]
    return subprocess.run([sys.executable, "-I", str(VERIFIER), *told], capture_output=True, text=True, check=False)
