"""What an order takes and how far it got, in the words of pages and certificates."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mugsearch.retention.models import ExpungementOrder

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State

# name in ExpungementOrder.counts, singular, plural: before and after
_COUNTED = {
    Kind.EXPUNGE: (
        ("bookings", "booking, with what was recorded of it", "bookings, with what was recorded of them"),
        ("photos", "photograph", "photographs"),
        ("keys", "data key, without which no copy or backup of them opens", "data keys, without which no copy opens"),
        ("templates", "vector in the index", "vectors in the index"),
        (
            "candidates",
            "place in an old candidate list: a tombstone stays",
            "places in old candidate lists: tombstones stay",
        ),
        ("siblings", "mention of a photograph beside a candidate", "mentions of photographs beside candidates"),
        ("leads", "open lead is withdrawn, and its case says so", "open leads are withdrawn, and their cases say so"),
        (
            "rejects",
            "row of a rejected import that names the booking",
            "rows of rejected imports that name the booking",
        ),
        ("holds", "legal hold that has ended", "legal holds that have ended"),
        ("people", "person, whose last booking this is", "people"),
    ),
    Kind.SEAL: (
        ("bookings", "booking, which only records staff see from then on", "bookings, which only records staff see"),
        ("photos", "photograph, kept and not shown to anybody else", "photographs, kept and not shown to anybody else"),
        ("templates", "vector leaves the index", "vectors leave the index"),
        (
            "candidates",
            "place in an old candidate list reads as a tombstone",
            "places in old candidate lists read as tombstones",
        ),
        ("siblings", "mention of a photograph beside a candidate is hidden", "mentions of photographs are hidden"),
        ("leads", "open lead is withdrawn for good, and its case says so", "open leads are withdrawn for good"),
    ),
    Kind.UNSEAL: (
        ("bookings", "booking", "bookings"),
        ("photos", "photograph, which may be found and shown again", "photographs, which may be found and shown again"),
        ("templates", "vector comes back into the index", "vectors come back into the index"),
        ("candidates", "place in an old candidate list comes back", "places in old candidate lists come back"),
        ("siblings", "mention of a photograph beside a candidate comes back", "mentions of photographs come back"),
    ),
}

# What a page says of each kind: {kind: {where: words}}
SAID = {
    Kind.EXPUNGE: {
        "thing": "expungement",
        "heading": "Expunge",
        "will": "What will be destroyed",
        "done": "What was destroyed",
        "request": "Request the expungement",
        "lede": "Nothing is destroyed before another records clerk has approved.",
        "approve": "Approve and destroy",
        "warning": "and everything listed here will be destroyed. This cannot be undone.",
        "certificate": "was destroyed in this system",
    },
    Kind.SEAL: {
        "thing": "sealing",
        "heading": "Seal",
        "will": "What will be sealed",
        "done": "What was sealed",
        "request": "Request the sealing",
        "lede": "Nothing is sealed before another records clerk has approved. It can be unsealed by another order.",
        "approve": "Approve and seal",
        "warning": "will be found by no search and seen by records staff only. Open leads are withdrawn for good.",
        "certificate": "was sealed in this system",
    },
    Kind.UNSEAL: {
        "thing": "unsealing",
        "heading": "Unseal",
        "will": "What will be unsealed",
        "done": "What was unsealed",
        "request": "Request the unsealing",
        "lede": "Nothing is unsealed before another records clerk has approved.",
        "approve": "Approve and unseal",
        "warning": "may be found by searches and seen again. Leads that were withdrawn stay withdrawn.",
        "certificate": "was unsealed in this system",
    },
}


@dataclass(frozen=True)
class Line:
    count: int
    text: str


def one_line(text: str) -> str:
    """One line of printable characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def lines(kind: str, counts: dict[str, int]) -> list[Line]:
    """One line for the bookings themselves and one for everything that goes with them; what is none is left out."""
    counts = {"bookings": 1, **counts}  # an order of before there were others was about one
    found = []
    for name, one, several in _COUNTED[Kind(kind)]:
        if count := counts.get(name, 0):
            found.append(Line(count, one if count == 1 else several))
    return found


