"""Reading the chain from the first entry to the last and naming the first that doesn't fit.

The chain alone shows an entry that was edited, removed from the middle or moved. That the tail was cut, or the
whole chain written anew, shows only against a head (number and digest) that was kept outside the database.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mugsearch.audit.models import Entry
from mugsearch.audit.services import GENESIS
from mugsearch.errors import BadInput


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

    `entries` and `head` are how far the chain fits.
    """

    entries: int
    head: str
    first_bad: int | None = None
    problem: str = ""

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


def verify(*, against: Head | None = None, progress: Callable[[int], None] = unseen) -> Verdict:
    """`progress` is called with the number of every entry that fits."""
    expected, previous = 1, GENESIS
    for entry in Entry.objects.order_by("number").iterator(chunk_size=5000):
        if entry.number != expected:
            return Verdict.bad(expected, previous, "it is missing")
        if entry.previous != previous:
            return Verdict.bad(expected, previous, "it is not linked to the entry before it")
        if entry.digest != entry.expected_digest():
            return Verdict.bad(expected, previous, "its contents don't match its digest")
        if against and entry.number == against.number and entry.digest != against.digest:
            problem = "it is not the one whose digest was kept outside: it or one before it was written anew"
            return Verdict.bad(expected, previous, problem)
        expected, previous = expected + 1, entry.digest
        progress(entry.number)
    if against and against.number >= expected:
        return Verdict.bad(expected, previous, f"it is missing: there were {against.number} entries once")
    return Verdict(expected - 1, previous)
