"""Who can be on a trial: nobody whose face an examiner may know to be of one."""

import datetime
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Q
from django.utils import timezone

from mugsearch.accounts.models import Agency, User
from mugsearch.probes.models import Candidate
from mugsearch.trials.models import Subject, Trial, TrialPhoto

# How long an examiner who saw a trial is taken to know its faces again. A judgement, not a measurement.
REMEMBERED = datetime.timedelta(days=180)


@dataclass(frozen=True)
class Material:
    people: int  # with a usable photograph
    free: int  # of these
    ready: int  # photographs, as those below
    looking: int
    unusable: int


def material_of(supervisor: User) -> Material:
    photos = TrialPhoto.objects.filter(subject__in=Subject.objects.visible_to(supervisor))
    states = dict(photos.order_by().values_list("state").annotate(Count("pk")))
    ready = photos.filter(state=TrialPhoto.State.READY)
    people = set(ready.values_list("subject", flat=True))
    state = TrialPhoto.State
    return Material(
        len(people),
        len(people - taken(supervisor.agency)),
        states.get(state.READY, 0),
        states.get(state.RECEIVED, 0),
        states.get(state.UNSUITABLE, 0) + states.get(state.FAILED, 0),
    )


def taken(agency: Agency | None) -> set[UUID]:
    """Subjects on an open trial, searched with or listed: on a second one they would tell both. And those of one that
    was closed lately and that anybody has had before them, concluded or given back."""
    seen = Q(closed_at__gte=timezone.now() - REMEMBERED, searches__examinations__isnull=False)
    trials = Trial.objects.filter(Q(closed_at__isnull=True) | seen, agency=agency)
    searched = trials.values_list("photo__subject", flat=True)
    listed = Candidate.objects.filter(search__trial__in=trials, trial_photo__isnull=False)
    return {*searched, *listed.values_list("trial_photo__subject", flat=True)}
