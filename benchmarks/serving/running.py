"""The running system, as `./run serve` starts it, and what people ask of it: a search, an import, a list."""

import csv
import http.client
import io
import json
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Sum
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from serving.records import PASSPHRASE, code_of

from mugsearch.accounts.models import User
from mugsearch.accounts.scopes import open_to
from mugsearch.audit.models import Entry
from mugsearch.gallery.models import ImportRun, IndexState
from mugsearch.launch.children import tied
from mugsearch.probes.models import Probe, Search

LOOK = 0.01  # seconds between two looks whether something is there yet
PATIENCE = 120.0  # seconds
FOUND = {Probe.State.READY, Probe.State.NO_FACE, Probe.State.FAILED}
ENDED = {Search.State.DONE, Search.State.FAILED}


class Refused(SystemExit):
    """The system did not do what it was asked; ends the benchmark unless that is counted."""


@dataclass(frozen=True)
class Client:
    """A person with a token."""

    address: str
    token: str

    @classmethod
    def of(cls, user: User, address: str) -> "Client":
        told = {"username": user.username, "password": PASSPHRASE, "code": code_of(user)}
        body = {**told, "name": "benchmark", "scopes": list(open_to(user.roles))}
        return cls(address, _ask(address, "/api/v1/tokens", "", body)["token"])

    def post(self, path: str, values: dict[str, Any]) -> Any:
        return _ask(self.address, path, f"Token {self.token}", values)


