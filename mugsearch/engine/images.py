"""Pictures: untrusted bytes to upright pixels, and our own stored pixels to PNG and JPEG.

`decode` is the only door for bytes from outside. It reads them in another process (`decoder_pool`, `confinement`)
and says in one sentence what is wrong with those it can't take. The other functions work in this process, on
pixels that have come through `decode`. Web processes import this module: it must never import cv2, FAISS or ONNX
Runtime.

Colour profiles are ignored: an embedded profile is a small program from a stranger, and the encoders were trained
on pictures read without it.
"""

import contextlib
import hashlib
import io
import math
import queue
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mugsearch.engine import decoder
from mugsearch.engine.decoder_pool import POOL, Answer, Child, ChildDiedError, DeadlineMissedError
from mugsearch.errors import BadImage, Unavailable

TAKEN: Final = "JPEG, PNG, TIFF, BMP, WebP, HEIC and JPEG 2000"
_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_WAIT_SHARE: Final = 0.6  # of the time allowed, spent at most waiting for a free decoder; the rest is for decoding
_FAIR_SHARE: Final = 0.2  # a picture that waited longer than this share is not blamed for missing the deadline
_START_SECONDS: Final = 3.0  # isolation(): to wait for a place, and again to start a child


@dataclass(frozen=True)
class Limits:
    """What `decode` takes before it looks at pixels.

    `seconds` bounds the whole call on the wall clock, waiting included; `memory_bytes` bounds the decoding
    process's address space, about 70 MiB of which are the interpreter and the codecs.
    """

    max_bytes: int = 32 * 2**20
    max_pixels: int = 64_000_000
    max_side: int = 20_000
    seconds: float = 4.0
    memory_bytes: int = 1536 * 2**20


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Decoded:
    """`pixels`: H x W x 3 uint8 RGB, upright. `format`: Pillow's name. `sha256`: of the bytes given, lower-case
    hex."""

    pixels: NDArray[np.uint8]
    format: str
    sha256: str


