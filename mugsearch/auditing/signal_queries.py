"""One function for each misuse signal: what it counts is what is written here, and nothing else.

Each takes the thresholds of the policy, and the start and the end of the day it is asked of. Known-answer trials are
in none of them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from statistics import median
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet
from django.db.models.functions import ExtractHour
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry, Outcome
from mugsearch.gallery import identity
from mugsearch.gallery.models import Booking, Person
from mugsearch.probes.models import Candidate, Case, Probe, Search
from mugsearch.trials.models import CASE_NUMBERS
from mugsearch.vault.digests import keyed
from reviews.models import Examination

MOST = 50  # ids kept of what a sighting rests on
WEEK, QUARTER = timedelta(days=7), timedelta(days=90)
CASEWORK = ("probe.submitted", "probe.edited", "search.requested", "search.viewed", "candidate.viewed", "lead.viewed")
LOOKS = ("search.viewed", "probe.viewed", "candidate.viewed", "lead.viewed", "lineup.viewed", "lineup.photo-viewed")


@dataclass(frozen=True)
class Row:
    count: int
    actor: UUID | None = None
    other: UUID | None = None
    case: UUID | None = None
    search: UUID | None = None
    usual: float | None = None
    about: str = ""  # tells two rows apart, and is digested only
    searches: tuple[UUID, ...] = ()


def casework(since: datetime, before: datetime) -> QuerySet[Search]:
    found: QuerySet[Search] = Search.objects.casework().filter(requested_at__gte=since, requested_at__lt=before)
    return found.order_by()


def done(acts: Iterable[str], since: datetime, before: datetime) -> QuerySet[Entry]:
    found: QuerySet[Entry] = Entry.objects.filter(at__gte=since, at__lt=before, act__in=acts, outcome=Outcome.DONE)
    trials = Case.objects.filter(number__in=CASE_NUMBERS).values("pk")
    return found.filter(actor__isnull=False).exclude(case__in=trials).order_by()


def many_searches_on_one_case(rules: dict[str, int], start: datetime, end: datetime) -> Iterator[Row]:
    """Cases searched on this day, with at least `case_searches` in the seven days that end with it."""
    week = casework(end - WEEK, end).filter(probe__case__in=casework(start, end).values("probe__case"))
    counts = week.values_list("probe__case").annotate(found=Count("pk")).filter(found__gte=rules["case_searches"])
    for case, count in counts:
        yield Row(count, case=case, searches=_latest(week.filter(probe__case=case)))


def old_case_used_again(rules: dict[str, int], start: datetime, end: datetime) -> Iterator[Row]:
    """Cases that are searched on this day, and were not for `old_case_days` before; nor opened in that time."""
    today = casework(start, end)
    asked = today.values_list("probe__case", "requested_by", "pk", "requested_at").order_by("requested_at")
    first: dict[UUID, tuple[UUID, UUID, datetime]] = {}
    for case, who, search, at in asked:
        first.setdefault(case, (who, search, at))
    before = Search.objects.casework().filter(requested_at__lt=start, probe__case__in=first).order_by()
    for case, last in before.values_list("probe__case").annotate(last=Max("requested_at")):
        who, search, at = first[case]
        if (days := (at - last).days) >= rules["old_case_days"]:
            yield Row(days, actor=who, case=case, search=search, searches=(search,))


def same_booking_under_different_cases(rules: dict[str, int], start: datetime, end: datetime) -> Iterator[Row]:
    """People whose searches of 90 days list one booking first in at least `same_face_cases` cases, the last today."""
    firsts = Candidate.objects.filter(rank=1, photo__isnull=False, search__trial=None)
    firsts = firsts.filter(search__requested_at__gte=end - QUARTER, search__requested_at__lt=end)
    today = firsts.filter(search__requested_at__gte=start).values_list("photo__booking", "search__requested_by")
    wanted = set(today)
    cases: defaultdict[tuple[UUID, UUID], set[UUID]] = defaultdict(set)
    searches: defaultdict[tuple[UUID, UUID], list[UUID]] = defaultdict(list)
    rows = firsts.filter(photo__booking__in={booking for booking, _ in wanted}).order_by("search__requested_at")
    for booking, who, case, search in rows.values_list(
        "photo__booking", "search__requested_by", "search__probe__case", "search"
    ):
        cases[booking, who].add(case)
        searches[booking, who].append(search)
    for booking, who in wanted:
        if (count := len(cases[booking, who])) >= rules["same_face_cases"]:
            of = searches[booking, who]
            # By its first search and not by the booking: what is kept must not lead to whoever is expunged.
            yield Row(count, actor=who, about=str(of[0]), searches=tuple(of[-MOST:]))


def same_file_under_different_cases(rules: dict[str, int], start: datetime, end: datetime) -> Iterator[Row]:
    """Files uploaded on this day that were uploaded under another case in the 90 days before, by anybody."""
    probes = Probe.objects.filter(trial_photo=None, submitted_at__gte=end - QUARTER, submitted_at__lt=end).order_by()
    today = probes.filter(submitted_at__gte=start).values_list("sha256", "submitted_by", "pk", "case")
    latest = {sha256: (who, probe, case) for sha256, who, probe, case in today.order_by("submitted_at", "pk")}
    counts = probes.filter(sha256__in=latest).values_list("sha256").annotate(found=Count("case", distinct=True))
    for sha256, count in counts.filter(found__gte=2):
        who, probe, case = latest[sha256]
        yield Row(count, actor=who, case=case, about=str(probe))


def night_work(rules: dict[str, int], start: datetime, end: datetime) -> Iterator[Row]:
    """People with at least `night_acts` acts of casework at night on this day, who did at most `night_percent` of
    theirs at night in the 90 days before, of at least `night_baseline`. Examiners' looks are casework, too."""
    hour = {"hour": ExtractHour("at", tzinfo=timezone.get_current_timezone())}
    since, until = rules["night_from"], rules["night_to"]
    night = Q(hour__gte=since) | Q(hour__lt=until) if since > until else Q(hour__gte=since, hour__lt=until)
    today = done(CASEWORK, start, end).annotate(**hour).filter(night).values_list("actor").annotate(found=Count("pk"))
    counts = dict(today.filter(found__gte=rules["night_acts"]))
    before = done(CASEWORK, start - QUARTER, start).filter(actor__in=counts).annotate(**hour).values_list("actor")
    for who, at_night, of in before.annotate(at_night=Count("pk", filter=night), of=Count("pk")):
        if of >= rules["night_baseline"] and at_night * 100 <= of * rules["night_percent"]:
            yield Row(counts[who], actor=who, usual=round(100 * at_night / of, 1), about=start.date().isoformat())


