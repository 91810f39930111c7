"""The worksheet behind a positive conclusion: every component of ASTM E3149 looked at, one by one (RULES 15)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from mugsearch.errors import BadInput
from mugsearch.validators import require_text
from reviews import drawings

COMPONENTS: Final = {
    "face_outline": "Face outline",
    "hair_line": "Hair line",
    "forehead": "Forehead",
    "eyebrows": "Eyebrows",
    "eyes": "Eyes",
    "nose": "Nose",
    "ears": "Ears",
    "cheeks": "Cheeks",
    "mouth": "Mouth",
    "chin": "Chin",
    "neck": "Neck",
    "facial_lines": "Facial lines",
    "scars": "Scars",
    "marks": "Marks",
    "alterations": "Alterations",
}
SAID: Final = {"similar": "Similar", "different": "Different", "not_visible": "Not visible"}
NOTES_LIMIT: Final = 500

# component -> {"said": one of SAID, "notes": text, "drawn": marks as reviews.drawings}, what is empty left out
Worksheet = dict[str, dict[str, Any]]


def cleaned(given: Any) -> Worksheet:
    """As it is stored. Raises BadInput for what isn't on the form."""
    if not isinstance(given, dict) or not set(given) <= set(COMPONENTS):
        raise BadInput("The worksheet has the components of ASTM E3149 and no others.")
    return {component: told for component in COMPONENTS if (told := _cleaned(given.get(component) or {}))}


def _cleaned(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not set(given) <= {"said", "notes", "drawn"}:
        raise BadInput("Of each component the worksheet holds what was said, notes and what was drawn.")
    said, notes = given.get("said") or "", given.get("notes") or ""
    if not isinstance(said, str) or said not in ("", *SAID):
        raise BadInput("A component is similar, different or not visible.")
    refusal = f"Notes on a component are text of up to {NOTES_LIMIT} characters."
    require_text(notes, most=NOTES_LIMIT, refusal=refusal)
    told = {"said": said, "notes": notes, "drawn": drawings.cleaned(given.get("drawn"))}
    return {name: value for name, value in told.items() if value}


def parted(worksheet: Worksheet) -> tuple[Worksheet, Worksheet]:
    """(what was said, in codes; what was written and drawn), which are stored apart."""
    return _only(worksheet, ("said",)), _only(worksheet, ("notes", "drawn"))


def joined(said: Worksheet, written: Worksheet) -> Worksheet:
    found = {component: said.get(component, {}) | written.get(component, {}) for component in COMPONENTS}
    return {component: told for component, told in found.items() if told}


def _only(worksheet: Worksheet, names: Sequence[str]) -> Worksheet:
    found = {one: {name: told[name] for name in names if name in told} for one, told in worksheet.items()}
    return {component: told for component, told in found.items() if told}


def left(worksheet: Worksheet) -> int:
    """Of how many components nothing was said."""
    return sum(not worksheet.get(component, {}).get("said") for component in COMPONENTS)


@dataclass(frozen=True)
class Row:
    """A component as people read it."""

    component: str
    said: str
    notes: str
    drawn: list[drawings.Mark]


def rows(worksheet: Worksheet) -> list[Row]:
    """Of the components that hold something."""
    return [
        Row(label, SAID.get(told.get("said", ""), ""), told.get("notes", ""), told.get("drawn", []))
        for component, label in COMPONENTS.items()
        if (told := worksheet.get(component))
    ]


def rows_on(worksheet: Worksheet, box: Sequence[int], size: tuple[int, int]) -> list[Row]:
    """For a whole photograph of this size in pixels, of which the examiner was shown `box`: what was drawn on the
    candidate is where it is on that."""
    return [replace(row, drawn=drawings.on_whole(row.drawn, box, size)) for row in rows(worksheet)]


@dataclass(frozen=True)
class Outline:
    """What was drawn, as SVG has it: in per cent of the image's sides. Without radii it is a point."""

    name: str  # the component, and the number under which its counterpart stands on the other image
    x: str
    y: str
    rx: str
    ry: str
    top: str  # the name stands above it


def outlines(found: Iterable[Row], image: str) -> list[Outline]:
    return [
        _outline(f"{row.component} {number}", mark[image])
        for row in found
        for number, mark in enumerate(row.drawn, start=1)
        if image in mark
    ]


def _outline(name: str, shape: drawings.Shape) -> Outline:
    x, y, width, height = shape if len(shape) == 4 else (*shape, 0, 0)
    rx, ry = (_per_cent(side / 2) if side else "" for side in (width, height))
    return Outline(name, _per_cent(x + width / 2), _per_cent(y + height / 2), rx, ry, _per_cent(y))


def _per_cent(share: float) -> str:
    return f"{share * 100:.2f}%"