def decode(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Decoded:
    """Read one photograph from untrusted bytes.

    Raises `BadImage` (the bytes) or `Unavailable` (we are too busy, or can't start a decoder), nothing else.
    """
    started = time.monotonic()
    if not data:
        raise BadImage("The file is empty; choose the photograph again.")
    if len(data) > limits.max_bytes:
        raise BadImage(
            f"The file is larger than {limits.max_bytes / 2**20:g} MB; save the photograph smaller and send it again."
        )
    name = _format_of(data)
    if name is None:
        raise BadImage(f"This is not a photograph we can read; send {TAKEN}.")
    answer = _ask(data, decoder.FORMATS.index(name), limits, started)
    if answer.pixels is None:
        raise BadImage(_sentence(answer, limits))
    return Decoded(pixels=answer.pixels, format=name, sha256=hashlib.sha256(data).hexdigest())


def isolation() -> str:
    """One sentence on how decoding is isolated on this machine, for the health page. Starts a decoder if none
    runs.

    Raises `Unavailable` when no decoder can be started.
    """
    now = time.monotonic()
    child = _take(DEFAULT_LIMITS, now + _START_SECONDS, now + 2 * _START_SECONDS)
    POOL.give(child, fit=True)
    if child.confined:
        return (
            "Pictures are decoded in separate processes with limits on memory, processor time and files, and a "
            "system-call filter that allows no network, no files, no programs and no new processes."
        )
    return (
        "Pictures are decoded in separate processes with limits on memory, processor time and files; "
        "the system-call filter is not available on this system."
    )


def close() -> None:
    """End the decoding processes; the next `decode` starts new ones. After a purge, this clears what they held."""
    POOL.close()


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """H x W x 3 uint8 RGB to PNG, lossless, without metadata. Level 1: speed over size."""
    out = io.BytesIO()
    Image.fromarray(_rgb(pixels)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def read_png(data: bytes) -> NDArray[np.uint8]:
    """The pixels (H x W x 3 uint8 RGB) of a PNG that `encode_png` made. Never for bytes from outside: use
    `decode`.

    Raises `BadImage` when the stored bytes are damaged.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.mode != "RGB":
                raise BadImage("The stored picture is not one this service wrote; restore it from a backup.")
            return np.array(picture, dtype=np.uint8)
    # Pillow raises SyntaxError, ValueError, struct.error, zlib.error, ... on damaged files.
    except (OSError, SyntaxError, ValueError, ArithmeticError, LookupError, Image.DecompressionBombError) as error:
        raise BadImage("The stored picture is damaged; restore it from a backup.") from error


def view_jpeg(pixels: NDArray[np.uint8], *, max_side: int, quality: int = 90) -> bytes:
    """A JPEG to look at, its longer side at most `max_side` pixels; never enlarged, no metadata."""
    if max_side < 1:
        raise ValueError("max_side is at least 1")
    picture = Image.fromarray(_rgb(pixels))
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


def crop(pixels: NDArray[np.uint8], box: tuple[float, float, float, float], margin: float) -> NDArray[np.uint8]:
    """A copy of what `cropped` says."""
    height, width = _rgb(pixels).shape[:2]
    left, top, across, down = cropped((width, height), box, margin)
    return pixels[top : top + down, left : left + across].copy()


def cropped(size: tuple[int, int], box: tuple[float, float, float, float], margin: float) -> tuple[int, int, int, int]:
    """`box` (x, y, width, height in pixels) widened by `margin` times its size on each side, of a picture of this
    size (width, height).

    What lies outside the picture is left out, so the result may be narrower; it is never empty.
    """
    width, height = size
    x, y, box_width, box_height = box
    if not all(math.isfinite(value) for value in (*box, margin)):
        raise ValueError("a box has finite numbers")
    left = min(max(math.floor(x - margin * box_width), 0), width - 1)
    top = min(max(math.floor(y - margin * box_height), 0), height - 1)
    right = min(max(math.ceil(x + (1 + margin) * box_width), left + 1), width)
    bottom = min(max(math.ceil(y + (1 + margin) * box_height), top + 1), height)
    return left, top, right - left, bottom - top


def _rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ValueError(f"pixels are H x W x 3 uint8, not {pixels.shape} {pixels.dtype}")
    return np.ascontiguousarray(pixels)


def _format_of(data: bytes) -> str | None:
    """The one format whose signature the bytes begin with: only that decoder gets to see them."""
    beginnings = {
        b"\xff\xd8\xff": "JPEG",
        b"\x89PNG\r\n\x1a\n": "PNG",
        b"II*\x00": "TIFF",
        b"MM\x00*": "TIFF",
        b"BM": "BMP",
        b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG2000",
        b"\xff\x4f\xff\x51": "JPEG2000",
    }
    for beginning, name in beginnings.items():
        if data.startswith(beginning):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "HEIF"
    return None


def _take(limits: Limits, wait_until: float, deadline: float) -> Child:
    try:
        return POOL.take(memory_bytes=limits.memory_bytes, wait_until=wait_until, deadline=deadline)
    except queue.Empty as error:
        raise Unavailable("Too many photographs are being read at the moment; try again shortly.") from error
    except (ChildDiedError, DeadlineMissedError, OSError) as error:
        raise Unavailable("The picture decoder could not be started; try again, then tell the operator.") from error


def _ask(data: bytes, format_number: int, limits: Limits, started: float) -> Answer:
    deadline = started + limits.seconds
    child = _take(limits, started + limits.seconds * _WAIT_SHARE, deadline)
    began = time.monotonic()
    try:
        if child.served:
            # It may have been ended while resting, through no fault of this picture: then once more, with a new
            # one.
            with contextlib.suppress(ChildDiedError):
                return _put(child, data, format_number, limits, deadline)
            child = _take(limits, deadline, deadline)
        return _put(child, data, format_number, limits, deadline)
    except ChildDiedError as error:
        raise BadImage(
            "This picture could not be read safely; save it again as JPEG or PNG and send that file."
        ) from error
    except DeadlineMissedError as error:
        if began - started > limits.seconds * _FAIR_SHARE:
            # It had to share its time with others; whether it is at fault can't be said.
            raise Unavailable("Too many photographs are being read at the moment; try again shortly.") from error
        raise BadImage(
            "Reading this picture took too long; save it again as an ordinary JPEG or PNG and send that file."
        ) from error


def _put(child: Child, data: bytes, format_number: int, limits: Limits, deadline: float) -> Answer:
    """Have `child` decode, and give it back to the pool in any case."""
    fit = False
    try:
        answer = child.ask(
            data,
            format_number,
            max_pixels=limits.max_pixels,
            max_side=limits.max_side,
            cpu_seconds=math.ceil(limits.seconds),
            deadline=deadline,
        )
        fit = answer.outcome != decoder.MEMORY
        return answer
    finally:
        POOL.give(child, fit=fit)


def _sentence(answer: Answer, limits: Limits) -> str:
    if answer.outcome == decoder.FRAMES:
        return "The file holds several pictures or pages; save the one you mean as a single picture and send that."
    if answer.outcome == decoder.PIXELS:
        return (
            f"The picture has too many pixels; at most {limits.max_pixels // 1_000_000} megapixels and "
            f"{limits.max_side} pixels a side can be read."
        )
    if answer.outcome == decoder.MEMORY:
        return "The picture needs too much memory to read; save it smaller as JPEG or PNG and send that file."
    if answer.outcome == decoder.FORMAT:
        return f"This is not a photograph we can read; send {TAKEN}."
    return "The picture is damaged or cut short; save or copy it again and send the new file."
