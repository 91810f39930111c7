"""Sealing: kept, and neither found nor seen by anybody but records staff, until it is unsealed."""

from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.http import Http404
from django.utils import timezone

from mugsearch.audit.models import Entry
from mugsearch.errors import NotAllowed, WrongState
from mugsearch.gallery import checking, encoding, enrolling, live, reencoding
from mugsearch.gallery.models import Booking, GalleryChange, Photo, Template
from mugsearch.probes import repeating
from mugsearch.probes.models import Candidate, Repeat, SealedPlace, Search, SiblingPhoto
from mugsearch.retention import orphans, queries, services, tasks
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from reviews import leads, lineup, pictures
from reviews.models import Finding, Lead
from reviews.queries import awaiting_examination, examination_state, lead_sheet, list_of, sheet
from tests.factories import (
    AgencyFactory,
    BookingFactory,
    CandidateFactory,
    SearchFactory,
    clerk,
    examiner,
    investigator,
    rename,
)
from tests.gallery_rows import enrol
from tests.retention.arrange import OPAQUE, a_life, another_booking, approved, expunged, requested, sealed, unsealed
from tests.retention.test_leads_in_use import exported
from tests.retention.test_races import a_queued_search, photos_found
from tests.reviews.arrange import examine

pytestmark = pytest.mark.django_db(transaction=True)

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def in_index() -> set[int]:
    return set(live.catch_up(encoding.active()).ids().tolist())


def seals(photo: Photo) -> ExpungementOrder:
    return sealed(photo.booking)


def test_a_sealed_photo_is_found_by_no_search_and_found_again_once_it_is_unsealed() -> None:
    photo, other = enrol(7), enrol(8)
    assert photos_found(a_queued_search(7)) == {photo.pk, other.pk}
    order = seals(photo)
    assert photos_found(a_queued_search(7)) == {other.pk}
    assert in_index() == {other.templates.get().pk}
    order.refresh_from_db()
    assert order.state == State.COMPLETE
    unsealed(photo.booking)
    assert photos_found(a_queued_search(7)) == {photo.pk, other.pk}


def test_what_is_sealed_is_kept_whole() -> None:
    life = a_life()
    before = Template.objects.count(), vault.files(), vault.keys()
    sealed(life.booking)
    assert (Template.objects.count(), vault.files(), vault.keys()) == before
    assert Booking.objects.get(pk=life.booking.pk).sealed_at


def test_a_person_is_found_by_the_booking_that_is_not_sealed_and_the_sealed_one_is_no_sibling() -> None:
    photo = enrol(7)
    other = another_booking(photo.booking)
    seals(photo)
    search = a_queued_search(7)
    assert photos_found(search) == {other.pk}
    assert not SiblingPhoto.with_sealed.filter(candidate__search=search).exists()


def test_a_place_on_an_old_list_is_a_tombstone_while_it_is_sealed_and_then_what_it_was() -> None:
    life = a_life()
    before = Candidate.objects.filter(search=life.candidate.search).values()
    was, ranks = list(before.order_by("rank")), list_of(life.candidate.search)
    sealed(life.booking)
    life.candidate.refresh_from_db()
    assert (life.candidate.person, life.candidate.photo, life.candidate.score) == (None, None, None)
    hidden = list_of(life.candidate.search)[0]
    assert (hidden.gone, hidden.score, hidden.conclusions) == (True, None, ranks[0].conclusions)
    unsealed(life.booking)
    assert list(before.order_by("rank")) == was
    assert list_of(life.candidate.search) == ranks
    assert not SealedPlace.objects.exists()


def test_the_lead_is_withdrawn_whoever_opened_it_is_told_and_it_stays_withdrawn() -> None:
    life = a_life()
    member = investigator()
    life.lead.search.probe.case.members.add(member)
    leads.opened(by=member, lead=life.lead)
    sealed(life.booking)
    assert list(leads.withdrawn_unread(member)) == [life.lead]
    unsealed(life.booking)
    life.lead.refresh_from_db()
    assert life.lead.withdrawn_why == Lead.Why.SEALED
    shown = lead_sheet(life.lead)
    assert (shown.person, shown.booking, shown.siblings) == (None, None, [])