def views_without_a_search(rules: dict[str, int], start: datetime, end: datetime) -> Iterator[Row]:
    """People who looked at a case at least `views_without_search` times in seven days, the last time today, and asked
    for none of its searches in 90 days."""
    looks = done(LOOKS, end - WEEK, end).filter(case__isnull=False).exclude(details__has_key="examination")
    looks = looks.exclude(actor__in=User.objects.filter(grants__role__in=["auditor", "supervisor"]).values("pk"))
    counts = looks.values_list("actor", "case").annotate(found=Count("pk"), last=Max("at"))
    found = list(counts.filter(found__gte=rules["views_without_search"], last__gte=start))
    cases = {case for _, case, _, _ in found}
    asked = casework(end - QUARTER, end).filter(probe__case__in=cases).values_list("requested_by", "probe__case")
    searched = set(asked)
    for who, case, count, _ in found:
        if (who, case) not in searched:
            yield Row(count, actor=who, case=case)


def above_own_median(rules: dict[str, int], start: datetime, end: datetime) -> Iterator[Row]:
    """People with more than `median_times` the median of their own weeks, and at least `median_least`, searches in the
    seven days that end with this one. The weeks are the twelve before; those without a search are left out."""
    counts: defaultdict[UUID, Counter[int]] = defaultdict(Counter)
    asked = casework(end - 13 * WEEK, end).filter(requested_by__in=casework(start, end).values("requested_by"))
    for who, at in asked.values_list("requested_by", "requested_at"):
        counts[who][(end - at) // WEEK if at < end else 0] += 1
    for who, weeks in counts.items():
        now, before = weeks.pop(0, 0), list(weeks.values())
        if len(before) < rules["median_weeks"] or now < rules["median_least"]:
            continue
        if now > rules["median_times"] * (usual := median(before)):
            mine = casework(end - WEEK, end).filter(requested_by=who)
            yield Row(now, actor=who, usual=usual, searches=_latest(mine))


def pair_too_often(rules: dict[str, int], start: datetime, end: datetime) -> Iterator[Row]:
    """Pairs of examiners of one agency who examined at least `pair_least` searches of 90 days together, at least
    `pair_times` as often as chance has it and three standard deviations above it. Only what both have concluded."""
    concluded = Examination.objects.concluded().filter(search__trial=None, concluded_at__lt=end)
    concluded = concluded.filter(concluded_at__gte=end - QUARTER).order_by("search", "concluded_at")
    by_search: defaultdict[tuple[UUID, UUID], list[UUID]] = defaultdict(list)
    for agency, search, who in concluded.values_list("search__probe__case__agency", "search", "examiner"):
        by_search[agency, search].append(who)
    together: defaultdict[UUID, Counter[tuple[UUID, ...]]] = defaultdict(Counter)
    for (agency, _), people in by_search.items():
        if len(people) >= 2:
            together[agency][tuple(sorted(people[:2]))] += 1  # a third examiner is called, not chosen
    for pairs in together.values():
        searches = sum(pairs.values())
        each: Counter[UUID] = Counter()
        for pair, count in pairs.items():
            each.update(dict.fromkeys(pair, count))
        for (one, other), count in pairs.items():
            usual = _chance(each[one], each[other], searches)
            often = count >= max(rules["pair_least"], rules["pair_times"] * usual)
            if often and count > usual + 3 * sqrt(usual):
                yield Row(count, actor=one, other=other, usual=round(usual, 1))


def _chance(one: int, other: int, searches: int) -> float:
    """How many of the searches two people share, if the second examiner is drawn by how much each examines."""
    return one * other / 2 * (1 / (2 * searches - one) + 1 / (2 * searches - other))


def self_or_colleague(rules: dict[str, int], start: datetime, end: datetime) -> Iterator[Row]:
    """Searches of this day whose list has somebody of an employee's name first, and people opened by records staff
    who have one. By person acting; whose name it is leaves this function in no way."""
    staff = {_name(user) for user in User.objects.people().values_list("full_name", flat=True)} - {()}
    counts: Counter[UUID] = Counter()
    searches: defaultdict[UUID, list[UUID]] = defaultdict(list)
    firsts = Candidate.objects.filter(rank=1, person__isnull=False, search__in=casework(start, end))
    for first in firsts.select_related("person", "search"):
        if first.person and _is_of(first.person, staff):
            counts[first.search.requested_by_id] += 1
            searches[first.search.requested_by_id].append(first.search_id)
    opened = done(("person.viewed", "booking.viewed"), start, end).values_list("actor", "object_type", "object_id")
    looked = set(opened)
    people = Person.objects.in_bulk([UUID(pk) for _, kind, pk in looked if kind == "gallery.person"])
    shown = [UUID(pk) for _, kind, pk in looked if kind == "gallery.booking"]
    people |= {one.pk: one.person for one in Booking.objects.filter(pk__in=shown).select_related("person")}
    of = {pk for pk, person in people.items() if _is_of(person, staff)}
    counts.update(who for who, _, pk in looked if who and pk and UUID(pk) in of)
    for who, count in counts.items():
        yield Row(count, actor=who, about=start.date().isoformat(), searches=tuple(searches[who][:MOST]))


def _is_of(person: Person, staff: set[tuple[str, ...]]) -> bool:
    if not person.is_readable:
        return False
    family, given = identity.words(person.family_name), identity.words(person.given_names)[:1]
    return bool(family and given) and tuple(sorted((*family, *given))) in staff


def _name(full_name: str) -> tuple[str, ...]:
    """Its first and its last words, in no order: people write either first."""
    said = identity.words(full_name)
    return tuple(sorted((said[0], *said[-1:]))) if len(said) > 1 else ()


def random_sample(rules: dict[str, int], start: datetime, end: datetime) -> Iterator[Row]:
    """Of the searches of this day `random_percent`, by a keyed digest of their ids."""
    for pk, who, case in casework(start, end).values_list("pk", "requested_by", "probe__case"):
        if int(keyed("mugsearch random review", pk.bytes)[:8], 16) * 100 < rules["random_percent"] << 32:
            yield Row(1, actor=who, case=case, search=pk, searches=(pk,))


def _latest(searches: QuerySet[Search]) -> tuple[UUID, ...]:
    return tuple(searches.order_by("-requested_at").values_list("pk", flat=True)[:MOST])
