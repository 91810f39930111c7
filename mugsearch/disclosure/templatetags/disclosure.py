"""How the printable page writes what bundle.json holds."""

import json
from datetime import UTC, datetime
from typing import Any

from django import template

from mugsearch.probes.calibration import percent
from reviews.worksheet import Row, rows, rows_on

register = template.Library()


@register.filter
def moment(iso: str | None) -> str:
    """A time of bundle.json as people read it, in UTC to the second."""
    return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if iso else "–"


@register.filter
def image_of(printed: dict[str, str], file: str) -> str:
    """The data: address under which the reduced image of a file is on the page."""
    return printed[file]


@register.filter
def name_of(actors: dict[str, str], actor: str | None) -> str:
    return actors.get(actor, actor) if actor else "The system"


@register.filter
def rows_of(finding: dict[str, Any], bundle: dict[str, Any]) -> list[Row]:
    """Its worksheet, with what was drawn on the candidate in shares of the whole photograph, which the page shows."""
    worksheet, photograph = finding.get("worksheet", {}), photograph_of(finding, bundle)
    if photograph is None:
        return rows(worksheet)
    return rows_on(worksheet, photograph["examined"], (photograph["width"], photograph["height"]))


@register.filter
def photograph_of(finding: dict[str, Any], bundle: dict[str, Any]) -> dict[str, Any] | None:
    """None of a tombstone."""
    found: dict[int, dict[str, Any]] = {one["rank"]: one for one in bundle["candidates"]}
    return found[finding["rank"]].get("photograph")


@register.filter
def cosine(score: float | None) -> str:
    return "–" if score is None else f"{score:.6f}"


@register.filter
def share(value: float) -> str:
    return percent(value)


@register.filter
def one_line(details: dict[str, Any]) -> str:
    return json.dumps(details, ensure_ascii=False, sort_keys=True) if details else ""
