"""Misuse signals: each points at what it says and at nothing else, and the random sample can't be chosen."""

import datetime
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.auditing import drawing, signal_queries, signals
from mugsearch.auditing.models import Draw, Sighting
from mugsearch.errors import WrongState
from mugsearch.probes import policy, signal_rules
from mugsearch.probes.models import Case, Search
from mugsearch.trials.models import CASE_NUMBERS
from reviews.models import Examination
from tests import factories
from tests.factories import CandidateFactory, CaseFactory, PersonFactory, PhotoFactory, ProbeFactory, SearchFactory
from tests.triggers import as_owner, past_the_triggers

pytestmark = pytest.mark.django_db(transaction=True)

RULES = {name: default for name, (_, _, default) in signal_rules.RULES.items()}
DAY = datetime.date(2026, 6, 10)  # a Wednesday
START, END = (datetime.datetime(2026, 6, day, tzinfo=datetime.UTC) for day in (10, 11))
NOON = START + datetime.timedelta(hours=12)
HOUR, A_DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


def asked(name: str, **rules: int) -> list[signal_queries.Row]:
    return list(signals.BY_NAME[name].query(RULES | rules, START, END))


def searched(at: datetime.datetime, case: Case | None = None, **kwargs: Any) -> Search:
    case = case or CaseFactory()
    return SearchFactory(probe=ProbeFactory(case=case, submitted_at=at), requested_at=at, **kwargs)


def entry(act: str, by: User, at: datetime.datetime, **kwargs: Any) -> Entry:
    made = audit.record(act, by=by, **kwargs)
    with past_the_triggers():
        Entry.objects.filter(pk=made.pk).update(at=at)
    return made


def test_many_searches_on_one_case_are_pointed_at() -> None:
    case, other = CaseFactory(), CaseFactory()
    found = [searched(NOON - step * HOUR, case) for step in range(3)]
    searched(NOON, other)
    searched(NOON - 8 * A_DAY, case)
    (row,) = asked("case-searches", case_searches=3)
    assert (row.case, row.count, set(row.searches)) == (case.pk, 3, {one.pk for one in found})
    assert asked("case-searches", case_searches=4) == []


def test_an_old_case_number_used_again_is_pointed_at() -> None:
    old, fresh = CaseFactory(), CaseFactory()
    searched(NOON - 400 * A_DAY, old)
    searched(NOON - 300 * A_DAY, fresh)
    again = searched(NOON, old)
    searched(NOON, fresh)
    (row,) = asked("old-case")
    assert (row.case, row.actor, row.search, row.count) == (old.pk, again.requested_by_id, again.pk, 400)


def test_the_same_booking_first_under_different_cases_is_pointed_at_for_one_person_only() -> None:
    who, photo, elsewhere = factories.investigator(), PhotoFactory(), PhotoFactory()
    for step in range(3):
        CandidateFactory(search=searched(NOON - step * A_DAY, CaseFactory(opened_by=who)), rank=1, photo=photo)
        CandidateFactory(search=searched(NOON - step * A_DAY), rank=1, photo=elsewhere)  # by three people
    (row,) = asked("same-face")
    assert (row.actor, row.count, len(row.searches)) == (who.pk, 3, 3)


def test_the_same_file_under_different_cases_is_pointed_at() -> None:
    ProbeFactory(submitted_at=NOON - A_DAY, sha256="a" * 64)
    again = ProbeFactory(submitted_at=NOON, sha256="a" * 64)
    ProbeFactory(submitted_at=NOON, sha256="b" * 64, case=again.case)
    ProbeFactory(submitted_at=NOON - HOUR, sha256="b" * 64, case=again.case)
    (row,) = asked("same-file")
    assert (row.actor, row.case, row.count) == (again.submitted_by_id, again.case_id, 2)


def test_night_work_is_pointed_at_only_out_of_ones_own_pattern() -> None:
    lark, owl = factories.investigator(), factories.investigator()
    for step in range(1, 11):
        entry("search.requested", lark, NOON - step * A_DAY)
        entry("search.requested", owl, START - step * A_DAY + HOUR)
    for who in (lark, owl):
        for minute in range(3):
            entry("search.requested", who, START + HOUR + datetime.timedelta(minutes=minute))
    rows = asked("night-work", night_acts=3, night_baseline=10)
    assert [(row.actor, row.count, row.usual) for row in rows] == [(lark.pk, 3, 0.0)]
    assert asked("night-work", night_acts=3, night_baseline=11) == []  # no pattern yet


