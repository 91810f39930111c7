"""A face that is known to be of a trial is on no other: it would tell that one."""

import datetime
import threading
import uuid

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from mugsearch.accounts.models import Role, RoleGrant
from mugsearch.errors import BadInput, NotAllowed, Unavailable, WrongState
from mugsearch.gallery import encoding
from mugsearch.probes.models import Probe, Search
from mugsearch.trials.models import Subject, Trial, TrialPhoto
from mugsearch.vault import services as vault
from reviews import queries, services, trials
from reviews.models import Examination
from reviews.trial_material import material_of
from tests.factories import SearchFactory, examiner
from tests.reviews.test_database_rules import refused, sql
from tests.trials.arrange import add, examine, material, people_of, prepare, search_of, supervisor

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("fake_encoder", "short_lists"),
]


def test_nobody_is_on_two_open_trials():
    mona = supervisor()
    material(mona, 40)
    trials.prepare(by=mona, counts={"mated": 3, "look_alike": 3}, days=0)
    trials.prepare(by=mona, counts={"mated": 2, "non_mated": 3}, pairs=2, days=0)
    shown = people_of(Trial.objects.all())
    assert len(shown) == 5 * 2 + 6 * 3
    assert len(set(shown)) == len(shown)
    assert material_of(mona).free == 40 - len(shown)


def test_what_is_missing_is_said_with_numbers():
    mona = supervisor()
    material(mona, 8)
    prepare(mona, Trial.Kind.NON_MATED)
    with pytest.raises(BadInput, match=r"for 1 of 2 trials .* takes 3 people, .* Of 8 people with 16 .* 2 are left"):
        prepare(mona, Trial.Kind.NON_MATED, number=2)
    with pytest.raises(BadInput, match="takes 2 people, one of them with two photographs"):
        prepare(mona, Trial.Kind.MATED, number=20)
    assert Trial.objects.count() == 1


def test_whom_an_examiner_was_told_of_is_on_no_trial_until_that_is_long_ago():
    mona, anna = supervisor(), examiner()
    material(mona, 4)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    examine(anna, search_of(trial))
    trials.close(by=mona, trial=trial)
    assert material_of(mona).free == 1
    with pytest.raises(BadInput, match="none of the last 180 days"):
        prepare(mona, Trial.Kind.NON_MATED)
    with time_machine.travel(timezone.now() + datetime.timedelta(days=181)):
        assert material_of(mona).free == 4
        prepare(mona, Trial.Kind.NON_MATED)


def test_whoever_an_examiner_saw_and_gave_back_is_on_no_other_either():
    mona, anna = supervisor(), examiner()
    material(mona, 4)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    held = services.claim_next(by=anna)
    trials.close(by=mona, trial=trial)
    services.release(by=anna, examination=held)
    assert material_of(mona).free == 1


def test_whoever_was_on_a_trial_that_nobody_had_can_be_on_another():
    mona = supervisor()
    material(mona, 4)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    trials.close(by=mona, trial=trial)
    assert material_of(mona).free == 4


def test_whoever_was_a_supervisor_when_a_trial_was_prepared_is_never_given_it():
    mona, former = supervisor(), supervisor()
    material(mona, 8)
    prepare(mona, Trial.Kind.NON_MATED)
    as_examiner = examiner(agency=former.agency)
    assert queries.awaiting_examination(by=as_examiner).count() == 1
    mine = services.claim_next(by=as_examiner)
    # The role again, from today: what was prepared before could have been read in between.
    RoleGrant.objects.filter(user=as_examiner, role=Role.EXAMINER).update(granted_at=timezone.now())
    assert not queries.awaiting_examination(by=as_examiner).exists()
    with pytest.raises(NotAllowed, match="anew since you claimed"):
        services.save_finding(by=as_examiner, examination=mine, position=1, conclusion="-3")
    services.release(by=as_examiner, examination=mine)
    prepare(mona, Trial.Kind.NON_MATED)
    assert queries.awaiting_examination(by=as_examiner).count() == 1


def test_closing_waits_for_whoever_claims_at_that_moment():
    """Else the photographs could be withdrawn under an examination that just begins."""
    mona, anna = supervisor(), examiner()
    material(mona, 4)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    done = threading.Event()

    def close() -> None:
        trials.close(by=mona, trial=trial)
        done.set()
        connection.close()

    closing = threading.Thread(target=close)
    with transaction.atomic():
        Search.objects.select_for_update(no_key=True).get(trial=trial)  # as a claim does
        closing.start()
        assert not done.wait(0.5)
        Examination.objects.create(search=search_of(trial), examiner=anna)
    closing.join()
    with pytest.raises(WrongState, match="is examining"):
        trials.withdraw(by=mona, subject=Subject.objects.get(pk=trial.photo.subject_id))


# --- PostgreSQL ------------------------------------------------------------------------------------


def test_postgresql_keeps_a_trial_photograph_its_subjects():
    mona = supervisor()
    material(mona, 4)
    photo, other = TrialPhoto.objects.first(), Subject.objects.last()
    with refused("stays that of its subject"):
        sql("UPDATE trials_trialphoto SET subject_id = %s WHERE id = %s", other.pk, photo.pk)
    with refused("stays that of its subject"):
        sql("UPDATE trials_trialphoto SET sha256 = 'x' WHERE id = %s", photo.pk)
    with refused("never deleted"):
        sql("DELETE FROM trials_trialphoto WHERE id = %s", photo.pk)
    trials.withdraw(by=mona, subject=photo.subject)
    with refused("stays that of its subject"):
        sql("UPDATE trials_trialphoto SET state = 'received' WHERE id = %s", photo.pk)


