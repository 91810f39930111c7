"""What waits for whom, how far an examination is, and what its end says to whom.

Three readers, three views of the same rows. The examiner sees a `Sheet`: positions and their own findings, and nothing
else before all have concluded; then rank, score and what the others found, but not who anybody is. The investigator
sees counts (`examination_state`) until the examination is over. Then a lead names its person; of everybody else on the
list the investigator sees rank, cosine and the conclusions, never who it was: people who were not confirmed are
nobody's business (`list_of`).
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import (
    Case,
    Count,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
)
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.gallery.models import Booking, Person, Photo
from mugsearch.probes import calibration, policy
from mugsearch.probes import models as probes
from mugsearch.probes.calibration import FalsePositives
from mugsearch.probes.editing import box_of, shown_with
from mugsearch.probes.models import Candidate, Search, SearchQuerySet
from reviews.decision import FEWEST, MOST, fused
from reviews.drawings import examined
from reviews.models import Adjudication, Examination, ExaminationQuerySet, Finding, Lead
from reviews.order import in_order
from reviews.worksheet import Row, Worksheet, rows, rows_on
from reviews.worksheet import left as components_left

NEEDED = Case(When(adjudication__isnull=True, then=FEWEST), default=MOST)  # examiners, of a search
CAME_BACK = datetime.timedelta(days=7)  # for so long the queue's page tells what was taken from somebody

# --- the queue -------------------------------------------------------------------------------------


def awaiting_examination(*, by: User) -> SearchQuerySet:
    """Finished searches this person may examine now, in the order in which they are offered.

    Of their agency, with a place free and somebody left on the list; not one they submitted, requested, or know from
    being or having been on a case with its image; not one of an image they examine or have examined, in whatever
    search. The longest waiting of the urgent cases first, then the longest waiting of the others. One that needs a
    third examiner waits since then, so that its place in the queue doesn't tell it. A known-answer trial comes when it
    is due (reviews.trials), until it is closed, and to nobody who could have read its answer before they became an
    examiner.

    Those they gave back come after all others, urgent ones too: an examiner who can't do it, because they know
    somebody on it, would be offered it again and again and get at nothing else. Meanwhile it is first for the others.
    """
    mine = Examination.objects.filter(examiner=by, search__probe__sha256=OuterRef("probe__sha256"))
    # Who has examined the image knows what others found on the same people.
    of_image = Examination.objects.held().filter(examiner=by, search__probe__sha256=OuterRef("probe__sha256"))
    # So does who is or was on any case with it: once an examination there is over they read it.
    on_case = probes.Membership.objects.filter(case__probes__sha256=OuterRef("probe__sha256"), user_id=by.pk)
    alive = Candidate.objects.filter(search=OuterRef("pk"), forgotten_at__isnull=True)
    held = Count("examinations", filter=~Q(examinations__state=Examination.State.RELEASED))
    # Of a trial for several pairs one search after the other: all at once would be counted, and would go, together.
    before = Q(finished_at__lt=OuterRef("finished_at")) | Q(finished_at=OuterRef("finished_at"), pk__lt=OuterRef("pk"))
    same_trial = Search.objects.filter(before, trial=OuterRef("trial"))
    same_trial = same_trial.annotate(places_held=held, places=NEEDED).filter(places_held__lt=F("places"))
    offered: SearchQuerySet = (
        Search.objects.finished()
        .filter(probe__case__agency=by.agency_id, finished_at__lte=timezone.now(), trial__closed_at__isnull=True)
        .exclude(requested_by=by)
        .exclude(probe__submitted_by=by)
        .exclude(probe__state=probes.Probe.State.ERASED)
        .filter(~Exists(on_case), ~Exists(of_image), ~Exists(same_trial), Exists(alive), answer_not_known_to(by))
        .annotate(
            places_held=held,
            places=NEEDED,
            given_back=Exists(mine),
            urgent=Q(probe__case__priority=probes.Case.Priority.URGENT),
            waits_since=Greatest("finished_at", "adjudication__opened_at"),  # PostgreSQL passes over a NULL
        )
        .filter(places_held__lt=F("places"))
        .order_by("given_back", "-urgent", "waits_since", "pk")
    )
    return offered if by.may_examine() else offered.none()


def answer_not_known_to(examiner: User) -> Q:
    """Of searches: all but the trials prepared before this person became an examiner, for until then they may have been
    a supervisor who sees them."""
    since = examiner.grants.filter(role=Role.EXAMINER).values("granted_at")
    return Q(trial__isnull=True) | Q(trial__prepared_at__gte=Subquery(since))


@dataclass(frozen=True)
class Level:
    """How many searches of one priority wait, and since when the first of them does."""

    priority: probes.Case.Priority
    waiting: int
    oldest: datetime.datetime | None


@dataclass(frozen=True)
class Queue:
    """Counts only: of which case, and whose examination comes before one's own, isn't told."""

    levels: list[Level]  # of all priorities, the most urgent first

    @property
    def waiting(self) -> int:
        return sum(level.waiting for level in self.levels)

    @property
    def oldest(self) -> datetime.datetime | None:
        return min((level.oldest for level in self.levels if level.oldest), default=None)


def queue_of(user: User) -> Queue:
    urgent, normal = Q(urgent=True), Q(urgent=False)
    told = awaiting_examination(by=user).aggregate(
        urgent_waiting=Count("pk", filter=urgent),
        urgent_oldest=Min("waits_since", filter=urgent),
        normal_waiting=Count("pk", filter=normal),
        normal_oldest=Min("waits_since", filter=normal),
    )
    return Queue([Level(one, told[f"{one}_waiting"], told[f"{one}_oldest"]) for one in probes.Case.Priority])


def with_progress(examinations: ExaminationQuerySet) -> ExaminationQuerySet:
    """Adds `total`, the candidates that need a finding, `found`, how many of them have one, and for what is claimed
    `returns_at`, when it goes back to the queue if nobody works on it any more."""
    candidates = Candidate.objects.filter(search=OuterRef("search"), forgotten_at__isnull=True)
    findings = Finding.objects.filter(examination=OuterRef("pk"), candidate__forgotten_at__isnull=True)
    findings = findings.exclude(conclusion="")
    annotated: ExaminationQuerySet = examinations.annotate(
        total=_counted(candidates, "search"), found=_counted(findings, "examination"), returns_at=_returns_at()
    )
    return annotated


def idle() -> ExaminationQuerySet:
    """What is claimed and was not worked on for the policy's hours: nothing saved, not claimed since."""
    claimed = Examination.objects.filter(state=Examination.State.CLAIMED)
    found: ExaminationQuerySet = claimed.annotate(returns_at=_returns_at()).filter(returns_at__lte=timezone.now())
    return found