def test_the_night_is_that_of_the_installations_clock(settings: Any) -> None:
    who = factories.investigator()
    for step in range(1, 11):
        entry("search.requested", who, NOON - step * A_DAY)
    entry("search.requested", who, START + 3 * HOUR)
    settings.TIME_ZONE = "Asia/Tokyo"  # there it is noon
    assert asked("night-work", night_acts=1, night_baseline=10) == []
    settings.TIME_ZONE = "UTC"
    assert len(asked("night-work", night_acts=1, night_baseline=10)) == 1


def test_views_without_a_search_are_pointed_at() -> None:
    curious, working, case = factories.investigator(), factories.investigator(), CaseFactory()
    searched(NOON - 20 * A_DAY, CaseFactory(opened_by=working))
    searched(NOON - 20 * A_DAY, case, requested_by=working)
    for who in (curious, working, factories.auditor()):
        for step in range(3):
            entry("search.viewed", who, NOON + step * HOUR, case=case.pk)
    examining = factories.examiner()
    for _ in range(3):
        entry("candidate.viewed", examining, NOON, case=case.pk, examination=str(uuid4()))
    rows = asked("views-without-search", views_without_search=3)
    assert [(row.actor, row.case, row.count) for row in rows] == [(curious.pk, case.pk, 3)]


def test_more_than_three_times_ones_own_median_is_pointed_at() -> None:
    who, steady = factories.investigator(), factories.investigator()
    mine, theirs = CaseFactory(opened_by=who), CaseFactory(opened_by=steady)
    for week in range(1, 5):
        searched(NOON - week * 7 * A_DAY, mine)
        for _ in range(4):
            searched(NOON - week * 7 * A_DAY, theirs)
    for _ in range(4):
        searched(NOON, mine)
        searched(NOON, theirs)
    (row,) = asked("own-median", median_least=4)
    assert (row.actor, row.count, row.usual) == (who.pk, 4, 1)
    assert asked("own-median", median_least=5) == []
    assert asked("own-median", median_least=4, median_times=4) == []


def pairs(*together: tuple[User, User, int]) -> None:
    rows = []
    for one, other, times in together:
        for _ in range(times):
            search = SearchFactory(requested_at=NOON)
            rows += [
                Examination(search=search, examiner=who, state="concluded", claimed_at=NOON, concluded_at=NOON)
                for who in (one, other)
            ]
    with past_the_triggers():
        Examination.objects.bulk_create(rows)


def test_an_examiner_pair_together_more_often_than_chance_is_pointed_at() -> None:
    a, b, c, d = (factories.examiner() for _ in range(4))
    pairs((a, b, 14), (c, d, 14), (a, c, 1), (b, d, 1))
    found = {frozenset((row.actor, row.other)): row for row in asked("pair")}
    assert set(found) == {frozenset((a.pk, b.pk)), frozenset((c.pk, d.pk))}
    assert found[frozenset((a.pk, b.pk))].usual == 5.0  # 15 and 15 of 30


def test_two_examiners_who_are_the_only_ones_are_no_signal() -> None:
    a, b = factories.examiner(), factories.examiner()
    pairs((a, b, 40))
    assert asked("pair") == []


def test_a_search_of_oneself_or_a_colleague_is_pointed_at_without_saying_of_whom() -> None:
    who = factories.investigator(full_name="Ana María O'Brien")
    colleague = PersonFactory(family_name="obrien", given_names="Ána Lucia")
    photo = PhotoFactory(booking__person=colleague)
    search = searched(NOON, CaseFactory(opened_by=who))
    CandidateFactory(search=search, rank=1, photo=photo)
    CandidateFactory(search=searched(NOON), rank=2, photo=photo)
    CandidateFactory(search=searched(NOON), rank=1)
    (row,) = asked("self-or-colleague")
    assert (row.actor, row.count, row.searches) == (who.pk, 1, (search.pk,))
    assert str(colleague.pk) not in str(row)
    assert str(photo.booking_id) not in str(row)


def test_records_staff_who_open_a_colleague_are_pointed_at() -> None:
    clerk = factories.clerk(full_name="Rita Records")
    entry("person.viewed", clerk, NOON, obj=PersonFactory(family_name="Records", given_names="Rita"))
    entry("person.viewed", clerk, NOON, obj=PersonFactory(family_name="Somebody", given_names="Else"))
    (row,) = asked("self-or-colleague")
    assert (row.actor, row.count) == (clerk.pk, 1)


