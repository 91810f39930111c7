"""Claiming, finding, concluding, giving back."""

import datetime
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from mugsearch.accounts.models import ExaminerCertificate, Role, User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, MugsearchError, NotAllowed, WrongState
from mugsearch.probes import sharing
from mugsearch.probes.models import Search
from mugsearch.vault import services as vault
from reviews import pictures, queries, services, tasks
from reviews.models import Examination, Finding, Lead
from reviews.order import in_order
from tests.factories import AgencyFactory, UserFactory, examiner, investigator
from tests.reviews.arrange import (
    DIFFERENT,
    SAME,
    candidate,
    claim,
    examine,
    find,
    finished_search,
    forget,
    position_of,
    store_images,
)

pytestmark = pytest.mark.django_db


def supervisor(**kwargs: Any) -> User:
    return UserFactory(roles=[Role.SUPERVISOR], **kwargs)


def expire(user: User) -> None:
    yesterday = timezone.localdate() - datetime.timedelta(days=1)
    ExaminerCertificate.objects.filter(examiner=user).update(expires_on=yesterday)


# --- what waits -------------------------------------------------------------------------------------


def test_finished_searches_wait_oldest_first():
    now = timezone.now()
    newer = finished_search(finished_at=now)
    older = finished_search(finished_at=now - datetime.timedelta(hours=1))
    finished_search(state="queued", finished_at=None)

    user = examiner()

    assert list(queries.awaiting_examination(by=user)) == [older, newer]
    queue = queries.queue_of(user)
    assert (queue.waiting, queue.oldest) == (2, older.finished_at)


def test_a_search_waits_until_two_people_hold_it():
    search = finished_search()
    first, second, third = examiner(), examiner(), examiner()

    claim(first, search)
    assert list(queries.awaiting_examination(by=second)) == [search]
    claim(second, search)
    assert list(queries.awaiting_examination(by=third)) == []
    with pytest.raises(WrongState):
        services.claim_next(by=third)


def test_nobody_is_offered_a_search_of_their_own_or_of_a_case_they_are_on():
    both = [Role.INVESTIGATOR, Role.EXAMINER]
    submitter = UserFactory(roles=both, certified=True)
    requester = UserFactory(roles=both, certified=True)
    colleague = UserFactory(roles=both, certified=True)
    search = finished_search(
        requested_by=requester, probe__submitted_by=submitter, probe__case__members=[investigator(), colleague]
    )

    for person in (submitter, requester, colleague):
        assert not queries.awaiting_examination(by=person).exists()
        with pytest.raises(WrongState):
            services.claim_next(by=person)
    assert queries.awaiting_examination(by=examiner()).get() == search


def test_an_examiner_of_another_agency_is_offered_nothing():
    finished_search()
    stranger = examiner(agency=AgencyFactory(code="shelbyville"))

    assert not queries.awaiting_examination(by=stranger).exists()
    with pytest.raises(WrongState):
        services.claim_next(by=stranger)


def test_a_search_without_candidates_needs_no_examination():
    search = finished_search(candidates=0)

    assert not queries.awaiting_examination(by=examiner()).exists()
    state = queries.examination_state(search)
    assert (state.over, state.result, state.concluded) == (True, "no_lead", 0)


def test_only_a_certified_examiner_may_claim():
    search = finished_search()
    lapsed, unfit = examiner(), investigator()
    expire(lapsed)

    for person in (lapsed, unfit):
        assert not queries.awaiting_examination(by=person).exists()
        with pytest.raises(NotAllowed):
            services.claim_next(by=person)
    assert services.claim_next(by=examiner()).search == search


def test_what_one_gave_back_is_offered_again_after_everything_else():
    old, new = finished_search(), finished_search()
    user = examiner()

    given_back = services.claim_next(by=user)
    assert given_back.search == old
    services.release(by=user, examination=given_back)

    assert services.claim_next(by=user).search == new
    again = services.claim_next(by=user)
    assert again.search == old
    assert again.pk != given_back.pk
    with pytest.raises(WrongState):
        services.claim_next(by=user)


# --- findings ---------------------------------------------------------------------------------------


