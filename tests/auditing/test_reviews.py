"""Weekly reviews: what is to be looked at, notes, sign-off; nobody reviews their own acts while somebody else can."""

import datetime
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mugsearch.accounts import factors
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import add_user
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.auditing import drawing, reviews
from mugsearch.auditing.models import Draw, Remark, SavedReview, Sighting, SignOff
from mugsearch.errors import BadInput, NotAllowed, WrongState
from tests.factories import (
    BookingFactory,
    CaseFactory,
    UserFactory,
    administrator,
    auditor,
    clerk,
    examiner,
    investigator,
)
from tests.triggers import as_owner, past_the_triggers

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
Api = Callable[[User], APIClient]

MONDAY = datetime.date(2026, 6, 8)
DAY = datetime.timedelta(days=1)
WRITE = [
    "UPDATE auditing_{} SET note = 'x'",
    "DELETE FROM auditing_{}",
    "TRUNCATE auditing_{}",
]


def drawn(**kwargs: Any) -> Sighting:
    """A week whose days are drawn, with one thing to look at."""
    for step in range(7):
        draw, _ = Draw.objects.get_or_create(
            day=MONDAY + step * DAY, defaults={"searches": 0, "policy_digest": "0" * 64}
        )
    told = {"signal": "case-searches", "week": MONDAY, "key": "k" * 64, "count": 25, "case": CaseFactory()} | kwargs
    return Sighting.objects.create(draw=draw, **told)


def happened(act: str, by: User | None) -> int:
    entry = audit.record(act, by=by)
    with past_the_triggers():
        Entry.objects.filter(pk=entry.pk).update(at=datetime.datetime(2026, 6, 10, 12, tzinfo=datetime.UTC))
    return int(entry.number)


def explained(by: User, sighting: Sighting, **kwargs: Any) -> Remark:
    return reviews.remark(by=by, sighting=sighting, verdict="explained", note="A large case.", **kwargs)


def test_no_text_keeps_the_id_of_what_may_be_expunged() -> None:
    """It could not be taken out again, and the last look of every expungement would find it."""
    by, sighting, booking = auditor(), drawn(), BookingFactory()
    for id_ in (booking.pk, str(booking.person_id).upper()):
        note = f"See /people/bookings/{id_}."
        for attempt in (
            lambda note=note: reviews.remark(by=by, sighting=sighting, verdict="explained", note=note),
            lambda note=note: reviews.save(by=by, name=note, days=7),
            lambda note=note: reviews.sign_off(by=by, day=MONDAY, note=note),
        ):
            with pytest.raises(BadInput, match="may be expunged"):
                attempt()
    assert not Remark.objects.exists()


def test_a_week_is_signed_off_with_its_span_and_where_the_chain_stood() -> None:
    by, sighting = auditor(), drawn()
    first, last = happened("thing.done", None), happened("thing.done", investigator())
    explained(by, sighting)
    newest = Entry.objects.latest("number")
    signed = reviews.sign_off(by=by, day=MONDAY + DAY, note="Looked through.")
    assert (signed.week, signed.first, signed.last, signed.sightings) == (MONDAY, first, last, 1)
    assert signed.head == f"{newest.number}:{newest.digest}"
    entry = Entry.objects.latest("number")
    assert (entry.act, entry.actor, entry.details["first"]) == ("review.signed-off", by.pk, first)
    with pytest.raises(WrongState, match="signed this week off already"):
        reviews.sign_off(by=by, day=MONDAY, note="Again.")


def test_every_item_needs_a_note_before_the_week_is_signed_off() -> None:
    by, sighting = auditor(), drawn()
    with pytest.raises(WrongState, match="1 item"):
        reviews.sign_off(by=by, day=MONDAY, note="Looked through.")
    for verdict, note in (("explained", "  "), ("guilty", "x")):
        with pytest.raises(BadInput):
            reviews.remark(by=by, sighting=sighting, verdict=verdict, note=note)
    assert not sighting.remarks.exists()
    assert Entry.objects.filter(act="sighting.remarked", outcome="refused").count() == 2
    explained(by, sighting)
    assert reviews.sign_off(by=by, day=MONDAY, note="Looked through.").by == by


