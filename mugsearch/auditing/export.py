"""The record as a file. It holds the ids that are in the record, not the names that the pages show for them."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

from mugsearch import spreadsheet
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
        yield entry.line()


def _csv(entries: Iterator[Entry]) -> Iterator[bytes]:
    rows = ([_cell(value) for value in as_dict(entry).values()] for entry in entries)
    return (line.encode() for line in spreadsheet.lines(chain([COLUMNS], rows)))


def _cell(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else "" if value is None else str(value)
