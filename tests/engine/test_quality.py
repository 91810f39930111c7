"""Quality falls with every fault, names the fault, and doesn't take dark skin for darkness."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mugsearch.engine.encoders import Encoder, Face
from mugsearch.engine.quality import Quality, assess

pytestmark = pytest.mark.models

Mugshots = list[tuple[str, str, NDArray[np.uint8]]]


def _frontal(opencv: Encoder, mugshots: Mugshots, count: int) -> list[tuple[NDArray[np.uint8], Face]]:
    """Frontal photographs of good size, one per person."""
    chosen = {}
    for person, pose, pixels in mugshots:
        if pose == "Frontal" and person not in chosen:
            face = opencv.faces(pixels)[0]
            if face.landmarks[1][0] - face.landmarks[0][0] > 80:
                chosen[person] = (pixels, face)
    return list(chosen.values())[:count]


def _codes(quality: Quality) -> set[str]:
    return {reason.code for reason in quality.reasons}


def test_most_frontal_mugshots_score_high(opencv: Encoder, mugshots: Mugshots) -> None:
    scores = [assess(pixels, opencv.faces(pixels)[0]).score for _person, pose, pixels in mugshots if pose == "Frontal"]
    assert np.mean(np.array(scores) >= 70) > 0.8


def test_every_fault_lowers_the_score_and_is_named(opencv: Encoder, mugshots: Mugshots) -> None:
    for pixels, face in _frontal(opencv, mugshots, 8):
        good = assess(pixels, face)
        picture = Image.fromarray(pixels)
        eyes = face.landmarks[1][0] - face.landmarks[0][0]
        faults = {
            "blurred": picture.filter(ImageFilter.GaussianBlur(eyes / 12)),
            "dark": picture.point(lambda value: value * 0.08),
            "bright": picture.point(lambda value: min(255, value * 6)),
            "flat": picture.point(lambda value: 120 + value * 0.06),
        }
        for code, worse in faults.items():
            poor = assess(np.asarray(worse), face)
            assert poor.score < good.score, code
            assert code in _codes(poor), code
            assert code not in _codes(good), code


def test_more_of_a_fault_never_raises_the_score(opencv: Encoder, mugshots: Mugshots) -> None:
    for pixels, face in _frontal(opencv, mugshots, 4):
        picture = Image.fromarray(pixels)
        scores = [
            assess(np.asarray(picture.filter(ImageFilter.GaussianBlur(radius))), face).score
            for radius in (0, 1, 2, 4, 8)
        ]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] < scores[0]


def test_a_smaller_a_leaning_and_a_cut_off_face_are_named(opencv: Encoder, mugshots: Mugshots) -> None:
    for pixels, face in _frontal(opencv, mugshots, 4):
        picture = Image.fromarray(pixels)
        eyes = face.landmarks[1][0] - face.landmarks[0][0]
        factor = 35 / eyes
        size = (round(picture.width * factor), round(picture.height * factor))
        small = np.asarray(picture.resize(size, Image.Resampling.LANCZOS))
        tiny = assess(small, _scaled(face, factor))
        assert "small" in _codes(tiny)
        assert any("pixels apart; 60 or more" in reason.sentence for reason in tiny.reasons)
        turned = np.asarray(picture.rotate(40, expand=True, fillcolor=(128, 128, 128)))
        assert "leaning" in _codes(assess(turned, opencv.faces(turned)[0]))
        x, _y, width, _height = face.box
        cut = np.ascontiguousarray(pixels[:, round(x + 0.35 * width) :])
        moved = Face(
            box=(face.box[0] - round(x + 0.35 * width), *face.box[1:]),
            landmarks=tuple((u - round(x + 0.35 * width), v) for u, v in face.landmarks),
            score=face.score,
        )
        assert "cut_off" in _codes(assess(cut, moved))


def test_a_turned_head_scores_lower_than_a_frontal_one(opencv: Encoder, mugshots: Mugshots) -> None:
    profiles = [assess(p, opencv.faces(p)[0]) for _person, pose, p in mugshots if "Profile" in pose]
    assert profiles
    for quality in profiles:
        assert "turned" in _codes(quality)
        assert quality.score < 60


def test_a_darker_complexion_or_print_alone_changes_little(opencv: Encoder, mugshots: Mugshots) -> None:
    for pixels, face in _frontal(opencv, mugshots, 8):
        good = assess(pixels, face)
        darker = assess((pixels * 0.6).astype(np.uint8), face)
        assert darker.score >= good.score - 10
        assert "blurred" not in _codes(darker)


def test_nothing_is_said_about_who_the_person_is(opencv: Encoder, mugshots: Mugshots) -> None:
    pixels = mugshots[0][2]
    quality = assess(pixels, opencv.faces(pixels)[0])
    assert set(quality.measures) == {
        *("eyes_apart", "yaw", "pitch", "roll", "sharpness", "highlights", "bright", "contrast", "inside"),
        "detection",
    }


def _scaled(face: Face, factor: float) -> Face:
    return Face(
        box=tuple(value * factor for value in face.box),  # type: ignore[arg-type]  # four in, four out
        landmarks=tuple((u * factor, v * factor) for u, v in face.landmarks),
        score=face.score,
    )
