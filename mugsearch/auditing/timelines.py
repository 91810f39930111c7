"""What happened with one case, by one person, or around one booking, as sentences in the order in which it happened."""

from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from typing import Final
from uuid import UUID

from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry, Outcome
from mugsearch.auditing import queries, services
from mugsearch.auditing.queries import Filters
from mugsearch.gallery.models import Booking
from mugsearch.probes.models import Case

LOOKING: Final = (
    "viewed",
    "listed",
    "looked-up",
    "read",
    "timeline-read",
    "previewed",
    "opened",
    "photo-viewed",
    "image-viewed",
)

MOST_NAMED: Final = 50  # people whose names hold what was typed

# What the person did, after their name. Acts without one are read from their name: "search.repeat-requested" is
# "search: repeat requested".
SENTENCES: Final = {
    "probe.submitted": "uploaded a probe image",
    "probe.faces-found": "found the faces in a probe image",
    "probe.edited": "made an edited copy of a probe image",
    "probe.viewed": "looked at a probe image",
    "probe.erased": "erased a probe image by rule",
    "probe.aged-out": "found a probe image due to be erased",
    "search.requested": "asked for a search",
    "search.finished": "finished a search and wrote its candidate list",
    "search.failed": "gave a search up after its last try",
    "search.viewed": "looked at a search",
    "search.repeat-requested": "asked for a search to be repeated",
    "search.repeated": "repeated a search",
    "candidate.viewed": "looked at a candidate's photograph",
    "case.viewed": "opened the case",
    "case.shared": "put somebody on the case",
    "case.narrowed-after-restore": "put the case, after a restore, with whoever had it before",
    "case.priority-changed": "changed the priority of the case",
    "examination.claimed": "claimed a search to examine",
    "examination.viewed": "opened an examination",
    "examination.released": "gave an examination back",
    "examination.freed": "freed an examination that somebody held",
    "examination.expired": "put an examination back that nobody worked on",
    "examination.concluded": "concluded an examination",
    "finding.saved": "saved a finding",
    "finding.rest-excluded": "excluded all remaining candidates",
    "lead.viewed": "opened a lead",
    "lead.withdrawn": "withdrew a lead",
    "lead-outcome.recorded": "recorded what became of a lead",
    "evidence.recorded": "recorded independent evidence for a lead",
    "lineup.exported": "exported a line-up",
    "lineup.viewed": "looked at a line-up",
    "lineup.photo-viewed": "looked at a photograph of a line-up",
    "bundle.made": "made a disclosure bundle",
    "booking.viewed": "opened a booking",
    "booking.edited": "edited a booking",
    "person.viewed": "opened a person",
    "photo.image-viewed": "looked at a booking photograph",
    "photo.enrolled": "enrolled a booking photograph",
    "session.password-given": "gave the right password",
    "session.started": "signed in",
    "session.ended": "signed out",
    "page.opened": "opened a page",
    "audit.read": "read the record",
    "audit.timeline-read": "read a timeline",
    "audit.exported": "exported entries of the record",
    "audit.verified": "verified the record",
    "report.read": "read the yearly report",
    "review.read": "read a weekly review",
    "review.signed-off": "signed a week off",
    "sighting.remarked": "wrote a note on an item under review",
    "user.added": "added a user",
    "user.roles-set": "changed somebody's roles",
    "user.disabled": "disabled an account",
    "user.enabled": "enabled an account",
}
OUTCOMES: Final = {Outcome.REFUSED: "tried this and was refused: ", Outcome.FAILED: "tried this and it failed: "}


@dataclass(frozen=True)
class About:
    """What a timeline is of: `kind` is case, user or booking. A booking that was expunged or sealed has no object."""

    kind: str
    obj: Case | User | Booking | None
    filters: Filters

    @property
    def oldest_first(self) -> bool:
        return self.kind == "case"


@dataclass(frozen=True)
class Timeline:
    """Cut into pages as the record is. `entries` in the order they are read in; `hides`: something is left out."""

    page: queries.Page
    entries: list[Entry]
    with_looks: bool
    hides: bool


