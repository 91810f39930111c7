"""However several examiners claim, draft, conclude, give back and lose claims, the rules of an examination hold."""

import datetime
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from mugsearch.accounts.models import ExaminerCertificate
from mugsearch.errors import NotAllowed, WrongState
from mugsearch.probes.models import Search
from reviews import queries, services
from reviews.models import Adjudication, Examination, Finding, Lead
from reviews.order import in_order
from tests.factories import AgencyFactory, examiner
from tests.reviews.arrange import FILLED, finished_search, forget

PEOPLE, SEARCHES, CANDIDATES = range(4), range(2), range(2)
POSITIVE = 2


class Life(RuleBasedStateMachine):
    """Beside the database runs a model of it: who holds which search, what they said so far, who is left."""

    @initialize()
    def begin(self) -> None:
        agency = AgencyFactory(code=uuid4().hex[:12])
        self.people = [examiner(agency=agency) for _ in PEOPLE]
        self.searches = [
            finished_search(len(CANDIDATES), probe__case__agency=agency, positive_rating=POSITIVE) for _ in SEARCHES
        ]
        self.candidates = {search.pk: list(search.candidates.order_by("rank")) for search in self.searches}
        self.said: dict[tuple[UUID, int], dict[UUID, int | None]] = {}  # of what is held: graded candidates
        self.locked: dict[tuple[UUID, int], dict[UUID, str]] = {}  # of what is concluded: as PostgreSQL had it then
        self.alive = {search.pk: {one.pk for one in self.candidates[search.pk]} for search in self.searches}
        self.revoked: set[int] = set()

    # --- what people do

    @rule(who=st.sampled_from(PEOPLE))
    def claim(self, who: int) -> None:
        user = self.people[who]
        offered = list(queries.awaiting_examination(by=user))
        if who in self.revoked or not offered or self._held_by(who) == services.OPEN_AT_ONCE:
            with pytest.raises(NotAllowed if who in self.revoked else WrongState):
                services.claim_next(by=user)
            return
        mine = services.claim_next(by=user)
        assert mine.search == offered[0]
        assert (mine.search_id, who) not in self.said
        self.said[mine.search_id, who] = {}

    @rule(
        who=st.sampled_from(PEOPLE),
        which=st.sampled_from(SEARCHES),
        one=st.sampled_from(CANDIDATES),
        said=st.sampled_from(["", "-3", "0", "1", "2", "3", "no_conclusion"]),
        worksheet=st.sampled_from([None, FILLED, {}]),
    )
    def save(self, who: int, which: int, one: int, said: str, worksheet: Any) -> None:
        search = self.searches[which]
        candidate = self.candidates[search.pk][one]
        examination = self._latest(who, search)
        if examination is None:
            return
        arguments = {"by": self.people[who], "examination": examination, "conclusion": said, "worksheet": worksheet}
        arguments["saved_at"] = self._saved(examination).get(candidate.pk)
        position = [other.pk for other in in_order(examination)].index(candidate.pk) + 1
        open_to_me = self._is_open(who, search) and who not in self.revoked
        if not (open_to_me and candidate.pk in self.alive[search.pk]):
            with pytest.raises((WrongState, NotAllowed)):
                services.save_finding(**arguments, position=position)
            return
        services.save_finding(**arguments, position=position)
        mine = self.said[search.pk, who]
        mine.pop(candidate.pk, None)
        if said:
            mine[candidate.pk] = Finding.rating_of(said)

    @rule(who=st.sampled_from(PEOPLE), which=st.sampled_from(SEARCHES))
    def exclude(self, who: int, which: int) -> None:
        search = self.searches[which]
        if self._is_open(who, search) and who not in self.revoked:
            examination = self._latest(who, search)
            places = {candidate.pk: place for place, candidate in enumerate(in_order(examination), start=1)}
            drafts = {places[pk]: at for pk, at in self._saved(examination).items()}
            services.exclude_remaining(by=self.people[who], examination=examination, drafts=drafts)
            for candidate in self.alive[search.pk] - set(self.said[search.pk, who]):
                self.said[search.pk, who][candidate] = -3

    @rule(who=st.sampled_from(PEOPLE), which=st.sampled_from(SEARCHES))
    def conclude(self, who: int, which: int) -> None:
        search = self.searches[which]
        examination = self._latest(who, search)
        if examination is None:
            return
        sheets = {one.candidate_id: one.worksheet for one in examination.findings.all()}
        mine = self.said.get((search.pk, who), {})
        ready = (
            self._is_open(who, search)
            and who not in self.revoked
            and self.alive[search.pk] <= set(mine)
            and all(
                sheets[one] == FILLED
                for one, rating in mine.items()
                if one in self.alive[search.pk] and rating is not None and rating > 0
            )
        )
        if not ready:
            with pytest.raises((WrongState, NotAllowed)):
                services.conclude(by=self.people[who], examination=examination)
            return
        services.conclude(by=self.people[who], examination=examination)
        self.locked[search.pk, who] = self._stored(examination)

    @rule(who=st.sampled_from(PEOPLE), which=st.sampled_from(SEARCHES))
    def give_back(self, who: int, which: int) -> None:
        search = self.searches[which]
        if self._is_open(who, search):
            services.release(by=self.people[who], examination=self._latest(who, search))
            del self.said[search.pk, who]

    @rule()
    def a_day_goes_by(self) -> None:
        later = timezone.now() + datetime.timedelta(hours=25)
        with patch.object(timezone, "now", lambda: later):
            services.expire_claims()
        for held in [held for held in self.said if held not in self.locked]:
            del self.said[held]

    @rule(which=st.sampled_from(SEARCHES), one=st.sampled_from(CANDIDATES))
    def somebody_is_expunged(self, which: int, one: int) -> None:
        search = self.searches[which]
        candidate = self.candidates[search.pk][one]
        if candidate.pk in self.alive[search.pk]:
            forget(candidate)
            self.alive[search.pk].remove(candidate.pk)

    @rule(who=st.sampled_from(PEOPLE))
    def a_certificate_is_revoked(self, who: int) -> None:
        ExaminerCertificate.objects.filter(examiner=self.people[who]).update(revoked_at=timezone.now())
        self.revoked.add(who)

    # --- what always holds

    @invariant()
    def two_people_hold_a_search_and_a_third_only_after_they_disagreed(self) -> None:
        for search in self._begun():
            places = 3 if Adjudication.objects.filter(search=search).exists() else 2
            held = list(Examination.objects.held().filter(search=search).values_list("examiner", flat=True))
            assert len(held) == len(set(held)) <= places
            assert set(held) == {self.people[who].pk for pk, who in self.said if pk == search.pk}
            concluded = [self._named(pk, who) for pk, who in self.locked if pk == search.pk]
            if places == 3:
                assert concluded[0] != concluded[1] or len(concluded[0]) > 1

    @invariant()
    def what_is_concluded_stays(self) -> None:
        for (pk, who), before in self.locked.items() if self._begun() else ():
            examination = Examination.objects.concluded().get(search=pk, examiner=self.people[who])
            assert self._stored(examination) == before

    @invariant()
    def a_lead_is_who_two_named_alone(self) -> None:
        for search in self._begun():
            named = [self._named(pk, who) for pk, who in self.locked if pk == search.pk]
            lead = Lead.objects.filter(search=search).first()
            if lead:
                assert named.count(frozenset([lead.candidate_id])) == 2
            state = queries.examination_state(search)
            assert state.concluded == len(named)
            assert state.over == (len(named) >= state.examiners_needed or not self.alive[search.pk])

    # --- the model

    def _begun(self) -> list[Search]:
        return getattr(self, "searches", [])

    def _latest(self, who: int, search: Search) -> Examination | None:
        mine = Examination.objects.filter(search=search, examiner=self.people[who])
        return mine.order_by("claimed_at").last()

    @staticmethod
    def _saved(examination: Examination) -> dict[Any, Any]:
        """As a window that has just been loaded knows it."""
        return dict(examination.findings.values_list("candidate", "saved_at"))

    def _is_open(self, who: int, search: Search) -> bool:
        return (search.pk, who) in self.said and (search.pk, who) not in self.locked

    def _held_by(self, who: int) -> int:
        return sum(self._is_open(who, search) for search in self.searches)

    def _named(self, search: UUID, who: int) -> frozenset[UUID]:
        said = self.said[search, who]
        return frozenset(one for one, rating in said.items() if rating is not None and rating >= POSITIVE)

    @staticmethod
    def _stored(examination: Examination) -> dict[UUID, str]:
        return {one.candidate_id: f"{one.conclusion} {one.worksheet}" for one in examination.findings.all()}


@pytest.mark.django_db
def test_the_rules_of_an_examination_hold_through_any_life() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