def came_back(user: User) -> ExaminationQuerySet:
    """What was taken from this person lately, by time or by a supervisor, the newest first."""
    since = timezone.now() - CAME_BACK
    taken = Examination.objects.visible_to(user).filter(released_at__gte=since)
    found: ExaminationQuerySet = taken.exclude(release=Examination.Release.GIVEN_BACK).order_by("-released_at")
    return found


def _returns_at() -> Case:
    saved = Finding.objects.filter(examination=OuterRef("pk")).order_by("-saved_at").values("saved_at")[:1]
    worked_at = Greatest("claimed_at", Subquery(saved))  # PostgreSQL passes over a NULL
    hours = datetime.timedelta(hours=policy.current().claim_hours)
    back = ExpressionWrapper(worked_at + hours, output_field=DateTimeField())
    return Case(When(state=Examination.State.CLAIMED, then=back))


def _counted(rows: "QuerySet[Candidate] | QuerySet[Finding]", by: str) -> Coalesce:
    """For each row of a page, not in a join: PostgreSQL would join everybody's before it takes the page."""
    return Coalesce(Subquery(rows.order_by().values(by).annotate(count=Count("pk")).values("count")), 0)


def open_to(supervisor: User) -> ExaminationQuerySet:
    """What this supervisor may free, the longest held first."""
    claimed = Examination.objects.open_to(supervisor)
    found: ExaminationQuerySet = with_progress(claimed).select_related("examiner", "search__probe")
    return found.order_by("claimed_at")


# --- the examiner ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What an examiner learns of a candidate once all have concluded."""

    rank: int
    score: float | None  # cosine; None for a tombstone
    false_positives: FalsePositives | None  # at that score; None where it isn't calibrated
    others: list[str]  # what the other examiners concluded
    rating: float | None  # fused


@dataclass(frozen=True)
class Place:
    """One candidate as its examiner knows it. `gone`: expunged or sealed, needs no finding, and what they wrote of the
    face is not shown."""

    position: int
    gone: bool
    conclusion: str
    notes: str
    worksheet: Worksheet
    saved_at: datetime.datetime | None
    told: Told | None

    @property
    def label(self) -> str:
        return Finding.label_of(self.conclusion)

    @property
    def lacks_worksheet(self) -> bool:
        """Whether it can't be concluded so: a positive conclusion needs every component looked at."""
        rating = Finding.rating_of(self.conclusion)
        return not self.gone and rating is not None and rating > 0 and components_left(self.worksheet) > 0


