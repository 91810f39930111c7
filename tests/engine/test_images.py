"""Untrusted bytes: what is taken, what is refused and how, and that the result is upright RGB."""

import hashlib
import io
import signal
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image

from mugsearch.engine import decoder_pool, images
from mugsearch.engine.encoders import Encoder
from mugsearch.engine.images import Decoded, Limits, decode
from mugsearch.errors import BadImage, Unavailable

# The Transpose member that stores an upright picture the way each Exif orientation says it is stored.
_STORED_AS = [None, None, 0, 3, 1, 5, 2, 6, 4]


def _picture(width: int = 60, height: int = 40) -> Image.Image:
    """Four corners of four colours, so that every turn and flip shows."""
    picture = Image.new("RGB", (width, height), (128, 128, 128))
    picture.paste((255, 0, 0), (0, 0, width // 2, height // 2))
    picture.paste((0, 255, 0), (width // 2, 0, width, height // 2))
    picture.paste((0, 0, 255), (0, height // 2, width // 2, height))
    return picture


def _saved(picture: Image.Image, name: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, name, **options)  # type: ignore[arg-type]  # options differ from format to format
    return out.getvalue()


def _heif(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(picture).save(out, quality=95)
    return out.getvalue()


def _refusal(data: bytes, **limits: float) -> str:
    with pytest.raises(BadImage) as caught:
        decode(data, limits=Limits(**limits))  # type: ignore[arg-type]  # integers and one float
    return caught.value.message


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))


def _png_declaring(width: int, height: int, data: bytes = b"") -> bytes:
    head = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "JPEG2000", "HEIF"])
def test_every_format_we_name_is_read_into_the_same_picture(name: str) -> None:
    picture = _picture()
    data = _heif(picture) if name == "HEIF" else _saved(picture, name)
    read = decode(data)
    assert read.format == name
    assert read.sha256 == hashlib.sha256(data).hexdigest()
    assert read.pixels.shape == (40, 60, 3)
    assert read.pixels.dtype == np.uint8
    assert np.abs(read.pixels.astype(int) - np.asarray(picture)).mean() < 8


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(9))
def test_the_exif_orientation_is_applied_exactly_once(name: str, orientation: int) -> None:
    undo = _STORED_AS[orientation]
    picture = _picture()
    stored = picture if undo is None else picture.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = decode(_saved(stored, name, exif=exif)).pixels
    assert read.shape == (40, 60, 3)
    assert np.abs(read.astype(int) - np.asarray(picture)).mean() < 10


def test_a_heif_that_its_decoder_has_turned_is_not_turned_again() -> None:
    picture = _picture()
    stored = pillow_heif.from_pillow(picture.transpose(Image.Transpose.ROTATE_90))
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    stored.save(out, quality=95, exif=exif.tobytes())
    read = decode(out.getvalue()).pixels
    assert read.shape == (40, 60, 3)
    assert np.abs(read.astype(int) - np.asarray(picture)).mean() < 10


def test_sixteen_bit_greys_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for name in ("PNG", "TIFF"):
        read = decode(_saved(Image.fromarray(ramp), name)).pixels
        assert np.abs(read[:, :, 0].astype(int) - (ramp // 257)).max() <= 1, name


def test_transparency_is_laid_onto_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    clear.paste((200, 10, 10, 255), (0, 0, 4, 8))
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    palette.paste(1, (0, 0, 4, 8))
    for data in (_saved(clear, "PNG"), _saved(clear.convert("LA"), "PNG"), _saved(palette, "PNG", transparency=0)):
        read = decode(data).pixels
        assert (read[0, 7] == 255).all()
        assert read[0, 0, 1] < 80


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_kinds_of_colour_become_rgb(mode: str) -> None:
    picture = Image.new("RGB", (16, 16), (255, 255, 255))
    picture.paste((0, 0, 0), (0, 0, 8, 16))
    read = decode(_saved(picture.convert(mode), "TIFF")).pixels
    assert read[8, 2].max() < 10
    assert read[8, 13].min() > 245


def test_each_fault_has_a_sentence_of_its_own() -> None:
    photograph = _saved(_picture(300, 200), "JPEG")
    frames = [Image.new("RGB", (20, 20), (shade, 0, 0)) for shade in (0, 200)]
    sentences = [
        _refusal(b""),
        _refusal(photograph, max_bytes=100),
        _refusal(b"%PDF-1.7 not a photograph"),
        _refusal(photograph[: len(photograph) // 2]),
        _refusal(_saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])),
        _refusal(_png_declaring(60_000, 60_000)),
    ]
    assert len(set(sentences)) == len(sentences)
    for sentence, word in zip(
        sentences, ["empty", "larger than", "JPEG, PNG", "damaged", "several", "pixels"], strict=True
    ):
        assert word in sentence
        assert sentence.endswith(".")


def test_files_with_several_pictures_are_refused_whatever_the_container() -> None:
    frames = [Image.new("RGB", (20, 20), (shade, 0, 0)) for shade in (0, 200)]
    for name in ("TIFF", "PNG", "WEBP", "MPO"):
        assert "several" in _refusal(_saved(frames[0], name, save_all=True, append_images=frames[1:])), name
    with pytest.raises(BadImage):  # not a format we take, with one frame or with many
        decode(_saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))


def test_a_bomb_is_refused_by_its_declared_size_before_anything_is_decoded() -> None:
    began = time.monotonic()
    assert "pixels" in _refusal(_png_declaring(20_000, 20_000, bytes(1000)))
    assert "pixels" in _refusal(_png_declaring(1, 30_000))
    assert time.monotonic() - began < 2


def test_a_picture_of_the_largest_size_we_take_is_read() -> None:
    data = _saved(Image.new("RGB", (8000, 8000), (10, 20, 30)), "JPEG")
    assert decode(data, limits=Limits(seconds=20)).pixels.shape == (8000, 8000, 3)


def test_a_decoder_out_of_memory_refuses_the_picture_and_the_next_is_read() -> None:
    data = _saved(Image.new("RGB", (7000, 7000)), "PNG", compress_level=1)
    few = Limits(memory_bytes=128 * 2**20)
    with pytest.raises(BadImage):
        decode(data, limits=few)
    assert decode(_saved(_picture(), "PNG"), limits=few).format == "PNG"


def _warm_decoders(count: int) -> list[decoder_pool.Child]:
    """`count` decoders that have read a picture and rest."""
    images.close()
    limits = images.DEFAULT_LIMITS
    later = time.monotonic() + 10
    children = [
        decoder_pool.POOL.take(memory_bytes=limits.memory_bytes, wait_until=later, deadline=later) for _ in range(count)
    ]
    for child in children:
        decoder_pool.POOL.give(child, fit=True)
    return children


def test_a_picture_that_takes_too_long_is_refused_in_time_and_its_decoder_replaced() -> None:
    children = _warm_decoders(2)
    for child in children:
        child.process.send_signal(signal.SIGSTOP)  # as good as a picture that is never finished
    began = time.monotonic()
    assert "too long" in _refusal(_saved(_picture(), "PNG"), seconds=0.5)
    assert 0.5 <= time.monotonic() - began < 1.0
    assert sum(child.process.poll() is not None for child in children) == 1
    assert decode(_saved(_picture(), "PNG")).format == "PNG"


def test_a_decoder_killed_at_work_costs_one_picture_at_most() -> None:
    data = _saved(_picture(), "PNG")
    children = _warm_decoders(2)
    for child in children:
        child.process.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(decode, data, limits=Limits(seconds=20))
        time.sleep(0.3)
        assert not reading.done()
        for child in children:
            child.process.kill()
        assert reading.exception(20) is None or isinstance(reading.exception(), BadImage)
    assert decode(data).format == "PNG"


def test_a_decoder_that_died_while_resting_is_replaced_unnoticed() -> None:
    data = _saved(_picture(), "PNG")
    decode(data)
    for child in list(decoder_pool.POOL._all):
        child.process.kill()
    assert decode(data).format == "PNG"


def test_when_every_decoder_is_busy_the_answer_comes_soon_and_says_so() -> None:
    data = _saved(_picture(), "PNG")
    for child in _warm_decoders(2):
        child.process.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(2) as others:
        busy = [others.submit(decode, data, limits=Limits(seconds=20)) for _ in range(2)]
        time.sleep(0.3)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            decode(data, limits=Limits(seconds=1.0))
        assert time.monotonic() - began < 1.0
        images.close()
        for future in busy:
            assert future.exception(20) is None or isinstance(future.exception(), BadImage)
    assert decode(data).format == "PNG"


def test_a_process_forked_while_every_decoder_is_busy_starts_its_own() -> None:
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from mugsearch.engine.images import decode\n"
        f"data = {_saved(_picture(), 'PNG')!r}\n"
        "from mugsearch.engine.decoder_pool import POOL\n"
        "pids = lambda: {child.process.pid for child in POOL._all}\n"
        "decode(data)\n"
        "from time import monotonic as now\n"
        "soon = lambda: dict(memory_bytes=1536 * 2**20, wait_until=now() + 5, deadline=now() + 5)\n"
        "busy = [POOL.take(**soon()) for _ in range(2)]; before = pids()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    decode(data); os._exit(7 if pids() and not pids() & before else 1)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "[POOL.give(one, fit=True) for one in busy]\n"
        "decode(data); assert pids() == before; print('both')\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(root)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "both\n", done.stderr


@pytest.mark.shared
def test_every_hostile_file_is_read_or_refused_and_never_slowly(data: Path) -> None:
    files = sorted((data / "hostile").iterdir())
    assert len(files) > 500

    def outcome(file: Path) -> tuple[str, float, object]:
        began = time.monotonic()
        try:
            result: object = decode(file.read_bytes())
        # Exactly what must not happen is to be seen here, whatever it is.
        except Exception as error:  # noqa: BLE001
            result = error
        return file.name, time.monotonic() - began, result

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(outcome, files))
    wrong = [(name, result) for name, _took, result in outcomes if not isinstance(result, (Decoded, BadImage))]
    assert wrong == []
    assert max(took for _name, took, _result in outcomes) < 5
    assert sum(isinstance(result, Decoded) for *_, result in outcomes) > 100
    refused = {name for name, _took, result in outcomes if isinstance(result, BadImage)}
    assert {"pillow_sugarshack.mpo", "pillow_multipage.tiff", "pillow_truncated_jpeg.jpg"} <= refused


@pytest.mark.shared
def test_photographs_of_every_orientation_come_out_upright(data: Path) -> None:
    """The 18 show landscapes, not faces: the pixels themselves are compared, away from the digit in the middle."""
    for kind in ("Landscape", "Portrait"):
        upright = np.asarray(Image.open(data / "orientation" / f"{kind}_1.jpg").convert("RGB")).astype(int)
        for number in range(9):
            pixels = decode((data / "orientation" / f"{kind}_{number}.jpg").read_bytes()).pixels
            assert pixels.shape == upright.shape, (kind, number)
            difference = np.abs(pixels - upright)
            assert np.median(difference) < 8, (kind, number)
            assert difference.mean() < 12, (kind, number)


@pytest.mark.models
@pytest.mark.parametrize("wide", [False, True])
def test_a_face_is_found_in_the_same_place_whatever_the_orientation(
    wide: bool, opencv: Encoder, mugshots: list[tuple[str, str, NDArray[np.uint8]]]
) -> None:
    picture = Image.fromarray(mugshots[0][2])
    if wide:
        room = Image.new("RGB", (picture.width * 2, picture.height), (90, 90, 90))
        room.paste(picture, (40, 0))
        picture = room
    upright = np.array(opencv.faces(np.asarray(picture))[0].box)
    for orientation in range(9):
        undo = _STORED_AS[orientation]
        stored = picture if undo is None else picture.transpose(Image.Transpose(undo))
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = decode(_saved(stored, "JPEG", exif=exif, quality=95)).pixels
        box = np.array(opencv.faces(pixels)[0].box)
        assert np.abs(box - upright).max() < 0.02 * upright[2:].max(), orientation


def test_our_own_png_keeps_every_pixel() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    data = images.encode_png(pixels)
    assert (images.read_png(data) == pixels).all()
    assert (decode(data).pixels == pixels).all()
    with pytest.raises(BadImage):
        images.read_png(data[:60])


def test_metadata_does_not_survive_into_what_we_write() -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET-PLACE"
    pixels = decode(_saved(_picture(), "JPEG", exif=exif, comment=b"SECRET-PLACE")).pixels
    assert b"SECRET" not in images.encode_png(pixels) + images.view_jpeg(pixels, max_side=50)


def test_a_view_is_never_larger_than_asked_nor_enlarged() -> None:
    pixels = np.zeros((100, 300, 3), np.uint8)
    assert Image.open(io.BytesIO(images.view_jpeg(pixels, max_side=150))).size == (150, 50)
    assert Image.open(io.BytesIO(images.view_jpeg(pixels, max_side=900))).size == (300, 100)


@pytest.mark.parametrize(
    ("box", "margin", "shape"),
    [
        ((10, 10, 20, 30), 0.0, (30, 20, 3)),
        ((10, 10, 20, 30), 0.5, (55, 40, 3)),
        ((-20, -20, 40, 40), 0.0, (20, 20, 3)),
        ((500, 500, 10, 10), 0.2, (1, 1, 3)),
    ],
)
def test_a_crop_stays_within_the_picture(
    box: tuple[float, float, float, float], margin: float, shape: tuple[int, int, int]
) -> None:
    pixels: NDArray[np.uint8] = np.zeros((100, 80, 3), np.uint8)
    assert images.crop(pixels, box, margin).shape == shape
