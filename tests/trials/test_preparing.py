"""Known-answer trials: what they are made of, how they enter the queue, that they stay apart from casework."""

import datetime
import threading
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import encoding
from mugsearch.gallery.models import Photo, Template
from mugsearch.probes.models import Candidate, Case, Search
from mugsearch.probes.services import Purpose, change_priority, submit
from mugsearch.trials import services, vectors, working
from mugsearch.trials.models import Subject, Trial, TrialPhoto
from mugsearch.vault import services as vault
from reviews import queries, trials
from reviews import services as reviews
from reviews.models import Adjudication, Lead
from tests.factories import (
    CandidateFactory,
    CaseFactory,
    PhotoFactory,
    SearchFactory,
    UserFactory,
    examiner,
    investigator,
)
from tests.fakes import synthetic_photo
from tests.reviews.arrange import finished_search
from tests.trials.arrange import add, examine, look_at_all, material, people_of, prepare, search_of, supervisor
from tests.triggers import as_owner

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fake_encoder")]

KINDS = [Trial.Kind.MATED, Trial.Kind.NON_MATED, Trial.Kind.LOOK_ALIKE]


def test_photographs_of_a_subject_become_material_and_never_part_of_the_gallery():
    subject = add(supervisor(), 7, variants=2)
    assert [photo.state for photo in subject.photos.all()] == ["ready", "ready"]
    assert not Photo.objects.exists()
    assert not Template.objects.exists()


def test_the_same_photographs_again_add_nothing():
    mona = supervisor()
    add(mona, 7)
    add(mona, 7)
    assert TrialPhoto.objects.count() == 2


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"code": "Ann Lee"}, "A code has"),
        ({"code": ""}, "A code has"),
        ({"consent": "arrested"}, "gave consent or is synthetic"),
        ({"reference": " "}, "where the consent is kept"),
        ({"reference": "a\x00b"}, "where the consent is kept"),
        ({"photos": []}, "between 1 and 20"),
        ({"photos": [b"no picture"]}, "Photograph 1:"),
    ],
)
def test_bad_material_is_refused_with_a_sentence_and_nothing_is_kept(given, sentence):
    asked = {"code": "S-1", "consent": "consenting", "reference": "Form 12", "photos": [synthetic_photo(1)]}
    with pytest.raises(BadInput, match=sentence):
        services.add(by=supervisor(), **{**asked, **given})
    assert not Subject.objects.exists()
    assert not vault.files()


def test_a_booking_photograph_cannot_become_material():
    image = synthetic_photo(3)
    from mugsearch.engine import images

    PhotoFactory(sha256=images.decode(image).sha256)
    with pytest.raises(BadInput, match="is in use already"):
        services.add(by=supervisor(), code="S-3", consent="synthetic", reference="x", photos=[image])


def test_a_photograph_belongs_to_one_subject_only():
    mona = supervisor()
    add(mona, 7)
    with pytest.raises(BadInput, match="is in use already"):
        services.add(by=mona, code="S-8", consent="synthetic", reference="Generator 1", photos=[synthetic_photo(7)])


@pytest.mark.parametrize("faces", [0, 2])
def test_a_photograph_without_exactly_one_face_is_unsuitable_and_says_so(faces):
    services.add(
        by=supervisor(), code="S-1", consent="synthetic", reference="x", photos=[synthetic_photo(1, faces=faces)]
    )
    look_at_all()
    photo = TrialPhoto.objects.get()
    assert photo.state == "unsuitable"
    assert "face" in photo.trouble


def test_a_photograph_whose_worker_was_lost_is_looked_at_again():
    services.add(by=supervisor(), code="S-1", consent="synthetic", reference="x", photos=[synthetic_photo(1)])
    assert working.left_behind() == []
    with time_machine.travel(timezone.now() + datetime.timedelta(seconds=60), tick=True):
        assert working.left_behind() == [TrialPhoto.objects.get().pk]


def test_whoever_examines_can_neither_prepare_trials_nor_see_them():
    both = UserFactory(roles=["supervisor", "examiner"], certified=True)
    with pytest.raises(NotAllowed, match="know the answers"):
        services.add(by=both, code="S-1", consent="synthetic", reference="x", photos=[synthetic_photo(1)])
    material(supervisor())
    with pytest.raises(NotAllowed, match="know the answers"):
        prepare(both, Trial.Kind.MATED)
    assert not Subject.objects.visible_to(both).exists()
    both.narrow_to(frozenset({"supervisor"}))  # as in a program of theirs
    with pytest.raises(NotAllowed, match="know the answers"):
        prepare(both, Trial.Kind.MATED)
    assert not Subject.objects.visible_to(both).exists()
    assert Subject.objects.visible_to(supervisor()).count() == 22


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_has_a_list_like_casework_with_the_person_on_it_only_if_it_is_mated(kind):
    mona = supervisor()
    material(mona)
    (trial,) = prepare(mona, kind)
    search = search_of(trial)
    people = list(search.candidates.order_by("rank").select_related("trial_photo__subject"))
    assert len(people) == 20
    assert len({one.trial_photo.subject_id for one in people}) == 20
    assert [one.score for one in people] == sorted((one.score for one in people), reverse=True)
    mate = [one.rank for one in people if one.trial_photo.subject_id == trial.photo.subject_id]
    assert mate == ([trial.mate_rank] if kind == Trial.Kind.MATED else [])
    assert trial.photo_id not in {one.trial_photo_id for one in people}


