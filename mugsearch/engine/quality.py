"""How fit a face is for searching: one score and the reasons that lower it, from pixels and landmarks alone.

Measures follow ISO/IEC 29794-5 and its open implementation OFIQ (inter-eye distance, pose, sharpness, exposure,
cropping); the mapping to 0..100 is ours. Nothing here guesses a person's sex, age, race or emotion.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mugsearch.engine.encoders import Face

# ISO/IEC 29794-5 and ISO/IEC 19794-5 ask 90 pixels between the eyes for a full-frontal photograph; recognition
# itself works on 35 (the encoder's crop). Below 60 the advice is shown, below 30 detail has to be invented by
# enlargement.
EYES_ADVISED: Final = 60.0
EYES_LEAST: Final = 20.0
_CROP: Final = 128  # pixels: side of the normalised crop the picture measures are taken on
_CROP_EYES: Final = 44.0  # pixels between the eyes in that crop


@dataclass(frozen=True)
class Reason:
    """Why a score is lower: `code` is stable, `sentence` is shown."""

    code: str
    sentence: str


@dataclass(frozen=True)
class Quality:
    """`score` 0 (useless) to 100 (a good booking photograph); `reasons` worst first; `measures` by name, see
    `assess`."""

    score: int
    reasons: tuple[Reason, ...]
    measures: dict[str, float]


@dataclass(frozen=True)
class _Part:
    value: float  # 0..1, 1 is no objection
    code: str
    sentence: str


def assess(pixels: NDArray[np.uint8], face: Face) -> Quality:
    """The quality of `face` in `pixels` (H x W x 3 uint8 RGB, upright).

    Light and detail are measured relative to the face's own grey levels, and darkness by its highlights: the mean
    brightness of a face would mark dark skin down.

    Measures: `eyes_apart` (pixels), `yaw`, `pitch` and `roll` (degrees, rough, from five points), `sharpness`
    (variance of the Laplacian per 100 of the grey levels' own variance, on a crop with the eyes 44 pixels apart),
    `highlights` (95th percentile of that crop's grey levels, 0..255), `bright` (its overexposed share, 0..1),
    `contrast` (5th to 95th percentile, divided by their sum), `inside` (share of the face box within the picture,
    0..1),
    `detection` (the detector's confidence).
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ValueError(f"pixels are H x W x 3 uint8, not {pixels.shape} {pixels.dtype}")
    measures = {**_pose(face), **_light_and_detail(pixels, face)}
    measures["inside"] = _inside(pixels, face)
    measures["detection"] = face.score
    parts = _parts(measures)
    # The weakest part decides, the others colour it: one fatal fault isn't bought off by the rest.
    values = sorted(part.value for part in parts)
    score = 100.0 * values[0] * math.prod(values[1:]) ** 0.5
    poor = sorted((part for part in parts if part.value < 0.8), key=lambda part: (part.value, part.code))
    return Quality(
        score=round(min(100.0, max(0.0, score))),
        reasons=tuple(Reason(part.code, part.sentence) for part in poor),
        measures={name: round(value, 4) for name, value in measures.items()},
    )


def _parts(measures: dict[str, float]) -> list[_Part]:
    eyes, turn, tilt = measures["eyes_apart"], abs(measures["yaw"]), abs(measures["pitch"])
    roll = abs(measures["roll"])
    return [
        _Part(
            _ramp(eyes, EYES_LEAST, EYES_ADVISED),
            "small",
            f"Eyes are {eyes:.0f} pixels apart; {EYES_ADVISED:.0f} or more is advised.",
        ),
        _Part(
            _ramp(turn, 60.0, 20.0),
            "turned",
            f"The head is turned about {turn:.0f} degrees; a photograph from the front is advised.",
        ),
        _Part(
            _ramp(tilt, 50.0, 25.0),
            "nodding",
            f"The head is tilted up or down by about {tilt:.0f} degrees; level is advised.",
        ),
        _Part(
            _ramp(roll, 60.0, 12.0),
            "leaning",
            f"The head leans about {roll:.0f} degrees to one side; turn the picture upright.",
        ),
        _Part(
            _ramp(math.log10(max(measures["sharpness"], 1e-3)), math.log10(1.0), math.log10(7.0)),
            "blurred",
            "The face is blurred; use a sharper photograph.",
        ),
        _Part(
            _ramp(measures["highlights"], 8.0, 40.0),
            "dark",
            "Even the lightest parts of the face are dark; use a brighter photograph.",
        ),
        _Part(
            _ramp(measures["bright"], 0.6, 0.15),
            "bright",
            "Much of the face is overexposed; use a photograph with softer light.",
        ),
        _Part(_ramp(measures["contrast"], 0.05, 0.2), "flat", "The face has little contrast; use a clearer one."),
        _Part(
            _ramp(measures["inside"], 0.5, 0.95),
            "cut_off",
            f"{100 * (1 - measures['inside']):.0f} % of the face is outside the picture; use one that shows it whole.",
        ),
        _Part(
            _ramp(measures["detection"], 0.4, 0.8),
            "uncertain",
            "It is uncertain that this is a face; check it and look for hands, masks or hair over it.",
        ),
    ]


def _ramp(value: float, worst: float, good: float) -> float:
    """0 at `worst` and beyond, 1 at `good` and beyond, straight between; `worst` may be above `good`."""
    return min(1.0, max(0.0, (value - worst) / (good - worst)))


def _pose(face: Face) -> dict[str, float]:
    """Angles from five points, in the frame of the eyes' line. Rough: the
    proportions of the head (nose, mouth) were set by eye on MEDS and aren't calibrated against measured angles.
    """
    right, left, nose, mouth_right, mouth_left = (np.array(point, np.float64) for point in face.landmarks)
    across = left - right
    # The distance that matters is the head's own: a turned head shows its eyes closer together.
    roll = math.degrees(math.atan2(across[1], across[0]))
    eyes = (right + left) / 2
    mouth = (mouth_right + mouth_left) / 2
    height = float(np.linalg.norm(mouth - eyes))
    width = max(float(np.linalg.norm(across)), 1e-6)
    # On an average head the mouth lies 1.1 eye distances below the eyes; this survives a turn, the width doesn't.
    head = max(width, height / 1.1, 1e-6)
    down = (mouth - eyes) / max(height, 1e-6)
    side = np.array([down[1], -down[0]])
    off = nose - eyes
    middle_line = float(off @ side)
    yaw = math.degrees(math.asin(min(1.0, max(-1.0, middle_line / (0.6 * head)))))
    level = float(off @ down) / max(height, 1e-6)
    pitch = math.degrees(math.atan2((level - 0.55) * 1.1, 0.45))
    return {"eyes_apart": width, "roll": roll, "yaw": yaw, "pitch": pitch}


def _light_and_detail(pixels: NDArray[np.uint8], face: Face) -> dict[str, float]:
    grey = _crop(pixels, face)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    low, high = np.percentile(grey, [5, 95])
    return {
        "sharpness": float(100 * laplacian.var() / (grey.var() + 25.0)),
        "highlights": float(high),
        "bright": float((grey > 245).mean()),
        "contrast": float((high - low) / (high + low + 10.0)),
    }


def _crop(pixels: NDArray[np.uint8], face: Face) -> NDArray[np.float64]:
    """The face's middle, upright, grey, eyes `_CROP_EYES` apart: the same place and scale in every photograph."""
    right, left = (np.array(point, np.float64) for point in face.landmarks[:2])
    across = left - right
    height, width = pixels.shape[:2]
    points = np.array(face.landmarks, np.float64)
    head = max(float(np.linalg.norm(across)), float(np.ptp(points[:, 1])) / 1.1, 1.0)
    direction = across / max(float(np.linalg.norm(across)), 1e-6)
    scale = head / _CROP_EYES  # pixels of the photograph per pixel of the crop
    # A cut-out first, shrunk by averaging when the face is large: sampling single pixels would turn noise into
    # detail.
    reach = 2.2 * head
    middle = points.mean(axis=0)
    left_edge, top = (int(v) for v in np.clip(np.floor(middle - reach), 0, [width - 1, height - 1]))
    right_edge, bottom = (int(v) for v in np.clip(np.ceil(middle + reach), [left_edge + 1, top + 1], [width, height]))
    part = Image.fromarray(np.ascontiguousarray(pixels[top:bottom, left_edge:right_edge])).convert("L")
    shrink = max(1, int(scale))
    part = part.reduce(shrink)
    origin = (middle - [left_edge, top]) / shrink
    step = scale / shrink
    # Output (u, v) to input: middle + step * ((u - c) * direction + (v - c) * perpendicular).
    centre = _CROP / 2
    a, d = direction * step
    b, e = -d, a
    c = origin[0] - a * centre - b * centre
    f = origin[1] - d * centre - e * centre
    coefficients = (float(a), float(b), float(c), float(d), float(e), float(f))
    crop = part.transform((_CROP, _CROP), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    inner = _CROP // 6  # the outer ring is hair and background
    return np.asarray(crop, dtype=np.float64)[inner:-inner, inner:-inner]


def _inside(pixels: NDArray[np.uint8], face: Face) -> float:
    height, width = pixels.shape[:2]
    x, y, box_width, box_height = face.box
    seen_width = max(0.0, min(x + box_width, width) - max(x, 0.0))
    seen_height = max(0.0, min(y + box_height, height) - max(y, 0.0))
    return float(seen_width * seen_height / max(box_width * box_height, 1e-6))
