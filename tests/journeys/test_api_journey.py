"""Import, search, two examinations, lead, expungement, and the search that finds nothing: over REST."""

import csv
import io
import time
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from mugsearch.accounts.models import User
from mugsearch.audit.verify import verify
from mugsearch.gallery import identity
from mugsearch.gallery.models import Person, Photo, Template
from mugsearch.probes.models import Candidate
from reviews.models import Examination
from reviews.order import in_order
from tests import factories
from tests.audit.opaque import require_opaque
from tests.factories import signed_in
from tests.reviews.arrange import FILLED

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.models, pytest.mark.shared, pytest.mark.slow]

PURPOSE = {
    "offence": "robbery",
    "legal_basis": "reasonable-suspicion",
    "source": "cctv-still",
    "source_detail": "Camera at the entrance",
    "attested": True,
}


# Columns of the manifest that say who somebody is, or how a file is called.
NAMING = ("photo", "person_id", "booking_number")


def until(ask: Callable[[], dict[str, Any]], states: set[str]) -> dict[str, Any]:
    deadline = time.monotonic() + 400  # a long transaction elsewhere on the server may keep removed rows for a while
    while time.monotonic() < deadline:
        answer = ask()
        if answer["state"] in states:
            return answer
        time.sleep(0.05)
    raise AssertionError(answer)


def client(user: Any) -> APIClient:
    return signed_in(APIClient(), user)


def search(investigator: APIClient, case: str, image: bytes) -> dict[str, Any]:
    upload = SimpleUploadedFile("probe.jpg", image, "image/jpeg")
    made = investigator.post("/api/v1/probes", {**PURPOSE, "case_number": case, "image": upload}, format="multipart")
    assert made.status_code == 201, made.json()
    probe = until(lambda: investigator.get(f"/api/v1/probes/{made.json()['id']}").json(), {"ready", "no_face"})
    assert len(probe["faces"]) == 1
    asked = investigator.post(f"/api/v1/probes/{probe['id']}/searches", {"face": 0}, format="json")
    assert asked.status_code == 201, asked.json()
    return until(lambda: investigator.get(f"/api/v1/searches/{asked.json()['id']}").json(), {"done", "failed"})


def examine(examiner: APIClient, person: str | None) -> None:
    """Same on the candidate that is `person` (known to the test only), different people on all others."""
    claimed = examiner.post("/api/v1/examinations/next")
    assert claimed.status_code in (200, 201), claimed.json()
    url = f"/api/v1/examinations/{claimed.json()['id']}"
    order = in_order(Examination.objects.get(pk=claimed.json()["id"]))
    for position, candidate in enumerate(order, start=1):
        if candidate.person and candidate.person.person_id == person:
            found = examiner.post(
                f"{url}/findings", {"position": position, "conclusion": "3", "worksheet": FILLED}, format="json"
            )
            assert found.status_code in (200, 201), found.json()
    assert examiner.post(f"{url}/exclude-remaining").status_code in (200, 201, 204)
    assert examiner.post(f"{url}/conclude").status_code in (200, 201, 204)


def test_the_main_job_over_the_api(workers, mugshots):
    clerk, second_clerk = client(factories.clerk()), client(factories.clerk())
    investigator = client(factories.investigator())

    started = clerk.post(
        "/api/v1/imports",
        {
            "manifest": SimpleUploadedFile("m.csv", mugshots.manifest, "text/csv"),
            "photos": SimpleUploadedFile("p.zip", mugshots.archive, "application/zip"),
        },
        format="multipart",
    )
    assert started.status_code == 202, started.json()
    run = until(lambda: clerk.get(f"/api/v1/imports/{started.json()['id']}").json(), {"done", "failed"})
    assert (run["state"], run["enrolled"], run["rejected"]) == ("done", 40, 0)

    found = search(investigator, "26-1", mugshots.probe.read_bytes())
    assert found["candidates_waiting"] == 20
    assert investigator.get("/api/v1/leads").json()["results"] == []

    examine(client(factories.examiner()), mugshots.person)
    assert investigator.get("/api/v1/leads").json()["results"] == []
    examine(client(factories.examiner()), mugshots.person)
    (lead,) = investigator.get("/api/v1/leads").json()["results"]
    lead = investigator.get(f"/api/v1/leads/{lead['id']}").json()
    assert "not probable cause" in str(lead)
    assert mugshots.person in str(lead)

    order = {"booking_number": mugshots.booking, "order_number": "CR-1", "reason": "Dismissed"}
    asked = clerk.post("/api/v1/expungements", order, format="json")
    assert asked.status_code == 201, asked.json()
    url = f"/api/v1/expungements/{asked.json()['id']}"
    seen = {"seen": second_clerk.get(f"{url}/preview").json()["digest"]}
    assert clerk.post(f"{url}/approve", seen, format="json").status_code == 403
    approved = second_clerk.post(f"{url}/approve", seen, format="json")
    assert approved.status_code in (200, 201, 202), approved.json()
    until(lambda: second_clerk.get(url).json(), {"complete"})

    assert not Person.objects.identified(mugshots.person).exists()
    assert Candidate.objects.filter(forgotten_at__isnull=False).count() == 1
    assert investigator.get(f"/api/v1/leads/{lead['id']}").json()["withdrawn_at"]

    again = search(investigator, "26-2", mugshots.probe.read_bytes())
    assert again["gallery_size"] == Template.objects.count() == 39
    listed = Candidate.objects.filter(search=again["id"])
    assert not listed.filter(person__id_digest=identity.of_person(mugshots.person)).exists()
    examine(client(factories.examiner()), None)
    examine(client(factories.examiner()), None)
    assert investigator.get(f"/api/v1/leads?search={again['id']}").json()["results"] == []

    back = clerk.post(
        "/api/v1/imports",
        {
            "manifest": SimpleUploadedFile("m.csv", mugshots.manifest, "text/csv"),
            "photos": SimpleUploadedFile("p.zip", mugshots.archive, "application/zip"),
        },
        format="multipart",
    )
    run = until(lambda: clerk.get(f"/api/v1/imports/{back.json()['id']}").json(), {"done", "failed"})
    assert (run["enrolled"], run["already"], run["rejected"]) == (0, 39, 1)
    assert not Photo.objects.filter(booking__number_digest=identity.of_booking(mugshots.booking)).exists()

    assert verify().intact
    rows = list(csv.DictReader(io.StringIO(mugshots.manifest.decode())))
    told = [row[name] for row in rows for name in NAMING if row.get(name)]
    people = User.objects.values_list("username", "full_name")
    require_opaque([*told, *chain.from_iterable(people), "26-1", "26-2", "CR-1", "probe.jpg", "m.csv", "p.zip"])
