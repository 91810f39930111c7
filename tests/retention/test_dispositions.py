"""Dispositions come in one by one or as a file and find their booking in any spelling; none is lost."""

import datetime
import threading
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, MugsearchError, NotAllowed, WrongState
from mugsearch.gallery import live
from mugsearch.gallery.models import Booking
from mugsearch.retention import dispositions
from mugsearch.retention.dispositions import BadLines, Reported
from mugsearch.retention.models import Disposition
from mugsearch.vault import services as vault
from tests.factories import (
    AgencyFactory,
    BookingFactory,
    UserFactory,
    administrator,
    auditor,
    clerk,
    examiner,
    investigator,
)
from tests.gallery_rows import enrol
from tests.retention.arrange import approved, requested
from tests.retention.arrange_rules import disposed

pytestmark = pytest.mark.django_db(transaction=True)

DAY = datetime.date(2026, 3, 1)
HEADER = "booking_number,disposition,disposed_on,court,order_number\n"


def report(number: str, code: str = "dismissed", on: datetime.date = DAY, by: User | None = None) -> Disposition:
    return dispositions.record(by=by or clerk(), reported=Reported(number, code, on))


def sent(text: str, by: User | None = None) -> dispositions.Taken:
    return dispositions.take_file(by=by or clerk(), file=(HEADER + text).encode())


@pytest.mark.parametrize("spelling", ["24-00017", "24/00017", " 24.00017", "24_00017", "２４-00017"])
def test_a_disposition_finds_its_booking_in_any_spelling_of_the_number(spelling: str) -> None:
    booking = BookingFactory(booking_number="24-00017")
    assert report(spelling).booking == booking
    assert sent(f"{spelling},Convicted,2026-03-02,,\n").unmatched == 0
    assert booking.dispositions.count() == 2


@pytest.mark.parametrize("written", ["not-charged", "Not Charged", "NOT_CHARGED", "not charged"])
def test_a_disposition_is_understood_by_its_code_or_its_label(written: str) -> None:
    BookingFactory(booking_number="1")
    assert report("1", written).disposition == "not-charged"


def test_a_booking_of_another_agency_is_never_matched() -> None:
    stranger = clerk(agency=AgencyFactory(code="shelbyville"))
    BookingFactory(booking_number="1")
    waiting = report("1", by=stranger)
    assert waiting.booking is None
    assert not Disposition.objects.visible_to(clerk()).exists()
    with pytest.raises(WrongState):
        dispositions.match(by=clerk(), disposition=waiting, booking=Booking.objects.get())
    with pytest.raises(WrongState):
        dispositions.match(by=stranger, disposition=waiting, booking=Booking.objects.get())
    with pytest.raises(WrongState):
        dispositions.dismiss(by=clerk(), disposition=waiting, reason="x")


@pytest.mark.parametrize("who", [investigator, examiner, auditor, administrator])
def test_only_records_staff_record_match_and_dismiss(who: Callable[[], User]) -> None:
    waiting, booking = report("1"), BookingFactory()
    person = who()
    with pytest.raises(NotAllowed):
        report("2", by=person)
    with pytest.raises(NotAllowed):
        sent("1,dismissed,2026-03-01,,\n", person)
    with pytest.raises(NotAllowed):
        dispositions.match(by=person, disposition=waiting, booking=booking)
    with pytest.raises(NotAllowed):
        dispositions.dismiss(by=person, disposition=waiting, reason="x")
    assert not Disposition.objects.visible_to(person).exists()


def test_a_clerk_of_no_agency_has_no_bookings_to_record_about() -> None:
    with pytest.raises(NotAllowed, match="no agency"):
        report("1", by=UserFactory(roles=[Role.RECORDS], agency=None))


def test_what_finds_no_booking_waits_until_a_clerk_says_which_is_meant() -> None:
    waiting, booking = report("24-00O17"), BookingFactory(booking_number="24-00017", booked_on=DAY)
    assert list(Disposition.objects.unmatched()) == [waiting]
    dispositions.match(by=clerk(), disposition=waiting, booking=booking)
    assert (waiting.booking, Disposition.objects.unmatched().count()) == (booking, 0)
    with pytest.raises(WrongState, match="does not wait"):
        dispositions.match(by=clerk(), disposition=waiting, booking=booking)


