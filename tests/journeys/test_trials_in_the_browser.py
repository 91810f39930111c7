"""Known-answer trials in a real browser: prepared, examined by keyboard like casework, closed, told; axe everywhere."""

from pathlib import Path
from typing import Any

from mugsearch.trials.models import Trial
from tests import factories
from tests.fakes import synthetic_photo
from tests.journeys.browser import MARKS, press_on, require_accessible
from tests.trials.arrange import look_at_all, material, supervisor

pytestmark = MARKS


def test_a_trial_from_the_photographs_to_what_its_examiner_learns(desk: Any, fake_encoder: Any, tmp_path: Path) -> None:
    sam, edgar = supervisor(), factories.examiner()
    material(sam, 21)
    window = desk(sam)
    window.goto("/trials/material")
    files = []
    for variant in (0, 1):
        files.append(tmp_path / f"{variant}.png")
        files[-1].write_bytes(synthetic_photo(9, variant=variant))
    window.get_by_label("Code").fill("volunteer-9")
    window.get_by_label("Gave consent").check()
    window.get_by_label("Reference").fill("Consent form 9")
    window.set_input_files("[name=photos]", files)
    press_on(window, "button", "Add")
    window.get_by_text("are taken in").wait_for()
    look_at_all()
    window.goto("/trials/material")
    require_accessible(window)
    window.goto("/trials/")
    window.get_by_label("Mated: the person is on the list").fill("1")
    window.get_by_label("Spread over days").fill("0")
    press_on(window, "button", "Prepare")
    window.get_by_text("1 trial prepared").wait_for()
    require_accessible(window)

    examiner = desk(edgar)
    press_on(examiner, "button", "Examine the next search")
    examiner.locator("[data-compare].is-live").wait_for()
    assert "trial" not in examiner.content().lower()
    examiner.wait_for_timeout(500)
    examiner.keyboard.press("x")
    press_on(examiner, "button", "Exclude them")
    examiner.get_by_text("20 of 20 concluded").wait_for()
    examiner.get_by_text("Saved", exact=True).wait_for()
    examiner.keyboard.press("c")
    examiner.get_by_role("dialog").get_by_role("button", name="Conclude").click()
    examiner.get_by_text("My findings").first.wait_for()
    assert "known-answer" not in examiner.content().lower()

    window.reload()
    press_on(window, "link", Trial.objects.get().prepared_at.strftime("%-d %b"))
    window.get_by_text("Missed the person").wait_for()
    require_accessible(window)
    window.get_by_role("button", name="Close…").click()
    window.get_by_role("button", name="Close it").click()
    window.get_by_text("The trial is closed").wait_for()
    window.goto("/trials/examiners")
    window.get_by_text("1 of 1").wait_for()
    require_accessible(window)
    press_on(window, "link", edgar.full_name)
    window.get_by_text("Agreement with others").wait_for()
    require_accessible(window)
    window.goto("/audit/report")
    window.get_by_text("Examinations of closed trials").wait_for()
    require_accessible(window)

    examiner.reload()
    examiner.get_by_text("This was a known-answer trial").wait_for()
    require_accessible(examiner)
    press_on(examiner, "link", "All my trials")
    examiner.get_by_text("Missed the person").wait_for()
    require_accessible(examiner)