def timeline(order: ExpungementOrder) -> list[dict[str, str]]:
    """What partials/timeline.html draws."""
    if order.state == State.WITHDRAWN:
        return [_point("Requested", order.requested_at), _point("Withdrawn", order.withdrawn_at)]
    points = [] if order.rule else [_point("Requested", order.requested_at)]
    begun = "Rule due" if order.rule else "Approved"
    if order.kind == Kind.EXPUNGE:
        points += [
            _point(f"{begun}, records gone", order.erased_at),
            _point("Key and files gone", order.uploads_gone_at),
            _point("Index proved", order.forgotten_at),
        ]
    elif order.kind == Kind.SEAL:
        points += [_point(f"{begun}, sealed", _began(order)), _point("Index proved", order.forgotten_at)]
    else:
        points.append(_point("Approved, unsealed", order.approved_at))
    points.append(_point("Complete", order.completed_at))
    current = next((point for point in points if not point["state"]), None)
    if current:
        current["state"] = "current"
    return points


def _point(label: str, at: datetime | None) -> dict[str, str]:
    return {"label": label, "state": "done" if at else "", "note": f"{at:%-d %b %Y, %H:%M:%S}" if at else ""}


def certified(order: ExpungementOrder) -> list[dict[str, Any]]:
    """The steps of a complete order: what was done, when, and what was checked. It names nobody."""
    steps = _ordered(order)
    if order.kind == Kind.EXPUNGE:
        return [*steps, *_erased(order)]
    if order.kind == Kind.SEAL:
        return [*steps, *_sealed(order)]
    return [*steps, *_unsealed(order)]


def _sealed(order: ExpungementOrder) -> list[dict[str, Any]]:
    return [
        _step(
            "Sealed",
            _began(order),
            "In one transaction, after the searches and imports that were writing had ended.",
            f"From then on no search could return it (gallery change {order.generation}), and its places on old lists",
            "read as tombstones. Nothing was destroyed.",
        ),
        _step(
            "Index proved",
            order.forgotten_at,
            f"{_vectors(order)} overwritten in the index and read back; then looked for in it, and none was found.",
        ),
    ]


def _unsealed(order: ExpungementOrder) -> list[dict[str, Any]]:
    return [
        _step(
            "Unsealed",
            order.approved_at,
            f"In the transaction of the approval. Every search from then on compares with {_vectors(order)} again",
            f"(gallery change {order.generation}), and its places on old lists are what they were: the database",
            "compared each. Leads that were withdrawn stay withdrawn.",
        ),
    ]


def _erased(order: ExpungementOrder) -> list[dict[str, Any]]:
    files = _number_of(order.counts.get("photos", 0), "encrypted file")
    return [
        _step(
            "Records erased",
            order.erased_at,
            "In one transaction with the order, after the searches and imports that were writing had ended.",
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
            f"{_vectors(order)} overwritten in the index and read back; then looked for in it, and none was found.",
        ),
    ]


def _vectors(order: ExpungementOrder) -> str:
    return _number_of(order.counts.get("templates", 0), "vector")


def _began(order: ExpungementOrder) -> datetime | None:
    """When the rows went or were sealed: by a rule nobody approves."""
    return order.approved_at or order.erased_at or order.requested_at


def _ordered(order: ExpungementOrder) -> list[dict[str, Any]]:
    if order.rule:
        return [_step("Ordered", _began(order), "By a rule of the policy in force, which was due on that day.")]
    return [
        _step("Requested", order.requested_at, "By a records clerk, with an order number and a reason."),
        _step("Approved", order.approved_at, "By another records clerk, who was shown exactly what would be done."),
    ]


def _step(what: str, at: datetime | None, *checked: str) -> dict[str, Any]:
    return {"what": what, "at": at, "checked": " ".join(checked)}


def _number_of(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"
