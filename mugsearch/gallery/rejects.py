"""The list of rows an import could not take, as CSV that is safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Iterator

from mugsearch.gallery.models import ImportReject

COLUMNS = ("line", "photo", "booking_number", "reason")


def as_csv(rejects: Iterable[ImportReject]) -> Iterator[str]:
    """Line by line, the header first."""
    yield _line(COLUMNS)
    for reject in rejects:
        yield _line((str(reject.line), _safe(reject.photo), _safe(reject.booking_number), _safe(reject.explained())))


def _safe(text: str) -> str:
    """A spreadsheet runs a cell that begins like a formula; an apostrophe in front makes it text (OWASP)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
