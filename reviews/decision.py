"""What two concluded examinations come to. Pure: no database, no clock."""

from collections.abc import Collection, Mapping
from uuid import UUID

from reviews.models import Finding

Findings = Mapping[UUID, str]  # candidate -> Finding.Conclusion


def decide(first: Findings, second: Findings, *, alive: Collection[UUID]) -> UUID | None:
    """The candidate that becomes a lead, or None.

    A lead needs both examiners to have found the same person on exactly one candidate each, and on the same one.
    Whoever finds two different people on the list to be the one on the probe has not identified anybody, so a second
    SAME of either examiner ends without a lead, agreed or not. A candidate who was expunged meanwhile (not `alive`)
    never becomes one, but a SAME on them still counts as said.
    """
    confirmed = _same(first)
    if len(confirmed) != 1 or confirmed != _same(second):
        return None
    (candidate,) = confirmed
    return candidate if candidate in alive else None


def _same(findings: Findings) -> set[UUID]:
    return {candidate for candidate, conclusion in findings.items() if conclusion == Finding.Conclusion.SAME}
