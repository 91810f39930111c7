"""Encoders: what finds faces in a photograph and turns one into a vector.

Importing this package is cheap: cv2, ONNX Runtime and InsightFace are imported when an encoder is loaded.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mugsearch.errors import Unavailable


@dataclass(frozen=True)
class Face:
    """One face in an upright photograph; all places in pixels of that photograph, x to the right, y down.

    `box`: x, y, width, height; it may reach beyond the picture's edge.
    `landmarks`: five (x, y), named from the depicted person's own side, so that in an ordinary, unmirrored
    portrait they run from the viewer's left to right: right eye (seen on the left), left eye (seen on the right),
    tip of the nose, right mouth corner (seen on the left), left mouth corner (seen on the right).
    `score`: the detector's confidence, 0 to 1; comparable only within one encoder.
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    score: float

    def to_dict(self) -> dict[str, object]:
        """JSON-able; `from_dict` gives an equal Face back."""
        return {
            "box": list(self.box),
            "landmarks": [list(point) for point in self.landmarks],
            "score": self.score,
        }

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> Self:
        """The Face `to_dict` described; ValueError when the dictionary is of another shape or not finite."""
        box = _numbers(data.get("box"), 4)
        points = data.get("landmarks")
        if not isinstance(points, (list, tuple)) or len(points) != 5:
            raise ValueError("a face has five landmarks")
        landmarks = [_numbers(point, 2) for point in points]
        (score,) = _numbers([data.get("score")], 1)
        return cls(
            box=(box[0], box[1], box[2], box[3]),
            landmarks=tuple((point[0], point[1]) for point in landmarks),
            score=score,
        )


class Encoder(Protocol):
    """Finds faces and embeds them. Safe to use from several threads at once; deterministic on one machine.

    `name` and `digest` (sha256 over the digests of the weights, hex) tell encoders apart: vectors of different
    digests must never be compared. `dimension` is the length of a vector. `licence` is one sentence a person
    reads;
    `commercial_use` is whether the weights' licence allows use beyond research.
    """

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def licence(self) -> str: ...
    @property
    def commercial_use(self) -> bool: ...

    def faces(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """Every face in `pixels` (H x W x 3 uint8 RGB, upright), largest box first; empty when there is none."""
        ...

    def embed(self, pixels: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        """The vector of `face` in `pixels`: float32, shape (dimension,), L2 norm 1."""
        ...


def _opencv(argument: str | None) -> Encoder:
    module = importlib.import_module("mugsearch.engine.encoders.opencv")
    encoder: Encoder = module.load(argument)
    return encoder


def _insightface(argument: str | None) -> Encoder:
    module = importlib.import_module("mugsearch.engine.encoders.insightface")
    encoder: Encoder = module.load(argument)
    return encoder


ENCODERS: Final[dict[str, Callable[[str | None], Encoder]]] = {"opencv": _opencv, "insightface": _insightface}


def load(spec: str) -> Encoder:
    """The encoder a setting names: "opencv", "opencv:/dir", "insightface:/dir" or "insightface:buffalo_l".

    Nothing is ever downloaded. Raises `Unavailable`, saying what to do, when the name is unknown or its weights
    are missing, changed or of a kind that can't be run.
    """
    kind, _colon, argument = spec.partition(":")
    make = ENCODERS.get(kind)
    if make is None:
        raise Unavailable(f"There is no encoder “{kind}”; set one of {', '.join(sorted(ENCODERS))}.")
    return make(argument or None)


def largest_first(faces: list[Face]) -> list[Face]:
    """The order every encoder gives faces in: by area, then by place, so that it never depends on the detector."""
    return sorted(faces, key=lambda face: (-face.box[2] * face.box[3], face.box))


def unit(vector: NDArray[np.floating]) -> NDArray[np.float32]:
    """`vector` flattened, scaled to L2 norm 1, as float32. ValueError when it has no direction."""
    wide = np.asarray(vector, dtype=np.float64).ravel()
    norm = float(np.linalg.norm(wide))
    if not np.isfinite(norm) or norm <= 0:
        raise ValueError("the encoder gave a vector without a direction")
    return (wide / norm).astype(np.float32)


def _numbers(value: object, count: int) -> list[float]:
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise ValueError(f"expected {count} numbers")
    if not all(isinstance(number, (int, float)) and np.isfinite(number) for number in value):
        raise ValueError("expected finite numbers")
    return [float(number) for number in value]
