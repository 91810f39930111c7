"""The main job on real mugshots with the real encoder."""

import csv
from dataclasses import replace

import pytest

from mugsearch.gallery import importing, live, manifest, sources
from mugsearch.gallery.models import ImportRun, Photo
from mugsearch.probes import services, working
from mugsearch.probes.models import Probe
from tests import factories
from tests.probes.test_submitting import PURPOSE

pytestmark = [pytest.mark.django_db, pytest.mark.models, pytest.mark.shared, pytest.mark.slow]


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
        mine = Photo.objects.enrolled().filter(booking__person__person_id=row["person_id"])
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
