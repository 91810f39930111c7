"""One person who can be recognised by everything about them, and the life their record leads."""

import csv
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from PIL import Image

from mugsearch.engine import scan
from reviews.worksheet import COMPONENTS
from tests.hunting.service import Service

PURPOSE = {
    "offence": "robbery",
    "legal_basis": "reasonable-suspicion",
    "source": "cctv-still",
    "attested": "true",
}
# What the person looks like as numbers, from inside: no page and no API gives it away.
VECTOR = """
import sys, numpy as np
from mugsearch.gallery.models import Template
from mugsearch.gallery import vectors, identity
(template,) = Template.objects.filter(photo__booking__number_digest=identity.of_booking(sys.stdin.readline().strip()))
vector = np.empty(template.encoder.dimension, "<f4")
vectors.unseal(template, vector)
print("vector", vector.tobytes().hex())
"""


def _word() -> str:
    return "".join(chr(ord("a") + int(digit, 16)) for digit in uuid4().hex[:12])


@dataclass
class Canary:
    """`files`: name -> bytes that are recognised by their pieces."""

    photo: Path
    probe: Path
    family: str = field(default_factory=lambda: f"Q{_word()}")
    given: str = field(default_factory=lambda: f"Z{_word()}")
    person: str = field(default_factory=lambda: f"PID{uuid4().hex[:12]}")
    booking: str = field(default_factory=lambda: f"BKG{uuid4().hex[:12]}")
    rejected: str = field(default_factory=lambda: f"REJ{uuid4().hex[:12]}")
    file: str = field(default_factory=lambda: f"{_word()}.jpg")
    exif: str = field(default_factory=lambda: f"Camera of {_word()}")
    charge: str = field(default_factory=lambda: f"Theft of a {_word()}")
    notes: str = field(default_factory=lambda: f"A scar like {_word()}")
    sheet: str = field(default_factory=lambda: f"Ears as {_word()}")
    case: str = field(default_factory=lambda: f"Case {_word()}")
    outcome: str = field(default_factory=lambda: f"Outcome {_word()}")
    files: dict[str, bytes] = field(default_factory=dict)

    #: Only ever encrypted in PostgreSQL: nowhere at all may they be.
    SECRET = ("family", "given", "person", "booking", "rejected", "file", "exif", "notes", "sheet")

    def jpeg(self) -> bytes:
        if "photo" not in self.files:
            image = Image.open(self.photo).convert("RGB")
            exif = Image.Exif()
            exif[0x010E] = self.exif  # ImageDescription
            out = io.BytesIO()
            image.save(out, "JPEG", quality=93, exif=exif)
            self.files["photo"] = out.getvalue()
            pixels = np.asarray(Image.open(io.BytesIO(out.getvalue())).convert("RGB"))
            self.files["pixels"] = pixels.tobytes()
            self.files["pixels for OpenCV"] = np.ascontiguousarray(pixels[:, :, ::-1]).tobytes()
        return self.files["photo"]

    def keep(self, name: str, image: bytes) -> None:
        assert len(image) > 2000, name
        self.files[name] = image

    def keep_vector(self, vector: "np.typing.NDArray[np.float32]") -> None:
        self.files["vector"] = vector.tobytes()
        self.files["vector in double precision"] = vector.astype(np.float64).tobytes()
        self.files["vector in half precision"] = vector.astype(np.float16).tobytes()
        self.files["vector in the index"] = scan.encode(vector[None, :])[0][0].tobytes()

    def words(self) -> dict[str, str]:
        names = (*self.SECRET, "charge", "case", "outcome")
        return {name: getattr(self, name) for name in names}


def live(canary: Canary, service: Service) -> str:
    """All that happens to a record, up to an open lead with an outcome. Returns the id of the case's search."""
    clerk, investigator = service.person("rita"), service.person("ivy")
    _report(canary, clerk)
    _import(canary, service)
    booking = clerk.get("bookings", params={"booking_number": canary.booking})
    _look(canary, service, booking)
    search = _search(canary, investigator)
    for name in ("edgar", "mona"):
        _examine(canary, service.person(name), name)
    _lead(canary, service, search)
    return search


def expunge(canary: Canary, service: Service) -> dict[str, Any]:
    """By two clerks, until it is complete. Returns the order."""
    clerk, second = service.person("rita"), service.person("carl")
    asked = {"booking_number": canary.booking, "order_number": "CR-1", "reason": "Dismissed", "whole_person": True}
    order = clerk.post("expungements", json=asked)
    url = f"expungements/{order['id']}"
    clerk.page(f"expungements/{order['id']}")
    seen = second.get(f"{url}/preview")["digest"]
    second.post(f"{url}/approve", json={"seen": seen})
    done: dict[str, Any] = second.until(url, "complete")
    return done


def _report(canary: Canary, clerk: Any) -> None:
    """A disposition before its booking, which finds it later."""
    told = {"booking_number": canary.booking, "disposition": "dismissed", "disposed_on": "2026-11-02"}
    clerk.post("dispositions", json=told)


def _import(canary: Canary, service: Service) -> None:
    """One that is refused, one whose worker is killed and that goes on, and one with a row that is rejected."""
    clerk = service.person("rita")
    columns = ["photo", "person_id", "booking_number", "family_name", "given_names", "date_of_birth", "charge"]
    row = [canary.file, canary.person, canary.booking, canary.family, canary.given, "1979-05-06", canary.charge]
    bad = [f"x{canary.file}", canary.person, canary.rejected, canary.family, canary.given, "1979-05-06", canary.charge]
    refused = _upload(columns[:2], [row[:2]], {canary.file: canary.jpeg()})
    answer = clerk.session.post(
        f"{service.address}/api/v1/imports",
        files=refused,
        headers={"Authorization": f"Token {clerk.token}"},
        timeout=60,
    )
    assert not answer.ok
    photos = {canary.file: canary.jpeg(), f"x{canary.file}": canary.jpeg()[:3000]}
    run = clerk.post("imports", files=_upload(columns, [row, bad], photos))
    _kill(service, b"import@localhost")
    done = clerk.until(f"imports/{run['id']}", "done", "failed")
    assert (done["enrolled"], done["rejected"]) == (1, 1), done
    assert canary.rejected in clerk.page(f"gallery/imports/{run['id']}/rejects.csv")
    clerk.page(f"gallery/imports/{run['id']}")


