"""Asking for an expungement, and what is gone when a second clerk has approved it."""

import json
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import live, suppression
from mugsearch.gallery.models import Booking, GalleryChange, ImportReject, ImportRun, Person, Photo, Template
from mugsearch.probes.models import Candidate, SiblingPhoto
from mugsearch.retention import queries, services, tasks
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from reviews.models import Finding, Lead
from tests.factories import (
    AgencyFactory,
    BookingFactory,
    UserFactory,
    administrator,
    clerk,
    examiner,
    investigator,
    rename,
)
from tests.gallery_rows import enrol
from tests.retention.arrange import OPAQUE, a_life, another_booking, approved, finish, requested

pytestmark = pytest.mark.django_db(transaction=True)

State = ExpungementOrder.State


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def test_a_preview_names_exactly_what_will_go() -> None:
    life = a_life()
    run = ImportRun.objects.create(agency=life.booking.agency, started_by=clerk())
    ImportReject.objects.create(run=run, line=2, booking_number=life.booking.booking_number.lower(), reason="x")
    ImportReject.objects.create(run=run, line=3, booking_number="another", reason="x")
    preview = queries.preview(life.booking)
    assert preview.counts == {
        "bookings": 1,
        "photos": 2,
        "templates": 2,
        "keys": 2,
        "candidates": 1,
        "siblings": 1,
        "leads": 1,
        "rejects": 1,
        "holds": 0,
        "people": 1,
    }
    assert {photo.pk for photo in preview.photos} == {photo.pk for photo in life.photos}
    assert preview.person_goes


def test_the_person_stays_while_another_booking_of_theirs_does() -> None:
    life = a_life()
    photo = another_booking(life.booking)
    preview = queries.preview(life.booking)
    assert (preview.person_goes, preview.other_bookings) == (False, 1)
    person = life.booking.person_id
    approved(requested(life.booking))
    assert Person.objects.filter(pk=person).exists()
    assert Template.objects.filter(photo=photo).exists()
    approved(requested(photo.booking))
    assert not Person.objects.filter(pk=person).exists()


def test_only_records_staff_may_ask_for_an_expungement() -> None:
    booking = enrol(1).booking
    for person in (investigator(), examiner(), administrator(), UserFactory(roles=[Role.AUDITOR])):
        with pytest.raises(NotAllowed):
            services.request(by=person, booking=booking, **OPAQUE)
    assert requested(booking).state == State.REQUESTED


def test_a_clerk_of_another_agency_may_not_ask_approve_or_withdraw() -> None:
    booking = enrol(1).booking
    stranger = clerk(agency=AgencyFactory(code="shelbyville"))
    with pytest.raises(WrongState):
        services.request(by=stranger, booking=booking, **OPAQUE)
    order = requested(booking)
    with pytest.raises(NotAllowed):
        approved(order, by=stranger)
    with pytest.raises(NotAllowed):
        services.withdraw(by=stranger, order=order)
    assert not ExpungementOrder.objects.visible_to(stranger).exists()
    assert Booking.objects.filter(pk=booking.pk).exists()


def test_the_clerk_who_asked_cannot_approve() -> None:
    asked = clerk()
    order = requested(enrol(1).booking, by=asked)
    with pytest.raises(NotAllowed, match="another records clerk"):
        approved(order, by=asked)
    erased = {"state": State.APPROVED, "erased_at": order.requested_at, "booking": None}
    with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
        ExpungementOrder.objects.filter(pk=order.pk).update(**erased, approved_by=asked, approved_at=order.requested_at)
    with pytest.raises(IntegrityError, match="needs_approval"), transaction.atomic():
        ExpungementOrder.objects.filter(pk=order.pk).update(**erased)


def test_only_records_staff_may_approve_or_withdraw() -> None:
    order = requested(enrol(1).booking)
    for person in (investigator(), administrator()):
        with pytest.raises(NotAllowed):
            approved(order, by=person)
        with pytest.raises(NotAllowed):
            services.withdraw(by=person, order=order)
    order.refresh_from_db()
    assert order.state == State.REQUESTED