def test_a_booking_that_comes_in_later_finds_its_disposition_by_itself() -> None:
    waiting = report("24-00017")
    assert dispositions.match_waiting() == 0
    booking = BookingFactory(booking_number="24/00017")
    assert dispositions.match_waiting() == 1
    waiting.refresh_from_db()
    assert waiting.booking == booking
    assert Entry.objects.get(act="disposition.matched-by-number").details == {"matched": 1}


def test_a_booking_made_after_the_disposition_is_not_matched_with_it() -> None:
    booking = BookingFactory(booking_number="1", booked_on=DAY + datetime.timedelta(days=1))
    waiting = report("1")
    assert waiting.booking is None
    with pytest.raises(WrongState, match="after the day"):
        dispositions.match(by=clerk(), disposition=waiting, booking=booking)


def test_a_dismissed_one_counts_no_more_and_keeps_its_reason() -> None:
    waiting = report("1")
    for bad in ("", "  ", "x" * 501, "a\x00b"):
        with pytest.raises(BadInput, match="reason"):
            dispositions.dismiss(by=clerk(), disposition=waiting, reason=bad)
    dispositions.dismiss(by=clerk(), disposition=waiting, reason="Another county's booking")
    assert not Disposition.objects.unmatched().exists()
    assert waiting.dismissed_reason == "Another county's booking"
    with pytest.raises(WrongState, match="dismissed already"):
        dispositions.dismiss(by=clerk(), disposition=waiting, reason="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        Disposition.objects.filter(pk=waiting.pk).update(dismissed_reason="")


def test_the_same_disposition_twice_is_one() -> None:
    BookingFactory(booking_number="1-2")
    report("1-2")
    with pytest.raises(WrongState, match="recorded already"):
        report("1/2")


def test_a_file_is_taken_whole_and_the_same_file_again_changes_nothing() -> None:
    BookingFactory(booking_number="1")
    text = "1,dismissed,2026-03-01,District Court,26-CV-1\n2,Acquitted,03/02/2026,,\n2,acquitted,2026-03-02,,\n"
    taken = sent(text)
    assert (taken.rows, taken.recorded, taken.known, taken.matched, taken.unmatched) == (3, 2, 1, 1, 1)
    before = list(Disposition.objects.order_by("pk").values())
    again = sent(text)
    assert (again.recorded, again.known, again.matched) == (0, 3, 0)
    assert list(Disposition.objects.order_by("pk").values()) == before


def test_a_file_with_wrong_rows_records_nothing_and_says_which_and_why() -> None:
    BookingFactory(booking_number="1")
    with pytest.raises(BadLines, match="5 of 7 rows are wrong") as refused:
        sent(
            "1,dismissed,2026-03-01,,\n"
            ",dismissed,2026-03-01,,\n"
            "1,pardoned,2026-03-01,,\n"
            "1,dismissed,2026-02-30,,\n"
            "1,dismissed,,,\n"
            "1,dismissed,2026-03-01\n"
            "2,dismissed,2026-03-01,,\n"
        )
    assert [(bad.line, bad.reason) for bad in refused.value.lines] == [
        (3, "booking_number is empty."),
        (4, "disposition is none of these: dismissed, acquitted, not-charged, convicted."),
        (5, "disposed_on is a day that does not exist."),
        (6, "disposed_on is empty."),
        (7, "This line has 3 columns, but the header has 5."),
    ]
    assert not Disposition.objects.exists()
    entry = Entry.objects.get(act="disposition.file-taken")
    assert (entry.outcome, entry.details["reason"]) == ("refused", "bad_lines")


@pytest.mark.parametrize(
    "file",
    [
        b"\xef\xbb\xbfbooking_number,disposition,disposed_on\r\n1,dismissed,2026-03-01\r\n",
        b"sep=;\nBooking Number;Disposition;Disposed-On\n1;dismissed;2026-03-01\n",
        "booking_number\tdisposition\tdisposed_on\n1\tdismissed\t3/1/2026\n".encode("utf-16"),
        b'disposed_on,booking_number,extra,disposition\n2026-03-01,"1",=cmd(),dismissed\n\n',
    ],
)
def test_files_as_spreadsheets_write_them_are_read(file: bytes) -> None:
    booking = BookingFactory(booking_number="1")
    assert dispositions.take_file(by=clerk(), file=file).matched == 1
    assert booking.dispositions.get().disposed_on == DAY


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (b"", "empty"),
        (b"booking_number,disposition\n1,dismissed\n", "no column disposed_on"),
        (HEADER.encode(), "no rows below it"),
        (b"PK\x03\x04rest", "Excel"),
        (b"\x81\x8d", "not a text file"),
        (HEADER.encode() + b"1\x002,dismissed,2026-03-01,,\n", "wrong"),
        (HEADER.encode() + "1\u202e2,dismissed,2026-03-01,,\n".encode(), "wrong"),
        (HEADER.encode() + "1\u200b2,dismissed,2026-03-01,,\n".encode(), "wrong"),
        (HEADER.encode() + b"1,dismissed,2099-03-01,,\n", "wrong"),
        (HEADER.encode() + b"1,dismissed,2026-03-01," + b"x" * 121 + b",\n", "wrong"),
        (HEADER.encode() + b'"' + b"x" * 200_000 + b"\n", "wrong"),
        (HEADER.encode() + b"1" * (dispositions.MOST_BYTES + 1), "larger than 16 MB"),
    ],
    ids=range(12),
)
def test_a_file_that_is_none_is_refused_with_a_sentence(file: bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        dispositions.take_file(by=clerk(), file=file)
    assert not Disposition.objects.exists()


def test_a_formula_is_kept_as_the_text_it_is() -> None:
    BookingFactory(booking_number="1")
    sent('1,dismissed,2026-03-01,"=HYPERLINK(""http://x"")",\n')
    assert Disposition.objects.get().court == '=HYPERLINK("http://x")'


@pytest.mark.django_db(transaction=True)
def test_two_windows_that_send_the_same_file_record_it_once() -> None:
    person, together, answers = clerk(), threading.Barrier(2), []
    text = "".join(f"{number},dismissed,2026-03-01,,\n" for number in range(50))

    def send() -> None:
        together.wait()
        try:
            answers.append(sent(text, person).recorded)
        except MugsearchError as error:
            answers.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [0, 50]


def test_of_an_expunged_booking_nothing_is_kept(fake_encoder: object) -> None:
    live.reset()
    booking = enrol(1, booking=BookingFactory(booking_number="CANARY-1")).booking
    disposed("convicted", DAY, booking)
    elsewhere = disposed("dismissed", DAY)
    misspelt = Disposition.objects.get(booking=elsewhere)
    misspelt.booking_number = "canary 1"
    misspelt.save()
    early = report("CANARY/1", on=datetime.date(1999, 1, 1))
    Disposition.objects.filter(pk=early.pk).update(booking=None)
    owners = list(Disposition.objects.values_list("owner", flat=True))
    assert all(map(vault.has_key, owners))
    approved(requested(booking))
    assert not any(map(vault.has_key, owners))  # so no backup tells of whom they were
    taken = sent("CANARY-1,dismissed,2026-03-01,,\n")
    assert (taken.expunged, taken.recorded) == (1, 0)
    with pytest.raises(WrongState, match="expunged before"):
        report("canary 1")
    left = Disposition.objects.get()
    assert (left.booking, left.booking_number) == (elsewhere, elsewhere.booking_number)


def test_what_is_recorded_names_nobody_in_the_audit() -> None:
    BookingFactory(booking_number="CANARY-1")
    report("CANARY-1")
    sent("CANARY-2,dismissed,2026-03-01,CANARY Court,CANARY-3\n")
    assert not any("canary" in str(entry.details).lower() for entry in Entry.objects.all())