def test_a_week_that_is_not_over_or_not_drawn_cant_be_signed_off() -> None:
    with pytest.raises(WrongState, match="isn't over"):
        reviews.sign_off(by=auditor(), day=timezone.localdate(), note="x")
    with pytest.raises(WrongState, match="drawn"):
        reviews.sign_off(by=auditor(), day=MONDAY, note="x")


def test_an_explained_item_stays_on_record_and_a_later_note_is_added_to_it() -> None:
    by, sighting = auditor(), drawn()
    explained(by, sighting)
    reviews.remark(by=by, sighting=sighting, verdict="followed_up", note="Asked the supervisor.")
    reviews.sign_off(by=by, day=MONDAY, note="Looked through.")
    assert [one.verdict for one in sighting.remarks.all()] == ["followed_up", "explained"]
    for table in ("remark", "signoff"):
        for statement in WRITE:
            with as_owner(), pytest.raises(IntegrityError), connection.cursor() as cursor:
                cursor.execute(statement.format(table))


def test_nobody_reviews_what_points_at_themselves_while_there_is_another_auditor() -> None:
    me, other = UserFactory(roles=[Role.AUDITOR, Role.INVESTIGATOR]), auditor()
    sighting = drawn(actor=me)
    with pytest.raises(NotAllowed, match="Another auditor"):
        explained(me, sighting, own_reason="It was me.")
    explained(other, sighting)
    with pytest.raises(NotAllowed, match="Another auditor"):
        reviews.sign_off(by=me, day=MONDAY, note="x", own_reason="x")
    assert reviews.sign_off(by=other, day=MONDAY, note="x").own_reason == ""


def test_the_only_auditor_reviews_their_own_acts_with_a_recorded_reason() -> None:
    me = UserFactory(roles=[Role.AUDITOR, Role.INVESTIGATOR])
    UserFactory(roles=[Role.AUDITOR], is_active=False)
    sighting = drawn(actor=me)
    with pytest.raises(BadInput, match="no auditor whom"):
        explained(me, sighting)
    assert explained(me, sighting, own_reason="Nobody else is here.").own_reason == "Nobody else is here."
    with pytest.raises(BadInput, match="no auditor whom"):
        reviews.sign_off(by=me, day=MONDAY, note="x")
    assert reviews.sign_off(by=me, day=MONDAY, note="x", own_reason="Nobody else is here.").own_reason


def test_postgresql_refuses_a_remark_on_oneself_without_a_reason() -> None:
    me = auditor()
    with pytest.raises(IntegrityError):
        Remark.objects.create(sighting=drawn(other=me), verdict="explained", note="x", by=me)


def test_casework_of_ones_own_in_the_week_needs_another_to_sign_and_reading_the_record_does_not() -> None:
    me = UserFactory(roles=[Role.AUDITOR, Role.INVESTIGATOR])
    explained(auditor(), drawn())
    happened("audit.read", me)
    assert not reviews.week_of(MONDAY).own_acts(me)
    refused = happened("page.opened", me)  # recorded only where it was refused
    assert reviews.week_of(MONDAY).own_acts(me), refused
    happened("search.requested", me)
    with pytest.raises(NotAllowed, match="Another auditor"):
        reviews.sign_off(by=me, day=MONDAY, note="x")


def test_two_auditors_who_both_have_acts_of_their_own_do_not_wait_for_each_other(page: Page) -> None:
    me, other = (UserFactory(roles=[Role.AUDITOR, Role.INVESTIGATOR]) for _ in range(2))
    sighting = drawn(actor=me, other=other)
    for who in (me, other):
        happened("search.requested", who)
    assert "Why you review your own acts" in page(me).get(f"/audit/reviews/{MONDAY}").text
    assert explained(me, sighting, own_reason="It is both of ours.").own_reason
    with pytest.raises(BadInput, match="no auditor whom"):
        reviews.sign_off(by=me, day=MONDAY, note="x")
    third = auditor()
    with pytest.raises(NotAllowed, match="Another auditor"):
        reviews.sign_off(by=me, day=MONDAY, note="x", own_reason="x")
    User.objects.filter(pk=third.pk).update(is_active=False)
    assert reviews.sign_off(by=me, day=MONDAY, note="x", own_reason="We both had cases.").own_reason


def test_signing_in_with_a_second_factor_is_no_act_that_another_has_to_review() -> None:
    me = auditor()
    for act in ("session.started", "factor.added", "factor.codes-shown", "session.confirmed", "user.password-changed"):
        happened(act, me)
    assert not reviews.week_of(MONDAY).own_acts(me)
    happened("factor.removed", me)
    assert reviews.week_of(MONDAY).own_acts(me)


