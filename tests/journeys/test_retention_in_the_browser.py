"""Retention in a real browser: a file with a wrong row, the work lists, and what the rules will do; axe everywhere."""

import datetime
from pathlib import Path
from typing import Any

from mugsearch.retention.models import Disposition
from tests.factories import BookingFactory, clerk
from tests.journeys.browser import MARKS, press_on, require_accessible

pytestmark = MARKS

HEADER = "booking_number;disposition;disposed_on;court;order_number\n"


def test_a_clerk_s_day_from_the_court_s_file_to_what_the_rules_will_do(
    desk: Any, tmp_path: Path, provoked: list[str]
) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    BookingFactory(booking_number="24-0001", booked_on=today - datetime.timedelta(days=90), charge="Larceny")
    BookingFactory(
        booking_number="19-0001", booked_on=datetime.date(2019, 3, 4), charge="Arson", disposition="pending?"
    )
    provoked.append("422")  # the answer to a file with wrong rows
    window = desk(clerk())
    window.goto("/retention/")
    require_accessible(window)
    for address in ("stale", "dispositions/unmatched", "rules/dismissed", "dispositions/new"):
        window.goto(f"/retention/{address}")
        require_accessible(window)

    window.goto("/retention/dispositions/file")
    require_accessible(window)
    file = tmp_path / "court.csv"
    file.write_text(f"{HEADER}24/0001;Dismissed;{today};District Court;26-CV-1\n24-0OO2;pardoned;{today};;\n")
    window.set_input_files("[name=file]", file)
    press_on(window, "button", "Take all rows")
    window.get_by_text("disposition is none of these").wait_for()
    require_accessible(window)
    file.write_text(file.read_text().replace("pardoned", "acquitted"))
    window.set_input_files("[name=file]", file)
    press_on(window, "button", "Take all rows")
    window.get_by_text("Some wait for a booking").wait_for()
    require_accessible(window)

    BookingFactory(booking_number="24-0002")
    press_on(window, "link", "1 without a booking")
    window.get_by_role("heading", name="Dispositions without a booking").wait_for()
    require_accessible(window)
    press_on(window, "link", "24-0OO2")
    window.get_by_role("heading", name="Say which booking is meant").wait_for()
    require_accessible(window)
    window.get_by_label("Booking number").fill("24-0002")
    press_on(window, "button", "Match")
    window.get_by_text("Matched with booking 24-0002").wait_for()
    require_accessible(window)
    assert not Disposition.objects.unmatched().exists()

    window.goto("/retention/")
    press_on(window, "link", "Charges dismissed: expunge after 60 days")
    window.get_by_role("link", name="24-0001").wait_for()
    require_accessible(window)
    window.goto("/retention/stale")
    press_on(window, "link", "Record a disposition of booking 19-0001")
    window.get_by_label("Disposition", exact=True).select_option("convicted")
    window.get_by_label("Day of the disposition").fill("2019-06-01")
    press_on(window, "button", "Record")
    window.get_by_text("Recorded for booking 19-0001").wait_for()
