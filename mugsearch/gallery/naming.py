"""Whether a text says whose booking it is about. What is kept for good may not: it outlives the booking."""

import re

from mugsearch.gallery.identity import folded
from mugsearch.gallery.models import Booking


def name_in(booking: Booking, text: str, *, shortest: int = 2) -> str | None:
    """A word of the person's name that stands in the text and has so many letters, or None."""
    person = booking.person
    # Short given names are ordinary words too often ("An", "Jo"), unless they are all there is.
    given = _words(person.given_names)
    names = _words(person.family_name) | {word for word in given if len(word) > 2 or not person.family_name}
    return min((word for word in names & _words(text) if len(word) >= shortest), default=None)


def number_in(booking: Booking, text: str) -> bool:
    """Whether the booking number or the person id stands in the text, however its parts are joined there."""
    return any(_mentions(text, number) for number in (booking.booking_number, booking.person.person_id))


def _words(text: str) -> set[str]:
    """Words of two letters and more, without capitals and accents; O'Brien is obrien."""
    joined = re.sub(r"(?<=\w)['’‐-](?=[^\W\d])", "", folded(text))
    found = re.findall(r"[^\W\d_]+", f"{joined} {folded(text)}")
    return {word for word in found if len(word) > 1}


def _mentions(text: str, number: str) -> bool:
    """Whatever stands between its parts there."""
    parts = re.findall(r"[^\W_]+", folded(number))
    spelled = r"[\W_]+".join(map(re.escape, parts))
    return bool(parts) and bool(re.search(rf"(?<![\w-]){spelled}(?![\w-])", folded(text)))
