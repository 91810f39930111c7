"""What known-answer trials show of examiners, to whom, and taking somebody out of the queue for it."""

import datetime
import io
import math

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.trials.models import Subject, Trial, TrialPhoto
from reviews import proficiency, services, trial_results, trials
from reviews.proficiency import Answer, Rate
from tests.factories import AgencyFactory, CertificateFactory, UserFactory, examiner, investigator
from tests.fakes import synthetic_photo
from tests.trials.arrange import examine, material, prepare, search_of, supervisor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fake_encoder")]


# --- figures -------------------------------------------------------------------------------------


def answer(named: set[int], mate: int | None, candidates: int = 5) -> Answer:
    from uuid import UUID

    ids = [UUID(int=number) for number in range(candidates)]
    return Answer(frozenset(ids[n] for n in named), None if mate is None else ids[mate], frozenset(ids))


@pytest.mark.parametrize(
    ("named", "mate", "missed", "false_lead"),
    [
        ({2}, 2, False, False),
        (set(), 2, True, False),
        ({3}, 2, True, True),
        ({2, 3}, 2, False, True),
        (set(), None, None, False),
        ({1}, None, None, True),
    ],
)
def test_an_answer_misses_the_person_or_makes_a_false_lead(named, mate, missed, false_lead):
    one = answer(named, mate)
    assert (one.missed, one.false_lead) == (missed, false_lead)