def test_what_stays_for_good_takes_no_id_of_what_may_be_expunged() -> None:
    by, sighting, gone = auditor(), drawn(), uuid4()
    for text in (f"Booking {gone}.", gone.hex, str(gone).upper()):
        with pytest.raises(BadInput, match="ids of objects"):
            reviews.remark(by=by, sighting=sighting, verdict="explained", note=text)
        with pytest.raises(BadInput, match="ids of objects"):
            reviews.sign_off(by=by, day=MONDAY, note=text)
        with pytest.raises(BadInput, match="ids of objects"):
            reviews.save(by=by, name=text, days=7)
        with pytest.raises(BadInput, match="ids of objects"):
            reviews.save(by=by, name="x", days=7, filters={"case": text})
        with pytest.raises(BadInput, match="ids of objects"):
            reviews.save(by=by, name="x", days=7, filters={"actor": text})
    assert reviews.save(by=by, name="x", days=7, filters={"actor": str(by.pk)}).filters == {"actor": str(by.pk)}


def test_of_two_who_sign_at_the_same_time_one_is_told_that_it_is_signed() -> None:
    people = [auditor(), auditor()]
    explained(people[0], drawn())
    outcomes: list[str] = []

    def sign(by: User) -> None:
        try:
            reviews.sign_off(by=by, day=MONDAY, note="x")
            outcomes.append("signed")
        except WrongState:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=sign, args=(by,)) for by in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "signed"]
    assert SignOff.objects.count() == 1


def test_a_week_is_overdue_when_the_week_after_it_has_passed(page: Page) -> None:
    today = timezone.localdate()
    this = drawing.monday(today)
    Draw.objects.create(day=this - 21 * DAY, searches=0, policy_digest="0" * 64)
    late = {one.monday for one in reviews.weeks() if one.is_overdue}
    assert late == {this - 21 * DAY, this - 14 * DAY}
    browser = page(auditor())
    text = browser.get("/audit/reviews").text
    assert "2 weekly reviews overdue" in text
    assert "No day after" in text  # nobody has drawn since
    assert "2 weekly reviews are overdue" in browser.get("/audit/").text


def test_the_page_lists_items_and_refusals_and_signs_off(page: Page) -> None:
    by, who = auditor(full_name="Rita Reader"), investigator(full_name="Mika Sundberg")
    sighting = drawn(actor=who)
    with past_the_triggers():
        refused = audit.refuse("page.opened", by=who, reason="not_allowed")
        Entry.objects.filter(pk=refused.pk).update(at=datetime.datetime(2026, 6, 10, 12, tzinfo=datetime.UTC))
    browser = page(by)
    text = browser.get(f"/audit/reviews/{MONDAY}").text
    assert "Many searches on one case" in text
    assert "page.opened" in text
    assert Entry.objects.latest("number").act == "review.read"
    answer = browser.post(f"/audit/sightings/{sighting.pk}/remarks", {"verdict": "explained", "note": "A large case."})
    assert answer.status_code == 302
    assert "A large case." in browser.get(f"/audit/reviews/{MONDAY}").text
    assert browser.post(f"/audit/reviews/{MONDAY}", {"note": ""}).status_code == 422
    browser.post(f"/audit/reviews/{MONDAY}", {"note": "All looked at."})
    assert "Signed off by Rita Reader" in browser.get(f"/audit/reviews/{MONDAY}").text
    for nothing in ("x", "2026-13-01", "0001-01-01", str(timezone.localdate() + 30 * DAY)):
        assert browser.get(f"/audit/reviews/{nothing}").status_code == 404


