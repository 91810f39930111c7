"""What text has to be before anything is done with it."""

import re
from typing import Any

from mugsearch.errors import BadInput

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL keeps neither NUL nor half a character


def require_text(text: Any, *, most: int, least: int = 0, refusal: str) -> None:
    """`least`, `most`: characters, inclusive. Raises BadInput with the sentence `refusal`."""
    if not isinstance(text, str) or not least <= len(text) <= most or UNSTORABLE.search(text):
        raise BadInput(refusal)