def test_a_finding_can_be_changed_until_one_concludes():
    search, user = finished_search(candidates=2), examiner()
    mine = claim(user, search)

    find(user, mine, candidate(search, 1), SAME, "scar at the left brow")
    find(user, mine, candidate(search, 1), DIFFERENT, "no scar after all")
    assert services.exclude_remaining(by=user, examination=mine) == 1
    services.conclude(by=user, examination=mine)

    assert Finding.objects.get(candidate=candidate(search, 1)).notes == "no scar after all"
    with pytest.raises(WrongState):
        find(user, mine, candidate(search, 1), SAME)
    with pytest.raises(WrongState):
        services.exclude_remaining(by=user, examination=mine)
    with pytest.raises(WrongState):
        services.release(by=user, examination=mine)


def test_nobody_writes_into_somebody_elses_examination():
    search, user, other = finished_search(), examiner(), examiner()
    mine = claim(user, search)

    with pytest.raises(NotAllowed):
        find(other, mine, candidate(search), SAME)
    with pytest.raises(NotAllowed):
        services.exclude_remaining(by=other, examination=mine)
    with pytest.raises(NotAllowed):
        services.conclude(by=other, examination=mine)
    with pytest.raises(NotAllowed):
        services.release(by=other, examination=mine)
    find(user, mine, candidate(search), SAME)


@pytest.mark.parametrize(
    ("position", "conclusion", "notes"),
    [(0, SAME, ""), (4, SAME, ""), (1, "certain", ""), (1, SAME, "x" * 4001), (1, SAME, "a\x00b")],
)
def test_a_finding_that_makes_no_sense_is_refused(position: int, conclusion: str, notes: str):
    search, user = finished_search(candidates=3), examiner()
    mine = claim(user, search)

    with pytest.raises(BadInput):
        services.save_finding(by=user, examination=mine, position=position, conclusion=conclusion, notes=notes)
    assert not mine.findings.exists()


def test_every_living_candidate_needs_a_finding_and_a_tombstone_needs_none():
    search, user = finished_search(candidates=3), examiner()
    mine = claim(user, search)
    places = {one.pk: position_of(mine, one) for one in search.candidates.all()}
    find(user, mine, candidate(search, 1), DIFFERENT)
    find(user, mine, candidate(search, 2), DIFFERENT)

    with pytest.raises(WrongState, match="1 candidate needs"):
        services.conclude(by=user, examination=mine)
    forget(candidate(search, 3))
    assert {one.pk: place for place, one in enumerate(in_order(mine), start=1)} == places
    with pytest.raises(WrongState):
        find(user, mine, candidate(search, 3), DIFFERENT)
    services.conclude(by=user, examination=mine)
    assert mine.state == Examination.State.CONCLUDED


def test_a_certificate_that_lapsed_while_examining_stops_concluding_but_not_giving_back():
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    services.exclude_remaining(by=user, examination=mine)
    expire(user)

    with pytest.raises(NotAllowed):
        services.conclude(by=user, examination=mine)
    services.release(by=user, examination=mine)
    assert queries.awaiting_examination(by=examiner()).get() == search


def test_whoever_is_put_on_the_case_while_examining_can_only_give_back():
    search = finished_search(candidates=2)
    both = UserFactory(roles=[Role.INVESTIGATOR, Role.EXAMINER], certified=True)
    mine = claim(both, search)
    find(both, mine, candidate(search, 1), SAME)
    sharing.share(by=search.probe.submitted_by, case=search.probe.case, username=both.username)

    for step in (
        lambda: find(both, mine, candidate(search, 2), SAME),
        lambda: services.exclude_remaining(by=both, examination=mine),
        lambda: services.conclude(by=both, examination=mine),
        lambda: pictures.candidate_examined(by=both, examination=mine, position=1, thumb=True),
        lambda: pictures.probe_examined(by=both, examination=mine),
    ):
        with pytest.raises(NotAllowed, match="case you are on"):
            step()
    services.release(by=both, examination=mine)
    assert queries.awaiting_examination(by=examiner()).get() == search


# --- hoarding, and what nobody goes on with ------------------------------------------------------------


def test_one_examiner_holds_three_examinations_and_no_more():
    searches, user = [finished_search() for _ in range(5)], examiner()
    held = [services.claim_next(by=user) for _ in range(3)]

    with pytest.raises(WrongState, match="hold 3 examinations"):
        services.claim_next(by=user)
    services.release(by=user, examination=held[0])
    assert services.claim_next(by=user).search == searches[3]


