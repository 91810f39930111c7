"""What an examiner draws on the two photographs for a component of the worksheet."""

import json
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mugsearch.engine import images
from mugsearch.errors import BadInput
from mugsearch.gallery.models import Photo
from mugsearch.vault import services as vault
from reviews import drawings, queries, services
from reviews.models import Finding, Lead
from reviews.worksheet import cleaned
from tests.factories import examiner
from tests.reviews.arrange import FILLED, candidate, claim, examine, finished_search, position_of, store_images

POINT, REGION = [0.25, 0.5], [0.1, 0.2, 0.3, 0.4]
A_PAIR = {"probe": POINT, "candidate": REGION}


def drawn(marks: Any) -> Any:
    return cleaned({"ears": {"drawn": marks}})


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ([A_PAIR], [A_PAIR]),
        ([{"probe": POINT}, {"candidate": POINT}], [{"probe": POINT}, {"candidate": POINT}]),
        ([{"probe": [0.123449, 0.99996]}], [{"probe": [0.1234, 1.0]}]),
        ([{"probe": [0, 1]}], [{"probe": [0.0, 1.0]}]),
        ([{"probe": [-0.0, 0.5]}], [{"probe": [0.0, 0.5]}]),
        ([{"probe": [0.33335, 0, 0.66665, 1]}], [{"probe": [0.3333, 0.0, 0.6667, 1.0]}]),
        ([A_PAIR] * 8, [A_PAIR] * 8),
    ],
)
def test_points_and_regions_are_kept_as_shares_of_four_digits(given: Any, stored: Any) -> None:
    kept = drawn(given)
    assert json.dumps(kept) == json.dumps({"ears": {"drawn": stored}})


@pytest.mark.parametrize("nothing", [None, []])
def test_nothing_drawn_is_left_out(nothing: Any) -> None:
    assert drawn(nothing) == {}
    assert cleaned({"ears": {"said": "similar", "drawn": nothing}}) == {"ears": {"said": "similar"}}


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "given",
    [
        *({}, {"probe": POINT}, "", 0, False, "[[0.5, 0.5]]", [A_PAIR] * 9, [[]], [POINT], [None], [{}], ["probe"]),
        *([{"hat": POINT}], [{"probe": POINT, "hat": POINT}], [{"probe": POINT, 1: POINT}]),
        *([{"probe": shape}] for shape in (None, {}, "ab", 0.5, [], [0.5], [0.1] * 3, [0.1] * 5, (0.5, 0.5))),
        *(
            [{"probe": [bad, 0.5]}]
            for bad in (True, False, None, "0.5", [0.5], NAN, INF, -INF, -1e-9, 1.0000001, 10**400)
        ),
        *([{"candidate": [0.5, bad]}] for bad in (True, NAN, INF, -0.1, 2, "1")),
        *([{"probe": [0.5, 0.5, bad, 0.1]}] for bad in (True, NAN, INF, -0.1, 0, 0.0, 0.00001, 0.6, 1)),
        *([{"probe": [0.5, 0.5, 0.1, bad]}] for bad in (False, NAN, INF, -0.1, 0, 0.6)),
    ],
)
def test_what_can_not_be_drawn_is_refused(given: Any) -> None:
    with pytest.raises(BadInput):
        drawn(given)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_a_region_stays_within_the_image_and_is_the_same_however_often_it_is_saved(shape: list[float]) -> None:
    try:
        kept = drawn([{"probe": shape}])
    except BadInput:
        return
    x, y, width, height = kept["ears"]["drawn"][0]["probe"]
    assert x >= 0 <= y
    assert width > 0 < height
    assert round(x + width, 4) <= 1 >= round(y + height, 4)
    assert cleaned(json.loads(json.dumps(kept))) == kept


@pytest.mark.django_db
def test_the_api_keeps_what_is_drawn_before_anything_is_concluded(api: Any) -> None:
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    at = f"/api/v1/examinations/{mine.pk}"
    sheet = {"ears": {"drawn": [A_PAIR]}, "nose": {"said": "similar", "notes": "a", "drawn": [{"probe": REGION}]}}
    saved = api(user).post(f"{at}/findings", {"position": 2, "worksheet": sheet}, format="json")
    assert saved.status_code == 200
    assert api(user).get(at).json()["candidates"][1]["worksheet"] == sheet
    refused = api(user).post(
        f"{at}/findings", {"position": 2, "worksheet": {"ears": {"drawn": [{"probe": [2, 0]}]}}}, format="json"
    )
    assert (refused.status_code, "0 to 1" in refused.text) == (422, True)
    assert Finding.objects.get().worksheet == sheet


