"""Repeating a search for a disclosure: the same list but for what was erased, by whom it may be asked for, and kept."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.errors import NotAllowed, Unavailable, WrongState
from mugsearch.gallery import live
from mugsearch.gallery import services as gallery
from mugsearch.gallery.models import Booking, Encoder, Photo
from mugsearch.probes import ranking, services, tasks, working
from mugsearch.probes.filters import Filters
from mugsearch.probes.models import Candidate, Repeat, Search, SiblingPhoto
from tests.factories import BookingFactory, SearchFactory, UserFactory, auditor, clerk, examiner, investigator
from tests.gallery_rows import enrol
from tests.probes.test_searching import searched, submitted
from tests.retention.arrange import approved, requested
from tests.triggers import past_the_triggers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]

Page = Callable[[User], Any]
State = Search.State


def repeated(search: Search, by: User | None = None) -> Repeat:
    repeat = services.repeat(by=by or auditor(), search=search)
    working.run_repeat(repeat.pk)
    repeat.refresh_from_db()
    return repeat


def expunge(photo: Photo) -> None:
    approved(requested(photo.booking))


def outcome(repeat: Repeat) -> tuple[str, int | None, int | None, int | None]:
    return repeat.state, repeat.differing, repeat.erased_photos, repeat.erased_people


def test_what_was_booked_since_does_not_come_into_a_repeat():
    first = enrol(3)
    for person in range(10, 16):
        enrol(person)
    search = searched(3, list_size=4)
    enrol(3, variant=9)  # the probe's own photograph: it would be the best of all
    enrol(3, variant=1, booking=first.booking)
    repeat = repeated(search)
    assert outcome(repeat) == (State.DONE, 0, 0, 0)
    assert repeat.scanned == search.scanned == 7
    assert repeat.generation > search.generation
    assert search.candidates.get(rank=1).photo == first


def test_a_repeat_is_kept_with_who_asked_and_the_record_has_counts_and_no_scores_of_the_list():
    enrol(3)
    search, asking = searched(3), auditor()
    repeat = repeated(search, by=asking)
    assert (repeat.requested_by, search.repeats.get()) == (asking, repeat)
    assert repeat.finished_at >= repeat.started_at >= repeat.requested_at
    entries = Entry.objects.of(search)
    assert entries.get(act="search.repeat-requested").actor == asking.pk
    done = entries.get(act="search.repeated")
    assert (done.case, done.details["repeat"], done.details["differing"]) == (search.probe.case_id, str(repeat.pk), 0)
    assert str(search.candidates.get().score) not in done.canonical().decode()


def test_whoever_was_erased_since_is_counted_and_explains_who_moved_up():
    photos = {person: enrol(person) for person in (3, *range(10, 20))}
    second = enrol(3, variant=1, booking=BookingFactory(person=photos[3].booking.person))
    search = searched(3, list_size=5)
    listed = list(search.candidates.exclude(photo__in=[photos[3], second]).order_by("rank"))
    # One of two bookings of the best person, and somebody in the middle of the list.
    expunge(search.candidates.get(rank=1).photo)
    expunge(listed[1].photo)
    not_listed = next(
        photo for photo in photos.values() if photo not in [one.photo for one in listed] and photo.pk != photos[3].pk
    )
    expunge(not_listed)
    repeat = repeated(search)
    assert outcome(repeat) == (State.DONE, 0, 3, 2)
    assert repeat.scanned == search.scanned - 3


@pytest.mark.parametrize("seed", range(4))
def test_a_list_stays_repeatable_while_one_booking_after_the_other_is_erased(
    seed: int, monkeypatch: pytest.MonkeyPatch
):
    dice = random.Random(seed)
    monkeypatch.setattr(ranking, "DEPTH", dice.choice([1, 3, 200]))
    photos = []
    for person in range(3, 12):
        for variant in range(dice.choice([1, 1, 2, 4])):
            again = photos and dice.random() < 0.7 and variant
            booking = BookingFactory(person=photos[-1].booking.person) if again else BookingFactory()
            photos.append(enrol(person, variant=variant, booking=booking))
    search = searched(dice.randrange(3, 12), list_size=dice.choice([2, 5, 50]))
    dice.shuffle(photos)
    for gone, photo in enumerate(photos, start=1):
        expunge(photo)
        enrol(dice.randrange(3, 12), variant=dice.randrange(5, 9))
        repeat = repeated(search)
        forgotten = search.candidates.filter(forgotten_at__isnull=False).count()
        assert outcome(repeat) == (State.DONE, 0, gone, forgotten), gone
        assert repeat.scanned == len(photos) - gone


def another_score(search: Search) -> None:
    Candidate.objects.filter(search=search, rank=2).update(score=F("score") + 1e-6)


def two_changed_places(search: Search) -> None:
    first, second = search.candidates.filter(rank__in=(1, 2)).order_by("rank")
    Candidate.objects.filter(pk=first.pk).update(rank=50)
    Candidate.objects.filter(pk=second.pk).update(rank=1)
    Candidate.objects.filter(pk=first.pk).update(rank=2)


def somebody_left_out(search: Search) -> None:
    Candidate.objects.filter(search=search, rank=2).delete()


def another_rank_of_a_sibling(search: Search) -> None:
    SiblingPhoto.objects.filter(candidate__search=search).update(rank=4)


def a_sibling_that_did_not_return(search: Search) -> None:
    SiblingPhoto.objects.filter(candidate__search=search).update(rank=None, score=None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "tampered",
    [another_score, two_changed_places, somebody_left_out, another_rank_of_a_sibling, a_sibling_that_did_not_return],
)
def test_a_list_that_was_tampered_with_is_not_the_same(tampered: Callable[[Search], None]):
    first = enrol(3)
    enrol(3, variant=1, booking=first.booking)
    for person in range(10, 14):
        enrol(person)
    search = searched(3, list_size=4)
    assert outcome(repeated(search)) == (State.DONE, 0, 0, 0)
    with past_the_triggers():
        tampered(search)
    assert repeated(search).differing >= 1


def test_a_corrected_record_may_change_a_narrowed_search_and_the_result_says_how_many_differ():
    people = [enrol(person, booking=BookingFactory(person__sex="F")) for person in (3, 4, 5)]
    hidden = enrol(6, booking=BookingFactory(person__sex="M"))
    probe = submitted(3)
    search = services.search(by=probe.submitted_by, probe=probe, face=0, filters=Filters(sexes=("F",)))
    working.run_search(search.pk)
    search.refresh_from_db()
    assert outcome(repeated(search)) == (State.DONE, 0, 0, 0)

    def correct(photo: Photo, sex: str) -> None:
        person = photo.booking.person
        about = {"family_name": person.family_name, "given_names": person.given_names, "date_of_birth": None}
        gallery.edit_person(by=clerk(), person=person, sex=sex, **about)

    correct(hidden, "F")
    assert repeated(search).differing == 1
    correct(people[1], "M")
    assert repeated(search).differing == 2


def test_a_search_of_a_replaced_encoder_cannot_be_repeated_and_it_says_why(page: Page):
    enrol(3)
    search = searched(3)
    queued = services.repeat(by=auditor(), search=search)
    Encoder.objects.filter(pk=search.encoder_id).update(state=Encoder.State.RETIRED)
    working.run_repeat(queued.pk)
    queued.refresh_from_db()
    assert (queued.state, queued.differing) == (State.FAILED, None)
    assert "encoder was replaced" in queued.failure
    assert Entry.objects.of(search).filter(act="search.repeat-failed").count() == 1
    with pytest.raises(WrongState, match="encoder was replaced"):
        services.repeat(by=auditor(), search=Search.objects.get(pk=search.pk))
    text = page(search.requested_by).get(f"/searches/{search.pk}").text
    assert "encoder was replaced" in text
    assert "Repeat the search" not in text


def test_the_encoder_of_then_made_active_again_has_other_vectors():
    enrol(3)
    search = searched(3)
    Encoder.objects.filter(pk=search.encoder_id).update(activated_at=timezone.now())
    with pytest.raises(WrongState, match="encoder was replaced"):
        services.repeat(by=auditor(), search=Search.objects.get(pk=search.pk))


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED])
def test_only_a_finished_search_is_repeated(state: State):
    with pytest.raises(WrongState, match="finished"):
        services.repeat(by=auditor(), search=SearchFactory(state=state))


def test_auditors_and_the_investigators_of_the_case_ask_for_repeats_and_nobody_else():
    enrol(3)
    search = searched(3)
    for person in (investigator(), examiner(), clerk()):
        with pytest.raises(NotAllowed):
            services.repeat(by=person, search=search)
        assert Entry.objects.filter(actor=person.pk, act="search.repeat-requested", outcome="refused").count() == 1
    assert outcome(repeated(search, by=search.requested_by)) == (State.DONE, 0, 0, 0)
    assert outcome(repeated(search, by=auditor())) == (State.DONE, 0, 0, 0)


def test_a_search_is_repeated_once_at_a_time():
    enrol(3)
    search = searched(3)
    services.repeat(by=auditor(), search=search)
    with pytest.raises(WrongState, match="already"):
        services.repeat(by=auditor(), search=search)


@pytest.mark.django_db(transaction=True)
def test_a_repeat_whose_message_or_worker_was_lost_is_taken_up_again(queued: list[Any]):
    enrol(3)
    search = searched(3)
    repeat = services.repeat(by=auditor(), search=search)
    assert ("mugsearch.probes.tasks.run_repeat", (str(repeat.pk),)) in queued
    queued.clear()
    with past_the_triggers():
        long_ago = timezone.now() - timedelta(minutes=5)
        Repeat.objects.filter(pk=repeat.pk).update(state=State.RUNNING, started_at=long_ago, requested_at=long_ago)
    tasks.resume()
    assert queued == [("mugsearch.probes.tasks.run_repeat", (str(repeat.pk),))]
    tasks.run_repeat(str(repeat.pk))
    tasks.run_repeat(str(repeat.pk))
    repeat.refresh_from_db()
    assert outcome(repeat) == (State.DONE, 0, 0, 0)
    assert Entry.objects.of(search).filter(act="search.repeated").count() == 1


def test_a_repeat_that_keeps_failing_ends_after_three_tries(monkeypatch: pytest.MonkeyPatch):
    enrol(3)
    search = searched(3)
    repeat = services.repeat(by=auditor(), search=search)

    def broken(*args: object, **kwargs: object) -> None:
        raise Unavailable("The disk is gone.")

    monkeypatch.setattr(live, "catch_up", broken)
    for _ in range(5):
        working.run_repeat(repeat.pk)
    repeat.refresh_from_db()
    assert (repeat.state, repeat.failure, repeat.attempts) == (State.FAILED, "The disk is gone.", 3)
    monkeypatch.undo()
    assert outcome(repeated(search)) == (State.DONE, 0, 0, 0)


def test_while_the_index_is_rebuilt_a_repeat_waits(monkeypatch: pytest.MonkeyPatch):
    enrol(3)
    repeat = services.repeat(by=auditor(), search=searched(3))

    def rebuilding(*args: object, **kwargs: object) -> None:
        raise live.NotReady("The index is being rebuilt.")

    monkeypatch.setattr(live, "catch_up", rebuilding)
    for _ in range(5):
        working.run_repeat(repeat.pk)
    repeat.refresh_from_db()
    assert (repeat.state, repeat.attempts) == (State.QUEUED, 0)
    monkeypatch.undo()
    working.run_repeat(repeat.pk)
    repeat.refresh_from_db()
    assert outcome(repeat) == (State.DONE, 0, 0, 0)


def test_somebody_erased_while_a_repeat_runs_makes_no_difference(monkeypatch: pytest.MonkeyPatch):
    gone = enrol(3)
    for person in range(10, 14):
        enrol(person)
    search = searched(3)
    repeat = services.repeat(by=auditor(), search=search)
    find = ranking.ask

    def erased_meanwhile(*args: Any) -> Any:
        found = find(*args)
        if Booking.objects.filter(pk=gone.booking_id).exists():
            expunge(gone)
        return found

    monkeypatch.setattr(ranking, "ask", erased_meanwhile)
    working.run_repeat(repeat.pk)
    working.run_repeat(repeat.pk)
    repeat.refresh_from_db()
    assert outcome(repeat) == (State.DONE, 0, 1, 1)
    assert repeat.scanned == search.scanned - 1


def test_the_page_follows_a_repeat_and_then_says_what_came_of_it(page: Page):
    enrol(3)
    search = searched(3)
    browser, address = page(search.requested_by), f"/searches/{search.pk}"
    answer = browser.post(f"{address}/repeats")
    assert answer.headers["Location"] == f"{address}#repeats"
    moving = browser.get(f"{address}/repeats").text
    assert f'hx-get="{address}/repeats"' in moving
    assert "Queued" in moving
    working.run_repeat(search.repeats.get().pk)
    still = browser.get(f"{address}/repeats").text
    assert "hx-get" not in still
    assert "The same list" in still
    assert search.requested_by.full_name in browser.get(address).text
    assert str(search.candidates.get().score) not in still
    assert page(investigator()).get(f"{address}/repeats").status_code == 404
    assert page(examiner()).get(f"{address}/repeats").status_code == 403


def test_a_list_that_differs_or_lost_people_is_told_by_counts(page: Page):
    search = SearchFactory(list_size=20, filters={"sexes": ["F"]})
    counts = {"generation": 9, "scanned": 1188, "state": State.DONE, "finished_at": timezone.now()}
    by = auditor()
    Repeat.objects.create(search=search, requested_by=by, differing=2, erased_photos=12, erased_people=1, **counts)
    text = page(search.requested_by).get(f"/searches/{search.pk}").text
    assert "2 photographs with another rank or score" in text
    assert "corrected since" in text
    assert "12 photographs of the gallery, 1 of the list’s 20 places" in text
    assert "1,188" in text


def test_over_the_api_a_repeat_is_asked_for_and_polled(api: Callable[[User], Any]):
    enrol(3)
    search = searched(3)
    address = f"/api/v1/searches/{search.pk}/repeats"
    for person in (search.requested_by, auditor()):
        answer = api(person).post(address)
        assert (answer.status_code, answer.json()["state"], answer.json()["identical"]) == (201, "queued", None)
        assert api(person).post(address).status_code == 409
        working.run_repeat(answer.json()["id"])
        (newest, *_) = api(person).get(address).json()["results"]
        assert (newest["state"], newest["identical"], newest["differing"]) == ("done", True, 0)
        assert newest["requested_by"] == str(person.pk)
    assert api(investigator()).post(address).status_code == 404
    assert api(UserFactory(roles=[Role.EXAMINER])).get(address).status_code == 403