def test_a_supervisor_frees_the_place_of_somebody_who_is_gone():
    search, gone, boss = finished_search(), examiner(), supervisor()
    mine = claim(gone, search)
    claim(examiner(), search)
    find(gone, mine, candidate(search), SAME)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    third = examiner()
    assert not queries.awaiting_examination(by=third).exists()

    services.free(by=boss, examination=mine)

    assert (mine.state, mine.findings.count()) == ("released", 1)
    assert services.claim_next(by=third).search == search
    entry = Entry.objects.get(act="examination.freed")
    assert (entry.actor, entry.outcome, entry.object_id, entry.case) == (
        boss.pk,
        "done",
        str(mine.pk),
        search.probe.case_id,
    )
    assert entry.details == {"examiner": str(gone.pk)}
    with pytest.raises(WrongState):
        services.free(by=boss, examination=mine)


def test_only_a_supervisor_of_the_agency_who_is_not_on_the_case_frees_what_others_hold():
    search, user = finished_search(), UserFactory(roles=[Role.SUPERVISOR, Role.EXAMINER], certified=True)
    mine = claim(user, search)
    on_the_case = UserFactory(roles=[Role.SUPERVISOR, Role.INVESTIGATOR])
    search.probe.case.members.add(on_the_case)
    elsewhere = supervisor(agency=AgencyFactory(code="shelbyville"))

    for person in (examiner(), investigator(), on_the_case, elsewhere, user):
        assert not queries.open_to(person).exists()
        with pytest.raises(NotAllowed):
            services.free(by=person, examination=mine)
    mine.refresh_from_db()
    assert mine.state == "claimed"
    assert queries.open_to(supervisor()).get() == mine


def test_what_is_concluded_is_freed_by_nobody():
    search = finished_search()
    done = examine(examiner(), search)
    with pytest.raises(WrongState):
        services.free(by=supervisor(), examination=done)


# --- the record -----------------------------------------------------------------------------------------


def test_every_step_leaves_an_entry_under_the_case_and_none_tells_the_conclusions():
    search, user, other = finished_search(candidates=2), examiner(), examiner()
    case = search.probe.case_id
    mine = claim(user, search)
    find(user, mine, candidate(search, 1), SAME, "tattoo")
    services.exclude_remaining(by=user, examination=mine)
    services.conclude(by=user, examination=mine)
    examine(other, search, same=(1,))
    with pytest.raises(WrongState):
        services.conclude(by=user, examination=mine)

    entries = list(Entry.objects.filter(case=case).order_by("number"))
    assert [(entry.act, entry.outcome) for entry in entries] == [
        ("examination.claimed", "done"),
        ("finding.saved", "done"),
        ("finding.rest-excluded", "done"),
        ("examination.concluded", "done"),
        ("examination.claimed", "done"),
        ("finding.saved", "done"),
        ("finding.rest-excluded", "done"),
        ("examination.concluded", "done"),
        ("examination.concluded", "refused"),
    ]
    assert entries[1].details == {"candidate": str(candidate(search, 1).pk)}
    assert entries[3].details.keys() == {"search", "findings"}
    assert entries[7].details["lead"] == str(Lead.objects.get().pk)
    told = " ".join(str(entry.details) for entry in entries)
    assert not any(word in told for word in ("same", "different", "tattoo"))


# --- at the same moment -----------------------------------------------------------------------------------


