"""What makes trials like the casework of their agency: when they are due, how many are urgent, and edits of the probe.

Whatever casework has and no trial did would tell casework from trials.
"""

import datetime
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
from django.db.models import F
from django.utils import timezone

from mugsearch.accounts.models import Agency
from mugsearch.engine import edits
from mugsearch.engine.encoders import Face
from mugsearch.errors import BadInput
from mugsearch.probes.models import Case, Search

WORKING_DAY = (8, 18)  # hours between which a search is finished, where there is no casework to go by
LATELY = 500  # searches of casework that are gone by
SEEN_TILT = 2.0  # degrees
CLOSENESS = (1.5, 3.0)  # how many times as high as the face a picture cut to it is

Steps = Sequence[Mapping[str, Any]]  # as engine.edits writes them


def due(agency: Agency, number: int, days: int, chance: Random) -> list[datetime.datetime]:
    """When trials are due: on weekdays and at times of day at which casework of the agency was finished.

    None is due now, as all would be whose time has passed today; but for 0 days, when all are. To the microsecond none
    has the time of a search of casework, nor is one without any.
    """
    now = timezone.now()
    if not days:
        return [now] * number
    finished = Search.objects.finished().casework().filter(probe__case__agency=agency)
    lately = finished.order_by("-finished_at").values_list("finished_at", flat=True)[:LATELY]
    past = [timezone.localtime(at) for at in lately if at]
    weekdays = {at.weekday() for at in past}
    today, *later = [timezone.localdate() + datetime.timedelta(days=day) for day in range(days + 1)]
    later = [day for day in later if not weekdays or day.weekday() in weekdays] or later
    any_day = [today, *later] if not weekdays or today.weekday() in weekdays else later
    times = []
    for _ in range(number):
        hour, minute = chance.randrange(*WORKING_DAY), chance.randrange(60)
        if past:
            like = chance.choice(past)
            hour, minute = like.hour, like.minute
        time = datetime.time(hour, minute, chance.randrange(60), chance.randrange(1, 10**6))
        at = timezone.make_aware(datetime.datetime.combine(chance.choice(any_day), time))
        if at <= now:
            at = timezone.make_aware(datetime.datetime.combine(chance.choice(later), time))
        times.append(at)
    return times


def share_of_urgent(agency: Agency) -> float:
    """Among the latest searches of casework; none where there is no casework yet."""
    said = list(_lately(agency).values_list("probe__case__priority", flat=True))
    return said.count(Case.Priority.URGENT) / len(said) if said else 0


def edits_of_casework(agency: Agency) -> list[list[Steps]]:
    """For each of the latest searches of casework, the edits its examiners may look at."""
    found: dict[Any, list[Steps]] = {pk: [] for pk in _lately(agency).values_list("pk", flat=True)}
    with_edits = Search.objects.filter(pk__in=found, probe__edits__made_at__lte=F("requested_at"))
    for pk, steps in with_edits.order_by("pk", "probe__edits__number").values_list("pk", "probe__edits__steps"):
        found[pk].append(steps)
    return list(found.values())


def edit_like(steps: Steps, face: Face, *, width: int, height: int, chance: Random) -> list[edits.Step]:
    """What an investigator who does such steps would do to this photograph: level the eyes, cut to the face, change the
    tones as much. Empty where that would change nothing."""
    given: list[dict[str, Any]] = []
    for step in steps:
        ((name, value),) = step.items()
        if name == "rotate":
            value = _levelling(face, chance)
        if name == "crop":
            value = _round_the_face(face, _read(given, width, height), (width, height), value[2] / value[3], chance)
        given.append({name: value})
    return _read(given, width, height)


def _lately(agency: Agency) -> Any:
    return Search.objects.casework().filter(probe__case__agency=agency).order_by("-requested_at")[:LATELY]


def _read(given: Steps, width: int, height: int) -> list[edits.Step]:
    with suppress(BadInput):
        return edits.read(given, width=width, height=height)
    return []


def _levelling(face: Face, chance: Random) -> float:
    """Degrees to the right after which the eyes look level: nobody turns by less than is seen, or more finely than the
    page's slider does, or quite exactly."""
    (x, y), (other_x, other_y), *_ = face.landmarks
    exact = -math.degrees(math.atan2(other_y - y, other_x - x))
    return round(2 * (exact + chance.uniform(-0.8, 0.8))) / 2 if abs(exact) >= SEEN_TILT else 0.0


def _round_the_face(
    face: Face, before: Sequence[edits.Step], size: tuple[int, int], shape: float, chance: Random
) -> list[int]:
    """A crop, after these steps, with the face in its middle and `shape` times as wide as it is high."""
    x, y, face_width, face_height = face.box
    middle = np.array([x + face_width / 2, y + face_height / 2, 1])
    for step in before:
        middle = step.matrix(*size) @ middle
        size = step.size(*size)
    high = face_height * chance.uniform(*CLOSENESS)
    half = max(high * shape, edits.LEAST_SIDE) / 2, max(high, edits.LEAST_SIDE) / 2
    start = [max(0, round(at - by)) for at, by in zip(middle[:2].tolist(), half, strict=True)]
    end = [min(most, round(at + by)) for at, by, most in zip(middle[:2].tolist(), half, size, strict=True)]
    return [*start, end[0] - start[0], end[1] - start[1]]
