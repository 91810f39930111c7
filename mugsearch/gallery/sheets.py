"""CSV files that clerks export from other systems, read without losing a line: what every such file shares.

What is wrong with the file as a whole (no header, a missing column, not text) raises BadInput; what is wrong with one
line raises `Wrong` where its cells are read, with the sentence the clerk reads.
"""

import csv
import datetime
import io
import re
import unicodedata
from collections.abc import Iterator

from mugsearch.errors import BadInput
from mugsearch.gallery.numbers import is_invisible, normalised

# A quoted text over more lines than this is a quotation mark somebody forgot to close.
_LINES_PER_ROW = 100
_LONGEST_FRAGMENT = 300  # of a line that csv can't take apart


class Wrong(Exception):
    """What is wrong with one row, as the clerk reads it."""


class Sheet:
    """Rows in the order of the file; iterate over `records` as often as needed. `ignored` are the columns nobody asked
    for. `called`: what the clerk calls the file, for the sentences."""

    def __init__(
        self, data: bytes, *, required: tuple[str, ...], optional: tuple[str, ...], called: str, most_bytes: int
    ) -> None:
        if len(data) > most_bytes:
            raise BadInput(f"The {called} is larger than {most_bytes >> 20} MB; split it into several.")
        # Only what ends a line in a text file: str.splitlines would also break at characters inside of names.
        self._lines = io.StringIO(_decoded(data, called), newline="").readlines()
        self._start, self._delimiter, self.columns = _header(self._lines, required, optional, called)
        self.ignored = [name for name in self.columns if name not in required and name not in optional]
        self._count = sum(1 for _ in self.records())
        if not self._count:
            raise BadInput(f"The {called} has a header but no rows below it.")

    def __len__(self) -> int:
        return self._count

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """(line number, cells) of every line or quoted group of lines that isn't blank."""
        at = self._start
        while at < len(self._lines):
            cells, taken = self._record(at)
            if any(cell.strip() for cell in cells):
                yield at + 1, cells
            at += taken

    def _record(self, at: int) -> tuple[list[str], int]:
        """The record beginning at a line, and how many lines it takes.

        Read strictly, over as many lines as its quotes span. If that makes no row of the right width, or swallows a
        line that is a whole row by itself, somebody's quotation mark is at fault, and the line is taken alone.
        """
        reader = csv.reader(self._lines[at : at + _LINES_PER_ROW], delimiter=self._delimiter, strict=True)
        try:
            cells = next(reader)
        except csv.Error:
            return self._alone(at), 1
        swallowed = range(at + 1, at + reader.line_num)
        if swallowed and (not self.fits(cells) or any(self.fits(self._alone(line)) for line in swallowed)):
            return self._alone(at), 1
        return cells, reader.line_num

    def _alone(self, at: int) -> list[str]:
        """One line's cells, whatever its quotes."""
        try:
            return next(csv.reader(self._lines[at : at + 1], delimiter=self._delimiter))
        except csv.Error:  # a cell longer than csv's limit
            return [self._lines[at][:_LONGEST_FRAGMENT]]

    def fits(self, cells: list[str]) -> bool:
        width = len(self.columns)
        return len(cells) == width or (len(cells) > width and not any(cell.strip() for cell in cells[width:]))


def legible(text: str, longest: int) -> str:
    """Text from a bad row, fit for PostgreSQL and for a page: no NUL, no control characters, not too long."""
    return "".join("�" if _is_control(sign) else sign for sign in text.strip())[:longest]


def _decoded(data: bytes, called: str) -> str:
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise BadInput(f"The {called} is an Excel workbook or a ZIP; save it as “CSV UTF-8” and send that.")
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise BadInput(f"The {called} is not a text file we can read; save it as “CSV UTF-8” and send that.") from error


def _header(
    lines: list[str], required: tuple[str, ...], optional: tuple[str, ...], called: str
) -> tuple[int, str, list[str]]:
    """(index of the first line after the header, delimiter, column names)."""
    at = 0
    while at < len(lines) and (not lines[at].strip() or re.fullmatch(r"sep=.\s*", lines[at], re.IGNORECASE)):
        at += 1
    if at == len(lines):
        raise BadInput(f"The {called} is empty.")
    known = {*required, *optional}
    names: list[str] = []
    delimiter = ","
    for candidate in ",;\t":
        try:
            cells = next(csv.reader([lines[at]], delimiter=candidate))
        except csv.Error:
            continue
        found = [re.sub(r"[\s\-]+", "_", cell.strip().casefold()) for cell in cells]
        if len(known.intersection(found)) > len(known.intersection(names)) or not names:
            names, delimiter = found, candidate
    missing = [name for name in required if name not in names]
    if missing:
        raise BadInput(
            f"The {called} has no column {' and no column '.join(missing)}; its first line has to name the columns "
            f"{', '.join(required)}."
        )
    if "" in names:
        raise BadInput(f"Column {names.index('') + 1} of the {called} has no name in the header.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"The {called} has the column {legible(twice[0], 40)} twice.")
    return at + 1, delimiter, [legible(name, 100) for name in names]


def _is_control(sign: str) -> bool:
    """Control characters, lone surrogates, and the marks that make text read backwards."""
    return (
        unicodedata.category(sign) in {"Cc", "Cs"} or sign in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def checked(name: str, text: str, longest: int) -> str:
    if any(_is_control(sign) for sign in text):
        raise Wrong(f"{name} holds characters that can't be printed.")
    text = unicodedata.normalize("NFC", text)
    if len(text) > longest:
        raise Wrong(f"{name} is longer than {longest} characters.")
    return text


def one_line(values: dict[str, str], name: str) -> str:
    """A required value, on one line; not looked at any further."""
    text = values[name].strip()
    if not text:
        raise Wrong(f"{name} is empty.")
    if "\n" in text or "\r" in text:
        raise Wrong(f"{name} goes over several lines.")
    return text


def number(values: dict[str, str], name: str, longest: int) -> str:
    """What two records are told apart by: nothing in it may be invisible, and something in it has to count."""
    text = checked(name, one_line(values, name), longest)
    if any(is_invisible(sign) for sign in text):
        raise Wrong(f"{name} holds characters that can't be seen; type it anew.")
    if not normalised(text):
        raise Wrong(f"{name} has neither letters nor digits.")
    return text


def free_text(values: dict[str, str], name: str, longest: int) -> str:
    """Line breaks and tabs in it become blanks."""
    return checked(name, re.sub(r"[ \t\r\n]+", " ", values.get(name, "")).strip(), longest)


def day(values: dict[str, str], name: str, *, latest: datetime.date) -> datetime.date | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    if match := re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?)?", text, re.ASCII):
        year, month, day = match.groups()
    elif match := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text, re.ASCII):
        month, day, year = match.groups()
    else:
        raise Wrong(f"{name} is not a date we can read; write it as YYYY-MM-DD or MM/DD/YYYY.")
    try:
        date = datetime.date(int(year), int(month), int(day))
    except ValueError as error:
        raise Wrong(f"{name} is a day that does not exist.") from error
    if date > latest:
        raise Wrong(f"{name} lies in the future.")
    if date.year < 1850:
        raise Wrong(f"{name} lies before 1850.")
    return date
