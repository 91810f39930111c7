"""Timelines of a case, a person and a booking: in sentences, audited, blind where their reader works on the case."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.auditing import queries
from mugsearch.gallery.models import Booking
from tests.factories import (
    CaseFactory,
    PhotoFactory,
    UserFactory,
    administrator,
    auditor,
    clerk,
    examiner,
    investigator,
)
from tests.reviews.arrange import candidate, claim, examine, find, finished_search, forget

pytestmark = pytest.mark.django_db(transaction=True)

Page = Callable[[User], Client]
Api = Callable[[User], APIClient]


def test_a_case_is_told_from_upload_to_outcome_in_sentences(page: Page) -> None:
    who, case = investigator(full_name="Mika Sundberg"), CaseFactory(number="26-00417")
    for act in ("probe.submitted", "search.requested", "search.viewed", "evidence.recorded"):
        audit.record(act, by=who, case=case.pk)
    audit.record("lead-outcome.recorded", by=who, case=case.pk, outcome="no_use")
    reader = auditor()
    text = page(reader).get(f"/audit/cases/{case.pk}").text
    told = ["uploaded a probe image", "asked for a search", "recorded independent evidence", "of a lead: no use"]
    places = [text.index(f"Mika Sundberg {said}" if said[0] != "o" else said) for said in told]
    assert places == sorted(places)
    assert "looked at a search" not in text
    assert "looked at a search" in page(reader).get(f"/audit/cases/{case.pk}?looks").text
    entry = Entry.objects.latest("number")
    assert (entry.act, entry.actor, entry.case, entry.object_id) == (
        "audit.timeline-read",
        reader.pk,
        case.pk,
        str(case.pk),
    )


def test_a_person_is_told_by_day_the_latest_first(page: Page) -> None:
    who = investigator(full_name="Mika Sundberg")
    audit.record("session.started", by=who)
    audit.record("search.requested", by=who)
    audit.record("search.requested", by=investigator())
    response = page(auditor()).get(f"/audit/users/{who.pk}")
    assert [step.said for _, steps in response.context["days"] for step in steps] == ["asked for a search", "signed in"]


def test_a_long_timeline_is_cut_into_pages(page: Page) -> None:
    case = CaseFactory()
    for step in range(120):
        audit.record("search.requested", by=None, case=case.pk, step=step)
    first = page(auditor()).get(f"/audit/cases/{case.pk}").context
    rest = page(auditor()).get(f"/audit/cases/{case.pk}?newer_than={first['page'].newer}").context
    counts = [sum(len(steps) for _, steps in one["days"]) for one in (first, rest)]
    assert counts == [100, 20]


def test_a_bookings_look_ups_name_who_saw_it_under_which_case_and_never_whose_it_is(page: Page) -> None:
    search, who = finished_search(), examiner(full_name="Eve Examiner")
    seen = candidate(search)
    booking = seen.photo.booking
    audit.record("candidate.viewed", by=who, obj=seen, case=search.probe.case_id)
    other = candidate(search, 2)
    audit.record("candidate.viewed", by=investigator(full_name="Not Shown"), obj=other, case=search.probe.case_id)
    answer = page(auditor()).get("/audit/timelines", {"booking": booking.booking_number})
    assert answer.headers["Location"] == f"/audit/bookings/{booking.pk}"
    text = page(auditor()).get(f"/audit/bookings/{booking.pk}").text
    assert "Eve Examiner looked at a candidate" in text
    assert search.probe.case.number in text
    assert "Not Shown" not in text
    for secret in (booking.booking_number, booking.person.family_name, str(booking.person_id)):
        assert secret not in text


def test_the_record_of_reading_look_ups_does_not_lead_from_a_booking_to_its_lists(page: Page, api: Api) -> None:
    search = finished_search()
    seen = candidate(search)
    booking = seen.photo.booking
    number = audit.record("candidate.viewed", by=None, obj=seen, case=search.probe.case_id).number
    typed = {"booking": booking.booking_number}
    page(auditor()).get(f"/audit/bookings/{booking.pk}")
    rows = page(auditor()).get("/audit/", typed).context["rows"]
    assert [row["entry"].number for row in rows] == [number + 1, number]  # and the timeline read before
    sent = api(auditor()).get("/api/v1/audit", typed | {"act": "candidate.viewed"}).json()["results"]
    assert [one["number"] for one in sent] == [number]
    b"".join(page(auditor()).get("/audit/export", typed | {"to": "csv"}))
    reads = Entry.objects.filter(number__gt=number)
    kept = str(list(reads.values("details", "object_id", "case")))
    assert kept.count(str(booking.pk)) == reads.count()
    for secret in (booking.booking_number, seen.pk, seen.photo_id, search.pk):
        assert str(secret) not in kept
    assert api(auditor()).get("/api/v1/audit", {"booking": "nobody's"}).json()["results"] == []


def test_a_sealed_booking_is_answered_like_one_that_is_not_there(page: Page) -> None:
    booking = PhotoFactory().booking
    Booking.objects.filter(pk=booking.pk).update(sealed_at=timezone.now())
    sealed = page(auditor()).get("/audit/timelines", {"booking": booking.booking_number}).text
    unknown = page(auditor()).get("/audit/timelines", {"booking": booking.booking_number[::-1]}).text
    assert "There is no such booking, or it is sealed" in sealed
    assert "There is no such booking, or it is sealed" in unknown
    assert page(auditor()).get(f"/audit/bookings/{booking.pk}").status_code == 404


def test_an_expunged_booking_is_only_an_id_of_the_record(page: Page) -> None:
    search = finished_search()
    seen = candidate(search)
    photo, booking = seen.photo, seen.photo.booking
    audit.record("booking.viewed", by=clerk(), obj=booking)
    audit.record("candidate.viewed", by=investigator(full_name="Not Shown"), obj=seen, case=search.probe.case_id)
    forget(seen)
    gone = booking.pk
    photo.delete()
    booking.delete()
    text = page(auditor()).get(f"/audit/bookings/{gone}").text
    assert "it was expunged or sealed" in text
    assert "opened a booking" in text
    assert "Not Shown" not in text  # nothing leads from the id to the list it was on
    assert page(auditor()).get(f"/audit/bookings/{uuid4()}").status_code == 404


@pytest.mark.parametrize("of", ["cases", "users", "bookings"])
def test_only_auditors_read_timelines(page: Page, of: str) -> None:
    case = CaseFactory()
    booking = PhotoFactory().booking
    address = f"/audit/{of}/{ {'cases': case.pk, 'users': case.opened_by_id, 'bookings': booking.pk}[of] }"
    for person in (case.opened_by, examiner(), clerk(), administrator()):
        assert page(person).get(address).status_code == 403
    assert page(auditor()).get(address).status_code == 200


def test_an_auditor_who_is_on_the_case_learns_nothing_of_examinations_before_they_are_over(page: Page) -> None:
    search = finished_search()
    me = UserFactory(roles=[Role.AUDITOR, Role.INVESTIGATOR])
    search.probe.case.members.add(me)
    first, second = examiner(full_name="Eve Examiner"), examiner(full_name="Sam Second")
    examination = claim(first, search)
    find(first, examination, candidate(search), "3")
    number = Entry.objects.filter(act="finding.saved").latest("number").number
    hidden = (
        f"/audit/users/{first.pk}?looks",
        f"/audit/?actor={first.pk}",
    )
    for address in hidden:
        text = page(me).get(address).text
        assert "finding" not in text.replace("finding.saved</option>", "").replace('"finding.', "").replace(
            "finding: all", ""
        )
        assert "Examinations of cases you are on are under way" in text
    assert page(me).get(f"/audit/?object={examination.pk}").status_code == 403
    assert page(me).get(f"/audit/{number}").status_code == 403
    assert "finding.saved" not in b"".join(page(me).get("/audit/export?to=jsonl")).decode()
    stranger = auditor()
    assert page(stranger).get(f"/audit/{number}").status_code == 200
    assert queries.hidden_from(stranger) == ()
    from reviews import services

    services.exclude_remaining(by=first, examination=examination)
    services.conclude(by=first, examination=examination)
    assert page(me).get(f"/audit/{number}").status_code == 403
    search.probe.case.members.remove(me)  # leaving it for a moment opens nothing
    assert page(me).get(f"/audit/{number}").status_code == 403
    examine(second, search, same=(1,))
    assert page(me).get(f"/audit/{number}").status_code == 200


def test_what_an_examiner_does_while_a_list_is_made_is_not_on_it(
    page: Page, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not looked up whether it is to be left out."""

    def meanwhile(reader: User) -> tuple[int, ...]:
        audit.record("finding.saved", by=None)
        return ()

    monkeypatch.setattr(queries, "hidden_from", meanwhile)
    for address in ("/audit/export?to=jsonl", "/api/v1/audit/export"):
        client = api(auditor()) if "api" in address else page(auditor())
        before = Entry.objects.filter(act="finding.saved").count()
        assert b"".join(client.get(address)).count(b"finding.saved") == before, address


def test_looking_for_a_booking_number_is_an_entry_whether_or_not_there_is_one(page: Page) -> None:
    booking, reader = PhotoFactory().booking, auditor()
    for number, found in ((booking.booking_number, 1), (booking.booking_number[::-1], 0)):
        page(reader).get("/audit/timelines", {"booking": number})
        entry = Entry.objects.latest("number")
        assert (entry.act, entry.actor, entry.details["found"]) == ("audit.looked-up", reader.pk, found)
        assert number not in entry.canonical().decode()
        assert entry.object_id == (str(booking.pk) if found else "")


def test_looking_for_a_case_or_a_person_is_an_entry(page: Page) -> None:
    case = CaseFactory(number="26-00417")
    assert "26-00417" in page(auditor()).get("/audit/timelines?case=26-00417").text
    entry = Entry.objects.latest("number")
    assert (entry.act, entry.details["shown"]) == ("audit.looked-up", [str(case.pk)])
    assert "Nobody has this name" in page(auditor()).get("/audit/timelines?user=nobody").text
    assert "No case has this number" in page(auditor()).get("/audit/timelines?case=none").text
