"""Claiming, finding, concluding, giving back, freeing, expiring. What two or three conclusions come to is decided in
`decision` and done here.

Locks are taken in one order: gallery.locks.writing, the examiner's row, the search's row, the examination's row.
"""

import datetime
import hmac
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import locks
from mugsearch.probes import policy
from mugsearch.probes.models import Candidate, Membership, Search
from mugsearch.probes.tasks import have_views_prepared
from mugsearch.validators import require_text
from reviews import queries
from reviews.decision import Outcome, decide
from reviews.models import Adjudication, Examination, Finding, Lead
from reviews.order import candidate_at, in_order
from reviews.worksheet import Worksheet, cleaned

NO_CERTIFICATE = "Your examiner certificate is not valid today. An administrator can record a new one."
NOTHING_WAITS = "Nothing waits for you at the moment."
ENDED = {
    "": "This examination was concluded already.",
    Examination.Release.GIVEN_BACK: "This examination was given back already.",
    Examination.Release.FREED: "A supervisor has given this examination back to the queue.",
    Examination.Release.EXPIRED: "Nobody worked on this examination in time, so it went back to the queue.",
}


# When the findings were saved that somebody knows of, by the candidate's position in one's own order.
SavedAt = Mapping[int, datetime.datetime]


class Outdated(WrongState):
    """`stored` is newer than what the examiner had in front of them, and says something else."""

    code = "outdated"

    def __init__(self, position: int, stored: Finding) -> None:
        super().__init__(f"Candidate {position} was saved meanwhile in another window. Look at both, and keep one.")
        self.position, self.stored = position, stored


# Claimed at a time: room to put a hard one aside and go on, too little to keep a queue from the others.
OPEN_AT_ONCE = 3


def claim_next(*, by: User) -> Examination:
    """Take a place on the first search that waits for this person. Work is offered, not chosen."""
    with audit.act("examination.claimed", by=by) as act:
        require(by, Role.EXAMINER)
        _require_certificate(by)
        _lock_examiner(by)  # two clicks wait for each other
        if by.examinations.filter(state=Examination.State.CLAIMED).count() >= OPEN_AT_ONCE:
            raise WrongState(f"You hold {OPEN_AT_ONCE} examinations. Conclude one or give one back first.")
        search = _first_still_waiting(by)
        examination = Examination.objects.create(search=search, examiner=by)
        act.obj, act.case = examination, search.probe.case_id
        act.note(search=str(search.pk))
        # Again, should the message of the search have been lost, or the search be from before there were views.
        have_views_prepared(search.pk)
    return examination


def save_finding(
    *,
    by: User,
    examination: Examination,
    position: int,
    conclusion: str | None = None,
    notes: str | None = None,
    worksheet: Worksheet | None = None,
    saved_at: datetime.datetime | None = None,
) -> Finding:
    """What one concluded on the candidate at this position of one's own order, or a draft of it. May be changed until
    one concludes. What is None stays as it was saved before.

    `saved_at`: of what the examiner changes, None where they know of nothing. Raises Outdated when that isn't what is
    stored, so that no window overwrites what another one saved. The same again is no change: an answer may get lost.
    """
    with audit.act("finding.saved", by=by, obj=examination, case=_case_of(examination)) as act:
        locks.writing()  # before the chain: at the commit PostgreSQL looks at the candidate, which a purge may hold
        mine = _claimed(by, examination)
        candidate = candidate_at(mine, position)
        act.note(candidate=str(candidate.pk))
        if candidate.forgotten_at:
            raise WrongState("This candidate was expunged or sealed and needs no conclusion.")
        if conclusion and conclusion not in Finding.Conclusion.values:
            raise BadInput("Choose one of the conclusions.")
        refusal = f"Notes are text of up to {Finding.NOTES_LIMIT} characters."
        require_text(notes or "", most=Finding.NOTES_LIMIT, refusal=refusal)
        given = {
            "conclusion": conclusion,
            "notes": notes,
            "worksheet": None if worksheet is None else cleaned(worksheet),
        }
        said = {name: value for name, value in given.items() if value is not None}
        stored = mine.findings.filter(candidate=candidate).first()
        if stored and all(getattr(stored, name) == value for name, value in said.items()):
            return stored
        if stored and stored.saved_at != saved_at:
            raise Outdated(position, stored)
        now = {**said, "saved_at": timezone.now()}
        finding, _ = Finding.objects.update_or_create(examination=mine, candidate=candidate, defaults=now)
    return finding