def test_what_examiners_wrote_about_a_sealed_face_is_hidden_and_not_lost() -> None:
    life = a_life()
    finding = Finding.objects.filter(candidate=life.candidate).first()
    assert finding
    assert "mole" in str(sheet(finding.examination))
    assert "mole" in str(lead_sheet(life.lead))
    sealed(life.booking)
    place = next(one for one in sheet(finding.examination).places if one.gone)
    assert (place.notes, place.worksheet, place.conclusion) == ("", {}, "3")
    assert all((one.notes, one.worksheet) == ("", []) for one in lead_sheet(life.lead).confirmations)
    unsealed(life.booking)
    assert "mole" in str(sheet(finding.examination))


def test_a_note_on_a_sealed_lead_may_not_name_its_person() -> None:
    life = a_life()
    rename(life.booking.person_id, family_name="Canaryfamily")
    sealed(life.booking)
    with pytest.raises(Exception, match="Leave out the name"):
        leads.require_nameless(life.lead, "It was Canaryfamily")


def test_a_sealed_filler_is_an_empty_place_of_a_line_up_made_before_and_chosen_for_no_new_one() -> None:
    life = a_life()
    line, others = exported(life)
    filler = next(one for one in others if str(one.pk) in line.photos)
    number = line.photos.index(str(filler.pk)) + 1
    mine = life.lead.search.requested_by

    def shown() -> list[Any]:
        return [place.photo.pk for place in lineup.places(line) if place.photo]

    assert filler.pk in shown()
    sealed(filler.booking)
    assert filler.pk not in shown()
    with pytest.raises(Http404):
        pictures.place_of_lineup(by=mine, lineup=line, place=number)
    with pytest.raises(WrongState, match="The gallery has 4 of the 5"):
        lineup.export(by=mine, lead=life.lead)
    unsealed(filler.booking)
    assert filler.pk in shown()
    assert pictures.place_of_lineup(by=mine, lineup=line, place=number)


def test_another_s_lead_does_not_show_the_sealed_photo_beside_it() -> None:
    life = a_life()
    beside = another_booking(life.booking)
    SiblingPhoto.objects.create(candidate=life.candidate, photo=beside, rank=3, score=0.8)
    sealed(beside.booking)
    assert beside.booking not in [one.booking for one in lead_sheet(life.lead).siblings]
    unsealed(beside.booking)
    assert beside.booking in [one.booking for one in lead_sheet(life.lead).siblings]


def test_a_search_of_which_everybody_is_sealed_waits_for_nobody_and_waits_again_when_they_are_unsealed() -> None:
    photo = enrol(7)
    search = a_queued_search(7)
    assert photos_found(search) == {photo.pk}
    seals(photo)
    assert not examination_state(search).over  # but offered to nobody, for nobody is left to compare
    assert not awaiting_examination(by=examiner()).filter(pk=search.pk).exists()
    unsealed(photo.booking)
    assert not examination_state(search).over
    assert awaiting_examination(by=examiner()).filter(pk=search.pk).exists()


def test_the_nightly_check_agrees_that_a_sealed_photo_is_not_in_the_index_and_the_sweep_that_its_file_stays() -> None:
    photo, other = enrol(7), enrol(8)
    live.rebuild(encoding.active())
    seals(photo)
    live.reset()
    checked = checking.check(encoding.active())
    assert (checked.vectors, checked.all_is_well()) == (1, True)
    with live._opened(encoding.active()).index.change() as change:  # behind the back of the log
        change.drop([other.templates.get().pk])
    assert checking.check(encoding.active()).missing == 1
    assert in_index() == {other.templates.get().pk}
    assert orphans.sweep() == 0
    assert vault.has_file(photo.pk)
    assert vault.has_key(photo.booking_id)


