"""The main job on real mugshots with the real encoder."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from mugsearch.gallery import identity, importing, live, manifest, sources
from mugsearch.gallery.models import ImportRun, Photo
from mugsearch.probes import editing, services, working
from mugsearch.probes.models import Probe
from tests import factories
from tests.probes.test_submitting import PURPOSE

pytestmark = [pytest.mark.django_db, pytest.mark.models, pytest.mark.shared, pytest.mark.slow]


def turned(photo: Path, degrees: float) -> bytes:
    """A photograph taken with a tilted camera: it lies in a corner of a larger picture, all of it to be seen."""
    out = io.BytesIO()
    with Image.open(photo) as picture:
        picture.convert("RGB").rotate(degrees, Image.Resampling.BICUBIC, expand=True).save(out, "PNG")
    return out.getvalue()


def test_a_tilted_photograph_finds_its_person_with_an_edit_that_is_turned_back(shared):
    """Each is searched with the edit; its own copy in the gallery is left out of the account, as below."""
    folder = shared / "data" / "meds"
    live.reset()
    importing.run_here(
        by=factories.clerk(),
        agency=factories.AgencyFactory(),
        several=ImportRun.Several.ONLY,
        manifest=manifest.read((folder / "manifest.csv").read_bytes()),
        source=sources.Folder(folder),
    )
    me, tried = factories.investigator(), 0
    with (folder / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["pose"] == "Frontal"]
    for row in rows[:24]:
        mine = Photo.objects.enrolled().filter(booking__person__id_digest=identity.of_person(row["person_id"]))
        if mine.count() < 2:
            continue
        probe = services.submit(by=me, purpose=PURPOSE, image=turned(folder / row["photo"], 20))
        working.find_faces(probe.pk)
        edit = editing.edit(by=me, probe=probe, steps=[{"rotate": 20}])
        working.find_faces_of_edit(edit.pk)
        search = services.search(by=me, probe=probe, face=0, edit=1)
        working.run_search(search.pk)
        best, second = search.candidates.select_related("person").order_by("rank")[:2]
        assert best.person.person_id == row["person_id"], row["photo"]
        assert best.siblings.order_by("rank").first().score > second.score, row["photo"]
        probe.refresh_from_db()
        if probe.state == Probe.State.READY:  # found on the tilted original, too: at the same place
            x, y, width, height = probe.faces[0]["face"]["box"]
            left, top, across, down = editing.box_of(search)
            assert abs(left + across / 2 - x - width / 2) < 0.15 * width, row["photo"]
            assert abs(top + down / 2 - y - height / 2) < 0.15 * height, row["photo"]
        tried += 1
    assert tried >= 15


def test_every_mugshot_of_a_person_with_two_finds_that_person_first_leave_one_out(shared):
    """Rank-1 is 100 % of those with a face found. Each photo is uploaded as an investigator would; its own copy in the
    gallery is left out of the account: the person's best OTHER photo has to beat everybody else's best."""
    folder = shared / "data" / "meds"
    live.reset()
    run = importing.run_here(
        by=factories.clerk(),
        agency=factories.AgencyFactory(),
        several=ImportRun.Several.ONLY,
        manifest=manifest.read((folder / "manifest.csv").read_bytes()),
        source=sources.Folder(folder),
    )
    assert run.rejected == 0
    me, tried, missed = factories.investigator(), 0, []
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        mine = Photo.objects.enrolled().filter(booking__person__id_digest=identity.of_person(row["person_id"]))
        if mine.count() < 2:
            continue
        probe = services.submit(
            by=me,
            purpose=replace(PURPOSE, case_number=f"M-{number}"),
            image=(folder / row["photo"]).read_bytes(),
        )
        working.find_faces(probe.pk)
        probe.refresh_from_db()
        if probe.state != Probe.State.READY:
            continue
        search = services.search(by=me, probe=probe, face=0)
        working.run_search(search.pk)
        best, second = search.candidates.order_by("rank")[:2]
        tried += 1
        own = best.person.person_id == row["person_id"]
        sibling = best.siblings.order_by("rank").first()
        if not (own and sibling and sibling.score and sibling.score > second.score):
            missed.append(row["photo"])
    assert tried >= 80
    assert missed == []