def test_a_clerk_approves_only_what_they_have_seen() -> None:
    booking = enrol(1).booking
    order = requested(booking)
    seen = queries.preview(booking).digest
    enrol(1, variant=1, booking=booking)
    with pytest.raises(WrongState, match="It changed; look again"):
        services.approve(by=clerk(), order=order, seen=seen)
    services.approve(by=clerk(), order=order, seen=queries.preview(booking).digest)
    assert order.state == State.APPROVED


def test_there_is_one_open_order_per_booking_and_a_withdrawn_one_makes_room() -> None:
    booking = enrol(1).booking
    order = requested(booking)
    with pytest.raises(WrongState, match="already"):
        requested(booking)
    services.withdraw(by=clerk(), order=order)
    assert order.state == State.WITHDRAWN
    with pytest.raises(WrongState):
        approved(order)
    requested(booking)


@pytest.mark.parametrize(
    "words",
    [
        {"order_number": " "},
        {"order_number": "x" * 65},
        {"reason": "\n\t"},
        {"reason": "x" * 501},
        {"reason": "Ines Garland was acquitted"},
        {"reason": "dismissed for Ines"},
        {"reason": "GARLAND, Maria Ines: acquitted"},
        {"reason": "Gárland's acquittal"},
        {"order_number": "Garland", "reason": "dismissed"},
        {"reason": "Booking 24-0001, dismissed"},
        {"order_number": "24-0001"},
        {"reason": "Booking 24 0001 was dismissed"},
        {"reason": "Person P-77 was acquitted"},
    ],
)
def test_an_order_has_a_number_and_a_reason_and_names_nobody(words: dict[str, str]) -> None:
    booking = enrol(1, booking=BookingFactory(booking_number="24-0001")).booking
    rename(booking.person_id, family_name="Garland", given_names="Ines Maria", person_id="P-77")
    with pytest.raises(BadInput):
        requested(booking, **words)
    assert not ExpungementOrder.objects.exists()
    requested(booking, order_number="24-00010", reason="The order, the garlands shop case")


def test_a_family_name_of_several_words_is_refused_by_any_of_them_and_an_ordinary_word_is_named() -> None:
    booking = enrol(1).booking
    rename(booking.person_id, family_name="Núñez Court", given_names="Ines")
    for reason in ("dismissed for Nunez", "order of the court"):
        with pytest.raises(BadInput, match=r"nunez|court"):
            requested(booking, reason=reason)
    requested(booking, reason="dismissed by a judge")


def test_somebody_without_a_family_name_is_not_named_by_the_given_names_either() -> None:
    booking = enrol(1).booking
    rename(booking.person_id, family_name="", given_names="Ines Maria")
    with pytest.raises(BadInput):
        requested(booking, reason="Ines was acquitted")
    requested(booking, reason="acquitted")


def test_after_approval_rows_files_key_and_vectors_are_gone() -> None:
    life = a_life()
    order = approved(requested(life.booking))
    assert order.state == State.APPROVED
    assert not Booking.objects.filter(pk=life.booking.pk).exists()
    assert not Person.objects.filter(pk=life.booking.person_id).exists()
    assert not Photo.objects.filter(pk__in=[photo.pk for photo in life.photos]).exists()
    assert not Template.objects.filter(photo__in=life.photos).exists()
    assert not vault.has_key(life.booking.pk)
    assert not any(vault.has_file(photo.pk) for photo in life.photos)
    assert order.keys_left == []
    assert order.files_left == []
    assert (order.booking, order.booking_number) == (None, "")
    assert vault.has_file(life.other.photo_id)


def test_an_order_is_complete_only_when_the_search_worker_has_proved_the_index(queued: list) -> None:
    life = a_life()
    live.catch_up(life.photos[0].templates.get().encoder)
    order = approved(requested(life.booking))
    assert ("mugsearch.retention.tasks.prove_forgotten", (str(order.pk),)) in queued
    assert (order.state, order.completed_at) == (State.APPROVED, None)
    tasks.prove_forgotten(str(order.pk))
    finish()
    order.refresh_from_db()
    assert order.state == State.COMPLETE
    assert order.completed_at is not None
    assert order.templates_left == []


