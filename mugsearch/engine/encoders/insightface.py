"""Any pack InsightFace's `FaceAnalysis` loads: a folder with a detection and a recognition model.

InsightFace's code is MIT; the packs it publishes are for non-commercial research only (its README, "License").
Nothing is downloaded: a name stands for a folder that is already there, and its telemetry-capable runtime is
silenced."""

import contextlib
import hashlib
import io
import os
import re
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mugsearch.engine.encoders import Face, largest_first, unit
from mugsearch.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

MINIMUM_SCORE: Final = 0.5  # InsightFace's own default for SCRFD
_SIDE: Final = 640
_CLOSE_BORDER: Final = 0.25
_LICENCE: Final = (
    "InsightFace's own packs are for non-commercial research only: "
    "for casework use weights your agency has a licence for."
)


class InsightFaceEncoder:
    """See `Encoder`. One ONNX Runtime session per model, one thread each; InsightFace's wrappers keep caches, so
    detection takes turns while recognition runs in parallel."""

    commercial_use = False
    licence = _LICENCE

    def __init__(self, folder: Path) -> None:
        detection, recognition = _models(folder)
        self._detection = detection
        self._recognition = recognition
        self._turn = threading.Lock()
        files = sorted({Path(detection.model_file), Path(recognition.model_file)})
        self.digest = hashlib.sha256("".join(_digest(file) for file in files).encode()).hexdigest()
        self.name = f"insightface/{folder.name}"
        side = recognition.input_size
        self.dimension = int(np.asarray(recognition.get_feat(np.zeros((side[1], side[0], 3), np.uint8))).size)

    def faces(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """See `Encoder.faces`. A picture in which nothing is found is tried again with a border around it."""
        bgr = _bgr(pixels)
        found = self._detect(bgr, 0)
        if not found:
            found = self._detect(bgr, round(_CLOSE_BORDER * max(bgr.shape[:2])))
        return largest_first(found)

    def embed(self, pixels: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        """See `Encoder.embed`. Only the landmarks of `face` are used."""
        from insightface.utils.face_align import norm_crop

        points = np.array(face.landmarks, np.float32)
        if points.shape != (5, 2) or not np.isfinite(points).all():
            raise ValueError("a face has five finite landmarks")
        aligned = norm_crop(_bgr(pixels), landmark=points, image_size=self._recognition.input_size[0])
        return unit(np.asarray(self._recognition.get_feat(aligned)))

    def _detect(self, bgr: NDArray[np.uint8], edge: int) -> list[Face]:
        if edge:
            framed = cv2.copyMakeBorder(bgr, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=(128, 128, 128))
            bgr = np.asarray(framed, np.uint8)
        with self._turn:
            boxes, points = self._detection.detect(bgr, max_num=0, metric="default")
        if points is None:
            return []
        faces = []
        for (x, y, right, bottom, score), marks in zip(boxes.tolist(), points.tolist(), strict=True):
            # InsightFace's order (left to right as seen) is Face's order.
            landmarks = tuple((float(u) - edge, float(v) - edge) for u, v in marks)
            box = (x - edge, y - edge, right - x, bottom - y)
            faces.append(Face(box=box, landmarks=landmarks, score=min(1.0, max(0.0, score))))
        return faces


def load(argument: str | None) -> InsightFaceEncoder:
    """The pack in the folder `argument`, or the one of that name under ~/.insightface/models. Raises
    `Unavailable`."""
    if argument is None:
        raise Unavailable("Name the pack: insightface:/folder, or insightface:buffalo_l once it has been put in place.")
    folder = Path(argument).expanduser()
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", argument):
        folder = Path("~/.insightface/models").expanduser() / argument
    if not folder.is_dir():
        raise Unavailable(
            f"There is no InsightFace pack in {folder}; put its files there yourself (nothing is downloaded), "
            "or set the encoder to opencv."
        )
    return InsightFaceEncoder(folder.resolve())


def _models(folder: Path) -> tuple[Any, Any]:
    """InsightFace's detection and recognition objects, untyped as the package is."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read while ONNX Runtime is imported
    try:
        import onnxruntime
        from insightface.app import FaceAnalysis
    except ImportError as error:
        raise Unavailable("InsightFace or ONNX Runtime is not installed; install both or use opencv.") from error
    cv2.setNumThreads(1)
    # Its alignment calls a deprecated function of scikit-image once per face.
    warnings.filterwarnings("ignore", category=FutureWarning, module="insightface")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        with _quiet():
            analysis = FaceAnalysis(
                name=str(folder),
                allowed_modules=["detection", "recognition"],
                providers=["CPUExecutionProvider"],
                sess_options=options,
            )
            analysis.prepare(ctx_id=-1, det_thresh=MINIMUM_SCORE, det_size=(_SIDE, _SIDE))
        return analysis.models["detection"], analysis.models["recognition"]
    # Foreign code on foreign files: AssertionError, KeyError, RuntimeError and ONNX Runtime's own errors all
    # occur.
    except Exception as error:
        raise Unavailable(
            f"{folder} is not an InsightFace pack with a detection and a recognition model; check its files."
        ) from error


@contextlib.contextmanager
def _quiet() -> "Iterator[None]":
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _bgr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ValueError(f"pixels are H x W x 3 uint8, not {pixels.shape} {pixels.dtype}")
    return np.ascontiguousarray(pixels[:, :, ::-1])
