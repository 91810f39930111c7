"""Edits of a probe in a real browser: the preview is the picture that will be made, and on the comparison screen the
original is always where somebody decides."""

import io
import re
from typing import Any

import numpy as np
from PIL import Image

from mugsearch.engine import edits, images
from mugsearch.probes import editing
from mugsearch.probes.models import Probe
from mugsearch.vault import services as vault
from reviews.models import Finding
from tests import factories
from tests.journeys.browser import MARKS, require_accessible
from tests.reviews.arrange import finished_search, store_images

pytestmark = MARKS


def picture() -> Any:
    """240 x 320, soft in its tones, so that half a pixel makes little of a difference."""
    down, across = np.mgrid[0:320, 0:240]
    return np.stack([across, down * 0.75, 255 - across], axis=2).astype(np.uint8)


def probe() -> Probe:
    made = factories.ProbeFactory()
    vault.create_key(made.pk)
    vault.store_file(made.pk, made.pk, images.encode_png(picture()))
    return made


def test_the_preview_looks_like_the_edit_that_is_then_made(desk):
    original = probe()
    page = desk(original.submitted_by)
    page.goto(f"/probes/{original.pk}")
    page.get_by_role("link", name="Edit a copy").click()
    shown = page.locator(".edit-view__picture")
    shown.wait_for()
    for name, value in (("rotate", "-30"), ("brightness", "25"), ("contrast", "-20")):
        page.locator(f"[name={name}]").fill(value)
    require_accessible(page)
    seen = np.asarray(Image.open(io.BytesIO(shown.screenshot())).convert("RGB")).astype(int)
    box = shown.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.9, steps=4)
    page.mouse.up()
    cuts = {side: float(page.locator(f"[name={side}]").input_value()) for side in ("left", "right", "top", "bottom")}
    assert cuts == {side: cuts[side] for side in cuts if abs(cuts[side] - (10 if side == "bottom" else 20)) < 6}
    page.get_by_role("button", name="Make this edit").click()
    page.wait_for_url(re.compile(r"edit=1$"))

    edit = original.edits.get()
    assert [name for step in edit.steps for name in step] == ["rotate", "crop", "brightness", "contrast"]
    whole = edits.apply(edits.read([edit.steps[0], *edit.steps[2:]], width=240, height=320), picture()).astype(int)
    assert np.abs(np.subtract(seen.shape, whole.shape)).max() <= 1  # it may lie between two pixels of the screen
    inner = (slice(12, -12), slice(12, -12))  # but for the frame round it
    assert np.abs(seen[: len(whole), : whole.shape[1]][inner] - whole[inner]).mean() < 3
    x, y, width, height = edit.steps[1]["crop"]
    assert (editing.stored(edit) == whole[y : y + height, x : x + width]).all()


def test_an_edit_is_marked_while_it_is_shown_and_the_original_is_back_for_every_grade_and_candidate(desk):
    search = finished_search(candidates=3)
    for percent in (20, 40):
        factories.EditFactory(probe=search.probe, steps=[{"brightness": percent}], made_at=search.requested_at)
    store_images(search)
    page = desk(factories.examiner())
    page.goto("/reviews/")
    page.get_by_role("button", name="Examine the next search").click()
    page.locator("[data-compare].is-live").wait_for()
    mark, shown = page.locator("[data-edit-shown]"), page.locator("[data-pane=probe] img")

    def original() -> bool:
        return not mark.is_visible() and "probe.jpg" in shown.get_attribute("src")

    assert original()
    page.keyboard.press("o")
    mark.wait_for()
    assert "EDIT of the probe, not the original: brightness +20 %" in mark.inner_text()
    assert "edits/1.jpg" in shown.get_attribute("src")
    require_accessible(page)
    page.keyboard.press("o")
    page.get_by_text("brightness +40 % (edit 2)", exact=True).wait_for()
    page.keyboard.press("o")
    assert original()

    page.keyboard.press("o")
    mark.wait_for()
    page.keyboard.press("j")
    assert original()
    page.keyboard.press("o")
    page.keyboard.press("j")  # before it is loaded
    page.wait_for_timeout(700)
    assert original()

    page.keyboard.press("o")
    mark.wait_for()
    page.keyboard.press("1")
    assert original()
    page.get_by_text("Saved", exact=True).wait_for()
    assert Finding.objects.get().conclusion == Finding.EXCLUDED