def test_an_order_is_not_complete_while_the_index_still_holds_a_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    order = approved(requested(a_life().booking))
    monkeypatch.setattr(live, "forget", lambda _: live.Forgotten(order.generation - 1, 0))
    tasks.prove_forgotten(str(order.pk))
    finish()
    order.refresh_from_db()
    assert order.state == State.APPROVED
    assert "not been told" in order.troubles["forgotten_at"]


def test_postgresql_refuses_a_complete_order_with_a_step_left() -> None:
    order = approved(requested(a_life().booking))
    with pytest.raises(IntegrityError, match="complete_only_when"), transaction.atomic():
        ExpungementOrder.objects.filter(pk=order.pk).update(state=State.COMPLETE, completed_at=order.erased_at)


def test_the_change_log_tells_every_index_to_drop_the_vectors() -> None:
    life = a_life()
    templates = set(Template.objects.filter(photo__in=life.photos).values_list("pk", flat=True))
    order = approved(requested(life.booking))
    drops = GalleryChange.objects.filter(what="drop")
    assert set(drops.values_list("template_id", flat=True)) == templates
    assert max(drops.values_list("number", flat=True)) == order.generation


def test_old_candidate_lists_keep_the_place_as_a_tombstone_and_forget_the_person() -> None:
    life = a_life()
    approved(requested(life.booking))
    place = Candidate.objects.get(pk=life.candidate.pk)
    assert place.rank == 1
    assert (place.person_id, place.photo_id, place.score) == (None, None, None)
    assert place.forgotten_at is not None
    assert not place.siblings.exists()
    life.other.refresh_from_db()
    assert life.other.score == 0.2


def test_other_photos_of_the_person_no_longer_mention_the_expunged_one() -> None:
    life = a_life()
    photo = another_booking(life.booking)
    life.other.siblings.create(photo=life.photos[1], rank=9, score=0.1)
    life.candidate.siblings.create(photo=photo, rank=3, score=0.8)
    approved(requested(life.booking))
    assert not SiblingPhoto.objects.exists()


def test_the_grades_stay_what_examiners_wrote_of_the_face_goes_and_open_leads_are_withdrawn() -> None:
    life = a_life()
    assert all(one.worksheet["scars"]["drawn"] for one in Finding.objects.filter(candidate=life.candidate))
    approved(requested(life.booking))
    found = Finding.objects.filter(candidate=life.candidate, conclusion="3")
    assert [(one.notes, one.worksheet) for one in found] == [("", {}), ("", {})]
    assert Lead.objects.get(pk=life.lead.pk).withdrawn_at is not None


def test_a_lead_on_somebody_else_stays_open() -> None:
    life = a_life()
    approved(requested(life.other.photo.booking))
    assert Lead.objects.get(pk=life.lead.pk).withdrawn_at is None


def test_an_expunged_booking_number_is_remembered_by_its_digest_only() -> None:
    life = a_life(booking_number="24-0001")
    approved(requested(life.booking))
    assert suppression.is_suppressed(life.booking.agency_id, "24-0001")
    assert not suppression.is_suppressed(life.booking.agency_id, "24-0002")


def test_rejected_rows_that_name_the_booking_go_too() -> None:
    booking = enrol(1).booking
    run = ImportRun.objects.create(agency=booking.agency, started_by=clerk())
    foreign = ImportRun.objects.create(agency=AgencyFactory(code="shelbyville"), started_by=clerk())
    for line, (of, number) in enumerate(
        [
            (run, booking.booking_number),
            (run, f" {booking.booking_number.lower()}"),
            (run, booking.booking_number.replace("-", " / ")),
            (run, "B-x"),
            (run, ""),
        ],
        2,
    ):
        ImportReject.objects.create(run=of, line=line, booking_number=number, reason="x")
    ImportReject.objects.create(run=foreign, line=2, booking_number=booking.booking_number, reason="x")
    ImportReject.objects.create(run=run, line=9, booking_number="B-y", reason="Somebody else's.", held_by=booking)
    assert queries.preview(booking).counts["rejects"] == 4
    going = [reject.owner for reject in queries.rejects_of(booking)]
    approved(requested(booking))
    assert not any(map(vault.has_key, going))  # so no backup tells what they said
    assert sorted(reject.booking_number for reject in run.rejects.all()) == ["", "B-x"]
    assert foreign.rejects.count() == 1