@dataclass(frozen=True)
class Sheet:
    examination: Examination
    places: list[Place]
    over: bool  # whether all have concluded; not known before one's own is locked

    @property
    def face(self) -> list[float] | None:
        """Where on the original the face is that was searched: x, y, width, height as shares of its sides."""
        probe, box = self.examination.search.probe, box_of(self.examination.search)
        if box is None:
            return None
        sides = (probe.width, probe.height, probe.width, probe.height)
        return [round(number / side, 4) for number, side in zip(box, sides, strict=True)]

    @property
    def edits(self) -> list[probes.ProbeEdit]:
        return shown_with(self.examination.search)

    @property
    def without_worksheet(self) -> list[int]:
        """The positions of those that need one."""
        return [place.position for place in self.places if place.lacks_worksheet]

    @property
    def total(self) -> int:
        return sum(not place.gone for place in self.places)

    @property
    def found(self) -> int:
        return sum(bool(place.conclusion) and not place.gone for place in self.places)


def sheet(examination: Examination) -> Sheet:
    findings = {finding.candidate_id: finding for finding in examination.findings.all()}
    locked = examination.state == Examination.State.CONCLUDED
    over = locked and examination_state(examination.search).over
    told = _told(examination) if over else {}
    places = []
    for position, candidate in enumerate(in_order(examination), start=1):
        finding, gone = findings.get(candidate.pk), candidate.forgotten_at is not None
        places.append(
            Place(
                position=position,
                gone=gone,
                conclusion=finding.conclusion if finding else "",
                notes=finding.notes if finding and not gone else "",
                worksheet=finding.worksheet if finding and not gone else {},
                saved_at=finding.saved_at if finding else None,
                told=told.get(candidate.pk),
            )
        )
    return Sheet(examination, places, over)


def _told(mine: Examination) -> dict[UUID, Told]:
    """By candidate. To be asked only when the examination of the search is over."""
    others = concluded(mine.search).exclude(pk=mine.pk)
    found: dict[UUID, list[Finding]] = {}
    for examination in [mine, *others]:
        for finding in examination.findings.all():
            found.setdefault(finding.candidate_id, []).append(finding)
    measured = calibration.of_search(mine.search)
    return {
        candidate.pk: Told(
            rank=candidate.rank,
            score=candidate.score,
            false_positives=measured.at(candidate.score),
            others=[one.label for one in found.get(candidate.pk, []) if one.examination_id != mine.pk],
            rating=fused([one.rating for one in found.get(candidate.pk, [])]),
        )
        for candidate in mine.search.candidates.all()
    }


# --- the investigator --------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExaminationState:
    """How far the examination of a search is. Names no examiner, and before it is over no result."""

    examiners_needed: int  # three where two disagreed
    concluded: int
    candidates: int  # who need a finding; tombstones do not count
    over: bool
    result: str | None  # "lead", "no_lead", or None until it is over
    concluded_at: datetime.datetime | None  # of the last examination; None too where there was nobody to examine


def examination_state(search: Search) -> ExaminationState:
    return examination_states([search])[search.pk]


def examination_states(searches: Iterable[Search]) -> dict[UUID, ExaminationState]:
    """For a list of searches, in five queries. A finished search with nobody on its list is over: no lead. Whoever is
    sealed may come back, so a search with nobody else on its list only waits."""
    searches = list(searches)
    ids = [search.pk for search in searches]
    alive: dict[UUID, int] = dict(
        Candidate.objects.filter(search__in=ids, forgotten_at__isnull=True)
        .order_by()
        .values_list("search")
        .annotate(Count("pk"))
    )
    ends = {
        row["search"]: row
        for row in Examination.objects.concluded()
        .filter(search__in=ids)
        .order_by()
        .values("search")
        .annotate(concluded=Count("pk"), last=Max("concluded_at"))
    }
    thirds = set(Adjudication.objects.filter(search__in=ids).values_list("search", flat=True))
    leads = set(Lead.objects.filter(search__in=ids).values_list("search", flat=True))
    sealed = set(
        probes.SealedPlace.objects.filter(candidate__search__in=ids).values_list("candidate__search", flat=True)
    )
    states = {}
    for search in searches:
        concluded, last = (ends[search.pk]["concluded"], ends[search.pk]["last"]) if search.pk in ends else (0, None)
        left, needed = alive.get(search.pk, 0), MOST if search.pk in thirds else FEWEST
        over = search.state == Search.State.DONE and (concluded >= needed or (left == 0 and search.pk not in sealed))
        states[search.pk] = ExaminationState(
            examiners_needed=needed,
            concluded=concluded,
            candidates=left,
            over=over,
            result=("lead" if search.pk in leads else "no_lead") if over else None,
            concluded_at=last if over else None,
        )
    return states


def lead_of(search: Search) -> Lead | None:
    """The lead, withdrawn or not; None where the examination is not over or ended without one."""
    return Lead.objects.filter(search=search).first()


