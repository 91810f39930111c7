"""When two spellings are one and the same number. The gallery and what remembers expunged bookings have to agree."""

import re
import unicodedata

# Unicode's ignorable signs outside of category Cf: joiners, fillers and variation selectors, none of which is seen.
_IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def normalised(number: str) -> str:
    """Case is folded, signs nobody sees are dropped, and blanks, dashes, slashes and dots between the parts are one
    and the same. Where the parts end does matter: 2024-1-12 and 2024-11-2 are two bookings."""
    seen = "".join(sign for sign in number if not is_invisible(sign))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    return re.sub(r"[\W_]+", "-", folded).strip("-")


def is_invisible(sign: str) -> bool:
    return unicodedata.category(sign) == "Cf" or bool(_IGNORABLE.match(sign))