@dataclass(frozen=True)
class Step:
    entry: Entry
    who: str
    said: str
    case_number: str


@dataclass(frozen=True)
class Found:
    """What a number or a name leads to. `booking` is its id."""

    cases: list[Case]
    users: list[User]
    booking: UUID | None


def look_up(*, by: User, case: str = "", user: str = "", booking: str = "") -> Found:
    """From what an auditor knows to what timelines are of: by the first of the three that is given."""
    found = Found([], [], None)
    if case:
        cases = Case.objects.filter(pk__in=queries.cases_numbered(case)).select_related("agency")
        found = replace(found, cases=list(cases))
    elif user:
        users = User.objects.filter(pk__in=queries.people_named(user)[:MOST_NAMED]).select_related("agency")
        found = replace(found, users=list(users))
    elif booking and (known := queries.booking_numbered(booking)):
        audit.record("audit.looked-up", by=by, obj=known, found=1)
        return replace(found, booking=known.pk)
    if case or user or booking:
        shown = [str(one.pk) for one in (*found.cases, *found.users)]
        audit.record("audit.looked-up", by=by, shown=shown[:MOST_NAMED], found=len(shown))
    return found


def of_case(case: Case) -> About:
    return About("case", case, Filters(cases=(case.pk,)))


def of_user(user: User) -> About:
    return About("user", user, Filters(actors=(user.pk,)))


def of_booking(pk: UUID) -> About | None:
    """It never says whose booking it is. One that was expunged or sealed is only an id of the record."""
    found = Booking.objects.filter(pk=pk, sealed_at__isnull=True).first()
    about = About("booking", found, Filters(objects=queries.lookups_of(pk) if found else (str(pk),)))
    return about if found or about.filters.entries().exists() else None


def read(
    *, by: User, about: About, size: int, looks: bool = False, older: int | None = None, newer: int | None = None
) -> Timeline:
    """`looks`: with every mere look, too; of a booking there is nothing else. `older`, `newer`: than this entry."""
    filters = replace(about.filters, hidden=queries.hidden_from(by))
    services.read_timeline(by=by, of=about.kind, obj=about.obj, filters=filters)
    with_looks = looks or about.kind == "booking"
    if not with_looks:
        filters = replace(filters, acts=steps_only())
    if older is None and newer is None and about.oldest_first:
        newer = 0  # read from its beginning
    page = queries.page(filters, size=size, older_than=older, newer_than=newer)
    entries = page.entries[::-1] if about.oldest_first else page.entries
    return Timeline(page, entries, with_looks, hides=bool(filters.hidden))


def sentence(entry: Entry) -> str:
    thing, _, what = entry.act.partition(".")
    said = SENTENCES.get(entry.act, f"{thing.replace('-', ' ')}: {what.replace('-', ' ')}")
    if entry.act == "examination.concluded" and (outcome := entry.details.get("outcome")):
        said += f"; the search ended: {str(outcome).replace('_', ' ')}"
    if entry.act == "lead-outcome.recorded" and (outcome := entry.details.get("outcome")):
        said += f": {str(outcome).replace('_', ' ')}"
    return OUTCOMES.get(Outcome(entry.outcome), "") + said


def steps_only() -> tuple[str, ...]:
    """The acts that are more than a look, for `Filters.acts`."""
    return tuple(act for act in queries.acts() if act.partition(".")[2] not in LOOKING)


def by_day(entries: list[Entry]) -> list[tuple[date, list[Step]]]:
    days = groupby(steps_of(entries), lambda step: timezone.localtime(step.entry.at).date())
    return [(day, list(of)) for day, of in days]


def steps_of(entries: list[Entry]) -> list[Step]:
    people, cases = queries.names(entries)
    return [
        Step(
            entry,
            who=people.get(entry.actor, "An unknown account") if entry.actor else "The system",
            said=sentence(entry),
            case_number=cases.get(entry.case, "") if entry.case else "",
        )
        for entry in entries
    ]