def test_an_account_that_an_administrator_made_or_opened_is_in_the_week_with_who_did_it(page: Page, api: Api) -> None:
    chief = administrator(full_name="Noor Haddad")
    made = add_user(
        by=chief,
        username="ghost",
        full_name="Gil Ghost",
        agency=None,
        password="a-long-password-7",
        roles=[Role.RECORDS],
    )
    factors.reset(by=chief, user=made)
    numbers = list(Entry.objects.filter(act__in=("user.added", "factor.reset")).values_list("pk", flat=True))
    with past_the_triggers():
        Entry.objects.update(at=datetime.datetime(2026, 6, 10, 12, tzinfo=datetime.UTC))
    drawn()
    text = page(auditor()).get(f"/audit/reviews/{MONDAY}").text
    shown = text[text.index("Accounts and roles") :]
    for said in ("user.added", "factor.reset", "Noor Haddad", "Gil Ghost", "records"):
        assert said in shown
    week = api(auditor()).get(f"/api/v1/audit/reviews/{MONDAY}").json()
    assert sorted(one["number"] for one in week["access"]) == sorted(numbers)
    assert {one["object_id"] for one in week["access"]} == {str(made.pk)}


def test_only_auditors_review(page: Page, api: Api) -> None:
    sighting = drawn()
    for person in (investigator(), examiner(), clerk(), administrator()):
        assert page(person).get(f"/audit/reviews/{MONDAY}").status_code == 403
        assert page(person).post(f"/audit/sightings/{sighting.pk}/remarks", {"verdict": "open"}).status_code == 403
        assert api(person).get(f"/api/v1/audit/reviews/{MONDAY}").status_code == 403
        with pytest.raises(NotAllowed):
            explained(person, sighting)
        with pytest.raises(NotAllowed):
            reviews.sign_off(by=person, day=MONDAY, note="x")
        with pytest.raises(NotAllowed):
            reviews.save(by=person, name="x", days=7)


def test_filters_are_saved_under_a_name_and_put_away_once(page: Page) -> None:
    browser = page(auditor())
    answer = browser.post("/audit/saved", {"name": "Refusals", "days": "7", "outcome": "refused", "case": ""})
    assert answer.status_code == 302
    saved = SavedReview.objects.get()
    assert (saved.filters, saved.days) == ({"outcome": "refused"}, 7)
    text = browser.get("/audit/saved").text
    assert "Refusals" in text
    assert "outcome=refused&amp;since=" in text
    with pytest.raises(WrongState, match="of this name"):
        reviews.save(by=auditor(), name="Refusals", days=7)
    reviews.put_away(by=auditor(), saved=saved)
    with pytest.raises(WrongState):
        reviews.put_away(by=auditor(), saved=saved)
    reviews.save(by=auditor(), name="Refusals", days=7, signal="pair")
    assert "Two examiners together" in browser.get("/audit/saved").text
    for statement in ("UPDATE auditing_savedreview SET days = 1", "DELETE FROM auditing_savedreview"):
        with as_owner(), pytest.raises(IntegrityError), connection.cursor() as cursor:
            cursor.execute(statement)


def test_filters_for_an_object_are_not_saved_because_it_may_be_expunged() -> None:
    for name in ("object", "booking"):
        with pytest.raises(BadInput, match="expunged"):
            reviews.save(by=auditor(), name="x", days=7, filters={name: "24-0001"})


def test_the_signals_page_explains_each_and_shows_its_query(page: Page) -> None:
    text = page(auditor()).get("/audit/signals").text
    for said in (
        "They point at something",
        "def night_work",
        "def pair_too_often",
        "Innocent reasons",
        "random_percent",
    ):
        assert said in text
    drawn()
    chosen = page(auditor()).get("/audit/signals?signal=pair&days=9999").context
    assert chosen["rows"] == []


def test_the_api_reviews_a_week(api: Api) -> None:
    client, sighting = api(auditor()), drawn()
    assert {one["name"] for one in client.get("/api/v1/audit/signals").json()} >= {"pair", "random"}
    week = client.get(f"/api/v1/audit/reviews/{MONDAY}").json()
    assert [one["id"] for one in week["sightings"]] == [str(sighting.pk)]
    address = f"/api/v1/audit/sightings/{sighting.pk}/remarks"
    assert client.post(address, {"verdict": "explained", "note": ""}, format="json").status_code in (400, 422)
    assert client.post(address, {"verdict": "explained", "note": "A large case."}, format="json").status_code == 201
    signed = client.post(f"/api/v1/audit/reviews/{MONDAY}", {"note": "Looked through."}, format="json")
    assert (signed.status_code, signed.json()["signed_off"]["sightings"]) == (201, 1)
    assert client.post(f"/api/v1/audit/reviews/{MONDAY}", {"note": "Again."}, format="json").status_code == 409
    assert client.get("/api/v1/audit/reviews/2026-13-40").status_code == 404
