"""An unsolved probe ages out: its image, edits and faces go; what was searched and found stays."""

import datetime
from collections.abc import Callable
from uuid import uuid4

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.engine import images
from mugsearch.errors import Unavailable, WrongState
from mugsearch.gallery import encoding, live
from mugsearch.probes import editing, policy, services
from mugsearch.probes.models import Candidate, Probe, ProbeEdit, Search
from mugsearch.retention import probe_erasing, sweeping, tasks
from mugsearch.retention.models import ProbeErasure
from mugsearch.vault import services as vault
from reviews import queries
from reviews import services as reviews
from reviews.models import Examination
from tests.factories import (
    CandidateFactory,
    EditFactory,
    ProbeFactory,
    SearchFactory,
    examiner,
    investigator,
)
from tests.fakes import synthetic_pixels
from tests.gallery_rows import enrol
from tests.retention.arrange import a_life
from tests.retention.test_resuming import Killed, kill_at, run_queue

pytestmark = pytest.mark.django_db(transaction=True)

State = Probe.State
DAYS = 1095
# It ages out today: PostgreSQL, which asks examiners for a valid certificate, knows no other day.
NEXT_DAY = datetime.datetime.now(datetime.UTC).replace(hour=12)
LAST_DAY, START = NEXT_DAY - datetime.timedelta(days=1), NEXT_DAY - datetime.timedelta(days=DAYS + 1)


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def unsolved() -> Probe:
    """Submitted at START and searched, with an edit; its list has one place, which nobody has examined."""
    with time_machine.travel(START, tick=False):
        probe = ProbeFactory()
        edit = EditFactory(probe=probe)
        vault.create_key(probe.pk)
        for name in (probe.pk, edit.pk):
            vault.store_file(probe.pk, name, images.encode_png(synthetic_pixels(1)))
        search = SearchFactory(probe=probe, encoder=encoding.active())
        CandidateFactory(search=search, photo=enrol(2), rank=1)
    return probe


def gone(probe: Probe) -> None:
    probe.refresh_from_db()
    edit = probe.edits.get()
    assert (probe.state, probe.faces, edit.state, edit.faces) == (State.ERASED, [], State.ERASED, [])
    assert not vault.has_key(probe.pk)
    assert not vault.has_file(probe.pk)
    assert not vault.has_file(edit.pk)
    assert ProbeErasure.objects.get(probe=probe).files_removed_at


def test_an_unsolved_probe_goes_on_the_day_after_its_last_day_and_not_before() -> None:
    probe = unsolved()
    before = list(Search.objects.values()), list(Candidate.objects.values())
    with time_machine.travel(LAST_DAY):
        assert sweeping.sweep().probes == 0
        assert vault.has_file(probe.pk)
    with time_machine.travel(NEXT_DAY):
        assert sweeping.sweep().probes == 1
    gone(probe)
    assert (list(Search.objects.values()), list(Candidate.objects.values())) == before, "the record stays"
    row = ProbeErasure.objects.get()
    assert row.rule == f"A probe without a lead: erase {DAYS} days after its last search"
    assert row.policy_digest == policy.current().digest
    aged, erased = Entry.objects.get(act="probe.aged-out"), Entry.objects.get(act="probe.erased")
    assert aged.details == {"rule": row.rule, "policy": row.policy_digest, "edits": 1}
    assert (erased.case, erased.details["files"]) == (probe.case_id, 2)


def test_a_probe_that_was_searched_again_counts_from_there() -> None:
    probe = unsolved()
    with time_machine.travel(LAST_DAY, tick=False):
        SearchFactory(probe=probe, encoder=encoding.active())
    with time_machine.travel(NEXT_DAY):
        assert sweeping.plan().probes == []


def test_a_probe_with_a_lead_stays() -> None:
    life = a_life()
    with time_machine.travel(NEXT_DAY + datetime.timedelta(days=2 * DAYS)):
        assert sweeping.plan().probes == []
    assert life.lead.search.probe.state == State.READY


def test_a_probe_that_somebody_examines_or_that_is_being_searched_stays() -> None:
    probe = unsolved()
    with time_machine.travel(NEXT_DAY):
        claimed = Examination.objects.create(search=probe.searches.get(), examiner=examiner())
        assert sweeping.plan().probes == []
        claimed.state, claimed.released_at, claimed.release = "released", timezone.now(), "given_back"
        claimed.save()
        assert sweeping.plan().probes == [probe.pk]
        Search.objects.create(
            probe=probe, requested_by=probe.submitted_by, face=0, list_size=20, policy_digest="0" * 64,
            positive_rating=2, requested_at=START,
        )  # fmt: skip
        assert sweeping.plan().probes == []


