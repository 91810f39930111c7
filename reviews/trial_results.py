"""What known-answer trials showed: of each examiner, of each pair, and to the examiner."""

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from mugsearch.accounts.models import ExaminerCertificate, Role, User
from mugsearch.probes import policy
from mugsearch.probes.models import Candidate
from mugsearch.trials.models import Trial
from reviews import proficiency
from reviews.decision import names
from reviews.models import Examination, Finding
from reviews.order import in_order
from reviews.proficiency import Agreement, Answer, Rate


@dataclass(frozen=True)
class Tried:
    """One concluded examination of a trial."""

    examination: Examination
    trial: Trial
    answer: Answer
    over: bool  # for everybody; until then it isn't held against the bar, for that would tell that it is a trial


@dataclass(frozen=True)
class Partner:
    examiner: User
    trials: int
    agreement: Agreement


@dataclass(frozen=True)
class Record:
    """Of one examiner, the newest trial first. "Now" is what is over, since they were last taken out."""

    examiner: User
    tried: list[Tried]
    since: datetime.datetime | None
    partners: list[Partner]
    overall: Agreement  # with everybody who examined the same trials
    certified: bool
    bar: policy.Policy

    @property
    def misses(self) -> Rate:
        return proficiency.misses([one.answer for one in self.tried])

    @property
    def false_leads(self) -> Rate:
        return proficiency.false_leads([one.answer for one in self.tried])

    @property
    def misses_now(self) -> Rate:
        return proficiency.misses(self._answers_now())

    @property
    def false_leads_now(self) -> Rate:
        return proficiency.false_leads(self._answers_now())

    @property
    def below_the_bar(self) -> bool:
        judged = self.bar.trials_judged
        return proficiency.below(self.misses_now, percent=self.bar.trial_misses, judged=judged) or proficiency.below(
            self.false_leads_now, percent=self.bar.trial_false_leads, judged=judged
        )

    @property
    def under_way(self) -> int:
        return sum(not one.over for one in self.tried)

    @property
    def of_kinds(self) -> list[tuple[str, Rate, Rate]]:
        """(kind, misses, false leads) of each kind that was tried."""
        found = []
        for kind in Trial.Kind:
            answers = [one.answer for one in self.tried if one.trial.kind == kind]
            if answers:
                found.append((str(kind.label), proficiency.misses(answers), proficiency.false_leads(answers)))
        return found

    def _answers_now(self) -> list[Answer]:
        over = [one for one in self.tried if one.over]
        return [one.answer for one in over if self.since is None or _concluded(one) > self.since]


def examiners_of(supervisor: User) -> QuerySet[User]:
    """Those of the agency who examine, or who did and have trials on record."""
    of_agency = User.objects.filter(agency=supervisor.agency_id)
    return of_agency.filter(
        Q(grants__role=Role.EXAMINER) | Q(pk__in=_trials_concluded(supervisor.agency_id).order_by().values("examiner"))
    ).distinct()


def of_agency(supervisor: User) -> list[Record]:
    """One record for each examiner, in the order of their names."""
    tried = _tried(_trials_concluded(supervisor.agency_id))
    return _records(examiners_of(supervisor).order_by("full_name"), tried)


def of_examiner(examiner: User) -> Record:
    """Their own, with those who examined the same trials."""
    shared = Trial.objects.filter(searches__examinations__examiner=examiner)
    return _records([examiner], _tried(_trials_concluded(examiner.agency_id).filter(search__trial__in=shared)))[0]


def told_to(examiner: User) -> Record:
    """What the examiner may know: of trials that are over for everybody, so that none under way is told."""
    shared = Trial.objects.filter(searches__examinations__examiner=examiner).exclude(pk__in=_under_way())
    return _records([examiner], _tried(_trials_concluded(examiner.agency_id).filter(search__trial__in=shared)))[0]


def of_trial(trial: Trial) -> list[Tried]:
    return _tried(Examination.objects.concluded().filter(search__trial=trial))


def tried_between(trials: QuerySet[Trial], start: datetime.datetime, end: datetime.datetime) -> list[Tried]:
    """What was concluded in a time of those of these trials that are over for everybody."""
    concluded = Examination.objects.concluded().filter(concluded_at__gte=start, concluded_at__lt=end)
    return _tried(concluded.filter(search__trial__in=trials.exclude(pk__in=_under_way())))


@dataclass(frozen=True)
class Answered:
    """What a trial was, for whoever concluded it. `position`: of the person in the examiner's own order."""

    kind: str
    position: int | None
    answer: Answer


def answer_of(examination: Examination) -> Answered | None:
    """None as long as it may not be told, which is also what casework gives, and in the same time."""
    over = Trial.objects.exclude(pk__in=_under_way()).filter(searches__examinations=examination.pk)
    trial = over.first()
    if trial is None or examination.state != Examination.State.CONCLUDED:
        return None
    (tried,) = _tried(Examination.objects.filter(pk=examination.pk))
    places = [candidate.pk for candidate in in_order(examination)]
    mate = tried.answer.mate
    return Answered(trial.get_kind_display(), places.index(mate) + 1 if mate else None, tried.answer)


