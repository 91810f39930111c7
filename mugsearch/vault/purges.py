"""The ledger of purges: what was ordered about bookings, holds and probes, kept beside the keys.

A backup of the database doesn't know of what was expunged, sealed, unsealed, held or erased after it; this file does.
One JSON object a line, opaque ids and keyed digests only, appended to and never changed. What the lines mean is the
business of `retention.purges`, which writes them.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mugsearch.vault import ledger

Line = dict[str, Any]
_TAIL = 65536  # bytes, in which the last line is whole but for an order about hundreds of bookings


def append(path: Path, lines: Sequence[Line]) -> None:
    """Durable when it returns. The caller holds the key file's lock."""
    if lines:
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        ledger.add(path, text, refused="The ledger of purges can't be written")


def last(path: Path) -> Line | None:
    """The last whole line."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            for tail in (_TAIL, size):
                file.seek(max(0, size - tail))
                if found := _parsed(file.read()):
                    return found[-1]
    except FileNotFoundError:
        pass
    return None


def read(path: Path) -> list[Line]:
    """In the order they were written. A torn line counts for nothing: it was written once more."""
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return []


def is_damaged(path: Path) -> bool:
    """Whether a line can't be read, and isn't what a power cut left of the line after it."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return False
    after = [*lines[1:], b""]
    return any(
        line and not _parsed(line) and not (following and following.startswith(line.rstrip(b"\0")))
        for line, following in zip(lines, after, strict=False)
    )


def _parsed(text: bytes) -> list[Line]:
    found = []
    for line in text.splitlines():
        with suppress(ValueError):
            if isinstance(one := json.loads(line), dict):
                found.append(one)
    return found