@pytest.mark.parametrize(
    ("errors", "tried", "low", "high"),
    # Newcombe 1998, table I, score method without continuity correction.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_of_the_literature(errors, tried, low, high):
    rate = Rate(errors, tried)
    assert (round(rate.low, 4), round(rate.high, 4)) == (low, high)


def test_without_a_try_nothing_is_known():
    assert (Rate(0, 0).share, Rate(0, 0).low, Rate(0, 0).high) == (None, 0.0, 1.0)


def test_kappa_is_that_of_the_textbook():
    # 2 x 2 table a=20 both, b=5 first only, c=10 second only, d=15 neither: kappa 0.4.
    from uuid import UUID

    ids = [UUID(int=number) for number in range(50)]
    one = Answer(frozenset(ids[:25]), None, frozenset(ids))
    other = Answer(frozenset([*ids[:20], *ids[25:35]]), None, frozenset(ids))
    assert proficiency.agreement([(one, other)]).kappa == pytest.approx(0.4)


def test_kappa_is_not_defined_where_both_named_nobody():
    assert proficiency.agreement([(answer(set(), 1), answer(set(), 1))]).kappa is None


@given(st.lists(st.tuples(st.sets(st.integers(0, 4)), st.sets(st.integers(0, 4))), min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_kappa_is_symmetric_at_most_one_and_one_for_equal_answers(pairs):
    both = [(answer(one, None), answer(other, None)) for one, other in pairs]
    forth = proficiency.agreement(both).kappa
    back = proficiency.agreement([(other, one) for one, other in both]).kappa
    assert (forth is None) == (back is None)
    if forth is not None:
        assert math.isclose(forth, back or 0, abs_tol=1e-12)
        assert forth <= 1 + 1e-12
    same = proficiency.agreement([(one, one) for one, _ in both]).kappa
    assert same is None or same == pytest.approx(1)


@pytest.mark.parametrize(
    ("errors", "tried", "is_below"), [(2, 10, False), (3, 10, True), (3, 9, False), (0, 10, False), (10, 10, True)]
)
def test_the_bar_asks_for_enough_trials_and_for_more_errors_than_allowed(errors, tried, is_below):
    assert proficiency.below(Rate(errors, tried), percent=20, judged=10) is is_below


# --- of examiners ----------------------------------------------------------------------------------


@pytest.fixture
def judged_after_one(policy_of):
    policy_of(trials_judged=1)


def test_each_examiner_has_their_own_misses_and_false_leads():
    mona, anna, ben = supervisor(), examiner(full_name="Anna"), examiner(full_name="Ben")
    material(mona, 42)
    mated, other = prepare(mona, Trial.Kind.MATED)[0], prepare(mona, Trial.Kind.LOOK_ALIKE)[0]
    wrong = 1 if mated.mate_rank != 1 else 2
    examine(anna, search_of(mated), naming=mated.mate_rank)
    examine(ben, search_of(mated), naming=wrong)
    examine(anna, search_of(other))
    examine(ben, search_of(other), naming=4)
    of_anna, of_ben = trial_results.of_agency(mona)
    assert (of_anna.misses, of_anna.false_leads) == (Rate(0, 1), Rate(0, 2))
    assert (of_ben.misses, of_ben.false_leads) == (Rate(1, 1), Rate(2, 2))
    assert of_ben == trial_results.of_examiner(ben)
    assert [partner.examiner for partner in of_ben.partners] == [anna]
    assert of_ben.overall.candidates == 40
    assert of_ben.overall.kappa == pytest.approx(-1 / 27, abs=0.02)


def test_a_draft_and_a_trial_of_another_agency_count_nothing():
    mona, anna = supervisor(), examiner()
    material(mona)
    prepare(mona, Trial.Kind.MATED)
    services.claim_next(by=anna)
    (record,) = trial_results.of_agency(mona)
    assert record.tried == []
    assert trial_results.of_agency(supervisor(agency=AgencyFactory(code="shelbyville"))) == []


def test_an_examiner_is_told_of_a_trial_only_when_it_is_over_for_everybody(page):
    mona, anna, ben = supervisor(), examiner(), examiner()
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.MATED)
    mine = examine(anna, search_of(trial))
    held = services.claim_next(by=ben)
    url = reverse("examination", args=[mine.pk])

    def told() -> bool:
        on_page = b"known-answer trial" in page(anna).get(url).content
        assert bool(trial_results.told_to(anna).tried) is on_page
        return on_page

    assert not told()
    trials.close(by=mona, trial=trial)
    assert not told()
    services.release(by=ben, examination=held)
    assert told()
    text = page(anna).get(url).content.decode()
    assert "You did not name them" in text
    assert "1 of 1" in page(anna).get(reverse("my_trials")).content.decode()


@pytest.mark.usefixtures("judged_after_one")
def test_who_is_below_the_bar_is_taken_out_by_a_click_reads_why_and_comes_back_with_a_new_certificate(page):
    mona, anna = supervisor(full_name="Mona Reyes"), examiner()
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.MATED)
    url = reverse("trial_examiner", args=[anna.pk])
    with pytest.raises(WrongState, match="not below"):
        trials.take_out(by=mona, examiner=anna, reason="x")
    assert b"Take out of the queue" not in page(mona).get(url).content
    examine(anna, search_of(trial))
    # A trial under way isn't held against anybody, for that would tell that it is one.
    assert b"1 of the trials below is still under way" in page(mona).get(url).content
    with pytest.raises(WrongState, match="not below"):
        trials.take_out(by=mona, examiner=anna, reason="x")
    trials.close(by=mona, trial=trial)
    assert b"Take out of the queue" in page(mona).get(url).content
    assert anna.may_examine()
    with pytest.raises(BadInput, match="Say why"):
        trials.take_out(by=mona, examiner=anna, reason=" ")
    page(mona).post(url, {"reason": "Missed the only mate."})
    assert not anna.may_examine()
    with pytest.raises(NotAllowed):
        services.claim_next(by=anna)
    queue = page(anna).get(reverse("queue")).content.decode()
    assert "by Mona Reyes" in queue
    assert "Missed the only mate." in queue
    entry = Entry.objects.get(act="examiner.taken-out", outcome="done")
    assert entry.details["misses"] == 1
    assert "Missed the only" not in str(entry.details)
    with pytest.raises(WrongState, match="no valid certificate"):
        trials.take_out(by=mona, examiner=anna, reason="again")
    CertificateFactory(examiner=anna)
    assert anna.may_examine()
    record = trial_results.of_examiner(anna)
    assert (record.misses, record.misses_now) == (Rate(1, 1), Rate(0, 0))
    assert not record.below_the_bar


@pytest.mark.usefixtures("judged_after_one")
def test_only_a_supervisor_of_the_agency_who_does_not_examine_takes_somebody_out():
    mona, anna = supervisor(), examiner()
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.MATED)
    examine(anna, search_of(trial))
    trials.close(by=mona, trial=trial)
    both = UserFactory(roles=["supervisor", "examiner"], certified=True)
    for by in (anna, both, investigator(), supervisor(agency=AgencyFactory(code="shelbyville"))):
        with pytest.raises(NotAllowed):
            trials.take_out(by=by, examiner=anna, reason="x")
    assert anna.may_examine()


