"""CSV that is safe to open in a spreadsheet, line by line, so that a list of any length can be streamed."""

import csv
from collections.abc import Iterable, Iterator
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def lines(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    writer: Any = csv.writer(_Lines())
    for row in rows:
        yield writer.writerow([_safe(cell) for cell in row])


def _safe(text: str) -> str:
    """A spreadsheet runs a cell that begins like a formula; an apostrophe in front makes it text (OWASP)."""
    text = text.replace("\x00", "")
    return f"'{text}" if text.startswith(_FORMULA) else text


class _Lines:
    """What csv.writer wants of a file; its writerow returns what write returned: the line."""

    def write(self, line: str) -> str:
        return line
