"""The running system as `./run demo` starts it, in a folder and a database of its own, and people who use it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import requests
from psycopg import sql

from mugsearch.accounts.scopes import open_to
from mugsearch.demo.people import PEOPLE
from mugsearch.launch.places import CHECKOUT

PATIENCE = 400.0  # seconds; the machine may be busy


@dataclass
class Service:
    folder: Path
    environ: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    address: str = ""
    password: str = ""
    people: dict[str, "Person"] = field(default_factory=dict)

    def manage(self, *arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-P", "-m", "mugsearch.launch", "manage", *arguments], env=self.environ, cwd=CHECKOUT,
            input=text, text=True, capture_output=True, check=False, timeout=500,
        )  # fmt: skip

    def person(self, name: str) -> "Person":
        if name not in self.people:
            self.people[name] = Person.signed_in(self, name)
        return self.people[name]

    def children(self) -> set[int]:
        """Numbers of the processes right under the launcher."""
        assert self.process
        listed = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return {int(child) for path in listed for child in path.read_text().split()}

    def renew(self) -> None:
        """What the night does. Returns when all are new, also those that answer requests."""
        assert self.process
        before, workers = self.children(), self._web_workers()
        self.process.send_signal(signal.SIGUSR1)
        until(lambda: len(self.children() - before) >= len(before) - 1 and not self._web_workers() & workers)
        assert requests.get(f"{self.address}/healthz", timeout=PATIENCE).ok

    def _web_workers(self) -> set[int]:
        found = set()
        for child in self.children():
            if b"gunicorn" in Path(f"/proc/{child}/cmdline").read_bytes():
                found |= {int(pid) for pid in Path(f"/proc/{child}/task/{child}/children").read_text().split()}
        return found


def _send_form(session: requests.Session, address: str, path: str, **told: str) -> requests.Response:
    form = session.get(f"{address}/{path}", timeout=60)
    (csrf,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)[:1]
    told["csrfmiddlewaretoken"] = csrf
    return session.post(form.url, data=told, headers={"Referer": form.url}, timeout=60)


def _shown_code(session: requests.Session, address: str) -> str:
    """What the demo's page shows, a new one after each that was taken."""
    (code,) = re.findall(r'<strong class="mono">(\d{6})<', session.get(f"{address}/sign-in/code", timeout=60).text)
    return str(code)


@dataclass
class Person:
    """With a token for the API, and a browser's session for pages."""

    service: Service
    token: str
    session: requests.Session

    @classmethod
    def signed_in(cls, service: Service, name: str) -> "Person":
        session = requests.Session()
        send = partial(_send_form, session, service.address)
        send("banner")
        send("sign-in", username=name, password=service.password)
        (role,) = (role for one, _, role, _ in PEOPLE if one == name)
        told = {"username": name, "password": service.password, "code": _shown_code(session, service.address)}
        given = requests.post(
            f"{service.address}/api/v1/tokens",
            json={**told, "name": "canary", "scopes": list(open_to([role]))},
            timeout=60,
        )
        assert given.status_code == 201, given.text
        assert send("sign-in/code", code=_shown_code(session, service.address)).ok
        return cls(service, given.json()["token"], session)

    def send(self, method: str, path: str, **told: Any) -> requests.Response:
        url = path if path.startswith("http") else f"{self.service.address}/api/v1/{path}"
        return requests.request(method, url, headers={"Authorization": f"Token {self.token}"}, timeout=120, **told)

    def ask(self, method: str, path: str, **told: Any) -> requests.Response:
        answer = self.send(method, path, **told)
        assert answer.ok, (path, answer.status_code, answer.text[:500])
        return answer

    def get(self, path: str, **told: Any) -> Any:
        return self.ask("GET", path, **told).json()

    def post(self, path: str, **told: Any) -> Any:
        return self.ask("POST", path, **told).json()

    def page(self, path: str) -> str:
        answer = self.session.get(f"{self.service.address}/{path}", timeout=60)
        assert answer.ok, (path, answer.status_code)
        assert "sign-in" not in answer.url
        return answer.text

    def until(self, path: str, *states: str) -> Any:
        seen: dict[str, Any] = {}

        def there() -> bool:
            seen.update(self.get(path))
            return seen["state"] in states

        until(there, told=lambda: str(seen))
        return seen


def until(there: Callable[[], bool], told: Callable[[], str] = str) -> None:
    end = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < end, told()
        time.sleep(0.2)


@contextmanager
def running(folder: Path, photos: Path) -> Iterator[Service]:
    """On an embedded PostgreSQL and a folder as the broker, or on the servers this run of the tests is given."""
    var, temporary = folder / "var", folder / "tmp"
    temporary.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MUGSEARCH_", "DJANGO_"))}
    environ |= {"MUGSEARCH_VAR": str(var), "TMPDIR": str(temporary), "MUGSEARCH_RENEW_AT": "never"}
    given = os.environ.get("DATABASE_URL", "")
    own = f"canary_{uuid4().hex[:12]}"
    real = re.match(r"\w+://[^/@]*@[\d.]+:\d+/", given)
    for name in ("SECRET_KEY_FILE", "PYTEST_CURRENT_TEST"):
        environ.pop(name, None)
    if real:
        owners = os.environ["MUGSEARCH_OWNER_DATABASE_URL"]
        environ["DATABASE_URL"] = f"{real[0]}{own}"
        environ["MUGSEARCH_OWNER_DATABASE_URL"] = f"{owners.rpartition('/')[0]}/{own}"
        _database(owners, "CREATE DATABASE {}", own)
        _let_read_files(own)
    else:
        environ.pop("DATABASE_URL", None)
        environ.pop("CELERY_BROKER_URL", None)
    service = Service(folder, environ)
    command = [sys.executable, "-P", "-m", "mugsearch.launch", "demo", "--photos", str(photos), "--port", "8950"]
    with (folder / "launcher.log").open("wb") as log:
        service.process = subprocess.Popen(command, env=environ, cwd=CHECKOUT, stdout=log, stderr=log)
    try:
        note = var / "locks" / "running"
        said = (folder / "launcher.log").read_text
        until(lambda: service.process.poll() is not None or (note.exists() and bool(note.read_text())), said)
        assert service.process.poll() is None, said()
        service.address = note.read_text().strip().rstrip("/")
        (service.password,) = re.findall(r"password (\S+) as", (var / "demo.txt").read_text())
        yield service
    finally:
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(60)
        if real:
            _database(owners, "DROP DATABASE {} WITH (FORCE)", own)


def _database(url: str, statement: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _let_read_files(name: str) -> None:
    """Where the server is given as a superuser's: what its operator may grant the owner, so that a hunt sees more."""
    if given := os.environ.get("TRIAL_DATABASE_URL"):
        with psycopg.connect(f"{given.rpartition('/')[0]}/{name}", autocommit=True) as connection:
            connection.execute(
                "GRANT EXECUTE ON FUNCTION pg_read_file(text), pg_stat_file(text, boolean),"
                " pg_read_binary_file(text, bigint, bigint, boolean), pg_ls_dir(text, boolean, boolean)"
                " TO mugsearch_trial_owner"
            )
