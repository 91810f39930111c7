"""What PostgreSQL refuses by itself, whoever writes: everything here goes round the services."""

from typing import Any

import pytest
from django.utils import timezone

from mugsearch.probes.models import Candidate, Probe, Repeat, Search
from tests.factories import (
    CandidateFactory,
    CaseFactory,
    PhotoFactory,
    ProbeFactory,
    SearchFactory,
    auditor,
    investigator,
)
from tests.reviews.test_database_rules import refused, sql

pytestmark = pytest.mark.django_db

TOMBSTONE: dict[str, Any] = {"person": None, "photo": None, "score": None}


def test_nobody_is_put_in_the_place_of_a_candidate():
    listed, other = CandidateFactory(rank=1), PhotoFactory()
    row = Candidate.objects.filter(pk=listed.pk)
    for change in (
        {"photo": other, "person": other.booking.person},
        {"score": 0.99},
        {"rank": 2},
        {"search": SearchFactory()},
        {"id": other.pk},
        {**TOMBSTONE, "forgotten_at": timezone.now(), "rank": 2},
        {**TOMBSTONE, "forgotten_at": timezone.now(), "search": SearchFactory()},
    ):
        with refused("nothing else of it changes"):
            row.update(**change)
    listed.refresh_from_db()
    assert listed.photo != other


def test_a_candidate_becomes_a_tombstone_once_and_for_good():
    listed = CandidateFactory()
    row = Candidate.objects.filter(pk=listed.pk)
    assert row.update(**TOMBSTONE, forgotten_at=timezone.now()) == 1
    for change in (
        {"photo": listed.photo, "person": listed.person, "score": 0.5, "forgotten_at": None},
        {"forgotten_at": timezone.now()},
    ):
        with refused("nothing else of it changes"):
            row.update(**change)


def test_no_candidate_is_deleted():
    CandidateFactory()
    with refused("never deleted"):
        sql("DELETE FROM probes_candidate")


@pytest.mark.parametrize(
    "table", ["probes_candidate", "probes_search", "probes_probe", "probes_probeedit", "probes_repeat"]
)
def test_no_table_that_leads_to_candidates_is_truncated(table: str):
    with refused("deleted"):
        sql(f"TRUNCATE {table} CASCADE")


def test_a_probe_stays_with_its_case_and_its_submitter():
    row = Probe.objects.filter(pk=ProbeFactory().pk)
    for change in ({"case": CaseFactory()}, {"submitted_by": investigator()}):
        with refused("a probe stays"):
            row.update(**change)
    assert row.update(state=Probe.State.FAILED) == 1


def test_a_search_stays_with_its_probe_and_its_requester():
    row = Search.objects.filter(pk=SearchFactory(state=Search.State.RUNNING).pk)
    for change in ({"probe": ProbeFactory()}, {"requested_by": investigator()}, {"face": 1}, {"list_size": 50}):
        with refused("a search stays"):
            row.update(**change)
    assert row.update(state=Search.State.DONE) == 1
    for change in ({"gallery_size": 1}, {"state": Search.State.QUEUED}):
        with refused("a finished one stays"):
            row.update(**change)


def test_what_a_search_was_narrowed_to_stays():
    row = Search.objects.filter(pk=SearchFactory(state=Search.State.QUEUED, filters={"sexes": ["F"]}).pk)
    with refused("a search stays"):
        row.update(filters={})


@pytest.mark.parametrize(
    "unproved",
    [{"scanned": None}, {"rescored": None}, {"depth": None}, {"scanned": 101}, {"rescored": 101}, {"rescored": 99}],
    ids=str,
)
def test_no_search_is_finished_without_what_proves_its_list(unproved: dict[str, Any]):
    with refused("finished_search"):
        SearchFactory(gallery_size=100, **unproved)
    SearchFactory(gallery_size=100, rescored=99, ceiling=0.25)


def test_a_repeat_stays_with_its_search_and_who_asked_and_one_that_has_ended_stays_as_it_is():
    repeat = Repeat.objects.create(search=SearchFactory(), requested_by=auditor())
    row = Repeat.objects.filter(pk=repeat.pk)
    for change in ({"search": SearchFactory()}, {"requested_by": auditor()}, {"requested_at": timezone.now()}):
        with refused("a repeat stays"):
            row.update(**change)
    with refused("finished_repeat"):
        row.update(state=Search.State.DONE)
    row.update(state=Search.State.FAILED, failure="The disk is gone.")
    for change in ({"state": Search.State.QUEUED}, {"failure": ""}):
        with refused("one that has ended stays"):
            row.update(**change)
    with refused("never deleted"):
        sql("DELETE FROM probes_repeat")
