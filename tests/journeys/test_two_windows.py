"""Two windows of one examiner: neither overwrites the other, and nothing typed is lost."""

from typing import Any

from reviews.models import Finding
from tests import factories
from tests.journeys.browser import MARKS, press_on, require_accessible
from tests.reviews.arrange import finished_search, store_images

pytestmark = MARKS


def two_windows(desk: Any) -> tuple[Any, Any]:
    """Of an examination with three candidates, both loaded before anything was saved."""
    store_images(finished_search(candidates=3))
    old = desk(factories.examiner())
    old.goto("/reviews/")
    old.get_by_role("button", name="Examine the next search").click()
    old.locator("[data-compare].is-live").wait_for()
    newer = old.context.new_page()
    newer.goto(old.url)
    newer.locator("[data-compare].is-live").wait_for()
    return old, newer


def typed(page: Any, text: str) -> None:
    page.bring_to_front()
    page.wait_for_timeout(500)
    page.keyboard.press("m")
    page.keyboard.type(text)
    page.keyboard.press("Escape")


def test_an_old_window_asks_before_it_overwrites_what_a_newer_one_saved(desk, provoked):
    """Two windows of one examiner, by keyboard, and an answer that is lost on the way."""
    provoked += ["status of 409", "net::ERR_FAILED"]
    old, newer = two_windows(desk)
    for page, key in ((newer, "2"), (old, "5")):
        page.bring_to_front()
        page.wait_for_timeout(500)
        page.keyboard.press("m")
        page.keyboard.type(f"typed in {key}")
        page.keyboard.press("Escape")
        page.keyboard.press(key)
        if page is newer:
            page.get_by_text("Saved", exact=True).wait_for()
    dialog = old.locator("dialog[data-dialog=outdated]")
    dialog.wait_for()
    for text in ("typed in 2", "typed in 5", "support for different people", "some support for the same person"):
        assert text in dialog.inner_text()
    require_accessible(old)
    assert Finding.objects.get().notes == "typed in 2"
    old.keyboard.press("Escape")  # later; it is asked again, and nothing typed is lost
    assert old.locator("textarea[name=notes]").input_value() == "typed in 5"
    old.keyboard.press("j")
    old.keyboard.press("k")
    dialog.wait_for()
    press_on(old, "button", "Keep what is here")
    old.get_by_text("Saved", exact=True).wait_for()
    finding = Finding.objects.get()
    assert (finding.conclusion, finding.notes) == ("1", "typed in 5")

    newer.bring_to_front()
    newer.keyboard.press("1")
    dialog = newer.locator("dialog[data-dialog=outdated]")
    dialog.wait_for()
    press_on(newer, "button", "Take what is saved")
    assert newer.locator("input[name=conclusion][value='1']").is_checked()
    assert newer.locator("textarea[name=notes]").input_value() == "typed in 5"
    newer.keyboard.press("j")
    newer.wait_for_timeout(500)
    newer.keyboard.press("3")
    newer.get_by_text("Saved", exact=True).wait_for()

    old.bring_to_front()  # it knows nothing of the second candidate's finding
    old.keyboard.press("x")
    old.get_by_role("button", name="Exclude them").click()
    old.get_by_text("Saved", exact=True).wait_for()
    old.get_by_text("3 of 3 concluded").wait_for()
    kept = Finding.objects.exclude(conclusion__in=["1", "-3"]).get()
    assert kept.conclusion == "-1"
    assert old.locator(f"[data-finding='{kept.conclusion}']").count() == 1

    lost = []

    def lose(route: Any) -> None:  # the server gets it, the answer doesn't arrive
        if lost:
            return route.continue_()
        lost.append(route.fetch())
        return route.abort()

    old.route("**/findings", lose)
    old.keyboard.press("4")
    old.wait_for_timeout(300)
    old.keyboard.press("m")
    old.keyboard.type(" and more")
    old.keyboard.press("Escape")
    old.get_by_text("Saved", exact=True).wait_for()
    assert lost[0].ok
    assert not old.locator("dialog[data-dialog=outdated]").is_visible()
    assert Finding.objects.get(conclusion="0").notes == "typed in 5 and more"


def test_what_is_to_be_decided_later_is_not_excluded_with_the_rest(desk, provoked):
    """It would replace what was typed here by what the other window saved, or the other way round."""
    provoked += ["status of 409"]
    old, newer = two_windows(desk)
    typed(newer, "theirs")
    newer.get_by_text("Saved", exact=True).wait_for()
    typed(old, "ours")
    dialog = old.locator("dialog[data-dialog=outdated]")
    dialog.wait_for()
    old.keyboard.press("Escape")
    old.keyboard.press("x")
    question = old.locator("dialog[data-dialog=exclude]")
    assert "2 candidates" in question.inner_text()
    press_on(old, "button", "Exclude them")
    old.get_by_text("2 of 3 concluded").wait_for()
    assert old.locator("textarea[name=notes]").input_value() == "ours"
    assert Finding.objects.get(conclusion="").notes == "theirs"
    old.keyboard.press("j")
    old.keyboard.press("k")
    dialog.wait_for()
    press_on(old, "button", "Keep what is here")
    old.get_by_text("Saved", exact=True).wait_for()
    assert Finding.objects.get(conclusion="").notes == "ours"
