"""Manifests: the CSV files clerks export from their records system, read without losing a line.

What is wrong with the file as a whole (no header, a missing column, not text) raises BadInput; what is wrong with
one line becomes a `BadRow` with the sentence the clerk reads, and the other lines go in.
"""

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from django.utils import timezone

from mugsearch.gallery import identity
from mugsearch.gallery.models import HEIGHT_IN, WEIGHT_LB
from mugsearch.gallery.sheets import Sheet, Wrong, checked, day, free_text, legible, number, one_line

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


@dataclass(frozen=True)
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

    @cached_property
    def id_digest(self) -> str:
        return identity.of_person(self.person_id)

    @cached_property
    def number_digest(self) -> str:
        return identity.of_booking(self.booking_number)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that can't be taken. `photo` and `booking_number` are as far as they could be read, fit to be stored.

    Both are empty when the columns are out of place: then nobody can tell whether this is an expunged booking.
    """

    line: int
    photo: str
    booking_number: str
    reason: str


class Manifest(Sheet):
    """Rows in the order of the file; iterate as often as needed. `ignored` are the columns we have no place for."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, required=REQUIRED, optional=OPTIONAL, called="manifest", most_bytes=MOST_BYTES)

    def __iter__(self) -> Iterator[Row | BadRow]:
        today = timezone.localdate()
        for line, cells in self.records():
            yield self._row(line, cells, today)

    def _row(self, line: int, cells: list[str], today: datetime.date) -> Row | BadRow:
        if not self.fits(cells):
            reason = f"This line has {len(cells)} columns, but the header has {len(self.columns)}."
            return BadRow(line, "", "", reason)
        values = dict(zip(self.columns, cells, strict=False))
        try:
            return Row(
                line=line,
                photo=_photo(values),
                person_id=number(values, "person_id", LONGEST["person_id"]),
                booking_number=number(values, "booking_number", LONGEST["booking_number"]),
                booked_on=day(values, "booked_on", latest=today + datetime.timedelta(days=1)),
                family_name=free_text(values, "family_name", LONGEST["family_name"]),
                given_names=free_text(values, "given_names", LONGEST["given_names"]),
                date_of_birth=day(values, "date_of_birth", latest=today),
                sex=_sex(values),
                height_in=_whole(values, "height_in", least=HEIGHT_IN[0], most=HEIGHT_IN[1], unit="inches"),
                weight_lb=_whole(values, "weight_lb", least=WEIGHT_LB[0], most=WEIGHT_LB[1], unit="pounds"),
                pose=free_text(values, "pose", LONGEST["pose"]),
                charge=free_text(values, "charge", LONGEST["charge"]),
                disposition=free_text(values, "disposition", LONGEST["disposition"]),
            )
        except Wrong as wrong:
            try:
                its_number = number(values, "booking_number", LONGEST["booking_number"])
            except Wrong:
                # Nobody can tell whether that booking was expunged, so nothing of the row is kept but its line.
                return BadRow(line, "", "", str(wrong))
            return BadRow(line, legible(values["photo"], 300), its_number, str(wrong))


def read(data: bytes) -> Manifest:
    """The manifest in a file's bytes. Raises BadInput, with one sentence, when the file as a whole can't be used."""
    return Manifest(data)


def _photo(values: dict[str, str]) -> str:
    """A file on disk is found by its exact bytes, so its name is not normalised."""
    name = one_line(values, "photo")
    checked("photo", name, LONGEST["photo"])
    return name


def _sex(values: dict[str, str]) -> str:
    text = values.get("sex", "").strip().upper()
    if text and text not in SEXES:
        raise Wrong("sex has to be M, F, X or U, or empty.")
    return SEXES[text] if text else ""


def _whole(values: dict[str, str], name: str, *, least: int, most: int, unit: str) -> int | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,6})(?:\.0+)?", text, re.ASCII)
    if match is None or not least <= int(match[1]) <= most:
        raise Wrong(f"{name} has to be whole {unit} between {least} and {most}.")
    return int(match[1])
