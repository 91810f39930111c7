"""The clerk's pages of retention, the same over REST, and who is kept out of both."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework.test import APIClient

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.gallery import live
from mugsearch.probes import policy
from mugsearch.retention import sweeping, tasks
from mugsearch.retention.models import Disposition, ExpungementOrder
from tests.factories import AgencyFactory, BookingFactory, administrator, auditor, clerk, examiner, investigator
from tests.gallery_rows import enrol
from tests.retention.arrange import finish
from tests.retention.arrange_rules import disposed, in_force, recorded_long_ago
from tests.retention.test_resuming import run_queue

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
Api = Callable[[User], APIClient]
DAY = datetime.date(2026, 3, 1)
TODAY = "2026-04-20T12:00:00Z"
ROW = {"booking_number": "1", "disposition": "dismissed", "disposed_on": "2026-03-01"}


@pytest.fixture(autouse=True)
def _today() -> Any:
    with time_machine.travel(TODAY):
        yield


def csv(text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("d.csv", f"booking_number,disposition,disposed_on\n{text}".encode())


def strangers_disposition() -> Disposition:
    booking = BookingFactory(agency=AgencyFactory(code="shelbyville"), booking_number="CANARY-1")
    disposed("dismissed", DAY, booking, booked_on=datetime.date(2020, 1, 1))
    return booking.dispositions.get()


def test_the_page_says_what_each_rule_will_do_and_what_waits(page: Page) -> None:
    disposed("dismissed", DAY)
    disposed("dismissed", datetime.date(2026, 1, 1))
    disposed("acquitted", datetime.date(2026, 4, 20))
    Disposition.objects.filter(disposition="acquitted").update(disposed_on=datetime.date(2026, 6, 20))
    BookingFactory(booked_on=datetime.date(2020, 1, 1))
    strangers_disposition()
    reader = clerk()
    response = page(reader).get("/retention/")
    told = {one.rule.code: (one.count, one.today, one.first) for one in response.context["forecasts"]}
    assert told["dismissed"] == (2, 1, datetime.date(2026, 4, 20))
    assert told["acquitted"] == (0, 0, None)
    assert (response.context["stale"], response.context["unmatched"]) == (1, 0)
    assert "1 booking</a>" in response.content.decode()
    listed = page(reader).get("/retention/rules/dismissed")
    assert [str(row["on"]) for row in listed.context["rows"]] == ["2026-04-20", "2026-05-01"]
    assert Entry.objects.latest("number").act == "retention.rule-listed"


def test_pages_without_anything_say_so(page: Page) -> None:
    browser = page(clerk())
    for address, says in (
        ("rules/dismissed", "acts on no booking"),
        ("stale", "No booking has been without"),
        ("dispositions/unmatched", "Every disposition has found its booking"),
        (f"bookings/{BookingFactory().pk}", "No disposition of this booking"),
    ):
        assert says in browser.get(f"/retention/{address}").content.decode()
    for address in ("rules/convicted", "rules/none"):
        assert browser.get(f"/retention/{address}").status_code == 404


def test_a_clerk_records_one_and_reads_the_history(page: Page) -> None:
    booking = BookingFactory(booking_number="24-1")
    browser = page(clerk())
    assert 'value="24-1"' in browser.get(f"/retention/dispositions/new?booking={booking.pk}").content.decode()
    looked = Entry.objects.latest("number")  # the number is shown, so that is a look
    assert (looked.act, looked.object_id) == ("booking.viewed", str(booking.pk))
    sent = browser.post("/retention/dispositions/new", ROW | {"booking_number": "24/1"})
    assert sent.headers["Location"] == f"/retention/bookings/{booking.pk}"
    browser.post("/retention/dispositions/new", ROW | {"booking_number": "24-1", "disposition": "convicted"})
    text = browser.get(sent.headers["Location"]).content.decode()
    assert text.index("Yes, as the latest") < text.index("No, a later one does")
    again = browser.post("/retention/dispositions/new", ROW | {"booking_number": "24-1"})
    assert again.status_code == 422
    assert "recorded already" in again.content.decode()


def test_a_clerk_works_off_what_found_no_booking(page: Page) -> None:
    booking, browser = BookingFactory(booking_number="24-1"), page(clerk())
    for number in ("24-l", "99"):
        response = browser.post("/retention/dispositions/new", ROW | {"booking_number": number})
        assert response.headers["Location"] == "/retention/dispositions/unmatched"
    first, second = Disposition.objects.order_by("pk")
    assert "There is no booking of this number." in browser.get("/retention/dispositions/unmatched").content.decode()
    wrong = browser.post(f"/retention/dispositions/{first.pk}", {"booking_number": "nobody"})
    assert wrong.status_code == 422
    matched = browser.post(f"/retention/dispositions/{first.pk}", {"booking_number": "24 1"})
    assert matched.headers["Location"] == f"/retention/bookings/{booking.pk}"
    assert browser.post(f"/retention/dispositions/{second.pk}", {"reason": ""}).status_code == 422
    browser.post(f"/retention/dispositions/{second.pk}", {"reason": "Another county's"})
    second.refresh_from_db()
    assert second.dismissed_reason == "Another county's"
    assert not Disposition.objects.unmatched().exists()
    assert "Dismissed: it counts no more" in browser.get(f"/retention/dispositions/{second.pk}").content.decode()


def test_a_file_with_wrong_rows_is_answered_with_a_table_of_them(page: Page) -> None:
    browser = page(clerk())
    sent = browser.post("/retention/dispositions/file", {"file": csv("1,dismissed,2026-03-01\n,<b>,x\n")})
    text = sent.content.decode()
    assert sent.status_code == 422
    assert "Nothing was taken: 1 of 2 rows is wrong" in text
    assert "booking_number is empty." in text
    assert not Disposition.objects.exists()
    taken = browser.post("/retention/dispositions/file", {"file": csv("1,dismissed,2026-03-01\n")})
    assert "1 without a booking" in taken.content.decode()


def test_a_file_larger_than_the_limit_is_turned_away_before_it_is_read(page: Page, api: Api) -> None:
    large = 18 * 2**20
    for answer in (
        page(clerk()).post("/retention/dispositions/file", CONTENT_LENGTH=large),
        api(clerk()).post("/api/v1/dispositions/file", CONTENT_LENGTH=large),
    ):
        assert answer.status_code == 413


ADDRESSES = ("", "rules/dismissed", "stale", "dispositions/new", "dispositions/file", "dispositions/unmatched")


def test_only_records_staff_open_the_pages_and_the_api(page: Page, api: Api) -> None:
    found = strangers_disposition()
    addresses = [*ADDRESSES, f"dispositions/{found.pk}", f"bookings/{found.booking_id}"]
    paths = ("dispositions", "dispositions/unmatched", "retention", "retention/stale", "retention/rules/dismissed")
    posts = ("dispositions", "dispositions/file", f"dispositions/{found.pk}/match", f"dispositions/{found.pk}/dismiss")
    for person in (investigator(), examiner(), auditor(), administrator()):
        assert {page(person).get(f"/retention/{address}").status_code for address in addresses} == {403}
        assert {api(person).get(f"/api/v1/{path}").status_code for path in paths} == {403}
        assert {api(person).post(f"/api/v1/{path}").status_code for path in posts} == {403}
    assert {Client().get(f"/retention/{address}").status_code for address in addresses} == {302}
    assert {page(clerk()).get(f"/retention/{address}").status_code for address in ADDRESSES} == {200}


def test_another_agencys_dispositions_do_not_exist_for_a_clerk(page: Page, api: Api) -> None:
    found = strangers_disposition()
    browser, client = page(clerk()), api(clerk())
    for address in (
        f"dispositions/{found.pk}",
        f"bookings/{found.booking_id}",
        f"dispositions/new?booking={found.booking_id}",
        "dispositions/new?booking=x",
        "dispositions/99999999999999999999999",
    ):
        assert browser.get(f"/retention/{address}").status_code == 404
    assert browser.post(f"/retention/dispositions/{found.pk}", {"reason": "x"}).status_code == 404
    for verb, body in (("match", {"booking_number": "1"}), ("dismiss", {"reason": "x"})):
        assert client.post(f"/api/v1/dispositions/{found.pk}/{verb}", body).status_code == 404
    for address in ADDRESSES:
        assert "CANARY" not in browser.get(f"/retention/{address}").content.decode()
    for path in ("dispositions", "retention/rules/dismissed", "retention/stale"):
        assert client.get(f"/api/v1/{path}").json()["results"] == []
    found.refresh_from_db()
    assert found.dismissed_at is None


def test_a_court_s_feed_over_rest(api: Api) -> None:
    booking, client = BookingFactory(booking_number="1"), api(clerk())
    made = client.post("/api/v1/dispositions", ROW)
    assert (made.status_code, made.json()["booking"]) == (201, str(booking.pk))
    assert client.post("/api/v1/dispositions", ROW).status_code == 409
    assert client.post("/api/v1/dispositions", ROW | {"disposition": "pardoned"}).status_code == 422
    refused = client.post("/api/v1/dispositions/file", {"file": csv("1,pardoned,2026-03-01\n")}, format="multipart")
    assert refused.status_code == 422
    assert refused.json()["lines"] == [
        {"line": 2, "reason": "disposition is none of these: dismissed, acquitted, not-charged, convicted."}
    ]
    taken = client.post("/api/v1/dispositions/file", {"file": csv("2,acquitted,2026-03-01\n")}, format="multipart")
    assert taken.json() == {"rows": 1, "recorded": 1, "known": 0, "expunged": 0, "matched": 0, "unmatched": 1}
    (waiting,) = client.get("/api/v1/dispositions/unmatched").json()["results"]
    matched = client.post(f"/api/v1/dispositions/{waiting['id']}/match", {"booking_number": "1"})
    assert matched.json()["booking"] == str(booking.pk)
    dismissed = client.post(f"/api/v1/dispositions/{waiting['id']}/dismiss", {"reason": "Of another"})
    assert dismissed.json()["dismissed_reason"] == "Of another"
    noon = datetime.datetime.combine(DAY, datetime.time(12), datetime.UTC)
    Disposition.objects.update(counts_since=noon)
    recorded_long_ago(booking)
    overview = client.get("/api/v1/retention").json()
    assert overview["rules"][0] == {
        "code": "dismissed",
        "rule": "Charges dismissed: expunge after 60 days",
        "action": "expunge",
        "count": 1,
        "today": 0,
        "first": "2026-05-01",
        "excepted": 0,
    }
    (row,) = client.get("/api/v1/retention/rules/dismissed").json()["results"]
    assert row == {"id": str(booking.pk), "booking_number": "1", "on": "2026-05-01", "left_for_now": None}
    assert client.get("/api/v1/retention/rules/convicted").status_code == 404


def test_an_order_by_a_rule_is_shown_with_its_rule_and_nobody_s_name(
    page: Page, fake_encoder: object, queued: list
) -> None:
    live.reset()
    with time_machine.travel("2026-05-01T12:00:00Z"):
        disposed("dismissed", DAY, enrol(1).booking)
        sweeping.sweep()
        order = ExpungementOrder.objects.get()
        browser = page(clerk())
        for address in (f"/expungements/{order.pk}", "/expungements/"):
            assert browser.get(address).status_code == 200
        shown = browser.get(f"/expungements/{order.pk}").content.decode()
        assert "By a rule in force" in shown
        assert "Two people" not in shown
        run_queue(queued)
        tasks.prove_forgotten(str(order.pk))
        finish()
        certificate = browser.get(f"/expungements/{order.pk}/certificate").content.decode()
        assert "Charges dismissed: expunge after 60 days" in certificate
        assert policy.current().digest in certificate
        assert "records clerk" not in certificate[certificate.index("<main") :]


def test_an_administrator_sees_what_a_changed_rule_does_before_it_applies(page: Page) -> None:
    disposed("dismissed", DAY)
    text = in_force(b"after_days = 60", b"after_days = 30", of=b"[retention.dismissed]")
    file = SimpleUploadedFile("policy.toml", text)
    shown = page(administrator()).post("/policy/effects", {"file": file, "reason": "Council"}).content.decode()
    assert "1 go earlier; 1 with the next sweep" in shown
