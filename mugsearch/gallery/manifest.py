"""Manifests: the CSV files clerks export from their records system, read without losing a line.

What is wrong with the file as a whole (no header, a missing column, not text) raises BadInput; what is wrong with
one line becomes a `BadRow` with the sentence the clerk reads, and the other lines go in.
"""

import csv
import datetime
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils import timezone

from mugsearch.errors import BadInput
from mugsearch.gallery.models import HEIGHT_IN, WEIGHT_LB
from mugsearch.gallery.numbers import is_invisible, normalised

REQUIRED = ("photo", "person_id", "booking_number")
OPTIONAL = (
    "booked_on",
    "family_name",
    "given_names",
    "date_of_birth",
    "sex",
    "height_in",
    "weight_lb",
    "pose",
    "charge",
    "disposition",
)
LONGEST = {
    "photo": 300,
    "person_id": 64,
    "booking_number": 64,
    "family_name": 120,
    "given_names": 120,
    "pose": 40,
    "charge": 200,
    "disposition": 100,
}
SEXES = {
    **{code: code for code in "MFXU"},
    "MALE": "M",
    "FEMALE": "F",
    "NONBINARY": "X",
    "NON-BINARY": "X",
    "UNKNOWN": "U",
}
MOST_BYTES = 64 * 2**20
# A quoted text over more lines than this is a quotation mark somebody forgot to close.
_LINES_PER_ROW = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One photograph of one booking; `line` is where the row begins in the file, the header being line 1."""

    line: int
    photo: str
    person_id: str
    booking_number: str
    booked_on: datetime.date | None = None
    family_name: str = ""
    given_names: str = ""
    date_of_birth: datetime.date | None = None
    sex: str = ""
    height_in: int | None = None
    weight_lb: int | None = None
    pose: str = ""
    charge: str = ""
    disposition: str = ""

    @property
    def normalised_number(self) -> str:
        return normalised(self.booking_number)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that can't be taken. `photo` and `booking_number` are as far as they could be read, fit to be stored.

    Both are empty when the columns are out of place: then nobody can tell whether this is an expunged booking.
    """

    line: int
    photo: str
    booking_number: str
    reason: str


class Manifest:
    """Rows in the order of the file; iterate as often as needed. `ignored` are the columns we have no place for."""

    def __init__(self, text: str) -> None:
        # Only what ends a line in a text file: str.splitlines would also break at characters inside of names.
        self._lines = io.StringIO(text, newline="").readlines()
        self._start, self._delimiter, self._columns = _header(self._lines)
        self.ignored = [name for name in self._columns if name not in REQUIRED and name not in OPTIONAL]
        self._count = sum(1 for _ in self._records())
        if not self._count:
            raise BadInput("The manifest has a header but no rows below it.")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row | BadRow]:
        today = timezone.localdate()
        for line, cells in self._records():
            yield self._row(line, cells, today)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
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
        if swallowed and (not self._fits(cells) or any(self._fits(self._alone(line)) for line in swallowed)):
            return self._alone(at), 1
        return cells, reader.line_num

    def _alone(self, at: int) -> list[str]:
        """One line's cells, whatever its quotes."""
        try:
            return next(csv.reader(self._lines[at : at + 1], delimiter=self._delimiter))
        except csv.Error:  # a cell longer than csv's limit
            return [self._lines[at][: LONGEST["photo"]]]

    def _fits(self, cells: list[str]) -> bool:
        width = len(self._columns)
        return len(cells) == width or (len(cells) > width and not any(cell.strip() for cell in cells[width:]))

    def _row(self, line: int, cells: list[str], today: datetime.date) -> Row | BadRow:
        if not self._fits(cells):
            reason = f"This line has {len(cells)} columns, but the header has {len(self._columns)}."
            return BadRow(line, "", "", reason)
        values = dict(zip(self._columns, cells, strict=False))
        try:
            return Row(
                line=line,
                photo=_name(values, "photo"),
                person_id=_number(values, "person_id"),
                booking_number=_number(values, "booking_number"),
                booked_on=_date(values, "booked_on", latest=today + datetime.timedelta(days=1)),
                family_name=_text(values, "family_name"),
                given_names=_text(values, "given_names"),
                date_of_birth=_date(values, "date_of_birth", latest=today),
                sex=_sex(values),
                height_in=_whole(values, "height_in", least=HEIGHT_IN[0], most=HEIGHT_IN[1], unit="inches"),
                weight_lb=_whole(values, "weight_lb", least=WEIGHT_LB[0], most=WEIGHT_LB[1], unit="pounds"),
                pose=_text(values, "pose"),
                charge=_text(values, "charge"),
                disposition=_text(values, "disposition"),
            )
        except _Wrong as wrong:
            try:
                number = _number(values, "booking_number")
            except _Wrong:
                # Nobody can tell whether that booking was expunged, so nothing of the row is kept but its line.
                return BadRow(line, "", "", str(wrong))
            return BadRow(line, legible(values["photo"], 300), number, str(wrong))


