"""The whole product in one test: pages or API in front, a thread that does the workers' part behind."""

import csv
import io
import queue
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import close_old_connections, connection
from django.test.utils import override_settings

from mugsearch.accounts import factors
from mugsearch.accounts.models import User
from mugsearch.gallery import live
from tests.factories import PASSWORD, code_of, second_factor
from tests.journeys.browser import CHROMIUM, OPTIONS, WAIT


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[None]:
    """Every task that is sent is done, one after another, by another thread with its own connection; and where there
    is none, what the scheduler sends for orders that wait: PostgreSQL keeps removed rows for whoever reads just then.
    """
    from mugsearch.celery import app
    from mugsearch.retention import tasks

    todo: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue()

    def send(self: Any, args: Any = None, kwargs: Any = None, **options: Any) -> None:
        todo.put((self.name, tuple(args or ())))

    def work() -> None:
        while (item := next_one()) is not None:
            name, args = item
            close_old_connections()
            app.tasks[name](*args)
        connection.close()

    def next_one() -> tuple[str, tuple[Any, ...]] | None:
        try:
            return todo.get(timeout=2)
        except queue.Empty:
            return tasks.resume.name, ()

    live.reset()
    monkeypatch.setattr("celery.app.task.Task.apply_async", send)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    todo.put(None)
    thread.join(60)


@dataclass(frozen=True)
class Mugshots:
    """`manifest` and `archive` for an import; `probe` is another photo of `person`, whose only booking is `booking`."""

    manifest: bytes
    archive: bytes
    probe: Path
    person: str
    booking: str


@pytest.fixture(scope="session")
def mugshots(shared: Path) -> Mugshots:
    """Forty mugshots, among them one of a person whose other photo is kept out to search with."""
    folder = shared / "data" / "meds"
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    by_person: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_person.setdefault(row["person_id"], []).append(row)
    kept, held = next(mine for mine in by_person.values() if len(mine) == 2)
    others = [row for row in rows if row["person_id"] != kept["person_id"]][:39]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows([kept, *others])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for row in [kept, *others]:
            archive.write(folder / row["photo"], row["photo"])
    return Mugshots(
        manifest=text.getvalue().encode(),
        archive=packed.getvalue(),
        probe=folder / held["photo"],
        person=kept["person_id"],
        booking=kept["booking_number"],
    )


@pytest.fixture
def provoked() -> list[str]:
    """Parts of the complaints that a test brings about on purpose."""
    return []


@pytest.fixture
def desk(live_server: Any, monkeypatch: pytest.MonkeyPatch, provoked: list[str]) -> Iterator[Any]:
    """desk(user) opens a browser window of their own, signed in."""
    # Playwright's loop runs in this thread, and Django would take that for an asynchronous program.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as playwright, override_settings(CSRF_COOKIE_SECURE=False, SESSION_COOKIE_SECURE=False):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)

        def window() -> Any:
            page = browser.new_context(base_url=live_server.url).new_page()
            page.set_default_timeout(WAIT)
            page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            return page

        def sign_in(user: User) -> Any:
            page = window()
            if not factors.has_one(user):
                second_factor(user)
            User.objects.filter(pk=user.pk).update(code_step=0)  # in a second window at once: the same code again
            page.goto("/sign-in")
            page.get_by_role("button", name="I understand").click()
            page.get_by_label("User name").fill(user.username)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_label("Code").fill(code_of(user))
            page.get_by_role("button", name="Go on").click()
            page.wait_for_url(re.compile(r"^(?!.*sign-in)"))
            return page

        sign_in.window = window  # type: ignore[attr-defined]  # one in which nobody is signed in
        yield sign_in
        browser.close()
    assert [said for said in complaints if not any(part in said for part in provoked)] == []