@dataclass(frozen=True)
class Progress:
    """How far a trial is: examinations concluded of those it takes, and when the last of its searches is due."""

    trial: Trial
    concluded: int
    needed: int
    last_due: datetime.datetime | None


def progress_of(trials: Collection[Trial]) -> list[Progress]:
    counted = Trial.objects.filter(pk__in=[trial.pk for trial in trials]).order_by()
    counts = counted.annotate(
        queued=Count("searches", distinct=True),
        thirds=Count("searches__adjudication", distinct=True),
        done=Count(
            "searches__examinations",
            filter=Q(searches__examinations__state=Examination.State.CONCLUDED),
            distinct=True,
        ),
        due=Max("searches__finished_at"),
    ).in_bulk()
    found = []
    for trial in trials:
        count = counts[trial.pk]
        comes = count.due if count.due and count.due > timezone.now() else None
        found.append(Progress(trial, count.done, 2 * count.queued + count.thirds, comes))
    return found


def _under_way() -> QuerySet[Trial]:
    """Open, or held by somebody who may still end it."""
    held = Q(searches__examinations__state=Examination.State.CLAIMED)
    found: QuerySet[Trial] = Trial.objects.filter(Q(closed_at__isnull=True) | held)
    return found


def _trials_concluded(agency: UUID | None) -> QuerySet[Examination]:
    found: QuerySet[Examination] = Examination.objects.concluded().filter(search__trial__agency=agency)
    return found


def _tried(examinations: QuerySet[Examination]) -> list[Tried]:
    """The newest first, in five queries."""
    rows = list(
        examinations.distinct().select_related("examiner", "search__trial", "search__probe").order_by("-concluded_at")
    )
    ratings: dict[UUID, dict[UUID, int | None]] = {row.pk: {} for row in rows}
    for finding in Finding.objects.filter(examination__in=rows).only("examination", "candidate", "conclusion"):
        ratings[finding.examination_id][finding.candidate_id] = finding.rating
    listed: dict[UUID, dict[int, UUID]] = {}
    for pk, search, rank in Candidate.objects.filter(search__in={row.search_id for row in rows}).values_list(
        "pk", "search", "rank"
    ):
        listed.setdefault(search, {})[rank] = pk
    trials = [row.search.trial for row in rows if row.search.trial]
    under_way = set(_under_way().filter(pk__in=[trial.pk for trial in trials]).values_list("pk", flat=True))
    tried = []
    for row in rows:
        trial = row.search.trial
        if trial is None:
            continue
        ranks = listed.get(row.search_id, {})
        answer = Answer(
            named=names(ratings[row.pk], row.search.positive_rating),
            mate=ranks[trial.mate_rank] if trial.mate_rank else None,
            candidates=frozenset(ranks.values()),
        )
        tried.append(Tried(row, trial, answer, over=trial.pk not in under_way))
    return tried


def _records(examiners: Iterable[User], tried: list[Tried]) -> list[Record]:
    rules = policy.current()
    examiners = list(examiners)
    fit = set(User.objects.fit_to_examine().filter(pk__in=[one.pk for one in examiners]).values_list("pk", flat=True))
    since, by_search = _taken_out(examiners), dict[UUID, list[Tried]]()
    for one in tried:
        by_search.setdefault(one.examination.search_id, []).append(one)
    records = []
    for examiner in examiners:
        mine = [one for one in tried if one.examination.examiner_id == examiner.pk]
        pairs: dict[User, list[tuple[Answer, Answer]]] = {}
        for one in mine:
            for other in by_search[one.examination.search_id]:
                if other.examination.examiner_id != examiner.pk:
                    pairs.setdefault(other.examination.examiner, []).append((one.answer, other.answer))
        partners = [Partner(person, len(both), proficiency.agreement(both)) for person, both in pairs.items()]
        partners.sort(key=lambda partner: partner.examiner.full_name)
        overall = proficiency.agreement([pair for both in pairs.values() for pair in both])
        records.append(Record(examiner, mine, since.get(examiner.pk), partners, overall, examiner.pk in fit, rules))
    return records


def _taken_out(examiners: list[User]) -> dict[UUID, datetime.datetime]:
    """When each of those who ever were was last taken out of the queue."""
    revoked = ExaminerCertificate.objects.filter(examiner__in=examiners).exclude(revoked_reason="")
    return dict(revoked.order_by().values_list("examiner").annotate(Max("revoked_at")))


def _concluded(one: Tried) -> datetime.datetime:
    assert one.examination.concluded_at is not None  # noqa: S101  # PostgreSQL refuses a concluded one without a time
    return one.examination.concluded_at
