"""The line-up of a lead: its candidate among people of the same recorded description, for a witness to look at.

Fillers are chosen by what was recorded at booking and never by face: whoever looks most alike to the search is whom a
wrong lead would have named, too. The page does not say who the candidate is, so that whoever shows it need not know.
"""

import secrets
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import Case, F, FloatField, IntegerField, QuerySet, Value, When
from django.db.models.functions import Abs, Cast, Coalesce, Random

from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.errors import WrongState
from mugsearch.gallery.models import Photo
from mugsearch.probes import policy
from mugsearch.probes.models import Candidate
from reviews import outcomes
from reviews.evidence import WITHDRAWN
from reviews.leads import case_of, locked, require_on_case
from reviews.models import Lead, Lineup

STATEMENT: Final = (
    "This line-up and the lead together are no basis for a warrant, an arrest or a search. A witness who picks the "
    "person of the lead picks one whom a computer found because of a likeness."
)
NO_EVIDENCE = "Record independent evidence for this lead first. Without it there is no line-up."
FALSE = "This lead was found false. Nothing may be based on it."
NO_SEX = "The candidate's sex is not recorded, so nobody can be chosen who matches the description."

# What counts as one step of difference. Recorded ages are exact, heights and weights are what somebody wrote down.
YEARS, INCHES, POUNDS = 3.0, 2.0, 15.0
UNKNOWN = 10.0  # steps: a record without it comes after those that have it


def showable() -> QuerySet[Photo]:
    """Photographs that may be shown to anybody outside the records staff: what is sealed or expunged is also gone from
    line-ups made before."""
    return Photo.objects.searchable()


def export(*, by: User, lead: Lead) -> Lineup:
    """Compose a line-up and keep the composition. Each export is another one, in another order."""
    with audit.act("lineup.exported", by=by, obj=lead, case=case_of(lead)) as act:
        require_on_case(by, lead)
        now = locked(lead)
        if now.withdrawn_at:
            raise WrongState(WITHDRAWN)
        if outcomes.is_false(now):
            raise WrongState(FALSE)
        if not now.evidence.exists():
            raise WrongState(NO_EVIDENCE)
        candidate = Candidate.objects.select_related("photo__booking__person").get(pk=now.candidate_id)
        photo = candidate.photo
        if photo is None or not showable().filter(pk=photo.pk).exists():
            raise WrongState("The photograph of the candidate can't be shown any more.")
        if not photo.booking.person.sex:
            raise WrongState(NO_SEX)
        wanted = policy.current().lineup_fillers
        chosen = list(fillers(candidate, photo)[:wanted])
        if len(chosen) < wanted:
            raise WrongState(
                f"The gallery has {len(chosen)} of the {wanted} people a line-up needs beside the candidate: of the "
                "same recorded sex, enrolled, and not on this search's list."
            )
        order = [photo.pk, *chosen]
        secrets.SystemRandom().shuffle(order)
        lineup = Lineup.objects.create(
            lead=now,
            photos=[str(pk) for pk in order],
            candidate_place=order.index(photo.pk) + 1,
            exported_by=by,
        )
        act.note(lineup=str(lineup.pk), places=len(order))
    return lineup


def fillers(candidate: Candidate, photo: Photo) -> "QuerySet[Photo, UUID]":
    """Ids of photographs that could stand beside this one, the nearest by record first, one of each person.

    Nearest: taken in the same pose, then by year of birth, height and weight together; chance decides between equals.
    """
    booking, person = photo.booking, photo.booking.person
    listed = Candidate.objects.filter(search=candidate.search_id, person__isnull=False).values("person")
    distance = (
        _steps(F("booking__person__birth_year"), person.birth_year, YEARS)
        + _steps(F("booking__height_in"), booking.height_in, INCHES)
        + _steps(F("booking__weight_lb"), booking.weight_lb, POUNDS)
    )
    others = (
        showable()
        .filter(booking__person__sex=person.sex)
        .exclude(booking__person__in=listed)
        .exclude(booking__person=person.pk)
        .exclude(sha256=photo.sha256)  # the same file under another number is the same face
    )
    described = others.annotate(distance=distance, other_pose=_differs(photo.pose))
    of_each = described.order_by("booking__person_id", "other_pose", "distance")
    nearest = described.filter(pk__in=of_each.distinct("booking__person_id").values("pk")).order_by(
        "other_pose", "distance", Random()
    )
    return nearest.values_list("pk", flat=True)


def _differs(pose: str) -> Any:
    return Case(When(pose=pose, then=Value(0)), default=Value(1), output_field=IntegerField())


def _steps(recorded: Any, wanted: int | None, step: float) -> Any:
    if wanted is None:
        return Value(0.0, output_field=FloatField())
    apart = Abs(Cast(recorded, FloatField()) - Value(float(wanted))) / Value(step)
    return Coalesce(apart, Value(UNKNOWN), output_field=FloatField())


@dataclass(frozen=True)
class Place:
    """`photo` is None where it was expunged since, or may not be shown any more."""

    number: int
    photo: Photo | None


def places(lineup: Lineup) -> list[Place]:
    """In their order; empty of photographs once the lead is withdrawn."""
    shown = {} if lineup.lead.withdrawn_at else {photo.pk: photo for photo in showable().filter(pk__in=lineup.photos)}
    return [Place(number, shown.get(UUID(pk))) for number, pk in enumerate(lineup.photos, start=1)]
