"""The clerk's way from the booking number on an order to the certificate, and who is kept out."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.gallery import live
from mugsearch.gallery.models import Booking
from mugsearch.retention import tasks
from mugsearch.retention.models import ExpungementOrder
from tests.factories import AgencyFactory, BookingFactory, administrator, auditor, clerk, examiner, investigator, rename
from tests.gallery_rows import enrol
from tests.retention.arrange import OPAQUE, a_life, another_booking, approved, finish, requested

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
State = ExpungementOrder.State


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def completed(booking: Booking) -> ExpungementOrder:
    order = approved(requested(booking))
    tasks.prove_forgotten(str(order.pk))
    finish()
    order.refresh_from_db()
    assert order.state == State.COMPLETE
    return order


def test_from_the_number_on_an_order_to_the_certificate(page: Page) -> None:
    life = a_life(booking_number="24-0001")
    first, second = page(clerk()), page(clerk())
    found = first.post("/expungements/new", {"booking_number": " 24-0001 "})
    assert found.headers["Location"] == f"/expungements/new?booking={life.booking.pk}"
    shown = first.get(found.headers["Location"])
    text = shown.content.decode()
    assert [line.count for line in shown.context["will_go"]] == [1, 2, 2, 2, 1, 1, 1, 1]
    assert all(f"/gallery/photos/{photo.pk}/image" in text for photo in life.photos)
    asked = first.post(found.headers["Location"], OPAQUE)
    address = asked.headers["Location"]

    own = first.get(address).content.decode()
    assert "/approve" not in own
    assert "somebody else approves" in own
    waiting = second.get("/expungements/")
    assert waiting.context["waiting"] == 1
    seen = second.get(address).context["preview"].digest
    assert second.post(f"{address}/approve", {"seen": seen}).headers["Location"] == address
    after = second.get(address)
    assert "No search returns this booking any more" in after.content.decode()
    assert 'hx-trigger="every 1s"' in after.content.decode()
    assert second.get(f"{address}/certificate").status_code == 409

    tasks.prove_forgotten(address.rsplit("/", 1)[1])
    finish()
    done = second.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in done
    assert "hx-get" not in done
    assert second.get(f"{address}/certificate").status_code == 200


def test_a_certificate_says_what_was_checked_and_names_nobody(page: Page) -> None:
    life = a_life(booking_number="CANARY-24-0001")
    rename(life.booking.person_id, family_name="Canaryfamily", person_id="CANARY-P-1")
    order = completed(life.booking)
    reader = page(clerk(full_name="Ruth Reader"))
    text = reader.get(f"/expungements/{order.pk}/certificate").content.decode()
    body = text[text.index("<main") :]
    for word in ("Data keys destroyed", "Index proved", "What still ages out", OPAQUE["order_number"]):
        assert word in body
    assert "canary" not in body.lower()
    for person in (order.requested_by, order.approved_by):
        assert person.full_name not in body
    assert Entry.objects.latest("number").act == "expungement.certificate-viewed"


def test_a_number_that_was_expunged_before_is_said_to_be(page: Page) -> None:
    approved(requested(enrol(1, booking=BookingFactory(booking_number="24-0001")).booking))
    response = page(clerk()).post("/expungements/new", {"booking_number": "24-0001"})
    assert response.status_code == 422
    assert "has been expunged before" in response.content.decode()
    stranger = page(clerk(agency=AgencyFactory(code="shelbyville")))
    unknown = stranger.post("/expungements/new", {"booking_number": "24-0001"}).content.decode()
    assert "has been expunged before" not in unknown
    assert "no booking of this number" in unknown


def test_a_number_nobody_has_is_said_to_be_unknown_and_a_number_is_found_in_any_spelling(page: Page) -> None:
    booking = BookingFactory(booking_number="ab-1")
    browser = page(clerk())
    assert browser.post("/expungements/new", {"booking_number": "x"}).status_code == 422
    assert browser.post("/expungements/new", {"booking_number": ""}).status_code == 422
    assert str(booking.pk) in browser.post("/expungements/new", {"booking_number": "AB-1"}).headers["Location"]
    assert str(booking.pk) in browser.post("/expungements/new", {"booking_number": "ab 1"}).headers["Location"]


def test_the_page_says_that_the_person_stays_with_other_bookings(page: Page) -> None:
    booking = enrol(1).booking
    browser = page(clerk())
    assert "nothing of the person stays" in browser.get(f"/expungements/new?booking={booking.pk}").content.decode()
    another_booking(booking)
    text = browser.get(f"/expungements/new?booking={booking.pk}").content.decode()
    assert "The person stays, with 1 other booking." in text


def test_the_second_clerk_is_shown_that_it_changed_since_the_request(page: Page) -> None:
    booking = enrol(1).booking
    order, browser = requested(booking), page(clerk())
    before = browser.get(f"/expungements/{order.pk}")
    assert "It changed since the request" not in before.content.decode()
    enrol(1, variant=1, booking=booking)
    refused = browser.post(
        f"/expungements/{order.pk}/approve",
        {"seen": before.context["preview"].digest},
        headers={"referer": f"http://testserver/expungements/{order.pk}"},
        follow=True,
    )
    text = refused.content.decode()
    assert "It changed; look again" in text
    assert "It changed since the request" in text
    seen = refused.context["preview"].digest
    browser.post(f"/expungements/{order.pk}/approve", {"seen": seen})
    order.refresh_from_db()
    assert order.state == State.APPROVED


def test_what_a_clerk_typed_is_kept_when_it_can_t_be_taken(page: Page) -> None:
    booking = BookingFactory(booking_number="24-0001")
    response = page(clerk()).post(
        f"/expungements/new?booking={booking.pk}", {"order_number": "26-1", "reason": "Booking 24-0001 dismissed"}
    )
    assert response.status_code == 422
    text = response.content.decode()
    assert "Leave out the booking number" in text
    assert "Booking 24-0001 dismissed" in text


def test_a_withdrawn_order_erases_nothing(page: Page) -> None:
    booking = enrol(1).booking
    order, browser = requested(booking), page(clerk())
    browser.post(f"/expungements/{order.pk}/withdraw")
    assert "was withdrawn" in browser.get(f"/expungements/{order.pk}").content.decode()
    assert Booking.objects.filter(pk=booking.pk).exists()


def test_a_step_that_failed_is_seen_on_the_page(page: Page) -> None:
    order = approved(requested(enrol(1).booking))
    ExpungementOrder.objects.filter(pk=order.pk).update(troubles={"forgotten_at": "1 vectors are still in the index."})
    assert "still in the index" in page(clerk()).get(f"/expungements/{order.pk}").content.decode()


def test_only_records_staff_open_the_pages(page: Page) -> None:
    order = requested(enrol(1).booking)
    addresses = ["", "new", f"{order.pk}"]
    for person in (investigator(), examiner(), auditor(), administrator()):
        for address in addresses:
            assert page(person).get(f"/expungements/{address}").status_code == 403
        for verb in ("approve", "withdraw"):
            assert page(person).post(f"/expungements/{order.pk}/{verb}").status_code == 403
    for address in addresses:
        assert page(clerk()).get(f"/expungements/{address}").status_code == 200
        assert Client().get(f"/expungements/{address}").status_code == 302


def test_a_clerk_of_another_agency_is_told_that_there_is_nothing(page: Page) -> None:
    booking = enrol(1).booking
    order = requested(booking)
    browser = page(clerk(agency=AgencyFactory(code="shelbyville")))
    for pk in (order.pk, uuid4()):
        assert browser.get(f"/expungements/{pk}").status_code == 404
        assert browser.post(f"/expungements/{pk}/approve").status_code == 404
        assert browser.post(f"/expungements/{pk}/withdraw").status_code == 404
        assert browser.get(f"/expungements/{pk}/certificate").status_code == 404
    assert browser.get(f"/expungements/new?booking={booking.pk}").status_code == 404
    assert browser.get("/expungements/new?booking=x").status_code == 404
    assert order.order_number not in browser.get("/expungements/").content.decode()


def test_orders_that_wait_come_first(page: Page) -> None:
    done = completed(enrol(1).booking)
    waiting = requested(enrol(2).booking)
    withdrawn = requested(enrol(3).booking)
    ExpungementOrder.objects.filter(pk=withdrawn.pk).update(state=State.WITHDRAWN)
    response = page(clerk()).get("/expungements/")
    assert [order.pk for order in response.context["page"]] == [waiting.pk, withdrawn.pk, done.pk]


def test_looking_at_an_order_and_at_what_would_go_is_recorded(page: Page) -> None:
    booking, reader = enrol(1).booking, clerk()
    page(reader).get(f"/expungements/new?booking={booking.pk}")
    order = requested(booking)
    page(reader).get(f"/expungements/{order.pk}")
    seen = list(Entry.objects.filter(actor=reader.pk).order_by("number").values_list("act", "object_id"))
    assert seen == [("expungement.previewed", str(booking.pk)), ("expungement.viewed", str(order.pk))]


def test_only_the_page_that_follows_an_erasure_is_not_recorded_again(page: Page) -> None:
    order, reader = requested(enrol(1).booking), clerk()
    viewed = Entry.objects.filter(actor=reader.pk, act="expungement.viewed")
    again = {"path": f"/expungements/{order.pk}", "headers": {"HX-Request": "true"}}
    page(reader).get(**again)
    assert viewed.count() == 1
    approved(order)
    page(reader).get(**again)
    assert viewed.count() == 1
    tasks.prove_forgotten(str(order.pk))
    finish()
    page(reader).get(**again)
    assert viewed.count() == 2


def test_the_list_and_every_look_up_are_recorded_without_the_number(page: Page) -> None:
    gone = requested(enrol(1, booking=BookingFactory(booking_number="24-0001")).booking)
    approved(gone)
    reader = clerk()
    page(reader).get("/expungements/")
    for number in ("24-0001", "24-0002"):
        page(reader).post("/expungements/new", {"booking_number": number})
    entries = list(Entry.objects.filter(actor=reader.pk).order_by("number"))
    assert [entry.act for entry in entries] == ["expungement.listed", *["expungement.looked-up"] * 2]
    assert [entry.details.get("answer") for entry in entries] == [None, "expunged", "unknown"]
    assert entries[0].details["shown"] == [str(gone.pk)]
    assert "24-000" not in str([entry.details for entry in entries])


def test_a_preview_shown_with_a_mistake_in_the_form_is_recorded_too(page: Page) -> None:
    booking, reader = enrol(1).booking, clerk()
    assert page(reader).post(f"/expungements/new?booking={booking.pk}", {}).status_code == 422
    assert Entry.objects.get(actor=reader.pk).act == "expungement.previewed"


def test_the_pages_count_places_in_candidate_lists_and_name_none(page: Page) -> None:
    life = a_life()
    order = requested(life.booking)
    for address in (f"/expungements/new?booking={life.booking.pk}", f"/expungements/{order.pk}"):
        text = page(clerk()).get(address).content.decode()
        assert "place in an old candidate list" in text
        assert "Lead of" in text
        assert "in the list of a search" not in text
        assert str(life.candidate.search_id) not in text
