"""Expungement through the API: the same rules as on the pages."""

import json
from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.gallery import live
from mugsearch.gallery.models import Booking
from mugsearch.retention import tasks
from tests.factories import AgencyFactory, BookingFactory, administrator, clerk, examiner, investigator
from tests.gallery_rows import enrol
from tests.retention.arrange import OPAQUE, a_life, approved, finish, requested

pytestmark = pytest.mark.django_db(transaction=True)

Api = Callable[[User], APIClient]
ROOT = "/api/v1/expungements"


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def test_from_the_number_on_an_order_to_complete(api: Api) -> None:
    life = a_life(booking_number="24-0001")
    first, second = api(clerk()), api(clerk())
    look = first.post(f"{ROOT}/preview", {"booking_number": "24-0001"}, format="json").json()
    assert look["counts"]["photos"] == 2
    assert set(look["photos"]) == {str(photo.pk) for photo in life.photos}
    assert look["counts"]["candidates"] == 1
    assert [datetime.fromisoformat(at) for at in look["leads"]] == [life.lead.released_at]
    assert look["person_goes"] is True

    asked = first.post(ROOT, {"booking_number": "24-0001", **OPAQUE}, format="json")
    assert asked.status_code == 201
    order = f"{ROOT}/{asked.json()['id']}"
    assert first.post(f"{order}/approve", {"seen": look["digest"]}, format="json").status_code == 403
    assert second.post(f"{order}/approve", {"seen": "something else"}, format="json").status_code == 409
    again = second.get(f"{order}/preview").json()
    assert again["digest"] == look["digest"]
    erased = second.post(f"{order}/approve", {"seen": again["digest"]}, format="json").json()
    assert (erased["state"], erased["booking"], erased["booking_number"]) == ("approved", None, "")
    assert second.get(f"{order}/preview").status_code == 409

    tasks.prove_forgotten(asked.json()["id"])
    finish()
    done = second.get(order).json()
    assert (done["state"], done["troubles"]) == ("complete", {})
    assert done["counts"]["candidates"] == 1
    assert first.post(f"{ROOT}/preview", {"booking_number": "24-0001"}, format="json").status_code == 409
    assert first.post(f"{order}/withdraw").status_code == 409


def test_an_order_can_be_withdrawn_and_orders_are_listed_by_state(api: Api) -> None:
    order = requested(enrol(1).booking)
    requested(enrol(2).booking)
    client = api(clerk())
    assert client.post(f"{ROOT}/{order.pk}/withdraw").json()["state"] == "withdrawn"
    assert client.get(ROOT).json()["count"] == 2
    found = client.get(ROOT, {"state": "withdrawn"}).json()["results"]
    assert [one["id"] for one in found] == [str(order.pk)]


def test_a_preview_does_not_say_which_candidate_lists_the_booking_is_on_nor_where(api: Api) -> None:
    life = a_life()
    order = requested(life.booking)
    looked = [
        api(clerk()).post(f"{ROOT}/preview", {"booking_number": life.booking.booking_number}, format="json"),
        api(clerk()).get(f"{ROOT}/{order.pk}/preview"),
    ]
    for response in looked:
        assert response.status_code == 200
        assert "rank" not in response.content.decode()
        for hidden in (life.candidate.search_id, life.candidate.pk, life.lead.pk, life.candidate.search.probe.case_id):
            assert str(hidden) not in response.content.decode()


def test_lists_orders_and_look_ups_are_recorded_without_the_number(api: Api) -> None:
    order = requested(enrol(1, booking=BookingFactory(booking_number="24-0001")).booking)
    approved(order)
    waiting = requested(enrol(2, booking=BookingFactory(booking_number="24-0002")).booking)
    reader = clerk()
    client = api(reader)
    client.get(ROOT)
    client.get(f"{ROOT}/{waiting.pk}")
    for number in ("24-0001", "24-0002", "24-0003"):
        client.post(f"{ROOT}/preview", {"booking_number": number}, format="json")
    entries = Entry.objects.filter(actor=reader.pk).order_by("number")
    seen = [(entry.act, entry.outcome, entry.details.get("answer")) for entry in entries]
    assert seen == [
        ("expungement.listed", "done", None),
        ("expungement.viewed", "done", None),
        ("expungement.looked-up", "refused", "expunged"),
        ("expungement.looked-up", "done", "found"),
        ("expungement.previewed", "done", None),
        ("expungement.looked-up", "refused", "unknown"),
    ]
    assert set(entries[0].details["shown"]) == {str(order.pk), str(waiting.pk)}
    assert "24-000" not in json.dumps([entry.details for entry in entries])


def test_an_unknown_number_and_missing_words_are_refused(api: Api) -> None:
    client = api(clerk())
    assert client.post(ROOT, {"booking_number": "x", **OPAQUE}, format="json").status_code == 422
    booking = BookingFactory()
    for body in ({}, {"booking_number": booking.booking_number}, {**OPAQUE}):
        assert client.post(ROOT, body, format="json").status_code == 400


def test_only_records_staff_of_the_agency_are_let_in(api: Api) -> None:
    booking = enrol(1).booking
    order = requested(booking)
    reads = [ROOT, f"{ROOT}/{order.pk}", f"{ROOT}/{order.pk}/preview"]
    writes = [ROOT, f"{ROOT}/preview", f"{ROOT}/{order.pk}/approve", f"{ROOT}/{order.pk}/withdraw"]
    for person in (investigator(), examiner(), administrator()):
        assert {api(person).get(address).status_code for address in reads} == {403}
        assert {api(person).post(address).status_code for address in writes} == {403}
    assert {APIClient().get(address).status_code for address in reads} == {401}
    stranger = api(clerk(agency=AgencyFactory(code="shelbyville")))
    assert stranger.get(ROOT).json()["count"] == 0
    for pk in (order.pk, uuid4()):
        assert stranger.get(f"{ROOT}/{pk}").status_code == 404
        assert stranger.get(f"{ROOT}/{pk}/preview").status_code == 404
        assert stranger.post(f"{ROOT}/{pk}/approve", {"seen": "x"}, format="json").status_code == 404
        assert stranger.post(f"{ROOT}/{pk}/withdraw").status_code == 404
    body = {"booking_number": booking.booking_number}
    assert stranger.post(f"{ROOT}/preview", body, format="json").status_code == 422
    assert Booking.objects.filter(pk=booking.pk).exists()
    assert {api(clerk()).get(address).status_code for address in reads} == {200}
