"""The record as a file. It holds the ids that are in the record, not the names that the pages show for them."""

import csv
import json
from collections.abc import Iterator
from typing import Any

from mugsearch.audit.models import Entry, EntryQuerySet

COLUMNS = (
    "number",
    "at",
    "actor",
    "address",
    "act",
    "outcome",
    "object_type",
    "object_id",
    "case",
    "details",
    "previous",
    "digest",
)
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


def lines(entries: EntryQuerySet, to: str) -> Iterator[bytes]:
    """`to` is "csv" or "jsonl"; read in pieces, so that the whole record fits."""
    found = entries.iterator(chunk_size=2000)
    return _csv(found) if to == "csv" else _json_lines(found)


def as_dict(entry: Entry) -> dict[str, Any]:
    """The columns that the digest covers, as it covers them, and the digest."""
    plain: dict[str, Any] = json.loads(entry.canonical())
    return {column: plain.get(column) for column in COLUMNS[:-1]} | {"digest": entry.digest}


def _json_lines(entries: Iterator[Entry]) -> Iterator[bytes]:
    for entry in entries:
        yield json.dumps(as_dict(entry), ensure_ascii=False).encode() + b"\n"


class _Lines:
    """What csv.writer wants of a file; write returns the line."""

    def write(self, line: str) -> bytes:
        return line.encode()


def _csv(entries: Iterator[Entry]) -> Iterator[bytes]:
    writer: Any = csv.writer(_Lines())
    yield writer.writerow(COLUMNS)
    for entry in entries:
        yield writer.writerow([_cell(value) for value in as_dict(entry).values()])


def _cell(value: object) -> str:
    """A spreadsheet must not take the cell for a formula."""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else "" if value is None else str(value)
    text = text.replace("\x00", "")
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text