# --- pages and API ---------------------------------------------------------------------------------


def test_a_supervisor_adds_photographs_prepares_closes_and_withdraws_on_pages(page):
    mona = supervisor()
    browser = page(mona)
    assert b"No trial has been prepared" in browser.get(reverse("trials")).content
    assert b"There are no photographs" in browser.get(reverse("trial_material")).content
    for person in range(41):
        photos = [
            SimpleUploadedFile(f"{variant}.png", synthetic_photo(2000 + person, variant=variant)) for variant in (0, 1)
        ]
        given = {"code": f"P{person}", "consent": "consenting", "reference": "Form 7", "photos": photos}
        assert browser.post(reverse("trial_material"), given).status_code == 302
    from tests.trials.arrange import look_at_all

    look_at_all()
    assert b"P14" in browser.get(reverse("trial_material")).content
    asked = {"mated": 1, "non_mated": 1, "look_alike": 0, "pairs": 1, "days": 0}
    assert browser.post(reverse("trials"), asked).status_code == 302
    assert Trial.objects.count() == 2
    listed = browser.get(reverse("trials")).content.decode()
    assert "0 of 2" in listed
    trial = Trial.objects.get(kind="mated")
    shown = browser.get(reverse("trial", args=[trial.pk])).content.decode()
    assert "The person" in shown
    assert browser.get(reverse("trial_photo", args=[trial.photo_id]))["Content-Type"] == "image/jpeg"
    for one in Trial.objects.all():
        assert browser.post(reverse("close_trial", args=[one.pk])).status_code == 302
    subject = trial.photo.subject
    assert browser.post(reverse("withdraw_trial_subject", args=[subject.pk])).status_code == 302
    assert browser.get(reverse("trial_photo", args=[trial.photo_id])).status_code == 404
    assert b"Withdrawn" in browser.get(reverse("trial", args=[trial.pk])).content
    pages = [browser.get(reverse("trial_material"), {"page": number}).content for number in (1, 2)]
    assert any(b"Destroyed" in page for page in pages)


def test_what_is_wrong_with_a_form_is_said_on_the_page(page):
    browser = page(supervisor())
    answer = browser.post(reverse("trials"), {"mated": 1, "non_mated": 0, "look_alike": 0, "pairs": 1, "days": 0})
    assert answer.status_code == 422
    photo = SimpleUploadedFile("a.png", io.BytesIO(b"no").read())
    given = {"code": "A", "consent": "consenting", "reference": "Form", "photos": [photo]}
    answer = browser.post(reverse("trial_material"), given)
    assert answer.status_code == 422
    assert "Photograph 1" in answer.content.decode()


@pytest.mark.parametrize("name", ["trials", "trial_material", "trial_examiners"])
def test_trial_pages_are_for_supervisors_who_do_not_examine(page, name):
    both = UserFactory(roles=["supervisor", "examiner"], certified=True)
    assert page(supervisor()).get(reverse(name)).status_code == 200
    for stranger in (both, examiner(), investigator()):
        assert page(stranger).get(reverse(name)).status_code == 403