def test_a_look_alike_trial_lists_the_most_similar_others():
    mona = supervisor()
    material(mona, 30)
    (trial,) = prepare(mona, Trial.Kind.LOOK_ALIKE)
    held = {one.photo: one for one in vectors.usable(mona.agency, encoding.active())}
    probe = held.pop(trial.photo_id)
    best = {one.subject: -1.0 for one in held.values() if one.subject != probe.subject}
    for one in held.values():
        if one.subject in best:
            best[one.subject] = max(best[one.subject], float(one.vector @ probe.vector))
    listed = set(search_of(trial).candidates.values_list("trial_photo__subject", flat=True))
    assert listed == set(sorted(best, key=best.__getitem__)[-20:])


def test_too_little_material_is_said_with_numbers_and_nothing_is_prepared():
    mona = supervisor()
    material(mona, 20)
    with pytest.raises(BadInput, match=r"material for 0 of 1 .* 20 people with 40 usable"):
        prepare(mona, Trial.Kind.LOOK_ALIKE)
    assert not Trial.objects.exists()
    assert not Search.objects.exists()


@pytest.mark.usefixtures("short_lists")
def test_trials_come_into_the_queue_one_by_one_over_the_days():
    mona, anna = supervisor(), examiner()
    material(mona, 60)
    trials.prepare(by=mona, counts={"non_mated": 20}, days=14)
    due = sorted(Search.objects.values_list("finished_at", flat=True))
    assert len({at.date() for at in due}) > 3
    waiting = queries.awaiting_examination(by=anna)
    assert waiting.count() < 20
    with time_machine.travel(timezone.now() + datetime.timedelta(days=15), tick=True):
        assert queries.awaiting_examination(by=anna).count() == 20


@pytest.mark.usefixtures("short_lists")
def test_trials_are_due_at_times_of_day_at_which_casework_is_finished():
    mona = supervisor()
    material(mona, 30)
    at = timezone.now().replace(hour=3, minute=33, second=3)
    SearchFactory(finished_at=at, encoder=encoding.active())
    trials.prepare(by=mona, counts={"non_mated": 10}, days=14)
    due = [timezone.localtime(one) for one in Search.objects.exclude(trial=None).values_list("finished_at", flat=True)]
    like = timezone.localtime(at)
    assert {(one.weekday(), one.hour, one.minute) for one in due} == {(like.weekday(), like.hour, like.minute)}


@pytest.mark.usefixtures("short_lists")
def test_no_trial_is_due_at_once_and_none_has_a_time_without_a_fraction():
    """A queue that grows by several at once would tell; so would a full second."""
    mona = supervisor()
    material(mona, 30)
    with time_machine.travel(datetime.datetime(2026, 11, 25, 21, 30, tzinfo=datetime.UTC), tick=True):
        trials.prepare(by=mona, counts={"non_mated": 10}, pairs=4, days=1)
        due = list(Search.objects.values_list("finished_at", flat=True))
        assert all(at > timezone.now() for at in due)
    assert all(at.microsecond for at in due)
    assert len(set(due)) == 40


def test_a_closed_trial_is_offered_to_nobody_any_more():
    mona, anna = supervisor(), examiner()
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    assert queries.awaiting_examination(by=anna).exists()
    trials.close(by=mona, trial=trial)
    assert not queries.awaiting_examination(by=anna).exists()
    with pytest.raises(WrongState, match="closed already"):
        trials.close(by=mona, trial=trial)


@pytest.mark.usefixtures("short_lists")
def test_two_who_name_the_person_of_a_trial_make_no_lead_and_two_who_disagree_get_a_third():
    mona, anna, ben, cleo = supervisor(), examiner(), examiner(), examiner()
    material(mona)
    (agreed,) = prepare(mona, Trial.Kind.MATED)
    for one in (anna, ben):
        examine(one, search_of(agreed), naming=agreed.mate_rank)
    assert not Lead.objects.exists()
    assert queries.examination_state(search_of(agreed)).over
    (apart,) = prepare(mona, Trial.Kind.MATED)
    examine(anna, search_of(apart), naming=apart.mate_rank)
    examine(ben, search_of(apart))
    assert Adjudication.objects.filter(search=search_of(apart)).exists()
    examine(cleo, search_of(apart), naming=apart.mate_rank)
    assert not Lead.objects.exists()