def test_an_earlier_withdrawn_order_forgets_the_booking_as_well() -> None:
    booking = enrol(1).booking
    first = requested(booking)
    services.withdraw(by=clerk(), order=first)
    approved(requested(booking))
    first.refresh_from_db()
    assert (first.booking, first.booking_number) == (None, "")


def test_a_booking_without_photographs_or_key_can_be_expunged() -> None:
    order = approved(requested(BookingFactory()))
    tasks.prove_forgotten(str(order.pk))
    finish()
    order.refresh_from_db()
    assert order.state == State.COMPLETE


def test_a_booking_whose_key_was_lost_is_listed_and_expunged_and_does_not_come_back(
    page: Callable[[User], Client],
) -> None:
    booking = enrol(1).booking
    number = booking.booking_number
    for owner in (booking.pk, booking.person_id):
        vault.destroy_key(owner)
    client = page(clerk())
    for address in (reverse("person", args=[booking.person_id]), reverse("booking", args=[booking.pk])):
        answer = client.get(address)
        assert answer.status_code == 200
        assert "its data key is lost" in answer.content.decode()
    order = approved(requested(Booking.objects.get(pk=booking.pk)))
    assert client.get(reverse("expungements")).status_code == 200
    tasks.prove_forgotten(str(order.pk))
    finish()
    order.refresh_from_db()
    assert order.state == State.COMPLETE
    assert suppression.is_suppressed(booking.agency_id, number.lower())
    assert not suppression.is_suppressed(booking.agency_id, f"{number}0")


def test_a_request_is_refused_when_the_booking_is_gone() -> None:
    booking = enrol(1).booking
    approved(requested(booking))
    with pytest.raises(WrongState, match="not here any more"):
        requested(booking)


def test_no_table_mentions_the_person_or_the_booking_number_afterwards() -> None:
    life = a_life(booking_number="CANARY-24-0001")
    rename(life.booking.person_id, family_name="Canaryfamily", given_names="Canarygiven", person_id="CANARY-P-1")
    run = ImportRun.objects.create(agency=life.booking.agency, started_by=clerk())
    ImportReject.objects.create(run=run, line=2, booking_number="canary-24-0001", photo="canary.png", reason="No face.")
    services.withdraw(by=clerk(), order=requested(life.booking))
    order = approved(requested(life.booking))
    tasks.prove_forgotten(str(order.pk))
    finish()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" t')  # noqa: S608  names from PostgreSQL's catalogue
            assert not [row for (row,) in cursor.fetchall() if "canary" in row.lower()], table


def test_every_act_is_one_entry_that_names_nobody() -> None:
    life = a_life(booking_number="24-0001")
    first, second = clerk(), clerk()
    services.withdraw(by=second, order=requested(life.booking, by=first))
    order = requested(life.booking, by=first)
    with pytest.raises(NotAllowed):
        approved(order, by=first)
    approved(order, by=second)
    tasks.prove_forgotten(str(order.pk))
    finish()
    acts = list(Entry.objects.order_by("number").values_list("act", "outcome", "actor"))
    assert acts == [
        ("expungement.requested", "done", first.pk),
        ("expungement.withdrawn", "done", second.pk),
        ("expungement.requested", "done", first.pk),
        ("expungement.approved", "refused", first.pk),
        ("booking.expunged", "done", second.pk),
        ("expungement.approved", "done", second.pk),
        ("expungement.completed", "done", None),
        ("expungement.certified", "done", None),
    ]
    said = json.dumps(list(Entry.objects.values_list("details", flat=True)))
    person = life.booking.person
    for name in ("24-0001", person.family_name, person.person_id, OPAQUE["order_number"], OPAQUE["reason"]):
        assert name not in said
    expunged = Entry.objects.get(act="booking.expunged")
    assert expunged.details["photos"] == 2
    assert expunged.details["bookings"] == [str(life.booking.pk)]


def test_a_court_s_own_short_words_in_an_order_number_name_nobody() -> None:
    booking = enrol(1).booking
    rename(booking.person_id, family_name="Cv", given_names="Jo")
    with pytest.raises(BadInput):
        requested(booking, reason="dismissed for cv")
    requested(booking, order_number="26-CV-0417", reason="dismissed")
