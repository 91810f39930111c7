"""Faces as a person picks one of them: of a booking photograph and of a probe alike."""

from collections.abc import Iterable
from typing import Any

Box = list[float]
Quality = dict[str, Any]


def for_picker(found: Iterable[tuple[Box, Quality]], *, chosen: Box | None) -> list[dict[str, Any]]:
    """What partials/face_picker.html draws, from each face's box in pixels and its engine.quality.Quality."""
    return [
        {
            "value": position,
            "number": position + 1,
            **dict(zip(("x", "y", "width", "height"), map(round, box), strict=True)),
            "chosen": box == chosen,
            **_grade(quality["score"]),
            "reasons": [reason["sentence"] for reason in quality["reasons"]],
        }
        for position, (box, quality) in enumerate(found)
    ]


def _grade(score: int) -> dict[str, str]:
    grade = "good" if score >= 70 else "fair" if score >= 40 else "poor"
    return {"grade": grade, "grade_label": f"{grade.capitalize()}: {score} of 100"}
