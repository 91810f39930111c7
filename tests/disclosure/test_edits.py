"""Edits of the probe in a bundle: the images, how they were made, by whom and when; and checked against the audit."""

import json
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from mugsearch.disclosure.verify_bundle import Refused, check_edits, check_search
from mugsearch.engine import edits, images
from mugsearch.probes import editing
from mugsearch.probes.models import Search
from mugsearch.vault import services as vault
from tests.disclosure.arrange import bundle_of, content_of, examined, files_of, searched, verified
from tests.factories import ProbeFactory
from tests.fakes import synthetic_pixels

pytestmark = pytest.mark.django_db(transaction=True)

STEPS: list[Any] = [{"rotate": -12.5}, {"crop": [30, 40, 200, 260]}, {"contrast": 20}]


@pytest.fixture
def search() -> Search:
    """Examined to the end, with the second of two edits."""
    probe = ProbeFactory()
    vault.create_key(probe.pk)
    vault.store_file(probe.pk, probe.pk, images.encode_png(synthetic_pixels(3)))
    editing.edit(by=probe.submitted_by, probe=probe, steps=[{"brightness": 40}])
    used = editing.edit(by=probe.submitted_by, probe=probe, steps=STEPS)
    found = searched(probe=probe, edit=used)
    vault.store_file(probe.pk, probe.pk, images.encode_png(synthetic_pixels(3)))  # instead of one grey
    for one in probe.edits.all():
        pixels = edits.apply(edits.read(one.steps, width=240, height=320), synthetic_pixels(3))
        vault.store_file(one.owner, one.pk, images.encode_png(pixels))
    examined(found)
    return found


def test_each_edit_is_there_with_its_steps_its_digests_who_made_it_and_when(search: Search) -> None:
    bundle = bundle_of(search)
    files, content = files_of(bundle), content_of(bundle)
    assert list(files)[:3] == ["probe.png", "edits/01.png", "edits/02.png"]
    said, made = content["probe"]["edits"][1], search.edit
    assert (said["id"], said["number"], said["steps"]) == (str(made.pk), 2, STEPS)
    assert said["made_by"]["id"] == str(made.made_by_id)
    assert said["made_at"] == made.made_at.isoformat()
    assert said["image"]["sha256"] == sha256(files["edits/02.png"]).hexdigest()
    assert content["search"]["edit"] == 2
    page = files["bundle.html"].decode()
    assert "edit 2 of the probe" in page
    assert "rotated 12.5° to the left, cropped to 200 × 260 pixels, contrast +20 %" in page


def test_an_expert_makes_the_edit_again_from_what_is_in_the_bundle(search: Search) -> None:
    files = files_of(bundle_of(search))
    said = json.loads(files["bundle.json"])["probe"]["edits"][1]
    original = np.asarray(Image.open(BytesIO(files["probe.png"])))
    steps = edits.read(said["steps"], width=original.shape[1], height=original.shape[0])
    assert edits.digest(edits.apply(steps, original)) == said["pixels_sha256"]
    pixels = Image.open(BytesIO(files["edits/02.png"])).convert("RGB").tobytes()
    assert sha256(pixels).hexdigest() == said["pixels_sha256"]


def test_it_is_as_the_schema_says_which_knows_no_other_step(search: Search) -> None:
    files = files_of(bundle_of(search))
    content, schema = json.loads(files["bundle.json"]), json.loads(files["schema.json"])
    jsonschema.Draft202012Validator(schema).validate(content)
    content["probe"]["edits"][0]["steps"] = [{"mirror": 1}]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(content)


def test_the_verifier_holds_the_edits_against_the_audit(search: Search, tmp_path: Path) -> None:
    bundle = bundle_of(search)
    (tmp_path / "bundle.zip").write_bytes(bundle)
    code, said = verified(tmp_path / "bundle.zip")
    assert code == 0, said
    assert "The steps and digests of 2 edits of the probe are those the audit recorded." in said


@pytest.mark.parametrize(
    "change",
    [
        {"steps": [{"rotate": 5}]},
        {"pixels_sha256": "0" * 64},
        {"number": 3},
        {"id": "0" * 8 + "-0000-0000-0000-" + "0" * 12},
        {"made_by": {"id": "somebody", "name": "else"}},
    ],
    ids=str,
)
def test_an_edit_that_is_not_the_one_on_record_is_refused(change: dict[str, Any], search: Search) -> None:
    content = content_of(bundle_of(search))
    content["probe"]["edits"][0].update(change)
    with pytest.raises(Refused, match="not the one the audit recorded"):
        list(check_edits(content))


def test_an_edit_that_is_left_out_is_missed(search: Search) -> None:
    content = content_of(bundle_of(search))
    for _ in range(2):
        del content["probe"]["edits"][0]
        with pytest.raises(Refused, match="does not show"):
            list(check_edits(content))


@pytest.mark.parametrize(
    "change",
    [
        {"edit": None},
        {"edit": 1},
        {"edit": 9},
        {"face": 1},
        {"list_size": 50},
        {"filters": {"sexes": ["F"]}},
        {"policy_digest": "0" * 64},
        {"requested_by": {"id": "somebody", "name": "else"}},
    ],
    ids=str,
)
def test_a_search_that_is_not_the_one_that_was_asked_for_is_refused(change: dict[str, Any], search: Search) -> None:
    content = content_of(bundle_of(search))
    assert "as the audit recorded" in check_search(content)
    content["search"].update(change)
    with pytest.raises(Refused, match="What was searched with"):
        check_search(content)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": {"name": "another", "digest": "f" * 64}},
        {"encoder": {"name": "fake", "digest": "0" * 64}},
        {"gallery": {"generation": 1, "size": 9}},
        {"threshold": 0.5},
        {"proof": {"scanned": 0}},
    ],
    ids=str,
)
def test_a_list_that_is_not_the_one_that_was_found_is_refused(change: dict[str, Any], search: Search) -> None:
    content = content_of(bundle_of(search))
    content["search"].update(change)
    with pytest.raises(Refused, match="What was found"):
        check_search(content)
    for hidden in ("search.requested", "search.finished"):
        content = content_of(bundle_of(search))
        content["audit"]["entries"] = [entry for entry in content["audit"]["entries"] if entry["act"] != hidden]
        with pytest.raises(Refused, match="no entry of the search's request, or none of its end"):
            check_search(content)
    content = content_of(bundle_of(search))
    del content["candidates"][0]
    with pytest.raises(Refused, match="What was found"):
        check_search(content)
