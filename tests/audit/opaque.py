"""Whether the record holds ids, codes, counts and digests only."""

import json
import re
from collections.abc import Iterable
from typing import Any

from mugsearch.audit.models import Entry
from mugsearch.requests import texts_of

LONGEST = 128  # of a text: two digests; an image or a vector is longer, however it is written
MOST_NUMBERS = 8  # in a row: a box and landmarks have fewer at once, a vector 128


def require_opaque(markers: Iterable[str]) -> None:
    """`markers`: names, numbers and file names that were used; none may be in any entry as a word of its own."""
    words = "|".join(re.escape(marker) for marker in sorted(set(markers)) if marker.strip())
    pattern = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)
    for entry in Entry.objects.order_by("number"):
        said = json.loads(entry.canonical())
        for text in texts_of(said):
            assert len(text) <= LONGEST, (entry, text)
            assert not pattern.search(text), (entry, text)
        assert not _long_lists(said), entry


def _long_lists(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_long_lists, value.values()))
    if not isinstance(value, list):
        return False
    return sum(isinstance(one, int | float) for one in value) > MOST_NUMBERS or any(map(_long_lists, value))
