"""What each role is shown of a sealed booking, and the clerk's pages of sealing, holding and whole persons."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.gallery import live
from mugsearch.gallery.models import Booking, Person
from mugsearch.retention.models import ExpungementOrder, Hold
from tests.factories import (
    AgencyFactory,
    BookingFactory,
    UserFactory,
    administrator,
    auditor,
    clerk,
    examiner,
    investigator,
    rename,
)
from tests.gallery_rows import enrol
from tests.retention.arrange import OPAQUE, a_life, another_booking, finish, held, requested, sealed, unsealed
from tests.reviews.arrange import candidate, claim, finished_search, position_of, store_images

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
Api = Callable[[User], APIClient]
Kind, State = ExpungementOrder.Kind, ExpungementOrder.State
ROOT = "/api/v1/expungements"


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def test_the_page_an_examiner_has_open_shows_a_tombstone_once_it_is_sealed_and_the_face_once_it_is_unsealed(
    page: Page, api: Api
) -> None:
    search, user = finished_search(candidates=2), examiner()
    store_images(search)
    mine, place = claim(user, search), candidate(search, 2)
    assert place.photo
    booking, position, browser = place.photo.booking, position_of(mine, place), page(user)
    address, image = f"/reviews/{mine.pk}", f"/reviews/{mine.pk}/candidates/{position}.jpg"
    assert browser.get(image).status_code == 200
    sealed(booking)
    assert "Expunged or sealed" in browser.get(address).content.decode()
    for path in (image, f"{image}?thumb=1", f"/api/v1/examinations/{mine.pk}/candidates/{position}/image"):
        client: Any = api(user) if path.startswith("/api") else browser
        assert client.get(path).status_code == 404
    saved = {"position": position, "conclusion": "3", "notes": "", "saved_at": ""}
    assert browser.post(f"{address}/findings", saved, headers={"X-Requested-With": "fetch"}).status_code == 409
    unsealed(booking)
    assert "Expunged or sealed" not in browser.get(address).content.decode()
    assert browser.get(image).status_code == 200


def test_the_investigator_s_lead_says_that_the_booking_was_sealed_and_shows_neither_face_nor_name(page: Page) -> None:
    life, member = a_life(), investigator()
    rename(life.booking.person_id, family_name="Canaryfamily")
    life.lead.search.probe.case.members.add(member)
    browser, address = page(member), f"/reviews/leads/{life.lead.pk}"
    assert "Canaryfamily" in browser.get(address).content.decode()
    sealed(life.booking)
    assert "1 lead you opened was withdrawn" in browser.get("/cases/").content.decode()
    text = browser.get(address).content.decode()
    assert "has been sealed" in text
    assert "destroyed" not in text
    assert "Canaryfamily" not in text
    for image in ("candidate.jpg", "photos/1.jpg"):
        assert browser.get(f"{address}/{image}").status_code == 404
    unsealed(life.booking)
    assert "Canaryfamily" not in browser.get(address).content.decode()
    assert browser.get(f"{address}/candidate.jpg").status_code == 404


def test_records_staff_go_on_seeing_it_marked_as_sealed(page: Page, api: Api) -> None:
    photo, user = enrol(1), clerk()
    browser, address = page(user), f"/gallery/bookings/{photo.booking_id}"
    assert "Sealed" not in browser.get(address).content.decode()
    sealed(photo.booking)
    text = browser.get(address).content.decode()
    assert "No search finds it" in text
    assert "kind=unseal" in text
    assert "badge--sealed" in browser.get(f"/gallery/people/{photo.booking.person_id}").content.decode()
    image = browser.get(f"/gallery/photos/{photo.pk}/image")
    assert (image.status_code, "no-store" in image.headers["Cache-Control"]) == (200, True)
    assert api(user).get(f"/api/v1/bookings/{photo.booking_id}").json()["sealed_at"]


def test_from_the_number_on_an_order_to_the_certificates_of_sealing_and_unsealing(page: Page) -> None:
    life = a_life(booking_number="CANARY-24-0001")
    rename(life.booking.person_id, family_name="Canaryfamily", person_id="CANARY-P-1")
    first, second = page(clerk()), page(clerk())
    for kind, done, counts in (("seal", "Sealed", [1, 2, 2, 1, 1, 1]), ("unseal", "Unsealed", [1, 2, 2, 1, 1])):
        address = f"/expungements/new?booking={life.booking.pk}&kind={kind}"
        shown = first.get(address)
        assert [line.count for line in shown.context["will_go"]] == counts
        assert all(f"/gallery/photos/{photo.pk}/image" in shown.content.decode() for photo in life.photos)
        order = first.post(address, OPAQUE).headers["Location"]
        seen = second.get(order).context["preview"].digest
        assert second.post(f"{order}/approve", {"seen": seen}).headers["Location"] == order
        if kind == "seal":
            assert "No search returns this booking any more" in second.get(order).content.decode()
            assert second.get(f"{order}/certificate").status_code == 409
            from mugsearch.retention import tasks

            tasks.prove_forgotten(order.rsplit("/", 1)[1])
            finish()
        text = second.get(f"{order}/certificate").content.decode()
        body = text[text.index("<main") :]
        assert done in body
        assert "canary" not in body.lower()
        assert "What still ages out" not in body
        assert Entry.objects.latest("number").act == f"{kind}ing.certificate-viewed"


def test_an_order_for_the_whole_person_is_previewed_and_approved_as_one(page: Page) -> None:
    photo = enrol(7)
    another_booking(photo.booking)
    another_booking(photo.booking)
    first, second = page(clerk()), page(clerk())
    one = first.get(f"/expungements/new?booking={photo.booking_id}").content.decode()
    assert "The whole person, 3 bookings" in one
    address = f"/expungements/new?booking={photo.booking_id}&whole=1"
    shown = first.get(address)
    assert "nothing of the person stays" in shown.content.decode()
    order = first.post(address, OPAQUE).headers["Location"]
    assert "the whole person" in second.get("/expungements/").content.decode()
    seen = second.get(order).context["preview"].digest
    second.post(f"{order}/approve", {"seen": seen})
    assert not Person.objects.filter(pk=photo.booking.person_id).exists()
    assert "What was destroyed" in second.get(order).content.decode()


def test_what_is_sealed_can_t_be_sealed_again_from_the_page_and_nothing_breaks(page: Page) -> None:
    booking, browser = enrol(1).booking, page(clerk())
    for kind, said in (("unseal", "This is not sealed."), ("rubbish", "What will be destroyed")):
        address = f"/expungements/new?booking={booking.pk}&kind={kind}"
        assert said in browser.get(address).content.decode()
    assert browser.post(f"/expungements/new?booking={booking.pk}&kind=unseal", OPAQUE).status_code == 409


def test_an_order_that_another_one_has_dealt_with_says_so_and_can_be_withdrawn(page: Page) -> None:
    photo = enrol(1)
    order, browser = requested(photo.booking, kind=Kind.SEAL), page(clerk())
    Booking.objects.filter(pk=photo.booking_id).update(sealed_at=timezone.now())
    text = browser.get(f"/expungements/{order.pk}").content.decode()
    assert "Nothing is left to be done" in text
    assert "/approve" not in text
    assert browser.post(f"/expungements/{order.pk}/approve", {"seen": ""}).status_code == 409
    browser.post(f"/expungements/{order.pk}/withdraw")
    order.refresh_from_db()
    assert order.state == State.WITHDRAWN


def test_a_hold_is_set_shown_blocks_the_approval_and_is_lifted(page: Page) -> None:
    photo = enrol(1)
    user = clerk(full_name="Hanna Holder")
    browser, second, address = page(user), page(clerk()), f"/gallery/bookings/{photo.booking_id}"
    new = f"/expungements/holds/on/{photo.booking_id}"
    assert browser.post(new, {}).status_code == 422
    told = {"reference": "PRES-7", "reason": "Civil suit", "last_day": timezone.localdate().isoformat()}
    assert browser.post(new, told).headers["Location"] == address
    for text in (
        browser.get(address).content.decode(),
        browser.get(f"/expungements/new?booking={photo.booking_id}").content.decode(),
        browser.get("/expungements/holds").content.decode(),
    ):
        assert "Hanna Holder" in text
        assert "PRES-7" in text
    order = requested(photo.booking)
    held_page = second.get(f"/expungements/{order.pk}")
    assert "/approve" not in held_page.content.decode()
    seen = {"seen": held_page.context["preview"].digest}
    assert second.post(f"/expungements/{order.pk}/approve", seen).status_code == 409
    second.post(f"/expungements/holds/{Hold.objects.get().pk}/lift")
    assert "PRES-7" not in browser.get(address).content.decode()
    assert "/approve" in second.get(f"/expungements/{order.pk}").content.decode()


def test_a_supervisor_sees_the_holds_and_changes_none(page: Page) -> None:
    hold = held(enrol(1).booking)
    browser = page(UserFactory(roles=[Role.SUPERVISOR]))
    text = browser.get("/expungements/holds").content.decode()
    assert "PRES-1" in text
    assert "/gallery/bookings/" not in text
    assert browser.post(f"/expungements/holds/{hold.pk}/lift").status_code == 403
    assert browser.get(f"/expungements/holds/on/{hold.booking_id}").status_code == 403
    for person in (investigator(), examiner(), auditor(), administrator()):
        assert page(person).get("/expungements/holds").status_code == 403


def test_of_holds_and_sealed_bookings_another_agency_is_told_that_there_is_nothing(page: Page, api: Api) -> None:
    booking = enrol(1, booking=BookingFactory(booking_number="24-0001")).booking
    hold, other = held(booking), clerk(agency=AgencyFactory(code="shelbyville"))
    browser, client = page(other), api(other)
    assert "PRES-1" not in browser.get("/expungements/holds").content.decode()
    for pk in (hold.pk, uuid4()):
        assert browser.post(f"/expungements/holds/{pk}/lift").status_code == 404
        assert client.post(f"/api/v1/holds/{pk}/lift").status_code == 404
    for pk in (booking.pk, uuid4()):
        assert browser.get(f"/expungements/holds/on/{pk}").status_code == 404
        assert browser.get(f"/expungements/new?booking={pk}&kind=seal&whole=1").status_code == 404
    told = {"booking_number": "24-0001", "reference": "x", "reason": "y"}
    assert client.post("/api/v1/holds", told, format="json").status_code == 422
    assert client.get("/api/v1/holds").json()["results"] == []
    asked = {"booking_number": "24-0001", "kind": "seal", **OPAQUE}
    assert client.post(ROOT, asked, format="json").status_code == 422


def test_over_rest_a_person_is_sealed_unless_one_booking_is_held(api: Api) -> None:
    photo = enrol(7, booking=BookingFactory(booking_number="24-0001"))
    other = another_booking(photo.booking)
    first, second = api(clerk()), api(clerk())
    told = {"booking_number": other.booking.booking_number, "reference": "PRES-1", "reason": "Civil suit"}
    hold = first.post("/api/v1/holds", told, format="json").json()
    assert (hold["in_force"], hold["last_day"]) == (True, None)
    about = {"booking_number": "24-0001", "kind": "seal", "whole_person": True}
    look = first.post(f"{ROOT}/preview", about, format="json").json()
    assert (len(look["bookings"]), look["holds"], look["kind"]) == (2, [hold["id"]], "seal")
    order = first.post(ROOT, {**about, **OPAQUE}, format="json").json()
    assert (order["kind"], order["whole_person"], order["state"]) == ("seal", True, "requested")
    seen = {"seen": second.get(f"{ROOT}/{order['id']}/preview").json()["digest"]}
    refused = second.post(f"{ROOT}/{order['id']}/approve", seen, format="json")
    assert (refused.status_code, "legal hold" in refused.json()["detail"]) == (409, True)
    assert first.post(f"/api/v1/holds/{hold['id']}/lift").json()["in_force"] is False
    assert second.post(f"{ROOT}/{order['id']}/approve", seen, format="json").json()["state"] == "approved"
    assert api(investigator()).get("/api/v1/holds").status_code == 403
    supervisor = api(UserFactory(roles=[Role.SUPERVISOR]))
    assert len(first.get("/api/v1/holds").json()["results"]) == 1
    assert supervisor.get("/api/v1/holds").json()["results"] == []  # of what is sealed records staff are told
    assert supervisor.post("/api/v1/holds", told, format="json").status_code == 403
