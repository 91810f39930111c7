"""Reading the chain from the first entry to the last and naming the first that doesn't fit.

The chain alone shows an entry that was edited, removed from the middle or moved. That the tail was cut, or the
whole chain written anew, shows only against a head (number and digest) that was kept outside the database.

Where old entries were archived, it begins with the first that is left: the digest before it is that of the last one in
the archive. `verify_audit.py` reads the archive and the rest as one chain.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from mugsearch.audit.models import ArchivedSpan, Entry, Outcome
from mugsearch.audit.services import GENESIS, digest_of
from mugsearch.errors import BadInput

# Held by whoever reads the chain, against whoever removes archived entries from it meanwhile (see gallery.locks).
READING_LOCK = 0x6D756721
_COLUMNS = (
    *("number", "at", "actor", "address", "act", "outcome", "object_type", "object_id", "case", "details"),
    *("previous", "digest"),
)


@dataclass(frozen=True)
class Head:
    """The last entry at some moment. Written NUMBER:DIGEST."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text.strip().lower())
        if not found:
            raise BadInput("A head is written NUMBER:DIGEST, the digest in 64 hexadecimal digits.")
        return cls(int(found[1]), found[2])


@dataclass(frozen=True)
class Verdict:
    """`first_bad` is the number of the first entry that doesn't fit, with `problem` saying why; None when all fit.

    `entries` and `head` are how far the chain fits. `archived`: the last entry that isn't in the database any more.
    `unchecked`: heads about entries before that, which only the archive can tell.
    """

    entries: int
    head: str
    first_bad: int | None = None
    problem: str = ""
    archived: int = 0
    unchecked: tuple[Head, ...] = ()

    @property
    def intact(self) -> bool:
        return self.first_bad is None

    @property
    def kept_head(self) -> Head:
        """What to keep outside, for the next verification."""
        return Head(self.entries, self.head)

    @classmethod
    def bad(cls, number: int, previous: str, problem: str) -> "Verdict":
        """The chain fits up to the entry before `number`, whose digest is `previous`."""
        return cls(number - 1, previous, number, problem)


def unseen(done: int) -> None:
    """For whoever doesn't watch."""


def verify(*, against: Head | Sequence[Head] = (), progress: Callable[[int], None] = unseen) -> Verdict:
    """`progress` is called with the number of every entry that fits."""
    heads = [against] if isinstance(against, Head) else list(against)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [READING_LOCK])
        return _verify(heads, progress)


def _verify(heads: list[Head], progress: Callable[[int], None]) -> Verdict:
    spans = list(ArchivedSpan.objects.order_by("first"))
    lowest = Entry.objects.order_by("number").values_list("number", flat=True).first()
    gone = [span for span in spans if lowest is None or span.last < lowest]
    if wrong := _of_spans(spans, gone):
        return wrong
    expected, previous = (gone[-1].last + 1, gone[-1].digest) if gone else (1, GENESIS)
    archived, fitted = expected - 1, 0
    known = {span.last: span.digest for span in gone} | ({1: gone[0].chain} if gone else {})
    kept: dict[int, set[str]] = {}
    for head in sorted(heads, key=lambda one: one.number):
        if known.get(head.number, head.digest) != head.digest:
            return Verdict.bad(head.number, "", _anew(0))
        kept.setdefault(head.number, set()).add(head.digest)
    for row, digest in _readable(every_row()):
        if problem := _problem(row, digest, expected, previous):
            return Verdict.bad(expected, previous, problem)
        if kept.get(expected, {digest}) != {digest}:
            return Verdict.bad(expected, previous, _anew(fitted))
        fitted = expected if expected in kept else fitted
        progress(expected)
        expected, previous = expected + 1, digest
    if kept and max(kept) >= expected:
        return Verdict.bad(expected, previous, f"it is missing: there were {max(kept)} entries once")
    unchecked = tuple(one for one in heads if 0 < one.number <= archived and one.number not in known)
    return Verdict(expected - 1, previous, archived=archived, unchecked=unchecked)


def _readable(rows: Iterator[dict[str, Any]]) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """Each row without its digest, and the digest; None for one with numbers in its details that no program of ours can
    have written. It ends with that."""
    try:
        for row in rows:
            yield row, row.pop("digest")
    except ValueError:
        yield None, ""


def _problem(row: dict[str, Any] | None, digest: str, expected: int, previous: str) -> str:
    if row is None:
        return "it can't be read"
    if row["number"] != expected:
        return "it is missing"
    if row["previous"] != previous:
        return "it is not linked to the entry before it"
    return "" if digest == digest_of(row) else "its contents don't match its digest"


def _anew(fitted: int) -> str:
    since = f"one after entry {fitted}" if fitted else "one before it"
    return f"it is not the one whose digest was kept outside: it or {since} was written anew"


def every_row() -> Iterator[dict[str, Any]]:
    """All columns of every entry, the first one first, and not as objects: of a million that takes half the time."""
    found = Entry.objects.order_by("number").values_list(*_COLUMNS)
    return (dict(zip(_COLUMNS, row, strict=True)) for row in found.iterator(chunk_size=5000))


def rows_between(first: int, last: int) -> Iterator[dict[str, Any]]:
    """In pieces, each a query of its own: no transaction stays open meanwhile, which VACUUM would have to wait for."""
    for start in range(first, last + 1, 5000):
        found = Entry.objects.filter(number__range=(start, min(start + 4999, last))).order_by("number")
        yield from (dict(zip(_COLUMNS, row, strict=True)) for row in found.values_list(*_COLUMNS))


@contextmanager
def reading() -> Iterator[None]:
    """No entry is removed meanwhile. Not within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(%s)", [READING_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_shared(%s)", [READING_LOCK])


def _of_spans(spans: list[ArchivedSpan], gone: list[ArchivedSpan]) -> Verdict | None:
    """What is wrong with what the database says of its archive: None, when it may be gone by."""
    expected, previous = 1, GENESIS
    for span in spans:
        if (span.first, span.previous) != (expected, previous):
            return Verdict.bad(span.first, previous, "the record of what was archived doesn't lead up to it")
        expected, previous = span.last + 1, span.digest
    if gone:  # of those before it the entry may be in the archive itself
        about = Entry.objects.of(gone[-1]).filter(act="audit.archived", outcome=Outcome.DONE).first()
        if about is None or about.details != gone[-1].as_details():
            problem = "it is missing: it is said to be archived, and no entry of the record says so"
            return Verdict.bad(gone[-1].first, gone[-1].previous, problem)
    return None
