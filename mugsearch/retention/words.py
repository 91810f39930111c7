"""What an expungement takes and how far it got, in the words of pages and certificates."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mugsearch.retention.models import ExpungementOrder

State = ExpungementOrder.State

# name in ExpungementOrder.counts, singular, plural: before and after
_COUNTED = (
    ("photos", "photograph", "photographs"),
    ("keys", "data key, without which no copy or backup of them opens", "data keys"),
    ("templates", "vector in the index", "vectors in the index"),
    (
        "candidates",
        "place in an old candidate list: a tombstone stays",
        "places in old candidate lists: tombstones stay",
    ),
    ("siblings", "mention of a photograph beside a candidate", "mentions of photographs beside candidates"),
    ("leads", "open lead is withdrawn, and its case says so", "open leads are withdrawn, and their cases say so"),
    ("rejects", "row of a rejected import that names the booking", "rows of rejected imports that name the booking"),
    ("people", "person, whose last booking this is", "people"),
)


@dataclass(frozen=True)
class Line:
    count: int
    text: str


def lines(counts: dict[str, int]) -> list[Line]:
    """One line for the booking itself and one for everything that goes with it; what is none is left out."""
    found = [Line(1, "booking, with what was recorded of it")]
    for name, one, several in _COUNTED:
        if count := counts.get(name, 0):
            found.append(Line(count, one if count == 1 else several))
    return found


def timeline(order: ExpungementOrder) -> list[dict[str, str]]:
    """What partials/timeline.html draws."""
    if order.state == State.WITHDRAWN:
        return [_point("Requested", order.requested_at), _point("Withdrawn", order.withdrawn_at)]
    points = [
        _point("Requested", order.requested_at),
        _point("Approved, records gone", order.erased_at),
        _point("Key and files gone", order.uploads_gone_at),
        _point("Index proved", order.forgotten_at),
        _point("Complete", order.completed_at),
    ]
    current = next((point for point in points if not point["state"]), None)
    if current:
        current["state"] = "current"
    return points


def _point(label: str, at: datetime | None) -> dict[str, str]:
    return {"label": label, "state": "done" if at else "", "note": f"{at:%-d %b %Y, %H:%M:%S}" if at else ""}


def certified(order: ExpungementOrder) -> list[dict[str, Any]]:
    """The steps of a complete order: what was done, when, and what was checked. It names nobody."""
    files = _number_of(order.counts.get("photos", 0), "sealed file")
    vectors = _number_of(order.counts.get("templates", 0), "vector")
    return [
        _step("Requested", order.requested_at, "By a records clerk, with an order number and a reason."),
        _step("Approved", order.approved_at, "By another records clerk, who was shown exactly what would go."),
        _step(
            "Records erased",
            order.erased_at,
            "In the transaction of the approval, after the searches and imports that were writing had ended.",
            f"From then on no search could return the booking (gallery change {order.generation}).",
        ),
        _step(
            "Data key destroyed",
            order.key_destroyed_at,
            "Overwritten, read back and removed; then looked for, and not found.",
        ),
        _step(
            "Photographs removed",
            order.files_removed_at,
            f"{files} overwritten, read back and removed; then looked for, and none was found.",
        ),
        _step(
            "Uploads gone",
            order.uploads_gone_at,
            "Every upload that an import had not finished with at the time is off the disk.",
        ),
        _step(
            "Index proved",
            order.forgotten_at,
            f"{vectors} overwritten in the index and read back; then looked for in it, and none was found.",
        ),
    ]


def _step(what: str, at: datetime | None, *checked: str) -> dict[str, Any]:
    return {"what": what, "at": at, "checked": " ".join(checked)}


def _number_of(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"
