"""Edits of a probe: the pixels are those that the steps say, and a face on one is found again on the original."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mugsearch.engine import edits
from mugsearch.engine.encoders import Encoder
from mugsearch.errors import BadInput

WIDTH, HEIGHT = 80, 60
PIXELS = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def read(*steps: dict[str, Any]) -> list[edits.Step]:
    return edits.read(list(steps), width=WIDTH, height=HEIGHT)


def made(*steps: dict[str, Any]) -> NDArray[np.uint8]:
    return edits.apply(read(*steps), PIXELS)


@pytest.mark.parametrize("degrees", [12.5, -33.3, 179.9, 0.1])
def test_a_rotation_is_what_the_description_says_pixel_by_pixel(degrees: float) -> None:
    """Made anew from the words alone, as an expert would."""
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    width = int(np.ceil(WIDTH * abs(cos) + HEIGHT * abs(sin) - 1e-6))
    height = int(np.ceil(WIDTH * abs(sin) + HEIGHT * abs(cos) - 1e-6))
    down, across = np.mgrid[0:height, 0:width] + 0.5
    across, down = across - width / 2, down - height / 2
    x, y = cos * across + sin * down + WIDTH / 2, -sin * across + cos * down + HEIGHT / 2
    inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
    left, top = np.floor(x - 0.5).astype(int), np.floor(y - 0.5).astype(int)
    right, below = (x - 0.5 - left)[..., None], (y - 0.5 - top)[..., None]

    def at(rows: Any, columns: Any) -> Any:
        return PIXELS[rows.clip(0, HEIGHT - 1), columns.clip(0, WIDTH - 1)].astype(float)

    above_it = at(top, left) * (1 - right) + at(top, left + 1) * right
    below_it = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    expected = np.where(inside[..., None], np.floor(above_it * (1 - below) + below_it * below + 1e-9), 0)
    got = made({"rotate": degrees})
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1  # a fraction that is all but whole
    assert (got != expected).mean() < 0.001


def test_a_rotation_to_the_right_moves_the_top_to_the_right() -> None:
    assert (made({"rotate": 90}) == np.rot90(PIXELS, -1)).all()
    assert (made({"rotate": -90}) == np.rot90(PIXELS, 1)).all()
    assert (made({"rotate": 180}) == PIXELS[::-1, ::-1]).all()


def test_tones_are_those_of_css() -> None:
    wide = PIXELS.astype(float)
    for percent in (-60, -7, 33, 120):
        factor = (100 + percent) / 100
        for name, value in (("brightness", wide * factor), ("contrast", 127.5 + (wide - 127.5) * factor)):
            expected = np.floor(value + 0.5 + 1e-9).clip(0, 255)
            assert (made({name: percent}) == expected).all(), (name, percent)


def test_a_crop_is_these_pixels_and_steps_are_made_in_their_order() -> None:
    assert (made({"crop": [5, 6, 40, 50]}) == PIXELS[6:56, 5:45]).all()
    turned_first = made({"rotate": 90}, {"crop": [0, 0, 32, 80]})
    assert (turned_first == np.rot90(PIXELS, -1)[:, :32]).all()
    cropped_first = made({"crop": [0, 0, 32, 60]}, {"rotate": 90})
    assert (cropped_first == np.rot90(PIXELS[:, :32], -1)).all()


@pytest.mark.parametrize("degrees", [12.5, -33.3, 90, 180])
def test_a_crop_of_what_is_turned_is_that_part_of_it(degrees: float) -> None:
    """Though only that part is ever made."""
    whole = made({"rotate": degrees})
    part = made({"rotate": degrees}, {"crop": [9, 7, 45, 50]})
    assert (part == whole[7:57, 9:54]).all()


ALL = [{"rotate": 12}, {"crop": [10, 10, 60, 50]}, {"brightness": 20}, {"contrast": -10}]


def test_the_same_steps_make_the_same_pixels_and_the_original_stays_as_it_is() -> None:
    before = PIXELS.copy()
    one, other = made(*ALL), made(*ALL)
    assert edits.digest(one) == edits.digest(other) != edits.digest(PIXELS)
    one[:] = 0
    made({"crop": [0, 0, 40, 40]})[:] = 0
    assert (before == PIXELS).all()


def test_they_are_read_back_from_what_is_stored_and_say_in_words_what_was_done() -> None:
    steps = read(*ALL)
    stored = [step.as_json() for step in steps]
    assert stored == ALL
    assert read(*stored) == steps
    assert edits.words(steps) == "rotated 12° to the right, cropped to 60 × 50 pixels, brightness +20 %, contrast −10 %"
    assert edits.words(read({"rotate": -0.5})) == "rotated 0.5° to the left"
    assert edits.size_after(steps, WIDTH, HEIGHT) == (60, 50)


def test_what_changes_nothing_is_left_out() -> None:
    nothing = [{"rotate": 0.04}, {"crop": [0, 0, WIDTH, HEIGHT]}, {"brightness": 0}, {"contrast": 0.0}]
    assert [step.as_json() for step in read(*nothing[:3], {"contrast": 5})] == [{"contrast": 5}]
    with pytest.raises(BadInput, match="Change something"):
        read(*nothing)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (None, "short list"),
        ("rotate", "short list"),
        ({"rotate": 5}, "short list"),
        ([{"brightness": 1}] * 9, "short list"),
        ([], "Change something"),
        (["rotate"], "Each step"),
        ([{}], "Each step"),
        ([{"rotate": 5, "contrast": 5}], "Each step"),
        ([{"mirror": True}], "Each step"),
        ([{"blur": 2}], "Each step"),
        ([{"rotate": 5}, {"rotate": 6}], "only once"),
        ([{"rotate": "5"}], "degrees"),
        ([{"rotate": True}], "degrees"),
        ([{"rotate": None}], "degrees"),
        ([{"rotate": 180.1}], "degrees"),
        ([{"rotate": float("nan")}], "degrees"),
        ([{"rotate": float("inf")}], "degrees"),
        ([{"rotate": 10**400}], "degrees"),
        ([{"brightness": 121}], "Brightness"),
        ([{"brightness": 1.5}], "Brightness"),
        ([{"contrast": -61}], "Contrast"),
        ([{"crop": [0, 0, 40]}], "whole pixels"),
        ([{"crop": {"x": 0}}], "whole pixels"),
        ([{"crop": [-1, 0, 40, 40]}], "whole pixels"),
        ([{"crop": [0.5, 0, 40, 40]}], "whole pixels"),
        ([{"crop": [0, 0, 10**400, 40]}], "whole pixels"),
        ([{"crop": [50, 0, 40, 40]}], "beyond the picture, which has 80 × 60"),
        ([{"rotate": 90}, {"crop": [0, 0, 80, 40]}], "beyond the picture, which has 60 × 80"),
        ([{"crop": [0, 0, 31, 40]}], "32 pixels"),
        ([{"crop": [0, 0, 0, 0]}], "32 pixels"),
    ],
    ids=str,
)
def test_whatever_is_no_edit_is_refused_with_what_to_change(steps: object, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refusal:
        edits.read(steps, width=WIDTH, height=HEIGHT)
    assert refusal.value.message.endswith(".")


def test_an_edit_never_has_more_pixels_than_an_upload_may_have() -> None:
    with pytest.raises(BadInput, match="64 megapixels"):
        edits.read([{"rotate": 45}], width=8000, height=8000)
    with pytest.raises(BadInput, match="64 megapixels"):
        edits.read([{"rotate": 45}], width=19_000, height=1_500)
    assert edits.read([{"crop": [0, 0, 4000, 4000]}, {"rotate": 45}], width=8000, height=8000)


def test_a_place_on_the_edit_is_found_again_on_the_original() -> None:
    """A white spot on black, wherever the steps put it."""
    kinds = ({"rotate": 90}, {"rotate": -30.5}, {"crop": [3, 4, 55, 50]}, {"brightness": 20})
    for steps in itertools.permutations(kinds, 3):
        if sum("rotate" in step for step in steps) > 1:
            continue
        black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        black[28:31, 40:43] = 255
        todo = edits.read(list(steps), width=WIDTH, height=HEIGHT)
        down, across = np.nonzero(edits.apply(todo, black)[..., 0] > 127)
        box = (across.min(), down.min(), across.max() + 1 - across.min(), down.max() + 1 - down.min())
        x, y, width, height = edits.to_original(box, todo, width=WIDTH, height=HEIGHT)
        assert (x + width / 2, y + height / 2) == (pytest.approx(41.5, abs=0.6), pytest.approx(29.5, abs=0.6)), steps


@given(
    degrees=st.integers(-1800, 1800).map(lambda tenths: tenths / 10),
    place=st.tuples(st.floats(0, 80), st.floats(0, 60)),
    half=st.tuples(st.floats(1, 30), st.floats(1, 30)),
)
def test_the_box_on_the_original_is_that_round_the_turned_ellipse(
    degrees: float, place: tuple[float, float], half: tuple[float, float]
) -> None:
    step = edits.Rotate.of(degrees)
    box = (place[0] - half[0], place[1] - half[1], 2 * half[0], 2 * half[1])
    x, y, width, height = edits.to_original(box, [step], width=WIDTH, height=HEIGHT)
    around = np.linspace(0, 2 * np.pi, 721)
    ellipse = np.stack([place[0] + half[0] * np.cos(around), place[1] + half[1] * np.sin(around), np.ones(721)])
    turned = np.linalg.inv(step.matrix(WIDTH, HEIGHT)) @ ellipse
    edges = (turned[0].min(), turned[1].min(), turned[0].max(), turned[1].max())
    assert (x, y, x + width, y + height) == pytest.approx(edges, abs=0.01)


@pytest.mark.models
@pytest.mark.shared
@pytest.mark.parametrize("degrees", [-20, 20, 45])
def test_the_face_of_a_turned_mugshot_is_found_again_where_it_is_on_the_original(
    degrees: float, opencv: Encoder, mugshots: list[tuple[str, str, NDArray[np.uint8]]]
) -> None:
    compared = 0
    for _, pose, pixels in mugshots[:20]:
        size = {"width": pixels.shape[1], "height": pixels.shape[0]}
        found = opencv.faces(pixels)
        steps = edits.read([{"rotate": degrees}, {"brightness": 10}], **size)
        on_edit = opencv.faces(edits.apply(steps, pixels))
        if pose != "Frontal" or not found or not on_edit:
            continue
        compared += 1
        overlap = shared_area(edits.to_original(on_edit[0].box, steps, **size), found[0].box)
        assert overlap > 0.6, (degrees, overlap)
    assert compared >= 10


def shared_area(one: edits.Box, other: edits.Box) -> float:
    """Of both, 0 to 1."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(0.0, across) * max(0.0, down)
    return both / (one[2] * one[3] + other[2] * other[3] - both)
