"""What an examiner draws for a component of the worksheet: where on the probe and on the candidate's photograph they
looked. A drawing is a note; nothing is measured by it.

A mark has a number, its place in the list, and stands under it on one of the two images or on both. It is a point
[x, y] or a region [x, y, width, height], the ellipse in this box, in shares of the sides of the image as examiners are
shown it, rounded to four digits: so no zoom and no reduced view changes what it points at.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from mugsearch.engine import images
from mugsearch.errors import BadInput
from mugsearch.gallery.models import Photo

Shape = list[float]
Mark = dict[str, Shape]  # image -> shape, what is not drawn left out
Box = tuple[int, int, int, int]  # x, y, width, height in pixels

IMAGES: Final = ("probe", "candidate")
MOST: Final = 8  # marks of one component
_DIGITS: Final = 4


def cleaned(given: Any) -> list[Mark]:
    """As it is stored. Raises BadInput for what can't be drawn."""
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MOST:
        raise BadInput(f"Of a component at most {MOST} marks are drawn.")
    return [_mark(one) for one in given]


def _mark(given: Any) -> Mark:
    if not isinstance(given, dict) or not given or not set(given) <= set(IMAGES):
        raise BadInput("A mark is drawn on the probe, on the candidate's photograph or on both.")
    return {image: _shape(given[image]) for image in IMAGES if image in given}


def _shape(given: Any) -> Shape:
    if not isinstance(given, list) or len(given) not in (2, 4) or not all(map(_is_share, given)):
        raise BadInput("A point is [x, y] and a region [x, y, width, height], in shares of the image's sides, 0 to 1.")
    x, y = (abs(round(float(one), _DIGITS)) for one in given[:2])  # no -0.0: PostgreSQL keeps it as 0.0
    if len(given) == 2:
        return [x, y]
    # The corners are rounded, not the sizes: so it stays within the image, and the same however often it is cleaned.
    right, bottom = (round(float(at) + size, _DIGITS) for at, size in zip(given[:2], given[2:], strict=True))
    width, height = round(right - x, _DIGITS), round(bottom - y, _DIGITS)
    if right > 1 or bottom > 1 or not (width > 0 and height > 0):
        raise BadInput("A region has a width and a height, and lies within the image.")
    return [x, y, width, height]


def _is_share(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= 1  # not NaN either


def examined(photo: Photo) -> Box:
    """What examiners are shown of a photograph, in its pixels: the whole, and of several faces the enrolled one alone
    (`pictures.candidate_examined`)."""
    if photo.face and len(photo.faces) > 1:
        return images.cropped((photo.width, photo.height), photo.face["box"], 0.5)
    return 0, 0, photo.width, photo.height


def on_whole(marks: Iterable[Mark], box: Sequence[int], size: tuple[int, int]) -> list[Mark]:
    """With the candidate's shapes in shares of a whole photograph of this size, of which examiners were shown `box`."""
    left, top, across, down = box
    width, height = size

    def moved(shape: Shape) -> Shape:
        at = [(left + shape[0] * across) / width, (top + shape[1] * down) / height]
        sides = [shape[2] * across / width, shape[3] * down / height] if len(shape) == 4 else []
        return [round(one, _DIGITS) for one in (*at, *sides)]

    return [{image: moved(shape) if image == "candidate" else shape for image, shape in one.items()} for one in marks]
