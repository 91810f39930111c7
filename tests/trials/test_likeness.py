"""Trials have what casework has: edits of the probe, made as an investigator would make them."""

from random import Random

import pytest

from mugsearch.engine import edits
from mugsearch.engine.encoders import Face
from mugsearch.gallery import encoding
from mugsearch.probes import editing
from mugsearch.trials.models import Trial
from mugsearch.vault import services as vault
from reviews import likeness, pictures, services, trials
from tests.factories import EditFactory, SearchFactory, examiner
from tests.trials.arrange import material, prepare, search_of, supervisor

TILTED = Face(box=(80, 100, 60, 80), landmarks=((95, 130), (125, 140), (110, 150), (98, 165), (120, 168)), score=0.9)
SIZE = {"width": 240, "height": 320}


def like(*steps: dict, face: Face = TILTED) -> list[dict]:
    return [step.as_json() for step in likeness.edit_like(steps, face, chance=Random(1), **SIZE)]


def test_turning_levels_the_eyes():
    for seed in range(20):
        (turned,) = likeness.edit_like([{"rotate": 90}], TILTED, chance=Random(seed), **SIZE)
        assert turned.degrees == pytest.approx(-18.4, abs=1.1)
        assert turned.degrees % 0.5 == 0


def test_a_crop_is_round_the_face_and_has_the_shape_of_caseworks():
    (cut,) = like({"crop": [0, 0, 100, 125]})
    x, y, width, height = cut["crop"]
    assert (x + width / 2, y + height / 2) == pytest.approx((110, 140), abs=2)
    assert 80 * 1.5 - 2 <= height <= 80 * 3 + 2
    assert width / height == pytest.approx(0.8, abs=0.05)


def test_a_crop_of_a_turned_picture_still_has_the_face_in_it():
    steps = likeness.edit_like([{"rotate": 5}, {"crop": [0, 0, 90, 90]}], TILTED, chance=Random(2), **SIZE)
    assert [step.as_json().popitem()[0] for step in steps] == ["rotate", "crop"]
    width, height = edits.size_after(steps, **SIZE)
    x, y, w, h = edits.to_original((0, 0, width, height), steps, **SIZE)
    assert x <= 80
    assert x + w >= 140
    assert y <= 100
    assert y + h >= 180


def test_a_crop_never_reaches_beyond_the_picture():
    at_the_edge = Face(box=(-10, -5, 60, 80), landmarks=TILTED.landmarks, score=0.9)
    for shape in ([0, 0, 300, 40], [0, 0, 40, 300], [0, 0, 50, 50]):
        (cut,) = like({"crop": shape}, face=at_the_edge)
        x, y, width, height = cut["crop"]
        assert (x >= 0, y >= 0, x + width <= 240, y + height <= 320) == (True,) * 4
        assert min(width, height) >= edits.LEAST_SIDE


def test_tones_are_caseworks_and_what_would_change_nothing_is_no_edit():
    assert like({"brightness": 20}, {"contrast": -10}) == [{"brightness": 20}, {"contrast": -10}]
    level = Face(box=TILTED.box, landmarks=((95, 130), (125, 130), *TILTED.landmarks[2:]), score=0.9)
    assert like({"rotate": 7}, face=level) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("fake_encoder", "short_lists")
def test_trials_have_as_many_edits_as_casework_and_their_examiners_see_them(page):
    mona, anna = supervisor(), examiner()
    material(mona, 12)
    (plain,) = prepare(mona, Trial.Kind.NON_MATED)
    assert not search_of(plain).probe.edits.exists()
    trials.close(by=mona, trial=plain)

    casework = SearchFactory(encoder=encoding.active())
    EditFactory(probe=casework.probe, number=1, steps=[{"brightness": 30}], made_at=casework.requested_at)
    EditFactory(probe=casework.probe, number=2, steps=[{"crop": [0, 0, 60, 60]}], made_at=casework.requested_at)
    (edited,) = prepare(mona, Trial.Kind.NON_MATED)
    search = search_of(edited)
    first, second = editing.shown_with(search)
    assert first.steps == [{"brightness": 30}]
    assert (second.width, second.height) == edits.size_after(
        edits.read(second.steps, width=search.probe.width, height=search.probe.height),
        search.probe.width,
        search.probe.height,
    )
    mine = services.claim_next(by=anna)
    assert mine.search == search
    pictures.prepare(search)
    for number in (1, 2):
        assert page(anna).get(f"/reviews/{mine.pk}/edits/{number}.jpg").status_code == 200
    services.release(by=anna, examination=mine)
    trials.close(by=mona, trial=edited)
    trials.withdraw(by=mona, subject=edited.photo.subject)
    assert not any(vault.has_file(one.pk) for one in (first, second))
    assert set(search.probe.edits.values_list("sha256", flat=True)) == {""}
