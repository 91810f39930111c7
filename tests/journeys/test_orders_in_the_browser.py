"""The records clerks' orders in a real browser: seal, a hold that keeps it from being expunged, lift, expunge; axe and
the keyboard on the way, at two widths, light and dark."""

from typing import Any

from mugsearch.gallery import live
from mugsearch.gallery.models import Booking, Person
from mugsearch.probes.models import Candidate
from mugsearch.retention import tasks
from mugsearch.retention.models import ExpungementOrder
from tests import factories
from tests.journeys.browser import MARKS, press_on, require_accessible
from tests.retention.arrange import a_life, another_booking, finish

pytestmark = MARKS


def looked_at(page: Any) -> None:
    for width, scheme in ((1280, "light"), (768, "dark"), (1280, "dark"), (768, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        require_accessible(page)
    page.set_viewport_size({"width": 1280, "height": 900})


def ask(page: Any, booking: Booking, kind: str, number: str) -> None:
    page.goto("/expungements/new")
    page.get_by_label("Booking number").fill(booking.booking_number)
    press_on(page, "button", "Show what would be done")
    page.get_by_role("link", name=kind, exact=True).click()
    page.get_by_label("Order number").fill(number)
    page.get_by_label("Reason").fill("Order of the district court")
    looked_at(page)
    page.get_by_role("button", name="Request the").click()
    page.get_by_text("so somebody else approves it").wait_for()


def approve(page: Any, number: str, action: str) -> None:
    page.goto("/expungements/")
    page.get_by_role("link", name=number, exact=True).click()
    looked_at(page)
    page.get_by_role("button", name="Approve…").click()
    page.get_by_role("dialog").get_by_role("button", name=action).click()
    page.get_by_text("No search returns").wait_for()
    tasks.prove_forgotten(str(ExpungementOrder.objects.get(order_number=number).pk))
    finish()
    page.get_by_role("link", name="Certificate").click()  # the page follows by itself
    page.get_by_text("What was done and checked").wait_for()
    looked_at(page)


def test_a_booking_is_sealed_held_freed_and_expunged(desk: Any, fake_encoder: Any) -> None:
    live.reset()
    life = a_life(booking_number="24-0001")
    another_booking(life.booking)
    clerk, second = desk(factories.clerk(full_name="Rita Records")), desk(factories.clerk())

    ask(clerk, life.booking, "Seal", "SEAL-1")
    approve(second, "SEAL-1", "Approve and seal")
    clerk.goto(f"/gallery/bookings/{life.booking.pk}")
    clerk.get_by_text("only records staff see it").wait_for()
    looked_at(clerk)
    clerk.goto(f"/gallery/people/{life.booking.person_id}")
    looked_at(clerk)

    clerk.goto(f"/gallery/bookings/{life.booking.pk}")
    press_on(clerk, "link", "Hold…")
    clerk.get_by_label("Reference").fill("PRES-7")
    clerk.get_by_label("Reason").fill("Civil suit against the county")
    looked_at(clerk)
    press_on(clerk, "button", "Set the hold")
    clerk.get_by_text("Under a legal hold until it is lifted").wait_for()
    looked_at(clerk)

    ask(clerk, life.booking, "Expunge", "COURT-2")
    second.goto("/expungements/")
    looked_at(second)
    second.get_by_role("link", name="COURT-2", exact=True).click()
    second.get_by_text("Rita Records put a legal hold (PRES-7)").wait_for()
    assert second.get_by_role("button", name="Approve…").count() == 0
    looked_at(second)
    assert Booking.objects.filter(pk=life.booking.pk).exists()

    second.goto("/expungements/holds")
    looked_at(second)
    second.get_by_role("link", name="24-0001").click()
    second.get_by_role("button", name="Lift…").click()
    second.get_by_role("dialog").get_by_role("button", name="Lift the hold").click()
    second.get_by_text("The hold is lifted.").wait_for()
    approve(second, "COURT-2", "Approve and destroy")
    assert "24-0001" not in second.content()
    assert not Booking.objects.filter(pk=life.booking.pk).exists()
    assert Person.objects.filter(pk=life.booking.person_id).exists()
    assert Candidate.objects.get(pk=life.candidate.pk).photo is None
