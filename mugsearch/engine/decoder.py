"""The child process that turns untrusted bytes into pixels, and the language it speaks with its parent.

`images.decode` starts it through `decoder_pool`, never imports its work. It reads requests from standard input and
answers on standard output until the parent closes the pipe. It never opens a file: after `confine` it could not.

    request   REQUEST (max_pixels, max_side, cpu_seconds, format number, length)   length bytes of the picture
    answer    ANSWER  (outcome, format number, detail, width, height)              when OK: width * height * 3
    bytes

The parent trusts nothing in an answer: outcomes are numbers, and the sentences people read are the parent's.
"""

import contextlib
import io
import os
import struct
import sys
import warnings
from typing import TYPE_CHECKING, Final

from mugsearch.engine import confinement

if TYPE_CHECKING:
    from PIL.Image import Image

REQUEST: Final = struct.Struct("!QQIBQ")
ANSWER: Final = struct.Struct("!BBIII")

OK, DAMAGED, FRAMES, PIXELS, MEMORY, FORMAT = range(6)
CONFINED, LIMITED = b"C", b"L"

# Pillow's names; the number in a message is the place in this tuple.
FORMATS: Final = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "HEIF", "JPEG2000")

_STRIP_ROWS: Final = 256
_ORIENTATION_TAG: Final = 0x0112  # Exif 2.32, table 4


class _RefusalError(Exception):
    def __init__(self, outcome: int, detail: int = 0) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.detail = min(detail, 2**32 - 1)


def main(memory_bytes: int) -> None:
    """Serve requests until standard input ends. `memory_bytes` bounds this process's whole address space."""
    requests, answers = _take_the_pipes()
    _load_decoders()
    sealed = confinement.confine(memory_bytes=memory_bytes)
    _write(answers, CONFINED if sealed else LIMITED)
    while head := _read(requests, REQUEST.size):
        max_pixels, max_side, cpu_seconds, number, length = REQUEST.unpack(head)
        data = _read(requests, length)
        confinement.allow_cpu(cpu_seconds)
        try:
            picture = _picture(data, FORMATS[number], max_pixels=max_pixels, max_side=max_side)
        except _RefusalError as refusal:
            _write(answers, ANSWER.pack(refusal.outcome, number, refusal.detail, 0, 0))
            continue
        except MemoryError:
            _write(answers, ANSWER.pack(MEMORY, number, 0, 0, 0))
            continue
        # Bad files raise SyntaxError, ValueError, struct.error, OverflowError, ... : anything a decoder may throw.
        except Exception:  # noqa: BLE001
            _write(answers, ANSWER.pack(DAMAGED, number, 0, 0, 0))
            continue
        _write(answers, ANSWER.pack(OK, number, 0, picture.width, picture.height))
        # In strips, so that a large picture is never held twice.
        for top in range(0, picture.height, _STRIP_ROWS):
            bottom = min(top + _STRIP_ROWS, picture.height)
            _write(answers, picture.crop((0, top, picture.width, bottom)).tobytes())
        del picture, data


def _take_the_pipes() -> tuple[int, int]:
    """Move the pipe off descriptor 1, where a stray print of some library would break the framing."""
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return 0, answers


def _read(source: int, length: int) -> bytes:
    """Exactly `length` bytes; empty at the end of the stream, also in the middle of a request."""
    got = bytearray()
    while len(got) < length:
        piece = os.read(source, min(length - len(got), 2**20))
        if not piece:
            return b""
        got += piece
    return bytes(got)


def _write(target: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]


def _load_decoders() -> None:
    """Import and exercise every decoder now: behind the filter no file, hence no module, can be opened."""
    import encodings.idna
    import encodings.latin_1
    import encodings.utf_16  # noqa: F401  (Exif and XMP texts)

    import pillow_heif
    from PIL import Image, ImageFile, ImageOps, MpoImagePlugin  # noqa: F401  (a JPEG may turn out to be an MPO)

    # x265 is not asked to encode a sample: reading is all this process does.
    pillow_heif.register_heif_opener(thumbnails=False)
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.init()
    for name in FORMATS:
        if name != "HEIF":
            sample = io.BytesIO()
            Image.new("RGB", (8, 8)).save(sample, name)
            _picture(sample.getvalue(), name, max_pixels=64, max_side=8)


def _picture(data: bytes, name: str, *, max_pixels: int, max_side: int) -> "Image":
    """The one picture in `data`, upright, RGB, without metadata; raises anything on bad bytes."""
    from PIL import Image

    warnings.simplefilter("ignore")
    # Checked by hand below; this one also covers what plugins check while opening.
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        picture: Image.Image = Image.open(io.BytesIO(data), formats=[name])
    except Image.DecompressionBombError as error:
        raise _RefusalError(PIXELS) from error
    width, height = picture.size
    if width <= 0 or height <= 0:
        raise _RefusalError(DAMAGED)
    if width * height > max_pixels or max(width, height) > max_side:
        raise _RefusalError(PIXELS)
    frames = getattr(picture, "n_frames", 1)
    if frames != 1:
        raise _RefusalError(FRAMES, frames)
    if picture.format != name:
        # formats=["JPEG"] also opens MPO, the container of stereo and burst pictures.
        raise _RefusalError(FRAMES if picture.format == "MPO" else FORMAT)
    picture.load()
    if picture.width * picture.height > max_pixels or max(picture.size) > max_side:
        raise _RefusalError(PIXELS)  # HEIF may learn its true size only while decoding
    return _rgb(_upright(picture, name))


def _upright(picture: "Image", name: str) -> "Image":
    """Apply the Exif orientation once.

    libheif has turned a HEIF already (its own boxes rule, Exif is to be ignored: ISO/IEC 23008-12, 6.5.10), and
    Pillow turns a TIFF and drops the tag while loading: this must be asked after `load`.
    """
    from PIL.Image import Transpose

    if name == "HEIF":
        return picture
    orientation: object = None
    with contextlib.suppress(Exception):  # broken Exif says nothing about the pixels
        orientation = picture.getexif().get(_ORIENTATION_TAG)
    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _rgb(picture: "Image") -> "Image":
    """8-bit RGB: transparency onto white, deeper samples scaled, colour profiles ignored."""
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        return _eight_bit(picture).convert("RGB")
    if picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in picture.info:
        if picture.mode == "La":
            picture = picture.convert("LA")
        if picture.mode != "RGBA":
            picture = picture.convert("RGBA")
        white = Image.new("RGB", picture.size, (255, 255, 255))
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _eight_bit(picture: "Image") -> "Image":
    """Grey samples of 16 or 32 bits to 8: 65535 becomes 255; wider ranges by their own darkest and brightest."""
    if picture.mode.startswith("I;16"):
        return picture.convert("I").point([value // 257 for value in range(65536)], "L")
    low, high = picture.getextrema()
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        raise _RefusalError(DAMAGED)  # a single band has a single pair
    if low >= 0 and high <= 65535 and picture.mode == "I":
        if high > 255:
            return picture.point([value // 257 for value in range(65536)], "L")
        return picture.convert("L")
    span = float(high) - float(low)
    if not 0 < span < float("inf"):
        return picture.convert("L")
    scale = 255.0 / span
    return picture.convert("F").point(lambda value: value * scale + -float(low) * scale).convert("L")


if __name__ == "__main__":
    main(int(sys.argv[1]))
