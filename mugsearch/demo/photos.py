"""Where the demo's photographs come from: a folder one names, NIST's MEDS-II, or faces in installed packages.

Each source ends as a folder with a manifest.csv that the ordinary import reads, and one photograph kept out of it
to search with. Never blocks on the network: a few seconds without an answer, then the next source.
"""

import csv
import io
import re
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from mugsearch.engine import images
from mugsearch.engine.encoders import Encoder
from mugsearch.errors import BadInput, MugsearchError

Say = Callable[[str], None]
Pixels = NDArray[np.uint8]

# NIST Special Database 32 (MEDS-II), as its data description names it.
MEDS_URL = "http://nigos.nist.gov:8080/nist/sd/32/NIST_SD32_MEDS-II_face.zip"
ANSWER_SECONDS = 3.0  # for the first byte, and for each block after it
DOWNLOAD_SECONDS = 60.0  # for all of it
DOWNLOAD_BYTES = 600 * 2**20
MEDS_NAME = re.compile(r"(?P<person>S\d{3})-(?P<booking>\d{2})-t10_\d{2}\.jpg$")
MEDS_PHOTOS = 150  # enough for a demo, a few seconds to import

COLUMNS = ("photo", "person_id", "booking_number", "family_name", "given_names", "pose")


@dataclass(frozen=True)
class Photographs:
    """`folder` holds `manifest`; `probe` is a file of a person in it whose very photo is not in it."""

    folder: Path
    manifest: Path
    probe: Path
    probe_person: str
    about: str


def choose(named: Path | None, *, work: Path, encoder: Encoder, say: Say) -> Photographs:
    """The first source that answers. `work` is an empty folder for what has to be written."""
    if named is not None:
        return _from_folder(named, work)
    try:
        say("Looking for NIST's mugshots (MEDS-II) …")
        return _from_nist(work, say)
    except (OSError, zipfile.BadZipFile, BadInput) as error:
        why = "no answer" if isinstance(error, OSError) else error
        say(f"They can't be had here ({why}). Using faces found in installed packages.")
        return _from_packages(work, encoder)


def _from_folder(folder: Path, work: Path) -> Photographs:
    """A folder with manifest.csv. The last photo of the first person with three or more (else two) is kept out."""
    source = folder / "manifest.csv"
    if not source.is_file():
        raise BadInput(f"There is no manifest.csv in {folder}.")
    with source.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
        columns = tuple(rows[0]) if rows else COLUMNS
    probe = _held_out(rows)
    manifest = work / "manifest.csv"
    _write(manifest, columns, [row for row in rows if row is not probe])
    about = f"{len(rows) - 1} photographs from {folder.name}"
    return Photographs(folder, manifest, folder / probe["photo"], probe["person_id"], about)


def _held_out(rows: list[dict[str, str]]) -> dict[str, str]:
    by_person: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_person.setdefault(row.get("person_id", ""), []).append(row)
    for least in (3, 2):
        for mine in by_person.values():
            if len(mine) >= least:
                return mine[-1]
    raise BadInput("The demo needs somebody with two photographs, to search for one with the other.")


def _from_nist(work: Path, say: Say) -> Photographs:
    archive = zipfile.ZipFile(io.BytesIO(_download(MEDS_URL, say)))
    rows: list[dict[str, str]] = []
    for name in sorted(archive.namelist()):
        match = MEDS_NAME.search(name)
        if match and len(rows) < MEDS_PHOTOS:
            photo = name.rsplit("/", 1)[-1]
            (work / photo).write_bytes(archive.read(name))
            person = f"MEDS-{match['person']}"
            rows.append({"photo": photo, "person_id": person, "booking_number": f"{person}-{match['booking']}"})
    if not rows:
        raise BadInput("the archive holds no mugshots under the names expected")
    probe = _held_out(rows)
    manifest = work / "manifest.csv"
    _write(manifest, ("photo", "person_id", "booking_number"), [row for row in rows if row is not probe])
    about = f"{len(rows) - 1} mugshots of NIST Special Database 32 (MEDS-II)"
    return Photographs(work, manifest, work / probe["photo"], probe["person_id"], about)


def _download(url: str, say: Say) -> bytes:
    parts: list[bytes] = []
    started, read = monotonic(), 0
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:  # noqa: S310  a constant of ours, http
        total = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(2**20):
            parts.append(block)
            read += len(block)
            if read > DOWNLOAD_BYTES:
                raise OSError("the download is larger than expected")
            if monotonic() - started > DOWNLOAD_SECONDS:
                raise OSError("the download is too slow")
            if len(parts) % 16 == 0:
                say(f"  {read / 2**20:.0f} of {total / 2**20:.0f} MB" if total else f"  {read / 2**20:.0f} MB")
    return b"".join(parts)


def _from_packages(work: Path, encoder: Encoder) -> Photographs:
    """Each face of two sample images as one person with four variants; a fifth variant of the first is the probe."""
    rows = []
    probe, probe_person = work / "probe.jpg", ""
    for number, face in enumerate(_faces_in_packages(encoder), start=1):
        person = f"SAMPLE-{number:02d}"
        variants = list(_variants(face))
        for place, (label, pixels) in enumerate(variants[:-1], start=1):
            photo = f"{person}-{place}.jpg"
            (work / photo).write_bytes(images.view_jpeg(pixels, max_side=max(pixels.shape), quality=92))
            rows.append(
                {
                    "photo": photo,
                    "person_id": person,
                    "booking_number": f"{person}-{place}",
                    "family_name": f"Sample {number:02d}",
                    "given_names": "Not a mugshot",
                    "pose": f"variant: {label}",
                }
            )
        if not probe_person:
            probe_person, pixels = person, variants[-1][1]
            probe.write_bytes(images.view_jpeg(pixels, max_side=max(pixels.shape), quality=70))
    manifest = work / "manifest.csv"
    _write(manifest, COLUMNS, rows)
    about = f"{len(rows)} variants of sample faces from installed packages (not mugshots)"
    return Photographs(work, manifest, probe, probe_person, about)


def _faces_in_packages(encoder: Encoder) -> Iterator[Pixels]:
    astronaut = files("skimage") / "data" / "astronaut.png"
    group = files("insightface") / "data" / "images" / "t1.jpg"
    for source in (astronaut, group):
        try:
            pixels = images.decode(source.read_bytes()).pixels
        except (OSError, MugsearchError):
            continue
        for face in encoder.faces(pixels):
            yield images.crop(pixels, face.box, 0.7)


def _variants(face: Pixels) -> Iterator[tuple[str, Pixels]]:
    height, width = face.shape[:2]
    yield "as found", face
    yield "darker", _scaled(face, 0.65)
    yield "closer", face[height // 12 : height - height // 12, width // 12 : width - width // 12]
    yield "coarser", np.repeat(np.repeat(face[::2, ::2], 2, axis=0), 2, axis=1)
    yield "lighter, off centre", _scaled(face[: height - height // 16, width // 16 :], 1.25)


def _scaled(pixels: Pixels, factor: float) -> Pixels:
    scaled: Pixels = np.clip(pixels.astype(np.float32) * factor, 0, 255).astype(np.uint8)
    return scaled


def _write(manifest: Path, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