def read(data: bytes) -> Manifest:
    """The manifest in a file's bytes. Raises BadInput, with one sentence, when the file as a whole can't be used."""
    if len(data) > MOST_BYTES:
        raise BadInput(f"The manifest is larger than {MOST_BYTES >> 20} MB; split it into several.")
    return Manifest(_decoded(data))


def legible(text: str, longest: int) -> str:
    """Text from a bad row, fit for PostgreSQL and for a page: no NUL, no control characters, not too long."""
    return "".join("�" if _is_control(sign) else sign for sign in text.strip())[:longest]


class _Wrong(Exception):
    """What is wrong with one row, as the clerk reads it."""


def _decoded(data: bytes) -> str:
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise BadInput("The manifest is an Excel workbook or a ZIP; save it as “CSV UTF-8” and send that.")
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise BadInput("The manifest is not a text file we can read; save it as “CSV UTF-8” and send that.") from error


def _header(lines: list[str]) -> tuple[int, str, list[str]]:
    """(index of the first line after the header, delimiter, column names)."""
    at = 0
    while at < len(lines) and (not lines[at].strip() or re.fullmatch(r"sep=.\s*", lines[at], re.IGNORECASE)):
        at += 1
    if at == len(lines):
        raise BadInput("The manifest is empty.")
    names: list[str] = []
    delimiter = ","
    for candidate in ",;\t":
        try:
            cells = next(csv.reader([lines[at]], delimiter=candidate))
        except csv.Error:
            continue
        found = [re.sub(r"[\s\-]+", "_", cell.strip().casefold()) for cell in cells]
        if _known(found) > _known(names) or not names:
            names, delimiter = found, candidate
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise BadInput(
            f"The manifest has no column {' and no column '.join(missing)}; its first line has to name the columns "
            f"{', '.join(REQUIRED)}."
        )
    if "" in names:
        raise BadInput(f"Column {names.index('') + 1} of the manifest has no name in the header.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"The manifest has the column {legible(twice[0], 40)} twice.")
    return at + 1, delimiter, [legible(name, 100) for name in names]


def _known(names: list[str]) -> int:
    return len({*REQUIRED, *OPTIONAL}.intersection(names))


def _is_control(sign: str) -> bool:
    """Control characters, lone surrogates, and the marks that make text read backwards."""
    return (
        unicodedata.category(sign) in {"Cc", "Cs"} or sign in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def _checked(name: str, text: str) -> str:
    if any(_is_control(sign) for sign in text):
        raise _Wrong(f"{name} holds characters that can't be printed.")
    text = unicodedata.normalize("NFC", text)
    if len(text) > LONGEST[name]:
        raise _Wrong(f"{name} is longer than {LONGEST[name]} characters.")
    return text


def _name(values: dict[str, str], name: str) -> str:
    """A required value, on one line."""
    text = values[name].strip()
    if not text:
        raise _Wrong(f"{name} is empty.")
    if "\n" in text or "\r" in text:
        raise _Wrong(f"{name} goes over several lines.")
    # A file on disk is found by its exact bytes, so its name is not normalised.
    return _checked(name, text) if name != "photo" else _file_name(text)


def _number(values: dict[str, str], name: str) -> str:
    """What two records are told apart by: nothing in it may be invisible, and something in it has to count."""
    text = _name(values, name)
    if any(is_invisible(sign) for sign in text):
        raise _Wrong(f"{name} holds characters that can't be seen; type it anew.")
    if not normalised(text):
        raise _Wrong(f"{name} has neither letters nor digits.")
    return text


def _file_name(text: str) -> str:
    _checked("photo", text)
    return text


def _text(values: dict[str, str], name: str) -> str:
    """Free text; line breaks and tabs in it become blanks."""
    return _checked(name, re.sub(r"[ \t\r\n]+", " ", values.get(name, "")).strip())


def _date(values: dict[str, str], name: str, *, latest: datetime.date) -> datetime.date | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    if match := re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?)?", text, re.ASCII):
        year, month, day = match.groups()
    elif match := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text, re.ASCII):
        month, day, year = match.groups()
    else:
        raise _Wrong(f"{name} is not a date we can read; write it as YYYY-MM-DD or MM/DD/YYYY.")
    try:
        date = datetime.date(int(year), int(month), int(day))
    except ValueError as error:
        raise _Wrong(f"{name} is a day that does not exist.") from error
    if date > latest:
        raise _Wrong(f"{name} lies in the future.")
    if date.year < 1850:
        raise _Wrong(f"{name} lies before 1850.")
    return date


def _sex(values: dict[str, str]) -> str:
    text = values.get("sex", "").strip().upper()
    if text and text not in SEXES:
        raise _Wrong("sex has to be M, F, X or U, or empty.")
    return SEXES[text] if text else ""


def _whole(values: dict[str, str], name: str, *, least: int, most: int, unit: str) -> int | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,6})(?:\.0+)?", text, re.ASCII)
    if match is None or not least <= int(match[1]) <= most:
        raise _Wrong(f"{name} has to be whole {unit} between {least} and {most}.")
    return int(match[1])
