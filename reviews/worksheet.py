"""The worksheet behind a positive conclusion: every component of ASTM E3149 looked at, one by one (RULES 15)."""

from typing import Any, Final

from mugsearch.errors import BadInput
from mugsearch.validators import require_text

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

Worksheet = dict[str, dict[str, str]]  # component -> {"said": one of SAID, "notes": text}, what is empty left out


def cleaned(given: Any) -> Worksheet:
    """As it is stored. Raises BadInput for what isn't on the form."""
    if not isinstance(given, dict) or not set(given) <= set(COMPONENTS):
        raise BadInput("The worksheet has the components of ASTM E3149 and no others.")
    return {component: told for component in COMPONENTS if (told := _cleaned(given.get(component) or {}))}


def _cleaned(given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not set(given) <= {"said", "notes"}:
        raise BadInput("Of each component the worksheet holds what was said and notes.")
    said, notes = given.get("said") or "", given.get("notes") or ""
    if not isinstance(said, str) or said not in ("", *SAID):
        raise BadInput("A component is similar, different or not visible.")
    refusal = f"Notes on a component are text of up to {NOTES_LIMIT} characters."
    require_text(notes, most=NOTES_LIMIT, refusal=refusal)
    return {name: value for name, value in (("said", said), ("notes", notes)) if value}


def left(worksheet: Worksheet) -> int:
    """Of how many components nothing was said."""
    return sum(not worksheet.get(component, {}).get("said") for component in COMPONENTS)


def rows(worksheet: Worksheet) -> list[tuple[str, str, str]]:
    """(component, what was said, notes) as people read it, of the components that hold something."""
    return [
        (label, SAID.get(told.get("said", ""), ""), told.get("notes", ""))
        for component, label in COMPONENTS.items()
        if (told := worksheet.get(component))
    ]