def test_postgresql_refuses_a_lead_of_a_trial():
    mona, anna, ben = supervisor(), examiner(), examiner()
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.MATED)
    search = search_of(trial)
    first, second = (examine(one, search, naming=trial.mate_rank) for one in (anna, ben))
    named = search.candidates.get(rank=trial.mate_rank)
    with pytest.raises(IntegrityError, match="a known-answer trial makes no lead"), transaction.atomic():
        Lead.objects.create(search=search, candidate=named, first=first, second=second)


def test_postgresql_keeps_trial_photographs_out_of_casework_and_people_out_of_trials():
    mona = supervisor()
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    photo, casework = TrialPhoto.objects.first(), finished_search(1, encoder=encoding.active())
    with pytest.raises(IntegrityError, match="a trial lists trial photographs"), transaction.atomic():
        Candidate.objects.create(search=casework, rank=2, trial_photo=photo, score=0.5)
    with pytest.raises(IntegrityError, match="a trial lists trial photographs"), transaction.atomic():
        CandidateFactory(search=search_of(trial), rank=40)
    for change in ({"trial": None}, {"finished_at": timezone.now()}):
        with pytest.raises(IntegrityError, match="a search stays"), transaction.atomic():
            Search.objects.filter(pk=search_of(trial).pk).update(**change)
    with pytest.raises(IntegrityError, match="a search stays"), transaction.atomic():
        Search.objects.filter(pk=casework.pk).update(trial=trial)


@pytest.mark.parametrize(
    "change", [{"kind": "look_alike"}, {"mate_rank": 3}, {"prepared_at": timezone.now()}, {"closed_at": None}]
)
def test_postgresql_refuses_another_answer_to_a_trial(change):
    mona = supervisor()
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.NON_MATED)
    with pytest.raises(IntegrityError), transaction.atomic():
        Trial.objects.filter(pk=trial.pk).update(**change)
    with as_owner(), pytest.raises(IntegrityError, match="never deleted"), transaction.atomic():
        Trial.objects.filter(pk=trial.pk)._raw_delete("default")


def test_nobody_is_given_a_trial_they_prepared_nor_one_of_another_agency():
    mona = supervisor()
    material(mona)
    prepare(mona, Trial.Kind.NON_MATED)
    from mugsearch.accounts.models import Role, RoleGrant
    from tests.factories import AgencyFactory, CertificateFactory

    RoleGrant.objects.create(user=mona, role=Role.EXAMINER)
    CertificateFactory(examiner=mona)
    mona.refresh_from_db()
    stranger = examiner(agency=AgencyFactory(code="shelbyville"))
    assert not queries.awaiting_examination(by=mona).exists()
    assert not queries.awaiting_examination(by=stranger).exists()
    with pytest.raises(WrongState):
        reviews.claim_next(by=stranger)


def test_nobody_is_on_the_case_of_the_trials():
    mona = supervisor()
    material(mona)
    prepare(mona, Trial.Kind.NON_MATED)
    cases = Case.objects.filter(number__in=trials.CASES.values())
    assert [case.members.count() for case in cases] == [0, 0]


@pytest.mark.usefixtures("short_lists")
def test_as_many_trials_are_urgent_as_searches_of_casework():
    """If no trial was, an urgent search would be known to be casework."""
    mona = supervisor()
    material(mona, 30)
    prepare(mona, Trial.Kind.NON_MATED, number=5)
    assert set(Search.objects.values_list("probe__case__priority", flat=True)) == {"normal"}
    case = CaseFactory()
    change_priority(by=case.opened_by, case=case, priority="urgent", reason="A life is at risk.")
    SearchFactory(probe__case=case, encoder=encoding.active())
    prepare(mona, Trial.Kind.NON_MATED, number=5)
    latest = Search.objects.filter(trial__isnull=False).order_by("-requested_at")[:5]
    assert {one.probe.case.priority for one in latest} == {"urgent"}
    assert queries.awaiting_examination(by=examiner()).count() == 10  # the search of casework lists nobody


def test_pairs_of_examiners_each_get_the_trial_and_nobody_gets_it_twice():
    mona, crowd = supervisor(), [examiner() for _ in range(5)]
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.MATED, pairs=2)
    assert trial.searches.count() == 2
    for one in crowd[:4]:
        examination = reviews.claim_next(by=one)
        reviews.exclude_remaining(by=one, examination=examination)
        reviews.conclude(by=one, examination=examination)
        with pytest.raises(WrongState, match="Nothing waits"):
            reviews.claim_next(by=one)
    with pytest.raises(WrongState, match="Nothing waits"):
        reviews.claim_next(by=crowd[4])