def _upload(columns: list[str], rows: list[list[str]], photos: dict[str, bytes]) -> dict[str, Any]:
    sheet, packed = io.StringIO(), io.BytesIO()
    csv.writer(sheet).writerows([columns, *rows])
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in photos.items():
            archive.writestr(name, data)
    return {
        "manifest": ("manifest.csv", sheet.getvalue().encode(), "text/csv"),
        "photos": ("photos.zip", packed.getvalue(), "application/zip"),
    }


def _kill(service: Service, sign: bytes) -> None:
    """The worker in the middle of its task; the launcher starts another one, which takes up what was left."""
    import os
    import signal

    for child in service.children():
        if sign in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)


def _look(canary: Canary, service: Service, found: Any) -> None:
    """Pages and pictures of the booking, and the person looked up by everything they are found by."""
    clerk = service.person("rita")
    (booking,) = found["results"]
    assert canary.family in clerk.page(f"gallery/bookings/{booking['id']}")
    clerk.page(f"gallery/bookings/{booking['id']}/edit")
    clerk.get("people", params={"person_id": canary.person})
    clerk.page(f"gallery/people/?q={canary.person}")
    assert canary.person in clerk.page(f"gallery/people/?q={canary.family},+{canary.given}&born=1979-05-06")
    (photo,) = clerk.get("photos", params={"booking": booking["id"]})["results"]
    canary.keep("view", clerk.ask("GET", f"photos/{photo['id']}/image", params={"size": 1600}).content)
    canary.keep("thumb", clerk.ask("GET", f"photos/{photo['id']}/image", params={"size": 320}).content)
    told = service.manage("shell", "-c", VECTOR, text=canary.booking)
    (line,) = (line for line in told.stdout.splitlines() if line.startswith("vector "))
    canary.keep_vector(np.frombuffer(bytes.fromhex(line.split()[1]), "<f4"))


def _search(canary: Canary, investigator: Any) -> str:
    image = {"image": (f"{canary.case}.jpg", canary.probe.read_bytes(), "image/jpeg")}
    told = {**PURPOSE, "case_number": canary.case, "source_detail": canary.case}
    probe = investigator.post("probes", data=told, files=image)
    investigator.until(f"probes/{probe['id']}", "ready")
    search: dict[str, Any] = investigator.post(f"probes/{probe['id']}/searches", json={"face": 0})
    investigator.until(f"searches/{search['id']}", "done")
    investigator.page(f"searches/{search['id']}")
    return str(search["id"])


def _examine(canary: Canary, examiner: Any, name: str) -> None:
    """Of the search that has the canary: a draft first, then the whole, and all others are somebody else."""
    while True:
        sheet = examiner.post("examinations/next")
        url = f"examinations/{sheet['id']}"
        examiner.page(f"reviews/{sheet['id']}")
        place = _place(canary, examiner, sheet, name)
        if place:
            told = {"position": place, "notes": canary.notes}
            draft = examiner.post(f"{url}/findings", json=told)
            saved = next(one["saved_at"] for one in draft["candidates"] if one["position"] == place)
            filled = {component: {"said": "similar", "notes": canary.sheet} for component in COMPONENTS}
            whole = {**told, "conclusion": "3", "worksheet": filled, "saved_at": saved}
            examiner.post(f"{url}/findings", json=whole)
            examiner.page(f"reviews/{sheet['id']}")
        examiner.post(f"{url}/exclude-remaining", json={})
        examiner.ask("POST", f"{url}/conclude")
        if place:
            return


def _place(canary: Canary, examiner: Any, sheet: Any, name: str) -> int | None:
    """The position of the canary's photograph, by looking at all of them."""
    for one in sheet["candidates"]:
        shown = one["image"] and examiner.ask("GET", one["image"]).content
        if shown and _alike(shown, canary.jpeg()):
            canary.keep(f"picture for {name}", shown)
            canary.keep(f"thumb for {name}", examiner.ask("GET", one["image"], params={"size": "thumb"}).content)
            return int(one["position"])
    return None


def _alike(one: bytes, other: bytes) -> bool:
    """Whether two files show the same photograph, in whatever size."""
    small = [np.asarray(Image.open(io.BytesIO(data)).convert("L").resize((24, 24)), float) for data in (one, other)]
    return bool(np.abs(small[0] - small[1]).mean() < 4)


def _lead(canary: Canary, service: Service, search: str) -> None:
    investigator = service.person("ivy")
    (lead,) = investigator.get("leads", params={"search": search})["results"]
    told = investigator.get(f"leads/{lead['id']}")
    assert canary.person in str(told)
    investigator.ask("GET", f"leads/{lead['id']}/candidate.jpg")
    assert canary.family in investigator.page(f"reviews/leads/{lead['id']}")
    investigator.post(f"leads/{lead['id']}/outcomes", json={"outcome": "no_use", "note": canary.outcome})
    bundle = service.person("ada").ask("POST", f"searches/{search}/disclosure").content
    with zipfile.ZipFile(io.BytesIO(bundle)) as packed:
        assert any(canary.person.encode() in packed.read(name) for name in packed.namelist())
