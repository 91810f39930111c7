"""What an order takes and how far it got, in the words of pages and certificates."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from mugsearch.retention import proofs
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
        "done_to": "destroyed",
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
        "done_to": "sealed",
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
        "done_to": "unsealed",
    },
}


@dataclass(frozen=True)
class Line:
    name: str
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
            found.append(Line(name, count, one if count == 1 else several))
    return found


def timeline(order: ExpungementOrder) -> list[dict[str, str]]:
    """What partials/timeline.html draws: from the approval on every step by itself."""
    asked = [] if order.rule else [_point("Requested", order.requested_at)]
    if order.state == State.WITHDRAWN:
        return [*asked, _point("Withdrawn", order.withdrawn_at)]
    if order.state == State.REQUESTED:
        return [*asked, _point("To be approved", None) | {"state": "current"}, _point("Complete and certified", None)]
    begun = "Carried out again" if order.is_replayed else "Rule due" if order.rule else "Approved"
    if order.kind == Kind.EXPUNGE:
        done = [
            _point(f"{begun}, records erased" if name == "erased_at" else what, getattr(order, name))
            for name, (what, _) in proofs.EXPUNGED.items()
        ]
    elif order.kind == Kind.SEAL:
        done = [_point(f"{begun}, sealed", _began(order)), _point("Index proved", order.forgotten_at)]
    else:
        done = [_point("Approved, unsealed", order.approved_at)]
    points = [*asked, *done, _point("Complete and certified", order.completed_at)]
    if current := next((point for point in points if not point["state"]), None):
        current["state"] = "current"
    return points


def _point(label: str, at: datetime | None) -> dict[str, str]:
    note = f"{timezone.localtime(at):%-d %b %Y, %H:%M:%S}" if at else ""
    return {"label": label, "state": "done" if at else "", "note": note}


def statement(order: ExpungementOrder) -> str:
    """What a certificate attests, in a sentence or two."""
    done, count = SAID[Kind(order.kind)]["done_to"], order.counts.get("bookings", 1)
    if count == 1:
        said = f"The booking that this order is about was {done} in this system."
    else:
        said = f"{count} bookings of one person, which this order is about, were {done} in this system."
    if order.kind == Kind.EXPUNGE and order.counts.get("people"):
        said += " No other booking of the person is here, so what was recorded of the person was destroyed with it."
    return f"{said} This certificate names neither the person nor a booking."


def _began(order: ExpungementOrder) -> datetime | None:
    """When the rows went or were sealed: by a rule nobody approves."""
    return order.approved_at or order.erased_at or order.requested_at