def exclude_remaining(*, by: User, examination: Examination, drafts: SavedAt | None = None) -> int:
    """Strong support for different people, for every candidate without a conclusion. Returns for how many.

    `drafts`: those the examiner knows of. A draft that they haven't seen so is left, for somebody works on it in
    another window.
    """
    with audit.act("finding.rest-excluded", by=by, obj=examination, case=_case_of(examination)) as act:
        locks.writing()
        mine = _claimed(by, examination)
        unknown = _saved_unknown_to(drafts or {}, mine)
        remaining = list(_remaining(mine).exclude(pk__in=unknown))
        for candidate in remaining:  # a draft keeps its notes
            said = {"conclusion": Finding.EXCLUDED, "saved_at": timezone.now()}
            Finding.objects.update_or_create(examination=mine, candidate=candidate, defaults=said)
        act.note(candidates=len(remaining))
    return len(remaining)


def release(*, by: User, examination: Examination) -> None:
    """Give it back to the queue. Needs no certificate: whoever lost theirs has to be able to give back."""
    with audit.act("examination.released", by=by, obj=examination, case=_case_of(examination)):
        mine = _lock_own(by, examination)
        _give_back(mine, Examination.Release.GIVEN_BACK)
    examination.refresh_from_db()


def free(*, by: User, examination: Examination) -> None:
    """A supervisor gives back what somebody else holds and will not end: away, disabled, without a certificate."""
    with audit.act("examination.freed", by=by, obj=examination, case=_case_of(examination)) as act:
        require(by, Role.SUPERVISOR)
        held = Examination.objects.select_for_update(no_key=True, of=("self",)).get(pk=examination.pk)
        act.note(examiner=str(held.examiner_id))
        _require_open(held)
        if not Examination.objects.open_to(by).filter(pk=held.pk).exists():
            raise NotAllowed("You can free the examinations of other people of your agency, on cases you are not on.")
        _give_back(held, Examination.Release.FREED)
    examination.refresh_from_db()


def expire_claims() -> int:
    """Give back to the queue what nobody has worked on for the policy's hours. Returns how many."""
    return sum(map(_expire, list(queries.idle().values_list("pk", flat=True))))


def _expire(pk: UUID) -> bool:
    with transaction.atomic(durable=True):
        held = Examination.objects.select_for_update(no_key=True, of=("self",)).get(pk=pk)
        if not queries.idle().filter(pk=pk).exists():  # a finding was saved, or it was concluded, in between
            return False
        _give_back(held, Examination.Release.EXPIRED)
        about = {"examiner": str(held.examiner_id), "hours": policy.current().claim_hours}
        audit.record("examination.expired", by=None, obj=held, case=_case_of(held), **about)
    return True


def conclude(*, by: User, examination: Examination, seen: SavedAt | None = None) -> None:
    """Lock one's findings for good. When it is the last one needed, a lead is released, the search ends without, or a
    third examiner is asked for.

    `seen`: when the findings were saved that the examiner has in front of them; a window that shows anything else than
    what would be locked locks nothing. None: not asked.

    The caller learns none of it: what another examiner found is nobody's to see here.
    """
    with audit.act("examination.concluded", by=by, obj=examination, case=_case_of(examination)) as act:
        locks.writing()
        _lock_examiner(by)  # whoever revokes the certificate waits for it
        _lock_search(examination.search_id)
        mine = _claimed(by, examination)
        left = _remaining(mine).count()
        if left:
            raise WrongState(f"{left} candidate{'s need' if left > 1 else ' needs'} a conclusion first.")
        if lacking := queries.sheet(mine).without_worksheet:
            raise WrongState(f"Fill in the worksheet of candidate {lacking[0]}: a positive conclusion needs it.")
        if seen is not None:
            require_seen(seen, mine)
        _move(mine, state=Examination.State.CONCLUDED, concluded_at=timezone.now())
        act.note(search=str(mine.search_id), findings=_digest(mine))
        act.note(**_settle(mine.search))
    examination.refresh_from_db()


def require_fit(by: User, examination: Examination) -> None:
    """Whoever goes on with an examination is certified today, has been an examiner all the while, and is still a
    stranger to the case: it may have been shared with them in between (RULES 12 to 14)."""
    _require_certificate(by)
    search, probe = examination.search, examination.search.probe
    if by.grants.filter(role=Role.EXAMINER, granted_at__gt=examination.claimed_at).exists():
        raise NotAllowed("You were made an examiner anew since you claimed this search. Give it back.")
    if by.pk in (search.requested_by_id, probe.submitted_by_id):
        raise NotAllowed("You can't examine a search of your own.")
    if Membership.objects.filter(user=by, case__probes__sha256=probe.sha256).exists():
        raise NotAllowed("You can't examine a search of a case you are on, or were, nor of an image of one.")
    if probe.case.agency_id != by.agency_id:
        raise NotAllowed("You can't examine a search of another agency.")