def test_postgresql_refuses_two_open_trials_of_one_photograph():
    mona = supervisor()
    material(mona, 4)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    with pytest.raises(IntegrityError, match="one_open_trial_per_photo"), transaction.atomic():
        Trial.objects.create(agency=trial.agency, kind=trial.kind, photo=trial.photo, prepared_by=mona)


def test_postgresql_refuses_a_trial_whose_list_holds_another_answer():
    mona = supervisor()
    material(mona, 4)
    (right,) = prepare(mona, Trial.Kind.MATED)
    search = search_of(right)
    listed = list(search.candidates.all())
    unused = right.photo.subject.photos.exclude(pk__in=[right.photo_id, listed[right.mate_rank - 1].trial_photo_id])
    photo = unused.first() or listed[right.mate_rank - 1].trial_photo
    given = {"agency": right.agency, "photo": photo, "prepared_by": mona}

    def listed_under(trial: Trial, searched: Probe, *, instead: TrialPhoto | None = None) -> None:
        search.pk, search.trial, search.probe = uuid.uuid4(), trial, searched
        search.save(force_insert=True)
        for one in listed:
            one.pk, one.search = uuid.uuid4(), search
            if instead and one.rank == right.mate_rank:
                one.trial_photo = instead
            one.save(force_insert=True)

    own = search.probe
    copied = Probe.objects.get(pk=own.pk)
    copied.pk, copied.trial_photo = uuid.uuid4(), photo
    copied.save(force_insert=True)
    for kind, rank in (("mated", 3 - right.mate_rank), ("mated", 9), ("non_mated", None)):
        with refused("holds the person where the trial says"):
            listed_under(Trial.objects.create(kind=kind, mate_rank=rank, **given), copied)
    with refused("holds the person where the trial says"):  # the photograph as its own mate
        listed_under(right, own, instead=right.photo)
    for probe in (copied, SearchFactory(encoder=encoding.active()).probe):
        with refused("searched for with its photograph"):
            listed_under(right, probe)
    with refused("searched for with its photograph"):
        SearchFactory(probe=own, encoder=encoding.active())


def test_postgresql_keeps_an_open_trial_as_its_examiners_get_it():
    mona = supervisor()
    material(mona, 8)
    (trial,) = prepare(mona, Trial.Kind.MATED)
    search = search_of(trial)
    gone = "UPDATE probes_candidate SET trial_photo_id = NULL, score = NULL, forgotten_at = now() WHERE search_id = %s"
    with refused("the list of an open trial stays"):
        sql(gone, search.pk)
    twice = (
        "INSERT INTO probes_candidate (id, search_id, rank, trial_photo_id, score) "
        "SELECT gen_random_uuid(), search_id, 10, trial_photo_id, 0.9 FROM probes_candidate "
        "WHERE search_id = %s LIMIT 1"
    )
    with refused("holds the person where the trial says"):
        sql(twice, search.pk)
    with refused("isn't erased|is not erased"):
        empty = "sha256 = '', face = NULL, sealed_vector = NULL, encoder_id = NULL"
        sql(f"UPDATE trials_trialphoto SET state = 'erased', {empty} WHERE id = %s", trial.photo_id)  # noqa: S608  ours
    with refused("stays until it is looked at anew"):
        sql("UPDATE trials_trialphoto SET face = '{}' WHERE id = %s", trial.photo_id)
    with refused("nobody is on the case of trials"):
        sql("INSERT INTO probes_case_members (case_id, user_id) VALUES (%s, %s)", search.probe.case_id, mona.pk)
    with refused("stays that of its case"):
        sql("UPDATE probes_probe SET trial_photo_id = NULL WHERE id = %s", search.probe_id)


def test_photographs_of_a_preparation_that_failed_open_for_nobody_once_consent_is_withdrawn(monkeypatch):
    mona = supervisor()
    people, original, stored = material(mona, 8), vault.store_file, []

    def full(owner: uuid.UUID, name: uuid.UUID, data: bytes) -> None:
        if len(stored) == 1:
            raise Unavailable("The disk is full.")
        stored.append((owner, name))
        original(owner, name, data)

    monkeypatch.setattr(vault, "store_file", full)
    with pytest.raises(Unavailable):
        prepare(mona, Trial.Kind.NON_MATED, number=2)
    for subject in people:
        trials.withdraw(by=mona, subject=subject)
    assert vault.keys() == []
    ((owner, name),) = stored
    with pytest.raises(vault.KeyDestroyed):
        vault.read_file(owner, name)


def test_much_material_without_a_second_photograph_is_refused_before_it_is_compared(monkeypatch):
    mona = supervisor()
    for number in range(6):
        add(mona, number, variants=1)
    monkeypatch.setattr(trials, "compose", None)
    with pytest.raises(BadInput, match="for 0 of 1"):
        prepare(mona, Trial.Kind.MATED)