def test_objects_of_trials_are_no_objects_to_strangers(page, api):
    mona = supervisor()
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.MATED)
    anna, subject, photo = examiner(), Subject.objects.first(), TrialPhoto.objects.first()
    both = UserFactory(roles=["supervisor", "examiner"], certified=True)
    abroad = supervisor(agency=AgencyFactory(code="shelbyville"))
    for stranger in (both, abroad):
        assert page(stranger).get(reverse("trial", args=[trial.pk])).status_code == 404
        assert page(stranger).post(reverse("close_trial", args=[trial.pk])).status_code == 404
        assert page(stranger).post(reverse("withdraw_trial_subject", args=[subject.pk])).status_code == 404
        assert page(stranger).get(reverse("trial_photo", args=[photo.pk])).status_code == 404
    assert page(abroad).get(reverse("trial_examiner", args=[anna.pk])).status_code == 404
    assert page(both).get(reverse("trial_examiner", args=[anna.pk])).status_code == 403
    for stranger, status in ((both, 403), (abroad, 404)):
        client = api(stranger)
        assert client.post(reverse("api_close_trial", args=[trial.pk])).status_code == status
        assert client.get(reverse("api_trial_photo", args=[photo.pk])).status_code == status
        assert client.post(reverse("api_take_out", args=[anna.pk]), {"reason": "x"}).status_code == status
        assert client.post(reverse("api_withdraw_trial_subject", args=[subject.pk])).status_code == status


def test_the_same_over_rest(api):
    mona, anna = supervisor(), examiner()
    client = api(mona)
    material(mona, 21)
    photo = SimpleUploadedFile("a.png", synthetic_photo(4000))
    given = {"code": "X1", "consent": "synthetic", "reference": "Generator", "photos": [photo]}
    answer = client.post(reverse("api_trial_material"), given, format="multipart")
    assert answer.status_code == 201
    assert answer.json()["photos"][0]["state"] == "received"
    assert client.get(reverse("api_trial_material")).json()["count"] == 22
    made = client.post(reverse("api_trials"), {"mated": 1, "days": 0}, format="json")
    assert made.status_code == 201
    trial = Trial.objects.get(pk=made.json()[0]["id"])
    assert client.get(reverse("api_trials")).json()["results"][0]["mate_rank"] == trial.mate_rank
    assert client.post(reverse("api_trials"), {"mated": 999}, format="json").status_code == 422
    examine(anna, search_of(trial))
    (row,) = client.get(reverse("api_trial_examiners")).json()
    assert (row["misses"]["errors"], row["misses"]["tried"], row["trials"]) == (1, 1, 1)
    refused = client.post(reverse("api_take_out", args=[anna.pk]), {"reason": "x"}, format="json")
    assert (refused.status_code, "bar" in refused.json()["detail"]) == (409, True)
    assert api(anna).get(reverse("api_my_trials")).json()["trials"] == 0
    assert client.post(reverse("api_close_trial", args=[trial.pk])).status_code == 204
    assert api(anna).get(reverse("api_my_trials")).json()["trials"] == 1
    assert api(anna).get(reverse("api_trials")).status_code == 403


def test_what_is_shown_to_whom_is_on_record(page):
    mona, anna = supervisor(), examiner()
    material(mona)
    (trial,) = prepare(mona, Trial.Kind.MATED)
    page(mona).get(reverse("trial", args=[trial.pk]))
    page(mona).get(reverse("trial_examiner", args=[anna.pk]))
    page(mona).get(reverse("trial_photo", args=[trial.photo_id]))
    page(mona).get(reverse("trial_material"))
    acts = list(Entry.objects.filter(actor=mona.pk).values_list("act", flat=True))
    assert {
        "trial.prepared",
        "trial.viewed",
        "trial.results-viewed",
        "trial.photo-viewed",
        "trial-subject.listed",
    } <= set(acts)


@pytest.mark.usefixtures("short_lists")
def test_many_results_are_read_in_a_handful_of_queries(django_assert_max_num_queries):
    mona, people = supervisor(), [examiner() for _ in range(4)]
    material(mona)
    prepare(mona, Trial.Kind.MATED, number=3, pairs=2)
    for one in people * 3:
        examination = services.claim_next(by=one)
        services.exclude_remaining(by=one, examination=examination)
        services.conclude(by=one, examination=examination)
    with django_assert_max_num_queries(15):
        records = trial_results.of_agency(mona)
    assert sum(len(record.tried) for record in records) == 12
    assert datetime.datetime.now(datetime.UTC) > records[0].tried[0].examination.concluded_at