@contextmanager
def system(log: Path) -> Iterator[str]:
    """The processes of `./run serve`, until the block ends. Gives the address."""
    command = [sys.executable, "-P", "-m", "mugsearch.launch", "serve", "--insecure-http", "--port", "8900"]
    with log.open("wb") as output:
        process = subprocess.Popen(tied(command, signal.SIGTERM), stdout=output, stderr=subprocess.STDOUT)
        try:
            yield _address(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    note = Path(settings.VAR) / "locks" / "running"
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        if note.exists() and (address := note.read_text().strip()):
            return address
        time.sleep(LOOK)
    raise SystemExit(f"The system did not start:\n{log.read_text()}")


@dataclass(frozen=True)
class Rebuilt:
    """`ready`: seconds from the start of the processes. `seconds` and `rate` (vectors a second) are of the rebuild
    alone, None where it took one step."""

    vectors: int
    ready: float
    seconds: float | None
    rate: float | None


def rebuilt(since: float) -> Rebuilt:
    """Waits until the search worker has built its index. `since` is time.time()."""
    said = 0.0
    while (entry := Entry.objects.filter(act="index.rebuilt").order_by("-number").first()) is None:
        state = IndexState.objects.first()
        if state and time.monotonic() - said > 5:
            said = time.monotonic()
            print(f"  index: {state.done:,} of {state.total:,} vectors", flush=True)
        if time.time() - since > 3600:
            raise SystemExit("The index was not built within an hour.")
        time.sleep(0.05)
    vectors, ready = entry.details["vectors"], entry.at.timestamp() - since
    state = IndexState.objects.first()
    if state is None or state.begun_with > vectors / 2:
        return Rebuilt(vectors, ready, None, None)
    seconds = (entry.at - state.started_at).total_seconds()
    return Rebuilt(vectors, ready, seconds, (vectors - state.begun_with) / seconds)


# --- searching ---


class Searching:
    """Investigators' searches with photographs, each under a case of its own."""

    def __init__(self, client: Client, photos: list[Path]) -> None:
        self._client, self._photos = client, photos
        self._number = 0
        self._lock = threading.Lock()

    def submit(self) -> UUID:
        with self._lock:
            self._number += 1
            number = self._number
        values = {
            "case_number": f"B-{number:06}",
            "offence": "robbery",
            "legal_basis": "reasonable-suspicion",
            "source": "cctv-still",
            "source_detail": "Benchmark",
            "attested": "true",
            "image": _upload(self._photos[number % len(self._photos)]),
        }
        return UUID(self._client.post("/api/v1/probes", values)["id"])

    def search(self, probe: UUID) -> UUID:
        return UUID(self._client.post(f"/api/v1/probes/{probe}/searches", {"face": "0"})["id"])

    def whole(self) -> float | None:
        """Seconds from the upload until the candidates are there, one search after another; None where the
        photograph has no face to search with."""
        started = time.perf_counter()
        probe = self.submit()
        if _until(Probe, probe, FOUND) != Probe.State.READY:
            return None
        search = self.search(probe)
        if _until(Search, search, ENDED) != Search.State.DONE:
            raise SystemExit(f"Search {search} failed.")
        return time.perf_counter() - started

    def at_a_rate(self, per_second: float, seconds: float) -> "Rate":
        """So many are submitted a second, whether the system keeps up or not; then waits for all of them."""
        begun: dict[UUID, float] = {}
        asked: dict[UUID, UUID] = {}
        refused: list[str] = []

        def submit() -> None:
            started = time.time()
            try:
                begun[self.submit()] = started
            except Refused as refusal:
                refused.append(str(refusal))

        with ThreadPoolExecutor(16) as people:
            first, wanted, sent = time.monotonic(), round(per_second * seconds), []
            until = first + seconds + PATIENCE
            while time.monotonic() < until:
                while len(sent) < min(wanted, 1 + int((time.monotonic() - first) * per_second)):
                    sent.append(people.submit(submit))
                waiting = [probe for probe in list(begun) if probe not in asked]
                ready = Probe.objects.filter(pk__in=waiting, state=Probe.State.READY).values_list("pk", flat=True)
                for probe in ready:
                    asked[probe] = self.search(probe)
                if len(asked) + len(refused) == wanted and not Search.objects.filter(pk__in=asked.values()).exclude(
                    state__in=ENDED
                ):
                    break
                time.sleep(0.02)
            for one in sent:
                one.result()
        print("".join(f"  {refusal}\n" for refusal in refused), end="")
        done = Search.objects.filter(pk__in=asked.values(), state=Search.State.DONE)
        taken = [at.timestamp() - begun[probe] for probe, at in done.values_list("probe", "finished_at") if at]
        return Rate(wanted, taken, time.monotonic() - first - seconds)


@dataclass(frozen=True)
class Rate:
    """`taken`: seconds from each upload to its candidates; `behind`: how long after the last upload all were done."""

    wanted: int
    taken: list[float]
    behind: float


def _until(model: type[Probe] | type[Search], pk: UUID, states: set[Any]) -> str:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        state: str = model.objects.values_list("state", flat=True).get(pk=pk)
        if state in states:
            return state
        time.sleep(LOOK)
    raise SystemExit(f"Nothing happened for {PATIENCE:.0f} s: {model.__name__} {pk} is {state}.")


# --- importing ---


class Importing:
    """The photographs of `folder` again and again, each time under other booking numbers."""

    def __init__(self, client: Client, folder: Path, rows: list[dict[str, str]]) -> None:
        self._client, self._rows = client, rows
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as photos:
            for row in rows:
                photos.write(folder / row["photo"], row["photo"])
        self._archive = archive.getvalue()
        self._round = 0

    def go_on(self) -> bool:
        """Starts the next one when there is none; whether one is running."""
        state = ImportRun.objects.filter(staged=True).order_by("-created_at").values_list("state", flat=True).first()
        if state in (None, ImportRun.State.DONE):
            self._start()
        elif state == ImportRun.State.FAILED:
            raise SystemExit("An import failed.")
        return state == ImportRun.State.RUNNING

    def rows_done(self) -> int:
        return ImportRun.objects.filter(staged=True).aggregate(done=Sum("rows_done"))["done"] or 0

    def _start(self) -> None:
        self._round += 1
        sheet = io.StringIO()
        out = csv.writer(sheet)
        out.writerow(["photo", "person_id", "booking_number"])
        for row in self._rows:
            out.writerow([row["photo"], row["person_id"], f"{row['booking_number']}-R{self._round}"])
        manifest = SimpleUploadedFile("manifest.csv", sheet.getvalue().encode())
        photos = SimpleUploadedFile("photos.zip", self._archive)
        self._client.post("/api/v1/imports", {"manifest": manifest, "photos": photos, "several": "centre"})


def wait_for_imports() -> None:
    while ImportRun.objects.filter(state__in=[ImportRun.State.QUEUED, ImportRun.State.RUNNING]).exists():
        time.sleep(0.5)


# --- HTTP ---


def _upload(path: Path) -> SimpleUploadedFile:
    return SimpleUploadedFile(path.name, path.read_bytes(), "image/jpeg")


def _ask(address: str, path: str, authorization: str, values: dict[str, Any]) -> Any:
    server = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    try:
        headers = {"Authorization": authorization, "Content-Type": MULTIPART_CONTENT}
        server.request("POST", path, encode_multipart(BOUNDARY, values), headers)
        answer = server.getresponse()
        body = answer.read()
    finally:
        server.close()
    if answer.status not in (http.client.CREATED, http.client.ACCEPTED):
        raise Refused(f"{path} answered {answer.status}: {body[:300].decode(errors='replace')}")
    return json.loads(body)