def test_an_index_made_anew_holds_nothing_sealed() -> None:
    photo, other = enrol(7), enrol(8)
    seals(photo)
    live.start_over(encoding.active())
    live.rebuild(encoding.active())
    assert in_index() == {other.templates.get().pk}
    unsealed(photo.booking)
    assert in_index() == {photo.templates.get().pk, other.templates.get().pk}


def test_more_photos_of_a_sealed_booking_stay_out_of_the_index_until_it_is_unsealed() -> None:
    photo = enrol(7)
    seals(photo)
    last = GalleryChange.objects.count()
    later = enrol(7, variant=1, booking=photo.booking)
    Photo.objects.filter(pk=later.pk).update(state=Photo.State.WAITING)
    later.templates.all().delete()
    enrolling.enroll(later.pk)
    assert later.templates.exists()
    assert GalleryChange.objects.count() == last
    assert in_index() == set()
    unsealed(photo.booking)
    assert in_index() == {photo.templates.get().pk, later.templates.get().pk}


def test_another_encoder_encodes_what_is_sealed_and_does_not_find_it(settings: Any, fake_encoder: Any) -> None:
    photo, other = enrol(7), enrol(8)
    seals(photo)
    Template.objects.filter(photo=photo).delete()
    reencoding.reencode()
    assert Template.objects.filter(photo=photo).count() == 1
    assert in_index() == {other.templates.get().pk}


def test_the_same_search_repeated_accounts_for_what_was_sealed_since_and_for_what_came_back() -> None:
    photo, _ = enrol(7), enrol(8)
    search = a_queued_search(7)
    photos_found(search)

    def repeated() -> tuple[int | None, int | None, int | None]:
        again = Repeat.objects.create(search=search, requested_by=investigator(), state=Search.State.RUNNING)
        repeating.repeat(again)
        again.refresh_from_db()
        return again.erased_photos, again.erased_people, again.differing

    seals(photo)
    search.refresh_from_db()
    assert repeated() == (1, 1, 0)
    unsealed(photo.booking)
    assert repeated() == (0, 0, 0)
    later = a_queued_search(7)
    photos_found(later)
    search = later
    assert repeated() == (0, 0, 0)


def test_a_sealed_booking_can_be_expunged_and_nothing_of_its_places_is_left() -> None:
    life = a_life()
    sealed(life.booking)
    preview = queries.preview(life.booking)
    assert (preview.counts["candidates"], preview.counts["siblings"]) == (1, 1)
    expunged(life.booking)
    life.candidate.refresh_from_db()
    assert (life.candidate.photo, life.candidate.person) == (None, None)
    assert not SealedPlace.objects.exists()
    assert not SiblingPhoto.with_sealed.exists()
    assert not Finding.objects.filter(candidate=life.candidate).exclude(sealed=b"", owner=None, said={}).exists()
    assert not ExpungementOrder.objects.exclude(booking=None).exists()


def test_sealing_and_unsealing_need_two_clerks_and_what_was_seen() -> None:
    booking, asked = enrol(1).booking, clerk()
    for kind in (Kind.SEAL, Kind.UNSEAL):
        order = services.request(by=asked, booking=booking, kind=kind, **OPAQUE)
        with pytest.raises(NotAllowed, match="another records clerk"):
            approved(order, by=asked)
        with pytest.raises(NotAllowed):
            approved(order, by=investigator())
        with pytest.raises(WrongState, match="It changed"):
            services.approve(by=clerk(), order=order, seen="something else")
        approved(order)
        tasks.prove_forgotten(str(order.pk))
        booking.refresh_from_db()
        assert bool(booking.sealed_at) == (kind == Kind.SEAL)


def test_what_is_sealed_is_not_sealed_again_and_what_is_not_is_not_unsealed() -> None:
    booking = enrol(1).booking
    with pytest.raises(WrongState, match="not sealed"):
        requested(booking, kind=Kind.UNSEAL)
    sealed(booking)
    with pytest.raises(WrongState, match="sealed already"):
        requested(booking, kind=Kind.SEAL)