def test_the_random_sample_is_the_same_each_time_and_about_as_large_as_the_policy_says() -> None:
    case = CaseFactory()
    probe = ProbeFactory(case=case)
    like = SearchFactory(probe=probe, requested_at=NOON)
    fields = {f.attname: getattr(like, f.attname) for f in Search._meta.concrete_fields if f.name != "id"}
    Search.objects.bulk_create([Search(**fields) for _ in range(2000)])
    first, second = (sorted(str(row.search) for row in asked("random", random_percent=10)) for _ in range(2))
    assert first == second
    assert 140 < len(first) < 260
    assert len(asked("random", random_percent=100)) == 2001


def test_who_does_not_hold_the_key_cant_foresee_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(40):
        searched(NOON)
    before = {row.search for row in asked("random", random_percent=50)}
    monkeypatch.setattr("mugsearch.vault.services.digest_key", lambda: b"x" * 32)
    assert {row.search for row in asked("random", random_percent=50)} != before


def test_trials_are_in_no_signal() -> None:
    hidden = CaseFactory(number=CASE_NUMBERS[0])
    who = factories.examiner()
    for step in range(5):
        entry("search.viewed", who, NOON, case=hidden.pk, step=step)
        entry("candidate.viewed", who, START + HOUR, case=hidden.pk, step=step)
    for step in range(1, 60):
        entry("candidate.viewed", who, NOON - step * A_DAY)
    assert asked("views-without-search", views_without_search=2) == []
    assert asked("night-work", night_acts=2) == []


def test_a_day_is_drawn_once_and_what_was_drawn_stays() -> None:
    searched(NOON)
    version = policy.current()
    drawn = drawing.draw(DAY)
    assert (drawn.searches, drawn.policy_digest) == (1, version.digest)
    recorded = Entry.objects.filter(act="signals.drawn", outcome="done").get()
    assert recorded.details["day"] == "2026-06-10"
    with pytest.raises(WrongState, match="already"):
        drawing.draw(DAY)
    with pytest.raises(WrongState, match="isn't over"):
        drawing.draw(timezone.localdate())
    for change in (
        "UPDATE auditing_draw SET searches = 0",
        "DELETE FROM auditing_draw",
        "TRUNCATE auditing_draw CASCADE",
    ):
        with as_owner(), pytest.raises(IntegrityError), connection.cursor() as cursor:
            cursor.execute(change)


def test_one_signal_points_at_the_same_thing_once_a_week() -> None:
    case = CaseFactory()
    for step in range(25):
        searched(NOON - step * HOUR / 10, case)
    searched(NOON + A_DAY, case)
    drawing.draw(DAY)
    drawing.draw(DAY + A_DAY)
    assert Sighting.objects.filter(signal="case-searches").count() == 1
    for change in ("UPDATE auditing_sighting SET count = 0", "DELETE FROM auditing_sighting"):
        with as_owner(), pytest.raises(IntegrityError), connection.cursor() as cursor:
            cursor.execute(change)


def test_killed_half_way_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    for step in range(25):
        searched(NOON - step * HOUR / 10)

    def killed(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Sighting.objects, "bulk_create", killed)
    with pytest.raises(KeyboardInterrupt):
        drawing.draw(DAY)
    assert not Draw.objects.exists()
    monkeypatch.undo()
    assert drawing.draw(DAY).searches == 25


def test_days_missed_are_made_good_for() -> None:
    yesterday = timezone.localdate() - A_DAY
    drawing.draw(yesterday - 3 * A_DAY)
    assert drawing.draw_due() == [yesterday - 2 * A_DAY, yesterday - A_DAY, yesterday]
    assert drawing.draw_due() == []


def test_no_row_of_the_desk_holds_the_id_of_a_booking_a_person_or_a_photograph() -> None:
    who = factories.investigator(full_name="Rita Records")
    photo = PhotoFactory(booking__person=PersonFactory(family_name="Records", given_names="Rita"))
    for step in range(3):
        CandidateFactory(search=searched(NOON - step * HOUR, CaseFactory(opened_by=who)), rank=1, photo=photo)
    drawing.draw(DAY)
    assert {"same-face", "self-or-colleague"} <= set(Sighting.objects.values_list("signal", flat=True))
    kept = str(list(Sighting.objects.values()))
    for pk in (photo.pk, photo.booking_id, photo.booking.person_id):
        assert str(pk) not in kept