@pytest.mark.parametrize(
    "asked",
    [
        {"counts": {}},
        {"counts": {"mated": -1}},
        {"counts": {"mated": 101}},
        {"counts": {"odd": 1}},
        {"counts": {"mated": 1}, "pairs": 0},
        {"counts": {"mated": 1}, "days": 91},
    ],
)
def test_what_cannot_be_prepared_is_refused(asked):
    with pytest.raises(BadInput):
        trials.prepare(by=supervisor(), **asked)


def test_withdrawn_consent_destroys_the_photographs_everywhere_and_keeps_what_was_concluded():
    mona, anna, ben = supervisor(), examiner(), examiner()
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.MATED)
    search = search_of(trial)
    subject = trial.photo.subject
    with pytest.raises(WrongState, match="Close them first"):
        trials.withdraw(by=mona, subject=subject)
    mine = examine(anna, search, naming=trial.mate_rank)
    held = reviews.claim_next(by=ben)
    trials.close(by=mona, trial=trial)
    with pytest.raises(WrongState, match="is examining"):
        trials.withdraw(by=mona, subject=subject)
    reviews.release(by=ben, examination=held)
    trials.withdraw(by=mona, subject=subject)
    owners = [*subject.photos.values_list("pk", flat=True), search.probe_id]
    assert not any(vault.has_key(owner) or vault.has_file(owner) for owner in owners)
    assert {photo.state for photo in subject.photos.all()} == {"erased"}
    assert not subject.photos.filter(face__isnull=False).exists()
    gone = search.candidates.get(rank=trial.mate_rank)
    assert (gone.trial_photo, gone.score) == (None, None)
    assert mine.findings.filter(candidate=gone).get().conclusion == "3"
    assert Candidate.objects.filter(search=search, forgotten_at=None).count() == 19
    with pytest.raises(WrongState, match="withdrawn already"):
        trials.withdraw(by=mona, subject=subject)
    with pytest.raises(WrongState, match="were withdrawn"):
        add(mona, 1000, code=subject.code)


def test_the_nightly_sweep_leaves_trial_photographs_and_their_keys_alone():
    import os

    from mugsearch.retention import orphans

    mona = supervisor()
    add(mona, 7)
    from django.conf import settings

    for path in settings.VAULT_FILES.glob("??/*"):
        os.utime(path, (0, 0))
    with time_machine.travel(timezone.now() + datetime.timedelta(days=2)):
        assert orphans.sweep() == 0
    assert all(vault.has_key(photo.pk) and vault.has_file(photo.pk) for photo in TrialPhoto.objects.all())


def test_no_case_of_casework_can_have_the_number_of_the_trials():
    """Its investigator would see the trials, and who is examined by them."""
    by, mona = investigator(), supervisor()
    material(mona)
    for number in trials.CASES.values():
        purpose = Purpose(f" {number} ", "robbery", "warrant", "cctv-still", "Camera", attested=True)
        with pytest.raises(BadInput, match="kept for trials"):
            submit(by=by, purpose=purpose, image=synthetic_photo(1))
    CaseFactory(number=trials.CASES["normal"], members=[by])  # from before
    with pytest.raises(WrongState, match="Investigators work on"):
        prepare(mona, Trial.Kind.MATED)
    subject = Subject.objects.first()
    trials.withdraw(by=mona, subject=subject)  # consent can be taken back all the same
    assert subject.withdrawn_at


@pytest.mark.usefixtures("short_lists")
def test_two_who_prepare_at_once_never_have_one_person_on_two_open_trials():
    """And who withdraws a subject meanwhile waits, or is told of the open trial."""
    mona, sam = supervisor(), supervisor()
    subjects = material(mona, 21)
    said: list[str] = []

    def do(act: Any, *arguments: Any) -> None:
        try:
            act(*arguments)
        except (BadInput, WrongState) as error:
            said.append(error.message)
        finally:
            connection.close()

    acts = [(prepare, by, Trial.Kind.NON_MATED) for by in (mona, sam) for _ in range(4)]
    acts += [(withdraw, sam, subject) for subject in subjects[:2]]
    threads = [threading.Thread(target=do, args=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Trial.objects.all()) > 1
    shown = people_of(Trial.objects.all())
    assert len(shown) == len(set(shown))
    probes = set(Trial.objects.values_list("photo", flat=True))
    gone = set(TrialPhoto.objects.filter(state="erased").values_list("pk", flat=True))
    assert not gone & probes
    assert not Candidate.objects.filter(trial_photo__in=gone).exists()


def withdraw(by: User, subject: Subject) -> None:
    trials.withdraw(by=by, subject=subject)
