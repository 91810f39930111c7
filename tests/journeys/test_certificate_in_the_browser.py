"""A records clerk's way from the order of a court to its certificate, in a real browser: the number on the paper, the
preview, the second clerk, the steps, the certificate, and the PDF that a court checks with the verifier. axe and the
keyboard on the way, at three widths, light and dark."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from mugsearch.gallery import live
from mugsearch.gallery.models import Booking
from mugsearch.retention import erasing, holds, tasks
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import signing
from tests import factories
from tests.journeys.browser import MARKS, press_on, require_accessible
from tests.retention.arrange import a_life, finish, held

pytestmark = MARKS

LONG = "26-CV-0417/DISTRICT-COURT-OF-SPRINGFIELD-COUNTY-THIRD-DIVISION"


def looked_at(page: Any) -> None:
    """Nothing is wider than the screen, and axe finds nothing."""
    for width in (1280, 768, 400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"too wide at {width}: {page.url}"
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            require_accessible(page)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")


def downloaded(page: Any, name: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        press_on(page, "link", name)
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_a_clerk_goes_from_the_order_of_a_court_to_a_certificate_that_a_court_can_check(
    desk: Any, fake_encoder: Any, tmp_path: Path
) -> None:
    live.reset()
    life = a_life(booking_number="24-0001")
    hold = held(life.booking)
    clerk, second = desk(factories.clerk(full_name="Rita Records")), desk(factories.clerk())

    clerk.goto("/expungements/")
    looked_at(clerk)  # an empty list
    clerk.goto("/expungements/new")
    clerk.get_by_label("Booking number").fill("24 0001")
    looked_at(clerk)
    clerk.get_by_label("Booking number").focus()
    press_on(clerk, "button", "Show what would be done")
    clerk.get_by_text("A legal hold keeps it").wait_for()
    assert clerk.locator(".purge__thumbs img").count() == 2
    assert clerk.locator(".purge__count").first.inner_text() == "1"
    clerk.get_by_label("Order number").fill(LONG)
    clerk.get_by_label("Reason").fill("Charges dismissed, order of the district court")
    looked_at(clerk)
    clerk.get_by_label("Reason").focus()
    press_on(clerk, "button", "Request the expungement")
    clerk.get_by_text("so somebody else approves it").wait_for()
    looked_at(clerk)

    holds.lift(by=factories.clerk(), hold=hold)
    second.goto("/expungements/")
    looked_at(second)
    press_on(second, "link", "Look and approve")
    press_on(second, "button", "Approve…")
    second.get_by_role("dialog").wait_for()
    looked_at(second)
    press_on(second, "button", "Approve and destroy")
    second.get_by_text("No search returns").wait_for()
    order = ExpungementOrder.objects.get()
    looked_at(second)
    assert second.get_by_role("link", name="Certificate").count() == 0
    ExpungementOrder.objects.update(troubles={"forgotten_at": "The index is being made anew."})
    second.get_by_text("The index is being made anew.").wait_for()  # the page follows by itself
    looked_at(second)
    tasks.prove_forgotten(str(order.pk))
    second.locator(".timeline__step.is-done", has_text="Index proved").wait_for()
    finish()
    press_on(second, "link", "Certificate")
    second.get_by_text("What was done and checked").wait_for()
    looked_at(second)
    assert not Booking.objects.filter(pk=life.booking.pk).exists()
    assert "24-0001" not in second.content()

    program = downloaded(second, "Verifier", tmp_path)
    assert program.read_bytes() == Path(erasing.__file__).with_name("verify_certificate.py").read_bytes()
    for name in ("PDF", "Signed JSON"):
        command = [
            sys.executable,
            str(program),
            str(downloaded(second, name, tmp_path)),
            "--key",
            signing.fingerprint(),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert LONG in ran.stdout
        assert "Everything fits." in ran.stdout

    auditor = desk(factories.auditor())
    auditor.goto(f"/expungements/{order.pk}/certificate")
    auditor.get_by_text("What still ages out").wait_for()
    looked_at(auditor)
    auditor.emulate_media(media="print")
    assert auditor.locator(".page-header__actions").is_hidden()
    assert auditor.locator(".site-user").is_hidden()  # it names nobody, who prints it included