@dataclass(frozen=True)
class Rank:
    """A place on the candidate list once the examination is over: no identity."""

    rank: int
    score: float | None
    false_positives: FalsePositives | None  # at that score; None where it isn't calibrated
    gone: bool  # expunged or sealed
    sealed: bool
    is_lead: bool
    conclusions: list[str]  # labels, in the order in which the examinations were concluded
    rating: float | None  # fused, -3 to 3; None where nobody rated


def list_of(search: Search) -> list[Rank]:
    """What became of everybody on the list; empty until the examination is over."""
    if not examination_state(search).over:
        return []
    lead, measured = lead_of(search), calibration.of_search(search)
    found = [
        {finding.candidate_id: finding for finding in examination.findings.all()}
        for examination in concluded(search).prefetch_related("findings")
    ]
    return [
        Rank(
            rank=candidate.rank,
            score=candidate.score,
            false_positives=measured.at(candidate.score),
            gone=candidate.forgotten_at is not None,
            sealed=hasattr(candidate, "sealed_place"),
            is_lead=lead is not None and lead.candidate_id == candidate.pk,
            conclusions=[of[candidate.pk].label if candidate.pk in of else "" for of in found],
            rating=fused([of[candidate.pk].rating for of in found if candidate.pk in of]),
        )
        for candidate in search.candidates.select_related("sealed_place").order_by("rank")
    ]


def last_score(ranks: list[Rank]) -> float | None:
    """The lowest that is still known; None where nothing may be told, or nobody is left."""
    return min((rank.score for rank in ranks if rank.score is not None), default=None)


@dataclass(frozen=True)
class Confirmation:
    """What one examination said of a lead. The examiner's name is in the audit and the disclosure, not here."""

    conclusion: str
    confirms: bool  # False of the one that two others outvoted
    notes: str
    worksheet: list[Row]  # drawn on the candidate: in shares of the whole photograph
    concluded_at: datetime.datetime | None


@dataclass(frozen=True)
class Sibling:
    """Another photo of the person, and what became of it in this search (RULES 10)."""

    number: int  # what its image is asked for by, from 1
    rank: int | None  # among photos; None: did not return
    score: float | None
    booking: Booking


@dataclass(frozen=True)
class LeadSheet:
    """Everything a lead says. `person`, `booking` and `siblings` are empty once it was withdrawn."""

    lead: Lead
    person: Person | None
    booking: Booking | None
    confirmations: list[Confirmation]
    ranks: list[Rank]
    siblings: list[Sibling]

    @property
    def last_score(self) -> float | None:
        return last_score(self.ranks)

    @property
    def place(self) -> Rank | None:
        """Of the lead on the list."""
        return next((rank for rank in self.ranks if rank.is_lead), None)

    @property
    def rating(self) -> float | None:
        """Of the lead, fused."""
        return self.place.rating if self.place else None

    @property
    def false_positives(self) -> FalsePositives | None:
        """At the score of the lead."""
        return self.place.false_positives if self.place else None


def lead_sheet(lead: Lead) -> LeadSheet:
    candidate = Candidate.objects.select_related("person", "photo__booking").get(pk=lead.candidate_id)
    gone = candidate.forgotten_at is not None
    shown = lead.withdrawn_at is None and not gone
    findings = Finding.objects.filter(candidate=candidate, examination__in=Examination.objects.concluded())
    confirmations = [
        Confirmation(
            conclusion=finding.label,
            confirms=finding.examination_id in (lead.first_id, lead.second_id),
            notes="" if gone else finding.notes,
            worksheet=[] if gone else _rows(finding.worksheet, candidate.photo),
            concluded_at=finding.examination.concluded_at,
        )
        for finding in findings.select_related("examination").order_by("examination__concluded_at")
    ]
    return LeadSheet(
        lead=lead,
        person=candidate.person if shown else None,
        booking=candidate.photo.booking if shown and candidate.photo else None,
        confirmations=confirmations,
        ranks=list_of(lead.search),
        siblings=_siblings(candidate) if shown else [],
    )


def _rows(worksheet: Worksheet, photo: Photo | None) -> list[Row]:
    return rows_on(worksheet, examined(photo), (photo.width, photo.height)) if photo else rows(worksheet)


def _siblings(candidate: Candidate) -> list[Sibling]:
    photos = candidate.siblings.select_related("photo__booking")
    return [Sibling(number, one.rank, one.score, one.photo.booking) for number, one in enumerate(photos, start=1)]


def concluded(search: Search) -> ExaminationQuerySet:
    """Its two or three examinations, in the order in which they were concluded."""
    found: ExaminationQuerySet = Examination.objects.concluded().filter(search=search)
    return found.order_by("concluded_at", "claimed_at")