def at_once(acts: list[Callable[[], object]]) -> list[object]:
    """What each act returned, or the refusal it raised; anything else fails the test."""
    answers: list[object] = [None] * len(acts)
    gate = threading.Barrier(len(acts))

    def run(place: int) -> None:
        try:
            gate.wait()
            answers[place] = acts[place]()
        except MugsearchError as error:
            answers[place] = error
        except Exception as error:  # noqa: BLE001  # shown by the assertion of the test
            answers[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.django_db(transaction=True)
def test_of_fifty_who_conclude_at_once_one_wins_and_all_are_recorded():
    search, user = finished_search(candidates=2), examiner()
    mine = claim(user, search)
    services.exclude_remaining(by=user, examination=mine)

    def conclude() -> str:
        own = Examination.objects.select_related("search__probe").get(pk=mine.pk)
        services.conclude(by=User.objects.get(pk=user.pk), examination=own)
        return "won"

    answers = at_once([conclude] * 50)

    assert answers.count("won") == 1
    assert sum(isinstance(answer, WrongState) for answer in answers) == 49
    recorded = Entry.objects.filter(act="examination.concluded")
    assert recorded.filter(outcome="done").count() == 1
    assert recorded.filter(outcome="refused").count() == 49


@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_the_last_place_at_once_one_gets_it():
    search = finished_search()
    claim(examiner(), search)
    people = [examiner() for _ in range(6)]

    answers = at_once(
        [lambda person=person: services.claim_next(by=User.objects.get(pk=person.pk)) for person in people]
    )

    assert sum(isinstance(answer, Examination) for answer in answers) == 1
    assert sum(isinstance(answer, WrongState) for answer in answers) == 5
    assert search.examinations.held().count() == 2


@pytest.mark.django_db(transaction=True)
def test_one_examiner_who_claims_many_at_once_gets_three():
    for _ in range(6):
        finished_search(candidates=1)
    user = examiner()

    answers = at_once([lambda: services.claim_next(by=User.objects.get(pk=user.pk))] * 6)

    assert sum(isinstance(answer, Examination) for answer in answers) == 3
    assert sum(isinstance(answer, WrongState) for answer in answers) == 3


@pytest.mark.django_db(transaction=True)
def test_many_who_ask_for_the_next_at_once_share_the_queue_without_gaps():
    for _ in range(3):
        finished_search(candidates=1)
    people = [examiner() for _ in range(8)]

    answers = at_once(
        [lambda person=person: services.claim_next(by=User.objects.get(pk=person.pk)) for person in people]
    )

    assert sum(isinstance(answer, Examination) for answer in answers) == 6
    assert sum(isinstance(answer, WrongState) for answer in answers) == 2
    assert all(search.examinations.count() == 2 for search in Search.objects.all())


@pytest.mark.django_db(transaction=True)
def test_two_last_conclusions_at_the_same_moment_make_one_lead():
    search, people = finished_search(candidates=2), [examiner(), examiner()]
    for person in people:
        mine = claim(person, search)
        find(person, mine, candidate(search, 1), SAME)
        services.exclude_remaining(by=person, examination=mine)

    def conclude(person: User) -> Callable[[], object]:
        own = Examination.objects.select_related("search__probe").get(examiner=person)
        return lambda: services.conclude(by=User.objects.get(pk=person.pk), examination=own)

    assert at_once([conclude(person) for person in people]) == [None, None]
    assert Lead.objects.count() == 1


# --- photographs ----------------------------------------------------------------------------------------


def test_what_an_examiner_looks_at_is_made_before_and_once(monkeypatch: pytest.MonkeyPatch):
    search, user = finished_search(candidates=2), examiner()
    store_images(search)
    tasks.prepare_views(str(search.pk))
    mine = claim(user, search)
    monkeypatch.setattr(pictures.images, "read_png", None)  # nothing is decoded any more
    for thumb in (True, False):
        assert pictures.probe_examined(by=user, examination=mine, thumb=thumb)[:2] == b"\xff\xd8"
        assert pictures.candidate_examined(by=user, examination=mine, position=1, thumb=thumb)[:2] == b"\xff\xd8"


def test_a_view_that_is_made_while_its_booking_is_expunged_is_not_left_behind(monkeypatch: pytest.MonkeyPatch):
    search = finished_search(candidates=1)
    store_images(search)
    photo = candidate(search).photo
    assert photo
    write = vault.store_view

    def expunged_before_it_is_written(*arguments: Any) -> None:
        write(*arguments)
        if arguments[0] == photo.booking_id:
            vault.destroy_key(photo.booking_id)  # and the files were removed just before

    monkeypatch.setattr(vault, "store_view", expunged_before_it_is_written)
    tasks.prepare_views(str(search.pk))
    assert not vault.has_file(photo.pk)


def test_looking_keeps_no_view_so_that_times_tell_nothing_of_who_looked_before():
    search, user = finished_search(candidates=1), examiner()
    store_images(search)
    mine, photo = claim(user, search), candidate(search).photo
    assert photo
    pictures.candidate_examined(by=user, examination=mine, position=1, thumb=True)
    assert vault.read_view(photo.booking_id, photo.pk, "thumb") is None