def _require_certificate(by: User) -> None:
    if not by.may_examine():
        raise NotAllowed(NO_CERTIFICATE)


def _require_open(examination: Examination) -> None:
    if examination.state != Examination.State.CLAIMED:
        raise WrongState(ENDED[examination.release])


def _first_still_waiting(by: User) -> Search:
    """Looked at again under the lock: somebody may have taken the last place since the list was read."""
    for search_id in list(queries.awaiting_examination(by=by).values_list("pk", flat=True)):
        before = transaction.savepoint()
        _lock_search(search_id)
        search: Search | None = queries.awaiting_examination(by=by).filter(pk=search_id).first()
        if search:
            return search
        transaction.savepoint_rollback(before)  # lets go of the row: two people may walk the list in two orders
    raise WrongState(NOTHING_WAITS)


def _lock_examiner(by: User) -> None:
    User.objects.select_for_update(no_key=True).get(pk=by.pk)


def _lock_search(search_id: UUID) -> None:
    """Whoever claims or concludes on this search waits for each other. Foreign keys to it are not held up."""
    Search.objects.select_for_update(no_key=True).get(pk=search_id)


def _lock_own(by: User, examination: Examination) -> Examination:
    require(by, Role.EXAMINER)
    mine = Examination.objects.select_for_update(no_key=True).get(pk=examination.pk)
    if mine.examiner_id != by.pk:
        raise NotAllowed("This is somebody else's examination.")
    _require_open(mine)
    return mine


def _claimed(by: User, examination: Examination) -> Examination:
    mine = _lock_own(by, examination)
    require_fit(by, mine)
    return mine


def _remaining(examination: Examination) -> QuerySet[Candidate]:
    concluded = examination.findings.exclude(conclusion="").values("candidate")
    return Candidate.objects.filter(search=examination.search_id, forgotten_at__isnull=True).exclude(pk__in=concluded)


def require_seen(known: SavedAt, examination: Examination) -> None:
    if _saved_unknown_to(known, examination):
        raise WrongState("Another window has saved findings that this one doesn't show. Load the page again first.")


def _saved_unknown_to(known: SavedAt, examination: Examination) -> list[UUID]:
    """The candidates still on record whose finding isn't the one that was known of."""
    stored = dict(examination.findings.values_list("candidate", "saved_at"))
    places = enumerate(in_order(examination), start=1)
    alive = [(position, one.pk) for position, one in places if not one.forgotten_at and one.pk in stored]
    return [pk for position, pk in alive if known.get(position) != stored[pk]]


def _give_back(examination: Examination, how: Examination.Release) -> None:
    _move(examination, state=Examination.State.RELEASED, release=how, released_at=timezone.now())


def _move(examination: Examination, **changes: Any) -> None:
    claimed = Examination.objects.filter(pk=examination.pk, state=Examination.State.CLAIMED)
    if claimed.update(**changes) != 1:
        raise WrongState("This examination has ended already.")


def _settle(search: Search) -> dict[str, Any]:
    """Do what the concluded examinations of a search come to; what of it the record has to hold."""
    concluded = list(queries.concluded(search).prefetch_related("findings"))
    if len(concluded) < queries.examination_state(search).examiners_needed:
        return {}
    decision = decide(
        [{finding.candidate_id: finding.rating for finding in one.findings.all()} for one in concluded],
        positive=search.positive_rating,
        alive=set(search.candidates.filter(forgotten_at__isnull=True).values_list("pk", flat=True)),
    )
    if decision.outcome is Outcome.THIRD_NEEDED:
        Adjudication.objects.create(search=search)
        return {"over": False, "outcome": decision.outcome.value}
    lead = None
    # A known-answer trial ends without one, whatever was found. Its examiners can't tell: a lead is nothing they see.
    if decision.by and decision.candidate and search.trial_id is None:
        first, second = (concluded[place] for place in decision.by)
        lead = Lead.objects.create(search=search, candidate_id=decision.candidate, first=first, second=second)
    return {"over": True, "outcome": decision.outcome.value, "lead": str(lead.pk) if lead else None}


def _digest(examination: Examination) -> str:
    """Proves later what was concluded; keyed, because twenty conclusions could be guessed from a plain digest.

    A disclosure bundle has the key, and its verify_bundle.py makes the digest anew: whoever changes this changes that.
    """
    said: list[list[Any]] = [
        [str(one.candidate_id), one.conclusion, one.notes, *([one.worksheet] if one.worksheet else [])]
        for one in examination.findings.all()
    ]
    said.sort(key=lambda one: one[0])
    return hmac.digest(bytes(examination.secret), json.dumps(said, sort_keys=True).encode(), "sha256").hex()


def _case_of(examination: Examination) -> UUID:
    return examination.search.probe.case_id
