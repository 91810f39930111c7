"""What is sought, in every form it could be written in, and a quick search for all of them at once."""

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

import numpy as np

from mugsearch.errors import BadInput

LEAST: Final = 5  # bytes: anything shorter is found by chance
WINDOW: Final = 32  # bytes of a file that give it away
_WINDOWS: Final = 48  # of one file
_DISTINCT: Final = 12  # different bytes that a window needs, or it is found in every file of its kind
_BLOCK: Final = 2**20  # bytes looked at in one go: what they need fits into the processor's cache
_BITS: Final = 16  # 65,536 slots of a byte: they fit, too
_SPREAD: Final = np.uint32(2654435761)  # Knuth's multiplicative hash


@dataclass(frozen=True)
class Marker:
    """The same thing in several ways: {bytes: name of the form}. Finding one of them is finding it."""

    forms: dict[bytes, str]

    @classmethod
    def of_text(cls, text: str) -> "Marker":
        """As typed and in capitals and small letters, each as Python keeps it in memory, PostgreSQL on disk, and
        JSON, addresses, pages, hex and base64 on the way."""
        if len(text.encode()) < LEAST:
            raise BadInput(f"A marker needs at least {LEAST} bytes: a shorter one is found by chance.")
        forms: dict[bytes, str] = {}
        for spelling in (text, text.upper(), text.lower()):
            for coding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "latin-1"):
                forms.setdefault(spelling.encode(coding, "ignore"), coding)
            forms.setdefault(json.dumps(spelling)[1:-1].encode(), "json")
            forms.setdefault(html.escape(spelling).encode(), "html")
            forms.setdefault(quote(spelling, safe="").encode(), "address")
            forms.setdefault(quote_plus(spelling).encode(), "address")
            for written, name in _written(spelling.encode()):
                forms.setdefault(written, name)
        return cls(_long_enough(forms))

    @classmethod
    def of_bytes(cls, data: bytes) -> "Marker":
        return cls.of_pieces([data])

    @classmethod
    def of_pieces(cls, pieces: Iterable[bytes]) -> "Marker":
        forms: dict[bytes, str] = {}
        for piece in pieces:
            if len(piece) < LEAST:
                raise BadInput(f"A marker needs at least {LEAST} bytes: a shorter one is found by chance.")
            forms[piece] = "bytes"
            for written, name in _written(piece):
                forms.setdefault(written, name)
        return cls(_long_enough(forms))

    @classmethod
    def of_file(cls, data: bytes) -> "Marker":
        """By windows from all over the file, without its beginning, which it may have in common with others."""
        first = min(len(data) // 5, 2048)
        step = max((len(data) - first) // _WINDOWS, WINDOW)
        windows = [data[at : at + WINDOW] for at in range(first, len(data) - WINDOW + 1, step)]
        if not (telling := [window for window in windows if len(set(window)) >= _DISTINCT]):
            raise BadInput("That file is too short or too even to be recognised by pieces of it.")
        return cls.of_pieces(telling)


def _written(data: bytes) -> Iterator[tuple[bytes, str]]:
    """Hex, and base64 wherever in a longer text it begins; without the ends that depend on what is beside it."""
    yield data.hex().encode(), "hex"
    yield data.hex().upper().encode(), "hex"
    for before in range(3):
        padded = bytes(before) + data
        piece = slice(-(-before * 8 // 6), len(padded) * 8 // 6)
        yield b64encode(padded)[piece], "base64"
        yield urlsafe_b64encode(padded)[piece], "base64"


def _long_enough(forms: dict[bytes, str]) -> dict[bytes, str]:
    return {form: name for form, name in forms.items() if len(form) >= LEAST}


#: (number of the marker from 1, form) -> how often.
Finds = Counter[tuple[int, str]]


class Sought:
    """All markers of a hunt.

    Of every form four bytes are looked for, those with the most different values in it; where they are, the whole
    form is compared. `within` is quick where few of these four are in what is searched.
    """

    def __init__(self, markers: list[Marker]) -> None:
        if not markers:
            raise BadInput("There is nothing to hunt for: give at least one marker.")
        self.count = len(markers)
        self._by_anchor: dict[int, list[tuple[int, bytes, int, str]]] = {}
        self.overlap = 0
        for number, marker in enumerate(markers, start=1):
            for form, name in marker.forms.items():
                at = max(range(len(form) - 3), key=lambda start: len(set(form[start : start + 4])))
                anchor = int.from_bytes(form[at : at + 4], "little")
                self._by_anchor.setdefault(anchor, []).append((at, form, number, name))
                self.overlap = max(self.overlap, len(form) - 1)
        self._anchors = np.array(sorted(self._by_anchor), np.uint32)
        self._likely = np.zeros(2**_BITS, bool)
        self._likely[_slots(self._anchors)] = True

    def within(self, data: bytes) -> Finds:
        return self.in_blocks([data])

    def in_blocks(self, blocks: Iterable[bytes]) -> Finds:
        """In blocks that follow one another; what lies across an edge is found, too, and once."""
        finds: Finds = Counter()
        tail = b""
        for block in blocks:
            data = tail + block
            for at, length, number, name in self._places(data):
                if at + length > len(tail):
                    finds[number, name] += 1
            tail = data[max(len(data) - self.overlap, 0) :]
        return finds

    def _places(self, data: bytes) -> Iterator[tuple[int, int, int, str]]:
        """(where, length, marker, form); anchors that begin before the end of a piece are looked for within it."""
        for start in range(0, len(data), _BLOCK):
            stop = min(start + _BLOCK + 3, len(data))
            if data.count(0, start, stop) == stop - start:
                continue  # memory and files are full of zeros, and no anchor is all zeros
            for shift in range(4):
                words = np.frombuffer(data, "<u4", max(stop - start - shift, 0) // 4, min(start + shift, len(data)))
                here = np.flatnonzero(self._likely[_slots(words)])
                if here.size:
                    here = here[np.isin(words[here], self._anchors)]
                for place, anchor in zip(here.tolist(), words[here].tolist(), strict=True):
                    for at, form, number, name in self._by_anchor[anchor]:
                        begin = start + shift + 4 * place - at
                        if begin >= 0 and data.startswith(form, begin):
                            yield begin, len(form), number, name


def _slots(words: "np.typing.NDArray[np.uint32]") -> "np.typing.NDArray[np.uint32]":
    spread = words * _SPREAD
    spread >>= np.uint32(32 - _BITS)
    return spread