def test_a_probe_that_one_of_two_has_examined_waits_for_the_other() -> None:
    probe = unsolved()
    search = probe.searches.get()
    with time_machine.travel(NEXT_DAY, tick=False):
        mine = reviews.claim_next(by=examiner())
        assert mine.search == search
        reviews.exclude_remaining(by=mine.examiner, examination=mine)
        reviews.conclude(by=mine.examiner, examination=mine)
    with time_machine.travel(NEXT_DAY + datetime.timedelta(days=9999), tick=False):
        assert not probe_erasing.unsolved().exists()


def test_who_begins_to_examine_it_meanwhile_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = unsolved()
    with time_machine.travel(NEXT_DAY):
        announced = sweeping.plan()
        Examination.objects.create(search=probe.searches.get(), examiner=examiner())
        monkeypatch.setattr(sweeping, "plan", lambda: announced)
        assert sweeping.sweep().probes == 0
    probe.refresh_from_db()
    assert probe.state == State.READY
    assert Entry.objects.get(act="probe.aged-out").outcome == "refused"


def test_a_dry_run_leaves_the_probes() -> None:
    probe = unsolved()
    with time_machine.travel(NEXT_DAY):
        assert sweeping.plan().probes == [probe.pk]
    assert vault.has_key(probe.pk)


@pytest.mark.parametrize(
    ("place", "name", "when"),
    [
        (probe_erasing, "_erase_rows", "before"),
        (probe_erasing, "_erase_rows", "after"),
        (vault, "destroy_key", "before"),
        (vault, "destroy_key", "after"),
        (vault, "remove_file", "before"),
        (vault, "remove_file", "after"),
        (probe_erasing, "remove_files", "after"),
    ],
    ids=str,
)
def test_a_killed_erasure_goes_on_where_it_stopped(
    place: object, name: str, when: str, queued: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = unsolved()
    with time_machine.travel(NEXT_DAY):
        reached, undo = kill_at(monkeypatch, place, name, when, 1)
        with pytest.raises(Killed):
            sweeping.sweep()
        assert reached
        undo()
        row = ProbeErasure.objects.filter(probe=probe).first()
        assert not (row and row.key_destroyed_at and vault.has_key(probe.pk)), "never ahead of the truth"
        tasks.resume()
        run_queue(queued)
        sweeping.sweep()
    gone(probe)
    assert Entry.objects.filter(act="probe.erased").count() == 1


def test_an_erased_probe_is_not_searched_with_edited_repeated_or_examined() -> None:
    probe = unsolved()
    with time_machine.travel(NEXT_DAY):
        person = examiner()
        search = probe.searches.get()
        assert list(queries.awaiting_examination(by=person)) == [search]
        opened = Probe.objects.get(pk=probe.pk)
        sweeping.sweep()
        assert not queries.awaiting_examination(by=person).exists()
        with pytest.raises(WrongState):
            reviews.claim_next(by=person)
        owner = probe.submitted_by
        for edit in (None, 1):
            with pytest.raises(WrongState):
                services.search(by=owner, probe=opened, face=0, edit=edit)
        with pytest.raises((WrongState, Unavailable)):
            editing.edit(by=owner, probe=opened, steps=[{"brightness": 20}])
        with pytest.raises(WrongState, match="erased"):
            services.repeat(by=owner, search=search)
    assert ProbeEdit.objects.count() == 1


def test_the_pages_of_an_erased_probe_say_so(page: Callable[[User], Client]) -> None:
    probe = unsolved()
    with time_machine.travel(NEXT_DAY):
        sweeping.sweep()
        browser = page(probe.submitted_by)
        for address in (
            f"/probes/{probe.pk}",
            f"/probes/{probe.pk}?edit=1",
            f"/searches/{probe.searches.get().pk}",
        ):
            text = browser.get(address).content.decode()
            assert "has been erased" in text
            assert "/image" not in text
        assert browser.get(f"/cases/{probe.case_id}").status_code == 200
        assert page(investigator()).get(f"/probes/{uuid4()}").status_code == 404


def test_more_probes_than_the_policy_lets_go_at_once_stop_the_sweep() -> None:
    probes = [unsolved() for _ in range(2)]
    with time_machine.travel(NEXT_DAY):
        with pytest.raises(WrongState, match="2 probes would go at once"):
            sweeping.sweep()
        assert all(vault.has_key(probe.pk) for probe in probes)
