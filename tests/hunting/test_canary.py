"""The canary: somebody whose names, numbers, notes, image bytes and vectors are known to the test leads a whole life in
the running system, is expunged, and is then looked for everywhere with `./run manage hunt`."""

import csv
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mugsearch.retention import ageing
from tests.hunting.canary import Canary, expunge, live
from tests.hunting.service import Service, running

pytestmark = [
    pytest.mark.models,
    pytest.mark.shared,
    pytest.mark.slow,
]

_PLACE = re.compile(r"^(?P<name>\S.*?)\s+[\d,.]+ MB\s+[\d,]+  (?P<found>-|[\d, ]+  (?P<code>\S.*))$")
_FOUND = re.compile(r"^    marker (?P<number>\d+) as (?P<form>.+?), \d+ x: (?P<where>.+)$")
_MISSED = re.compile(r"^    not looked at: (?P<what>.+)$")


@dataclass(frozen=True)
class Found:
    what: str
    form: str
    place: str
    code: str
    where: str


@pytest.fixture
def photos(shared: Path, tmp_path: Path) -> Path:
    """A gallery of a few, for the canary not to be alone on a list. Nobody in it is the canary."""
    folder, few = shared / "data" / "meds", tmp_path / "photos"
    few.mkdir()
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    people = sorted({row["person_id"] for row in rows} - {"MEDS-S001"})[:6]
    rows = [row for row in rows if row["person_id"] in people]
    with (few / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        shutil.copy(folder / row["photo"], few)
    return few


@pytest.fixture
def canary(shared: Path) -> Canary:
    folder = shared / "data" / "meds"
    return Canary(folder / "S001-01-t10_01.jpg", folder / "S001-02-t10_01.jpg")


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("canary"), photos) as found:
        yield found


def test_who_was_expunged_is_in_no_place_but_those_that_the_certificate_lists(
    canary: Canary, service: Service, tmp_path: Path
) -> None:
    live(canary, service)
    backup = _backed_up(service, tmp_path)
    before = _hunt(canary, service, backup, tmp_path)
    _shows(before, canary)

    order = expunge(canary, service)
    signed = service.person("rita").get(f"expungements/{order['id']}/certificate")
    listed = {place["place"] for place in signed["certificate"]["ages_out"]}
    assert listed == set(ageing.PLACES)
    at_once = _hunt(canary, service, backup, tmp_path)
    print(*at_once, sep="\n")
    assert [found for found in at_once if found.code not in listed and found.what not in CASEWORK] == []

    service.renew()
    after = _hunt(canary, service, backup, tmp_path)
    print(*after, sep="\n")
    # Photographs, vectors, names, numbers and notes were only ever encrypted: they are nowhere at all.
    never = {*Canary.SECRET, *canary.files}
    assert [found for found in after if found.what in never] == []
    assert {found.code for found in after if found.what not in CASEWORK} <= {"wal", "pages", "backups"}


#: The investigator's own record of the case, which stays: it says nothing of who was on the list.
CASEWORK = {"case", "outcome"}


def _shows(found: list[Found], canary: Canary) -> None:
    """The hunt does see the canary while it is alive, and what it doesn't see on a disk is encrypted there."""
    seen = {one.what for one in found if one.place == "memory of processes"}
    print("in memory before:", sorted(seen))
    assert {"family", "person", "booking"} & seen
    assert {"photo", "view", "thumb"} & seen
    secret = {*Canary.SECRET, *canary.files}
    # The index is searched, so it has the vectors in plain as long as their records live.
    open_to_it = {("memory of processes", what) for what in secret} | {
        ("index", "vector"),
        ("index", "vector in the index"),
    }
    assert [one for one in found if one.what in secret and (one.place, one.what) not in open_to_it] == []


def _backed_up(service: Service, folder: Path) -> list[Path]:
    """One of before, as it stays for MUGSEARCH_BACKUPS_KEPT_DAYS."""
    backup = folder / "backup"
    backup.mkdir()
    done = service.manage("backup", str(backup))
    assert done.returncode == 0, done.stderr
    return [backup]


def _hunt(canary: Canary, service: Service, also: list[Path], folder: Path) -> list[Found]:
    lines, files = folder / "markers", folder / "files"
    words = canary.words()
    lines.write_text("".join(f"{word}\n" for word in words.values()))
    files.mkdir(exist_ok=True)
    for number, data in enumerate(canary.files.values()):
        (files / str(number)).write_bytes(data)
    whats = [*words, *canary.files]
    given = ["--file", *(str(files / str(number)) for number in range(len(canary.files)))]
    besides = ["--also", *map(str, also)] if also else []
    done = service.manage("hunt", "--from", str(lines), *given, *besides)
    print(done.stdout, done.stderr)
    assert done.returncode in (0, 1), done.stderr
    found, place, code = [], "", ""
    for line in done.stdout.splitlines():
        if match := _PLACE.match(line):
            place, code = match["name"], match["code"] or ""
        elif match := _FOUND.match(line):
            found.append(Found(whats[int(match["number"]) - 1], match["form"], place, code, match["where"]))
        elif match := _MISSED.match(line):
            assert match["what"] in BEYOND, line
    return found


#: What nobody can look at, and says so.
BEYOND = {"pg_statistic (InsufficientPrivilege)", "the memory of its process"}
