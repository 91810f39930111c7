"""kill -9 at every step of a restore: nothing half restored can be opened, and calling it again ends the same."""

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Ignore
from django.core.management import CommandError
from django.db import DatabaseError, connection
from django.test import Client

from mugsearch import closed, ownership
from mugsearch.accounts.models import CONSOLE, User
from mugsearch.backups import restoring
from mugsearch.gallery.models import Booking
from mugsearch.launch import CannotStart
from mugsearch.launch.places import Places
from mugsearch.launch.sessions import _the_only_one
from mugsearch.retention import tasks
from tests.backups.arrange import a_drill, restored
from tests.backups.conftest import Elsewhere
from tests.backups.test_restore_drill import assert_as_it_should_be
from tests.processes import environment

CHECKOUT = Path(__file__).resolve().parents[2]
RESTORE = """
    import os, signal, sys
    import django
    django.setup()
    from django.conf import settings
    from mugsearch.backups import restoring
    from mugsearch.engine import encoders
    from tests.fakes import FakeEncoder

    encoders.ENCODERS["fake"] = lambda argument: FakeEncoder()
    settings.MUGSEARCH_ENCODER = "fake"
    backup, step, when = sys.argv[1:]
    die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

    def deadly(name, what, do):
        def step_(now):
            if when == "half":
                now = type(now)(now.manifest, now.progress, now.keys, now.accept_doubts, die)
            do(now)
            if when == "before it is recorded":
                die()
        return name, what, step_ if name == step else do

    restoring._STEPS = tuple(deadly(*one) for one in restoring._STEPS)
    if step == "opening":
        restoring.database.open_to_others = die
    from django.core.management import call_command
    call_command("restore", backup)
"""
STEPS = [name for name, _, _ in restoring._STEPS]


def a_restore(backup: Path, settings: Any, step: str = "", when: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RESTORE), str(backup), step, when],
        env=environment(settings), cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("step", "when"),
    [
        *((step, "before it is recorded") for step in STEPS),
        *((step, "half") for step in ("record", "purges", "files", "index")),
        ("opening", ""),
    ],
)
def test_a_restore_killed_at_any_step_stays_closed_and_ends_the_same_when_called_again(
    step: str, when: str, elsewhere: Elsewhere, tmp_path: Path, settings: Any
) -> None:
    drill = a_drill(tmp_path)
    with elsewhere():
        killed = a_restore(drill.data, settings, step, when)
        assert killed.returncode == -9, killed.stderr
        assert_closed(settings)
        assert f"./run manage restore {drill.data}" in (closed.reason(settings.VAR) or "")
        again = a_restore(drill.data, settings)
        assert again.returncode == 0, again.stderr
        assert "Going on where it was interrupted" in again.stderr
        assert_as_it_should_be(drill, settings)


def assert_closed(settings: Any) -> None:
    """For every kind of process; and for one on another machine, whose folder has no marker, too."""
    page, api = Client().get("/healthz"), Client().get("/api/v1/expungements")
    assert "being restored" in api.json()["detail"]
    assert (page.status_code, api.status_code, api.json()["code"]) == (503, 503, "restoring")
    assert "being restored" in page.content.decode()
    with pytest.raises(Ignore):
        tasks.resume()
    places = Places(settings.VAR)
    with pytest.raises(CannotStart, match="manage restore"):
        _the_only_one(places)
    command = [sys.executable, str(CHECKOUT / "manage.py"), "retention", "sweep"]
    swept = subprocess.run(command, env=environment(settings), capture_output=True, text=True, timeout=60, check=False)
    assert swept.returncode == 1
    assert "manage restore" in swept.stderr
    with pytest.raises(DatabaseError):
        Booking.objects.count()
    connection.close()


def test_what_an_upgrade_refuses_in_an_older_backup_is_mended_in_its_tables_and_stays_so(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drill = a_drill(tmp_path)
    with elsewhere():
        with monkeypatch.context() as patch:
            patch.setattr(restoring, "call_command", _refuse)
            with pytest.raises(CommandError, match="one name now"):
                restored(drill)
        assert closed.reason(settings.VAR)
        with ownership.connected() as owner, owner.cursor() as cursor:  # the closed database finds no table by itself
            cursor.execute("UPDATE public.accounts_user SET full_name = 'Mended' WHERE username = 'console'")
        restored(drill)
        assert_as_it_should_be(drill, settings)
        assert User.objects.get(username=CONSOLE).full_name == "Mended"


def _refuse(*_: Any, **__: Any) -> None:
    raise CommandError("These are one name now.")
