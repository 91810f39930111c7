"""Where each candidate stands in one examiner's own order.

A position is what an examiner knows a candidate by. It comes from a secret of the examination, so that it says
nothing of ranks, of ids or of the other examiner's order; and a tombstone keeps its place, so that nobody moves up.
"""

import hmac

from mugsearch.errors import BadInput
from mugsearch.probes.models import Candidate
from reviews.models import Examination


def in_order(examination: Examination) -> list[Candidate]:
    """All candidates of the search, tombstones included; position 1 comes first."""
    secret = bytes(examination.secret)
    candidates = Candidate.objects.filter(search=examination.search_id).select_related("photo", "trial_photo")
    return sorted(candidates, key=lambda candidate: hmac.digest(secret, candidate.pk.bytes, "sha256"))


def candidate_at(examination: Examination, position: int) -> Candidate:
    """Raises BadInput when the list has no such position."""
    candidates = in_order(examination)
    if not 1 <= position <= len(candidates):
        raise BadInput(f"There is no candidate {position} on this list.")
    return candidates[position - 1]
