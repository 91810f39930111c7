"""The auditors' desk in a real browser: filters, timelines, signals, a week reviewed and signed off; axe and the
keyboard on the way, at two widths, light and dark."""

import datetime
import os
from pathlib import Path
from typing import Any

from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.auditing import drawing
from mugsearch.auditing.models import Draw, Sighting, SignOff
from tests import factories
from tests.journeys.browser import MARKS, press_on, require_accessible
from tests.reviews.arrange import candidate, finished_search
from tests.triggers import past_the_triggers

pytestmark = MARKS
DAY = datetime.timedelta(days=1)


def looked_at(page: Any, name: str) -> None:
    for width, scheme in ((1280, "light"), (400, "dark"), (1280, "dark"), (400, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        require_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, width)
        if folder := os.environ.get("MUGSEARCH_SCREENSHOTS"):
            page.screenshot(path=str(Path(folder) / f"{name}-{width}-{scheme}.png"), full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})


def a_week_ago() -> tuple[datetime.date, Sighting]:
    monday = drawing.monday(timezone.localdate()) - 7 * DAY
    who = factories.investigator(full_name="Maximiliane Featherstonehaugh-Cholmondeley von und zu Hohenberg")
    search = finished_search()
    for step in range(7):
        draw = Draw.objects.create(day=monday + step * DAY, searches=3, policy_digest="0" * 64)
    told = {"draw": draw, "week": monday, "actor": who, "case": search.probe.case}
    first = Sighting.objects.create(signal="case-searches", key="a", count=31, searches=[str(search.pk)] * 20, **told)
    Sighting.objects.create(signal="own-median", key="b", count=40, usual=4.5, **told)
    refused = audit.refuse("page.opened", by=who, reason="not_allowed")
    with past_the_triggers():
        Entry.objects.filter(pk=refused.pk).update(at=drawing.bounds(monday + DAY))
    audit.record("search.requested", by=who, obj=search, case=search.probe.case_id)
    audit.record("candidate.viewed", by=who, obj=candidate(search), case=search.probe.case_id)
    return monday, first


def test_an_auditor_filters_follows_a_timeline_reviews_a_week_and_signs_it_off(desk: Any, provoked: list[str]) -> None:
    provoked.append("422")
    monday, first = a_week_ago()
    page = desk(factories.auditor(full_name="Rita Reader"))
    page.goto("/audit/")
    looked_at(page, "entries")
    page.get_by_label("Person acting").fill("nobody of this name")
    press_on(page, "button", "Filter")
    page.get_by_text("Nobody has this name").wait_for()
    looked_at(page, "nobody")
    page.goto("/audit/?since=2026-02-01T00:00&before=2026-01-01T00:00")
    looked_at(page, "wrong")

    page.goto("/audit/timelines")
    looked_at(page, "look-up")
    page.get_by_label("Case number").fill(first.case.number)
    press_on(page, "button", "Find the case")
    page.get_by_role("link", name=f"Case {first.case.number}").click()
    page.get_by_text("asked for a search").wait_for()
    looked_at(page, "case")
    page.goto(f"/audit/users/{first.actor_id}?looks")
    looked_at(page, "user")
    page.goto("/audit/timelines")
    seen = candidate(first.case.probes.get().searches.get())
    page.get_by_label("Booking number").fill(seen.photo.booking.booking_number)
    press_on(page, "button", "Find its look-ups")
    page.get_by_text("looked at a candidate").wait_for()
    looked_at(page, "booking")

    page.goto("/audit/signals?signal=own-median")
    page.get_by_text("Its query").first.click()
    looked_at(page, "signals")
    page.get_by_text("Save this signal as a review").click()
    page.get_by_label("Name").fill("Out of their median")
    press_on(page, "button", "Save this review")
    page.get_by_text("The review is saved").wait_for()
    looked_at(page, "saved")

    page.goto("/audit/reviews")
    looked_at(page, "reviews")
    page.goto(f"/audit/reviews/{monday}")
    looked_at(page, "review")
    for _ in range(2):
        open_one = page.locator("details[open]").first
        open_one.get_by_label("What it is").select_option("explained")
        open_one.get_by_label("Note").fill("A large case, looked through with its owner.")
        open_one.get_by_role("button", name="Keep the note").click()
        page.get_by_text("The note is kept").wait_for()
    page.locator("#sign ~ form").get_by_label("Note").fill("Looked through. Nothing to follow up.")
    press_on(page, "button", "Sign the week off")
    page.get_by_text("Signed off by Rita Reader").wait_for()
    looked_at(page, "signed")
    assert SignOff.objects.get().by.full_name == "Rita Reader"
