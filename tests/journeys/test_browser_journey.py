"""The main job in a real browser: import, search, examinations by keyboard, the third where two disagree, lead,
expungement, and a search that finds nothing.

Every page on the way is checked for errors on its console, which a Content Security Policy violation is, too, and
those of the examination and of what comes of it by axe.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from mugsearch.accounts.models import Role, User
from mugsearch.gallery import identity
from mugsearch.probes.models import Candidate
from reviews import services
from reviews.models import Examination, Finding, Lead
from reviews.order import in_order
from reviews.worksheet import COMPONENTS
from tests import factories
from tests.journeys.browser import MARKS, press_on, require_accessible
from tests.reviews.arrange import find, finished_search, store_images

pytestmark = MARKS


def submit_search(page: Any, case: str, image: Path) -> None:
    page.goto("/probes/new")
    page.get_by_label("Case number").fill(case)
    page.get_by_label("Offence", exact=True).select_option("robbery")
    page.get_by_label("Legal basis").select_option("reasonable-suspicion")
    page.get_by_label("Kind of image").select_option("cctv-still")
    page.get_by_label("Where the image came from").fill("Camera at the entrance, 3 May")
    page.set_input_files("[name=image]", image)
    page.get_by_label("I attest").check()
    page.get_by_role("button", name="Upload and look for faces").click()
    page.get_by_role("button", name="Search with this face").click()
    page.get_by_text("for examination").wait_for()


def examine(page: Any, user: User, person: str | None) -> None:
    """By keyboard alone: +3 and a worksheet on the candidate that is `person` (known to the test only), X for all
    others, C."""
    page.goto("/reviews/")
    require_accessible(page)
    press_on(page, "button", "Examine the next search")
    page.locator("[data-compare].is-live").wait_for()
    require_accessible(page)
    html = page.content()
    examination = Examination.objects.get(examiner=user, state=Examination.State.CLAIMED)
    order = in_order(examination)
    for secret in ("MEDS-", "score", *[str(candidate.pk) for candidate in order]):
        assert secret not in html, secret
    for position, candidate in enumerate(order, start=1):
        if candidate.person and candidate.person.person_id == person:
            while f"Candidate {position} of" not in page.locator("[data-compare]").inner_text():
                page.keyboard.press("j")
            # Nothing is concluded on a photograph that isn't on screen yet, so the key is pressed until it counts.
            while not page.locator("input[name=conclusion][value='3']").is_checked():
                page.keyboard.press("7")
                page.wait_for_timeout(100)
            require_accessible(page)  # the worksheet has opened by itself
            for _ in COMPONENTS:
                page.keyboard.press("1")
            page.keyboard.press("Escape")
            page.get_by_text("Saved", exact=True).first.wait_for()
    page.keyboard.press("x")
    press_on(page, "button", "Exclude them")
    page.get_by_text(f"{len(order)} of {len(order)} concluded").wait_for()
    page.keyboard.press("c")
    require_accessible(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/reviews/"))
    page.locator("[data-compare]").wait_for(state="detached")
    examination.refresh_from_db()
    assert examination.state == Examination.State.CONCLUDED
    require_accessible(page)


def test_the_main_job_in_a_browser(desk, workers, mugshots, tmp_path):
    investigator, clerk, second_clerk, auditor = (
        factories.investigator(),
        factories.clerk(),
        factories.clerk(),
        factories.auditor(),
    )
    first, second, third = factories.examiner(), factories.examiner(), factories.examiner()
    (tmp_path / "manifest.csv").write_bytes(mugshots.manifest)
    (tmp_path / "photos.zip").write_bytes(mugshots.archive)

    records = desk(clerk)
    records.goto("/gallery/imports/new")
    records.set_input_files("[name=manifest]", tmp_path / "manifest.csv")
    records.set_input_files("[name=photos]", tmp_path / "photos.zip")
    records.get_by_role("button", name="Upload and import").click()
    records.get_by_text("Done. Every row was taken.").wait_for()

    detective = desk(investigator)
    submit_search(detective, "26-000001", mugshots.probe)
    assert "20 candidates wait" in detective.content()

    examine(desk(first), first, mugshots.person)
    detective.reload()
    assert "1 of 2 has concluded" in detective.content()
    assert not Lead.objects.exists()

    examine(desk(second), second, None)
    detective.reload()
    assert "2 of 3 have concluded" in detective.content()
    assert not Lead.objects.exists()

    examine(desk(third), third, mugshots.person)
    detective.reload()
    detective.get_by_role("link", name="Open the lead").click()
    detective.get_by_text("not probable cause").wait_for()
    assert mugshots.person in detective.content()
    assert detective.get_by_text("Does not confirm").count() == 1
    require_accessible(detective)

    records.goto("/expungements/new")
    records.get_by_label("Booking number").fill(mugshots.booking)
    records.get_by_role("button", name="Show what would be done").click()
    records.get_by_text("What will be destroyed").wait_for()
    records.get_by_label("Order number").fill("CR-2026-17")
    records.get_by_label("Reason").fill("Dismissed by the court")
    records.get_by_role("button", name="Request the expungement").click()
    records.get_by_text("so somebody else approves it").wait_for()
    assert records.get_by_role("button", name="Approve").count() == 0

    approver = desk(second_clerk)
    approver.goto("/expungements/")
    approver.get_by_role("link", name="CR-2026-17", exact=True).click()
    approver.get_by_role("button", name="Approve").click()
    approver.get_by_role("button", name="Approve and destroy").click()
    approver.get_by_role("link", name="Certificate").click()
    approver.get_by_text("CR-2026-17").first.wait_for()
    assert mugshots.person not in approver.content()
    assert mugshots.booking not in approver.content()

    detective.reload()
    detective.get_by_text("withdrawn").first.wait_for()
    assert mugshots.person not in detective.content()

    submit_search(detective, "26-000002", mugshots.probe)
    assert not Candidate.objects.filter(person__id_digest=identity.of_person(mugshots.person)).exists()
    for another in (factories.examiner(), factories.examiner()):
        examine(desk(another), another, None)
    detective.reload()
    detective.get_by_text("No lead").first.wait_for()

    search = Lead.objects.get().search_id
    for user, paths in (
        (auditor, ["/policy", "/disclosure/?number=26-000001", f"/disclosure/searches/{search}"]),
        (factories.administrator(), ["/policy"]),
        (factories.UserFactory(roles=[Role.SUPERVISOR]), ["/reviews/leads", "/policy"]),
        (investigator, ["/cases/", f"/searches/{search}"]),
    ):
        page = desk(user)
        for width, scheme in ((1280, "light"), (768, "dark"), (360, "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            for path in paths:
                assert page.goto(path).ok, path
                require_accessible(page)

    record = desk(auditor)
    for act in ("probe.submitted", "search.finished", "booking.expunged"):
        record.goto(f"/audit/?act={act}")
        record.get_by_role("cell", name=act).first.wait_for()
    record.get_by_role("button", name="Verify the chain").click()
    record.get_by_text(re.compile("intact|holds|unbroken", re.IGNORECASE)).first.wait_for()


def test_a_worksheet_is_filled_by_separate_presses_and_with_the_photograph_in_sight(desk):
    """What a held key, a slow photograph and a form without single keys do on the comparison screen."""
    search, user = finished_search(candidates=3), factories.examiner()
    store_images(search)
    page = desk(user)
    page.goto("/reviews/")
    page.get_by_role("button", name="Examine the next search").click()
    page.locator("[data-compare].is-live").wait_for()
    left = page.locator("[data-worksheet-left]")
    page.wait_for_timeout(500)
    page.keyboard.press("6")
    for _ in range(15):
        page.keyboard.down("1")  # held: the browser repeats it
    page.keyboard.up("1")
    assert left.inner_text() == "14 left"
    for _ in range(14):
        page.keyboard.press("2")
    assert left.inner_text() == "complete"
    page.keyboard.press("3")  # one too many changes nothing
    page.keyboard.press("Escape")
    page.get_by_text("Saved", exact=True).wait_for()
    filled = Finding.objects.get().worksheet
    assert filled.pop("face_outline") == {"said": "similar"}
    assert [told["said"] for told in filled.values()] == ["different"] * 14

    page.route("**/candidates/*.jpg", lambda route: None if "thumb" not in route.request.url else route.continue_())
    page.reload(wait_until="domcontentloaded")
    page.locator("[data-compare].is-live").wait_for()
    page.keyboard.press("s")
    page.keyboard.press("1")
    assert left.inner_text() in ("not begun", "complete")  # of whichever candidate: nothing was answered blindly
    assert Finding.objects.count() == 1


def drawn_at(page: Any, name: str, pane: str) -> tuple[float, float]:
    """Where on the screen the middle of a mark is."""
    shape = page.locator(f"[data-pane={pane}] [data-mark='{name}'] > :is(ellipse, circle)").last
    box = shape.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def on_screen(page: Any, pane: str, x: float, y: float) -> tuple[float, float]:
    """Where on the screen the browser has a point of the photograph, given in shares of its sides."""
    return page.locator(f"[data-pane={pane}] img").evaluate(
        """(image, [x, y]) => {
          const { left, top } = image.parentElement.getBoundingClientRect();
          const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = image;
          const from = new DOMPoint((x - 0.5) * offsetWidth, (y - 0.5) * offsetHeight);
          const to = new DOMMatrix(getComputedStyle(image).transform).transformPoint(from);
          return [left + offsetLeft + offsetWidth / 2 + to.x, top + offsetTop + offsetHeight / 2 + to.y];
        }""",
        [x, y],
    )


def test_what_is_drawn_stays_on_its_place_of_the_photograph_and_is_saved(desk):
    """A region by keys on the probe and a point by mouse on the candidate's photograph, as its counterpart."""
    search, user = finished_search(candidates=3), factories.examiner()
    store_images(search)
    page = desk(user)
    page.goto("/reviews/")
    page.get_by_role("button", name="Examine the next search").click()
    page.locator("[data-compare].is-live").wait_for()
    page.wait_for_timeout(500)
    page.keyboard.press("s")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("d")
    page.keyboard.press("PageDown")
    page.keyboard.press("a")
    for key in ["ArrowLeft"] * 5 + ["ArrowUp"] * 9 + ["Shift+ArrowRight"] * 4 + ["Enter"]:
        page.keyboard.press(key)
    before = page.locator("[data-pane=candidate] img").bounding_box()
    page.mouse.click(*on_screen(page, "candidate", 0.75, 0.25))
    page.mouse.move(*on_screen(page, "candidate", 0.5, 0.5))
    page.mouse.down()
    page.mouse.move(*on_screen(page, "candidate", 0.75, 0.625), steps=4)
    page.mouse.up()
    assert page.locator("[data-pane=candidate] img").bounding_box() == before  # to drag is to draw, not to move
    page.locator("[data-pane=candidate] [data-mark='Forehead 2']").wait_for(state="attached")
    page.get_by_text("Saved", exact=True).wait_for()
    region = Finding.objects.get().worksheet["forehead"]["drawn"][1]["candidate"]
    assert region == pytest.approx([0.5, 0.5, 0.25, 0.125], abs=0.01)
    page.keyboard.press("Backspace")
    page.mouse.move(*on_screen(page, "candidate", 0.3, 0.3))
    page.mouse.down()
    page.mouse.move(*on_screen(page, "candidate", 0.5, 0.3), steps=4)
    page.mouse.up()  # as high as nothing: a point, where it began
    page.get_by_text("Saved", exact=True).wait_for()
    point = Finding.objects.get().worksheet["forehead"]["drawn"][1]["candidate"]
    assert point == [round(share, 4) for share in point] == pytest.approx([0.3, 0.3], abs=0.01)
    page.keyboard.press("Backspace")
    require_accessible(page)
    page.get_by_text("Saved", exact=True).wait_for()

    (mark,) = Finding.objects.get().worksheet["forehead"]["drawn"]
    assert mark["candidate"] == pytest.approx([0.75, 0.25], abs=0.005)
    x, y, width, height = mark["probe"]
    assert (x + width / 2 < 0.5, y + height / 2 < 0.5, width * 240 > height * 320 > 0) == (True, True, True)

    page.reload()
    page.locator("[data-compare].is-live").wait_for()
    page.wait_for_timeout(500)
    wanted = {"probe": (x + width / 2, y + height / 2), "candidate": tuple(mark["candidate"])}

    def require_in_place() -> None:
        for pane, middle in wanted.items():
            expected = on_screen(page, pane, *middle)
            assert drawn_at(page, "Forehead 1", pane) == pytest.approx(expected, abs=0.6), pane

    require_in_place()
    moves = ["+"] * 4 + [
        "Shift+ArrowDown",
        "Shift+R",
        *["r"] * 7,
        "f",
        "l",
        "+",
        "Shift+ArrowLeft",
        "a",
        "f",
        "Shift+E",
    ]
    for key in moves:  # on the candidate's photograph, then on the probe
        page.keyboard.press(key)
        require_in_place()

    seen = page.locator("[data-mark='Forehead 1']")
    page.keyboard.press("h")
    assert seen.count() == 0
    page.keyboard.press("h")
    assert seen.count() == 2
    page.keyboard.press("d")
    page.keyboard.press("Escape")  # leaves drawing and keeps the worksheet open
    assert page.locator("[data-worksheet][open]").count() == 1
    page.locator("[data-component=forehead] [data-draw]").click()
    page.get_by_role("button", name="Remove Forehead 1 from the probe").click()
    assert seen.count() == 1
    page.keyboard.press("ArrowRight")  # the focus is on a button now, and it still is drawing
    assert "Candidate 1 of 3" in page.locator("[data-place]").inner_text()
    page.locator("[data-pane=candidate] [data-view]").focus()
    page.keyboard.press("Backspace")
    assert seen.count() == 0
    page.get_by_text("Saved", exact=True).wait_for()
    assert Finding.objects.get().worksheet == {}

    examination = Examination.objects.get()
    find(user, examination, in_order(examination)[0], "3")
    services.exclude_remaining(by=user, examination=examination)
    services.conclude(by=user, examination=examination)
    page.goto(f"/reviews/{examination.pk}")
    page.get_by_text("Worksheet", exact=True).click()
    assert page.locator(".drawn-pair .drawn__mark").count() == 3
    require_accessible(page)