@pytest.mark.django_db
def test_the_comparison_screen_sends_what_is_drawn_and_gets_it_back(page: Any) -> None:
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    sent = {"position": "2", "conclusion": "", "notes": "", "ears_drawn": json.dumps([A_PAIR])}
    assert (
        page(user).post(f"/reviews/{mine.pk}/findings", sent, headers={"X-Requested-With": "fetch"}).status_code == 200
    )
    assert Finding.objects.get().worksheet == {"ears": {"drawn": [A_PAIR]}}
    shown = page(user).get(f"/reviews/{mine.pk}?candidate=2").text.replace("&quot;", '"')
    assert f'data-sheet="{json.dumps({"ears": {"drawn": [A_PAIR]}})}"' in shown
    # A plain form, without script, sends the same field again.
    assert f'name="ears_drawn" value="{json.dumps([A_PAIR])}"' in shown


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        *("[", "nonsense", "NaN", "[NaN]", '[{"probe":[NaN,0]}]', '[{"probe":[1e999,0]}]', "1", "true", '"a"', "{}"),
        *("[" * 2000, "[" * 990 + "]" * 990, "[" + " " * 2000 + "]", '[{"probe":[' + "1" * 1900 + ",0]}]", "[\x00]"),
    ],
)
def test_a_hostile_drawing_is_answered_with_a_sentence_and_saves_nothing(page: Any, text: str) -> None:
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    sent = {"position": "1", "conclusion": "-3", "notes": "a", "ears_drawn": text}
    answer = page(user).post(f"/reviews/{mine.pk}/findings", sent, headers={"X-Requested-With": "fetch"})
    assert answer.status_code == 422
    assert answer.json()["message"].endswith(".")
    assert not Finding.objects.exists()


@pytest.mark.django_db
def test_my_findings_show_what_i_drew_on_the_photographs_as_i_saw_them(page: Any) -> None:
    search, user = finished_search(), examiner()
    mine = examine(user, search, same=(1,))
    shown = page(user).get(f"/reviews/{mine.pk}").text
    position = position_of(mine, candidate(search))
    assert "2 marks drawn" in shown
    assert f'<img src="/reviews/{mine.pk}/candidates/{position}.jpg" alt="The candidate’s photograph, with' in shown
    assert f'<img src="/reviews/{mine.pk}/probe.jpg" alt="The probe, with' in shown
    assert shown.count("Scars 1</text>") == 2
    assert '<circle cx="25.00%" cy="50.00%"' in shown
    assert '<ellipse cx="26.25%" cy="52.50%" rx="6.25%" ry="12.50%"/>' in shown


def two_faces(photo: Photo) -> np.ndarray[Any, Any]:
    """A picture of which every pixel differs, and the second of two faces enrolled."""
    across, down = np.meshgrid(np.arange(photo.width), np.arange(photo.height))
    pixels = np.stack([across, down * 0.7, (across + down) / 3], axis=2).astype(np.uint8)
    faces = [{"box": [10.0, 10.0, 40.0, 50.0]}, {"box": [130.0, 150.0, 60.5, 80.5]}]
    Photo.objects.filter(pk=photo.pk).update(faces=faces, face=faces[1])
    vault.store_file(photo.booking_id, photo.pk, images.encode_png(pixels))
    return pixels


@pytest.mark.django_db
def test_where_one_of_several_faces_is_shown_a_drawing_is_where_it_was_on_the_whole_photograph(
    page: Any, api: Any
) -> None:
    search = finished_search()
    store_images(search)
    photo = candidate(search).photo
    pixels = two_faces(photo)
    photo.refresh_from_db()
    x, y, width, height = drawings.examined(photo)
    first = examine(examiner(), search, same=(1,))
    examine(examiner(), search, same=(1,))

    sent = (
        page(first.examiner).get(f"/reviews/{first.pk}/candidates/{position_of(first, candidate(search))}.jpg").content
    )
    seen = np.asarray(Image.open(BytesIO(sent))).astype(int)
    assert seen.shape == (height, width, 3)
    assert np.abs(seen - pixels[y : y + height, x : x + width]).mean() < 2

    lead = Lead.objects.get()
    told = api(search.requested_by).get(f"/api/v1/leads/{lead.pk}").json()["confirmations"]
    rows = [one["worksheet"][12] for one in told]
    assert [(row["component"], row["said"], row["notes"]) for row in rows] == [("Scars", "Similar", "")] * 2
    given = FILLED["scars"]["drawn"][0]
    expected = [
        *((x + given["candidate"][0] * width) / 240, (y + given["candidate"][1] * height) / 320),
        *(given["candidate"][2] * width / 240, given["candidate"][3] * height / 320),
    ]
    for row in rows:
        assert row["drawn"][0]["probe"] == given["probe"]
        assert row["drawn"][0]["candidate"] == pytest.approx(expected, abs=1e-4)
    shown = page(search.requested_by).get(reverse("lead", args=[lead.pk])).text
    assert shown.count("2 marks drawn") == 2
    assert shown.count("Scars 1</text>") == 4
    assert shown.count(f'cx="{100 * (expected[0] + expected[2] / 2):.2f}%"') == 4  # halo and line, of two examiners


@pytest.mark.django_db
def test_a_withdrawn_lead_shows_no_photograph_for_what_was_drawn(page: Any) -> None:
    search = finished_search()
    for _ in range(2):
        examine(examiner(), search, same=(1,))
    lead = Lead.objects.get()
    Lead.objects.filter(pk=lead.pk).update(withdrawn_at=lead.released_at, withdrawn_why=Lead.Why.EXPUNGED)
    shown = page(search.requested_by).get(reverse("lead", args=[lead.pk])).text
    assert reverse("lead_candidate_image", args=[lead.pk]) not in shown
    assert shown.count("2 marks drawn") == 2


@pytest.mark.django_db
def test_a_drawing_alone_answers_nothing() -> None:
    search, user = finished_search(candidates=1), examiner()
    mine = claim(user, search)
    sheet = {**FILLED, "ears": {"drawn": [A_PAIR]}}
    services.save_finding(by=user, examination=mine, position=1, conclusion="3", worksheet=sheet)
    assert queries.sheet(mine).without_worksheet == [1]
