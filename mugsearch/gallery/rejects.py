"""The list of rows an import could not take, as CSV that is safe to open in a spreadsheet."""

from collections.abc import Iterable, Iterator

from mugsearch import spreadsheet
from mugsearch.gallery.models import ImportReject

COLUMNS = ("line", "photo", "booking_number", "reason")


def as_csv(rejects: Iterable[ImportReject]) -> Iterator[str]:
    """Line by line, the header first."""
    return spreadsheet.lines(_rows(rejects))


def _rows(rejects: Iterable[ImportReject]) -> Iterator[tuple[str, ...]]:
    yield COLUMNS
    for reject in rejects:
        yield str(reject.line), reject.photo, reject.booking_number, reject.explained()
