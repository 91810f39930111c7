"""Stand-ins for what is slow: an encoder without a model, and the photographs it knows how to see.

`synthetic_photo` draws faces as tiles: a magenta frame around 4 x 6 cells, white or black, that spell the person's
number. `FakeEncoder` finds the frames and reads the number, so who is on a photograph is known to every test, and
a lossless copy of it gives the same faces and vectors.
"""

import hashlib
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mugsearch.engine.encoders import Face, largest_first

DIMENSION = 128
_FRAME = np.array([255, 0, 255], dtype=np.uint8)
_COLUMNS, _ROWS = 4, 6  # 20 bits of person, 4 of variant
_UNIT = 8  # pixels: the frame's width and a cell's side
_WIDTH, _HEIGHT = (_COLUMNS + 2) * _UNIT, (_ROWS + 2) * _UNIT
_GAP = 8
_VARIANT_NOISE = 0.35  # two photographs of one person have a cosine near 0.9, strangers near 0


def synthetic_photo(person: int, *, variant: int = 0, faces: int = 1, size: tuple[int, int] = (240, 320)) -> bytes:
    """A PNG, `size` = (width, height), of `faces` people numbered person, person + 1, ...; `variant` 0..15 is
    another photograph of the same person. ValueError when they don't fit."""
    return _png(synthetic_pixels(person, variant=variant, faces=faces, size=size))


def synthetic_pixels(
    person: int, *, variant: int = 0, faces: int = 1, size: tuple[int, int] = (240, 320)
) -> NDArray[np.uint8]:
    """The pixels (H x W x 3 uint8 RGB) of `synthetic_photo`."""
    width, height = size
    if not 0 <= person < 2**20 - faces or not 0 <= variant < 16:
        raise ValueError("person is below 2**20 and variant below 16")
    seed = int.from_bytes(hashlib.sha256(f"{person} {variant} {faces} {size}".encode()).digest()[:8], "big")
    # A background that differs from photograph to photograph, so that no two files are alike; never magenta.
    background = np.random.default_rng(seed).integers(60, 180, size=3, dtype=np.uint8)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    pixels[:] = background
    across = (width - _GAP) // (_WIDTH + _GAP)
    if faces and (across < 1 or -(-faces // across) * (_HEIGHT + _GAP) + _GAP > height):
        raise ValueError(f"{faces} faces don't fit into {width} x {height}")
    for number in range(faces):
        left = _GAP + (number % across) * (_WIDTH + _GAP)
        top = _GAP + (number // across) * (_HEIGHT + _GAP)
        pixels[top : top + _HEIGHT, left : left + _WIDTH] = _tile(person + number, variant)
    return pixels


class FakeEncoder:
    """An `Encoder` that reads the tiles of `synthetic_photo`. Faces in reading order: all tiles are of one
    size."""

    name = "fake/tiles"
    digest = hashlib.sha256(b"fake/tiles").hexdigest()
    dimension = DIMENSION
    licence = "A stand-in for tests: it knows no real face."
    commercial_use = False

    def faces(self, pixels: NDArray[np.uint8]) -> list[Face]:
        found = []
        magenta = (pixels == _FRAME).all(axis=2)
        height, width = magenta.shape
        tops, lefts = np.nonzero(magenta)
        for top, left in zip(tops.tolist(), lefts.tolist(), strict=True):
            beside = left > 0 and magenta[top, left - 1]
            above = top > 0 and magenta[top - 1, left]
            fits = top + _HEIGHT <= height and left + _WIDTH <= width
            if not beside and not above and fits and magenta[top, left : left + _WIDTH].all():
                found.append(_face(left, top))
        return largest_first(found)

    def embed(self, pixels: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        left, top = round(face.box[0]), round(face.box[1])
        cells = [
            pixels[top + (row + 1) * _UNIT + _UNIT // 2, left + (column + 1) * _UNIT + _UNIT // 2].mean() > 127
            for row in range(_ROWS)
            for column in range(_COLUMNS)
        ]
        code = sum(1 << place for place, lit in enumerate(cells) if lit)
        return person_vector(code & (2**20 - 1), variant=code >> 20)


def person_vector(person: int, *, variant: int = 0) -> NDArray[np.float32]:
    """The vector `FakeEncoder` gives for a tile: float32, (128,), norm 1."""
    own = np.random.default_rng([1, person]).standard_normal(DIMENSION)
    noise = np.random.default_rng([2, person, variant]).standard_normal(DIMENSION)
    vector = own + _VARIANT_NOISE * noise
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _tile(person: int, variant: int) -> NDArray[np.uint8]:
    tile = np.empty((_HEIGHT, _WIDTH, 3), dtype=np.uint8)
    tile[:] = _FRAME
    code = person | variant << 20
    for place in range(_ROWS * _COLUMNS):
        row, column = divmod(place, _COLUMNS)
        top, left = (row + 1) * _UNIT, (column + 1) * _UNIT
        tile[top : top + _UNIT, left : left + _UNIT] = 255 if code >> place & 1 else 0
    return tile


def _face(left: int, top: int) -> Face:
    places = ((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75))
    return Face(
        box=(float(left), float(top), float(_WIDTH), float(_HEIGHT)),
        landmarks=tuple((left + x * _WIDTH, top + y * _HEIGHT) for x, y in places),
        score=0.99,
    )


def _png(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()
