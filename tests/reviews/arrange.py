"""A finished search with a list to examine, and shortcuts through an examination."""

import datetime
from typing import Any

import numpy as np

from mugsearch.accounts.models import User
from mugsearch.engine import images
from mugsearch.probes.models import Candidate, Search
from mugsearch.vault import services as vault
from reviews import queries, services
from reviews.models import Examination, Finding
from reviews.order import in_order
from reviews.worksheet import COMPONENTS, Worksheet
from tests.factories import CandidateFactory, SearchFactory

SAME, DIFFERENT, INCONCLUSIVE = Finding.Conclusion.SAME_3, Finding.EXCLUDED, Finding.Conclusion.NO_CONCLUSION

FILLED: Worksheet = {component: {"said": "similar"} for component in COMPONENTS}
FILLED["scars"]["drawn"] = [{"probe": [0.25, 0.5], "candidate": [0.2, 0.4, 0.125, 0.25]}, {"candidate": [1.0, 0.0]}]


def finished_search(candidates: int = 3, **kwargs: Any) -> Search:
    search = SearchFactory(**kwargs)
    for rank in range(1, candidates + 1):
        CandidateFactory(search=search, rank=rank, score=0.9 - rank / 100)
    return search


def candidate(search: Search, rank: int = 1) -> Candidate:
    return search.candidates.get(rank=rank)


def claim(by: User, search: Search) -> Examination:
    """Through the queue, as everybody does, with this search at its front."""
    front = queries.awaiting_examination(by=by).first()
    if front and front != search:
        Search.objects.filter(pk=search.pk).update(finished_at=front.finished_at - datetime.timedelta(seconds=1))
    examination = services.claim_next(by=by)
    assert examination.search == search
    return examination


def position_of(examination: Examination, candidate: Candidate) -> int:
    return in_order(examination).index(candidate) + 1


def find(by: User, examination: Examination, candidate: Candidate, conclusion: str, notes: str = "") -> Finding:
    """With its worksheet, where it needs one, by somebody who has what is stored in front of them."""
    stored = examination.findings.filter(candidate=candidate).first()
    return services.save_finding(
        by=by,
        examination=examination,
        position=position_of(examination, candidate),
        conclusion=conclusion,
        notes=notes,
        worksheet=FILLED if (Finding.rating_of(conclusion) or 0) > 0 else None,
        saved_at=stored.saved_at if stored else None,
    )


def examine(by: User, search: Search, *, same: tuple[int, ...] = (), notes: str = "") -> Examination:
    """Claim, SAME on these ranks, exclude the rest, conclude."""
    examination = claim(by, search)
    for rank in same:
        find(by, examination, candidate(search, rank), SAME, notes)
    services.exclude_remaining(by=by, examination=examination)
    services.conclude(by=by, examination=examination)
    return examination


def forget(candidate: Candidate) -> None:
    """As an expungement leaves it."""
    from django.utils import timezone

    candidate.siblings.all().delete()
    Candidate.objects.filter(pk=candidate.pk).update(person=None, photo=None, score=None, forgotten_at=timezone.now())


def store_images(search: Search) -> None:
    """Put a picture of one grey each behind the probe and every candidate, and the edits."""
    owners = [(search.probe_id, search.probe_id)]
    owners += [(one.photo.booking_id, one.photo_id) for one in search.candidates.select_related("photo")]
    owners += [(one.owner, one.pk) for one in search.probe.edits.all()]
    for grey, (owner, name) in enumerate(owners):
        vault.create_key(owner)
        pixels = np.full((320, 240, 3), 40 + grey * 10, dtype=np.uint8)
        vault.store_file(owner, name, images.encode_png(pixels))
