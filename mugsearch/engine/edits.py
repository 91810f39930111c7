"""Edits of a probe: a short list of steps, the picture they make of the original, and the way back to the original.

The same original and steps give the same pixels, so an expert can make them again. What each step does:

`rotate`, degrees, more than 0 to the right (clockwise). About the middle of the picture, onto a new one that is just
large enough: |w cos| + |h sin| wide and |w sin| + |h cos| high, rounded up. Quarter turns move pixels and change none.
Otherwise the middle of every new pixel is looked up in the old picture and its values interpolated between the four
pixels round it (bilinear, fractions dropped), so that no tone appears that wasn't there; outside of it is black.
`crop`, x, y, width, height in pixels: these pixels and no others.
`brightness`, percent: every value v of a channel becomes v (100 + percent) / 100.
`contrast`, percent: every value v becomes 127.5 + (v - 127.5) (100 + percent) / 100. Both are rounded to the nearest
integer, halves up, and cut off at 0 and 255: what CSS calls brightness() and contrast().

Each may occur once, in any order; a crop's numbers are those of the picture it is made of. There is no mirroring: a
mirrored face is nobody's. Nothing here adds to a picture, smooths, sharpens or enlarges it: what wasn't recorded can't
be searched with.

Written as JSON: [{"rotate": -12.5}, {"crop": [40, 0, 200, 300]}, {"brightness": 20}, {"contrast": -10}].
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mugsearch.engine.images import DEFAULT_LIMITS
from mugsearch.errors import BadInput

LEAST_SIDE: Final = 32  # pixels; in less no encoder finds a face
TONES: Final = (-60, 120)  # percent: a tone of 40 % to 220 %, as the comparison's view has them

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # x, y, width, height


class Step(Protocol):
    """`size` and `matrix` are of the picture it is made of, width and height in pixels. `matrix` (3 x 3) takes a
    place (x, y, 1) there to the same place in the new picture; the middle of the first pixel is (0.5, 0.5)."""

    def apply(self, pixels: Pixels) -> Pixels: ...
    def size(self, width: int, height: int) -> tuple[int, int]: ...
    def matrix(self, width: int, height: int) -> NDArray[np.float64]: ...
    def words(self) -> str: ...
    def as_json(self) -> dict[str, object]: ...


@dataclass(frozen=True)
class Rotate:
    degrees: float  # -180 < degrees <= 180, in tenths

    @classmethod
    def of(cls, value: object) -> "Rotate":
        degrees = round(_number(value, (-180, 180), "Rotate by −180 to 180 degrees."), 1)
        return cls(180.0 if degrees == -180 else degrees)

    def apply(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        return self.apply_within(pixels, (0, 0, *self.size(width, height)))

    def apply_within(self, pixels: Pixels, box: tuple[int, int, int, int]) -> Pixels:
        """Only this part of the turned picture: turning a large one takes seconds, the face on it a tenth."""
        x, y, new_width, new_height = box
        if self.degrees % 90 == 0:
            return np.rot90(pixels, -round(self.degrees / 90))[y : y + new_height, x : x + new_width]
        height, width = pixels.shape[:2]
        back = np.linalg.inv(self.matrix(width, height)) @ _moved(x, y)
        turned = Image.fromarray(np.ascontiguousarray(pixels)).transform(
            (new_width, new_height),
            Image.Transform.AFFINE,
            back[:2].ravel().tolist(),
            Image.Resampling.BILINEAR,
            fillcolor=0,
        )
        return np.asarray(turned, dtype=np.uint8)

    def size(self, width: int, height: int) -> tuple[int, int]:
        cos, sin = map(abs, self._direction())
        return math.ceil(width * cos + height * sin - 1e-6), math.ceil(width * sin + height * cos - 1e-6)

    def matrix(self, width: int, height: int) -> NDArray[np.float64]:
        cos, sin = self._direction()
        new_width, new_height = self.size(width, height)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        about: NDArray[np.float64] = _moved(new_width / 2, new_height / 2) @ turn @ _moved(-width / 2, -height / 2)
        return about

    def _direction(self) -> tuple[float, float]:
        angle = math.radians(self.degrees)
        exact = (round(math.cos(angle)), round(math.sin(angle)))
        return exact if self.degrees % 90 == 0 else (math.cos(angle), math.sin(angle))

    def words(self) -> str:
        return f"rotated {abs(self.degrees):g}° to the {'right' if self.degrees > 0 else 'left'}"

    def as_json(self) -> dict[str, object]:
        return {"rotate": self.degrees}


@dataclass(frozen=True)
class Crop:
    box: tuple[int, int, int, int]  # x, y, width, height in pixels

    @classmethod
    def of(cls, value: object) -> "Crop":
        say = "A crop is x, y, width and height in whole pixels of the picture."
        if not isinstance(value, (list, tuple)) or len(value) != 4:
            raise BadInput(say)
        x, y, width, height = (_integer(number, (0, DEFAULT_LIMITS.max_side), say) for number in value)
        return cls((x, y, width, height))

    def apply(self, pixels: Pixels) -> Pixels:
        x, y, width, height = self.box
        return pixels[y : y + height, x : x + width]

    def size(self, width: int, height: int) -> tuple[int, int]:
        x, y, new_width, new_height = self.box
        if x + new_width > width or y + new_height > height:
            raise BadInput(f"The crop reaches beyond the picture, which has {width} × {height} pixels there.")
        return new_width, new_height

    def matrix(self, width: int, height: int) -> NDArray[np.float64]:
        return _moved(-self.box[0], -self.box[1])

    def words(self) -> str:
        return f"cropped to {self.box[2]} × {self.box[3]} pixels"

    def as_json(self) -> dict[str, object]:
        return {"crop": list(self.box)}


@dataclass(frozen=True)
class _Tone:
    percent: int

    def table(self) -> NDArray[np.int64]:
        """(256,): the new value of each, before it is cut off. In whole numbers, so that nobody rounds otherwise."""
        raise NotImplementedError

    def apply(self, pixels: Pixels) -> Pixels:
        return self.table().clip(0, 255).astype(np.uint8)[pixels]

    def size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def matrix(self, width: int, height: int) -> NDArray[np.float64]:
        return np.eye(3)


@dataclass(frozen=True)
class Brightness(_Tone):
    @classmethod
    def of(cls, value: object) -> "Brightness":
        return cls(_integer(value, TONES, f"Brightness is {_signed(TONES[0])} to {_signed(TONES[1])} %, whole."))

    def table(self) -> NDArray[np.int64]:
        return (np.arange(256) * (100 + self.percent) + 50) // 100

    def words(self) -> str:
        return f"brightness {_signed(self.percent)} %"

    def as_json(self) -> dict[str, object]:
        return {"brightness": self.percent}


@dataclass(frozen=True)
class Contrast(_Tone):
    @classmethod
    def of(cls, value: object) -> "Contrast":
        return cls(_integer(value, TONES, f"Contrast is {_signed(TONES[0])} to {_signed(TONES[1])} %, whole."))

    def table(self) -> NDArray[np.int64]:
        return ((2 * np.arange(256) - 255) * (100 + self.percent) + 25500 + 100) // 200

    def words(self) -> str:
        return f"contrast {_signed(self.percent)} %"

    def as_json(self) -> dict[str, object]:
        return {"contrast": self.percent}


KINDS: Final[dict[str, Callable[[object], Step]]] = {
    "rotate": Rotate.of,
    "crop": Crop.of,
    "brightness": Brightness.of,
    "contrast": Contrast.of,
}


def read(given: object, *, width: int, height: int) -> list[Step]:
    """The steps that JSON describes, for an original of this size; what would change nothing is left out.

    Raises BadInput, with what to change, for anything that is no edit of it.
    """
    if not isinstance(given, (list, tuple)) or len(given) > 2 * len(KINDS):
        raise BadInput("An edit is a short list of steps.")
    steps, named = list[Step](), set[str]()
    for one in given:
        if not isinstance(one, dict) or len(one) != 1:
            raise BadInput("Each step of an edit is one of rotate, crop, brightness and contrast.")
        (name, value), *_ = one.items()
        if name not in KINDS:
            raise BadInput("Each step of an edit is one of rotate, crop, brightness and contrast.")
        if name in named:
            raise BadInput(f"An edit has {name} only once.")
        named.add(name)
        step = KINDS[name](value)
        new = _checked(step, width, height)
        if not _changes_nothing(step, width, height):
            steps.append(step)
        width, height = new
    if not steps:
        raise BadInput("Change something: this would be the original once more.")
    return steps


def apply(steps: Sequence[Step], pixels: Pixels) -> Pixels:
    """What the steps make of the original (H x W x 3 uint8 RGB), which stays as it is."""
    left = list(steps)
    while left:
        step = left.pop(0)
        if isinstance(step, Rotate) and left and isinstance(left[0], Crop):
            pixels = step.apply_within(pixels, left[0].box)
            del left[0]
        else:
            pixels = step.apply(pixels)
    return np.array(pixels, order="C")


def size_after(steps: Sequence[Step], width: int, height: int) -> tuple[int, int]:
    for step in steps:
        width, height = step.size(width, height)
    return width, height


def to_original(box: Box, steps: Sequence[Step], *, width: int, height: int) -> Box:
    """Where on the original (of this width and height) a face is that has this box on the edit.

    A face is round: the box round the ellipse that fills the given one, which stays as close when it is turned.
    """
    forward = np.eye(3)
    for step in steps:
        forward = step.matrix(width, height) @ forward
        width, height = step.size(width, height)
    back = np.linalg.inv(forward)
    x, y, box_width, box_height = box
    middle = back @ (x + box_width / 2, y + box_height / 2, 1)
    half = np.hypot(back[:2, 0] * box_width / 2, back[:2, 1] * box_height / 2)
    left, top = (middle[:2] - half).tolist()
    return left, top, *(2 * half).tolist()


def words(steps: Sequence[Step]) -> str:
    return ", ".join(step.words() for step in steps)


def digest(pixels: Pixels) -> str:
    """SHA-256 of the pixels: their red, green and blue bytes, row by row from the top. Whatever file they are in."""
    return sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _checked(step: Step, width: int, height: int) -> tuple[int, int]:
    """The size of the picture it makes of one of this size."""
    limits = DEFAULT_LIMITS
    width, height = step.size(width, height)
    if min(width, height) < LEAST_SIDE:
        raise BadInput(f"Less than {LEAST_SIDE} pixels would be left of a side: crop less.")
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise BadInput(f"The edit would have more than {limits.max_pixels // 1_000_000} megapixels: crop it first.")
    return width, height


def _changes_nothing(step: Step, width: int, height: int) -> bool:
    return step.as_json() in ({"crop": [0, 0, width, height]}, {"rotate": 0}, {"brightness": 0}, {"contrast": 0})


def _moved(x: float, y: float) -> NDArray[np.float64]:
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def _number(value: object, bounds: tuple[int, int], say: str) -> float:
    # Compared before it is made a float: an integer may be too large for one.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not bounds[0] <= value <= bounds[1]:
        raise BadInput(say)
    return float(value)


def _integer(value: object, bounds: tuple[int, int], say: str) -> int:
    number = _number(value, bounds, say)
    if number != int(number):
        raise BadInput(say)
    return int(number)


def _signed(percent: int) -> str:
    return f"{'+' if percent > 0 else '−'}{abs(percent)}"