def test_nothing_is_unsealed_while_its_sealing_is_being_verified() -> None:
    booking = enrol(1).booking
    order = approved(requested(booking, kind=Kind.SEAL))
    assert order.state == State.APPROVED
    back = requested(booking, kind=Kind.UNSEAL)
    with pytest.raises(WrongState, match="still being verified"):
        approved(back)
    tasks.prove_forgotten(str(order.pk))
    approved(back)
    assert back.state == State.COMPLETE


def test_a_sealing_that_lost_its_message_is_verified_by_the_scheduler() -> None:
    booking = enrol(1).booking
    order = approved(requested(booking, kind=Kind.SEAL))
    assert [one.pk for one in ExpungementOrder.objects.filter(state=State.APPROVED)] == [order.pk]
    tasks.resume()
    order.refresh_from_db()
    assert order.state in (State.APPROVED, State.COMPLETE)


def test_every_act_of_a_sealing_is_an_entry_that_names_nobody() -> None:
    booking = enrol(1, booking=BookingFactory(booking_number="CANARY-1")).booking
    sealed(booking)
    unsealed(booking)
    acts = list(Entry.objects.order_by("number").values_list("act", flat=True))
    for act in ("sealing.requested", "booking.sealed", "sealing.approved", "sealing.completed", "booking.unsealed"):
        assert act in acts
    assert "canary" not in str(list(Entry.objects.values_list("details", flat=True))).lower()


def test_a_clerk_of_another_agency_can_neither_seal_nor_unseal() -> None:
    booking, stranger = enrol(1).booking, clerk(agency=AgencyFactory(code="shelbyville"))
    with pytest.raises(WrongState):
        requested(booking, by=stranger, kind=Kind.SEAL)
    order = requested(booking, kind=Kind.SEAL)
    with pytest.raises(NotAllowed):
        approved(order, by=stranger)


def test_postgresql_puts_nothing_under_a_place_but_what_was_sealed_there() -> None:
    life = a_life()
    sealed(life.booking)
    other = life.other
    forged = {"person": other.person_id, "photo": other.photo_id, "score": 0.9, "forgotten_at": None}
    with pytest.raises(DatabaseError, match="what it was"), transaction.atomic():
        Candidate.objects.filter(pk=life.candidate.pk).update(**forged)
    with pytest.raises(DatabaseError, match="what the candidate was"), transaction.atomic():
        SealedPlace.objects.filter(pk=life.candidate.pk).update(score=0.1)
    with pytest.raises(DatabaseError, match="what the candidate was"), transaction.atomic():
        SealedPlace.objects.filter(pk=life.candidate.pk).delete()
    with pytest.raises(DatabaseError, match="what the candidate was"), transaction.atomic():
        SealedPlace.objects.create(candidate=other, person_id=other.person_id, photo=life.photos[0], score=other.score)


def test_an_order_is_shown_complete_only_when_the_index_was_proved() -> None:
    order = approved(requested(enrol(1).booking, kind=Kind.SEAL))
    with pytest.raises(DatabaseError, match="complete_only"), transaction.atomic():
        ExpungementOrder.objects.filter(pk=order.pk).update(state=State.COMPLETE, completed_at=timezone.now())


def test_a_search_of_which_everybody_is_sealed_only_waits_and_shows_no_conclusion_of_the_one_who_examined_it() -> None:
    life = a_life()
    search = SearchFactory(encoder=encoding.active())
    photo = life.photos[0]
    CandidateFactory(search=search, rank=1, photo=photo, person=life.booking.person)
    mine = examine(examiner(), search, same=(1,))
    sealed(life.booking)
    assert not examination_state(search).over
    assert list_of(search) == []
    unsealed(life.booking)
    assert not examination_state(search).over
    assert mine.findings.get().conclusion == "3"
