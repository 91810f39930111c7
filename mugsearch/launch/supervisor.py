"""The parent of all processes: starts them, listens to them, starts a dead one again, ends all in order.

Once a night it renews them, one after the other: what Python frees stays readable in a process until it ends.
"""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path

from mugsearch.launch.children import tied
from mugsearch.launch.environment import without_owner
from mugsearch.launch.terminal import Journal, Terminal

#: So many deaths in so many seconds, and starting it once more would not help.
DEATHS = 5
WITHIN_SECONDS = 60.0
_LONGEST_PAUSE = 8.0
_LAST_LINES = 6
#: So long may one that is renewed go on with what it is doing. What is cut off then is taken up again: see resume.
_RENEWAL_SECONDS = 120.0


@dataclass(frozen=True)
class Service:
    """One process to keep running.

    ``ends_first``: it takes work in and is stopped before those who do the work. ``orphaned``: what the kernel
    sends it if this process is killed; one that has processes of its own needs SIGTERM to take them along.
    ``renewed``: what has it end its work for a new start; SIGHUP for one that renews its own processes and stays.
    ``owner``: it is told how to connect as the owner of the tables; no other is.
    """

    name: str
    command: Sequence[str]
    ends_first: bool = False
    orphaned: signal.Signals = signal.SIGKILL
    renewed: signal.Signals = signal.SIGTERM
    owner: bool = False


@dataclass
class _Running:
    service: Service
    process: subprocess.Popen[bytes]
    reader: threading.Thread
    last: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))


class Supervisor:
    """Runs services until told to end.

    Everything that starts a process happens in the thread that calls ``start`` and ``watch``: on Linux "my parent
    died" is said of the thread that started a process.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        environ: Mapping[str, str],
        folder: Path,
        logs: Path,
        terminal: Terminal,
        patience: float = 4.0,
        renew_at: time_of_day | None = None,
        renewal_patience: float = _RENEWAL_SECONDS,
    ) -> None:
        self._services = services
        self._environ = dict(environ)
        self._folder = folder
        self._logs = logs
        self._terminal = terminal
        self._patience = patience
        self._running: dict[str, _Running] = {}
        self._deaths: dict[str, list[float]] = {service.name: [] for service in services}
        self._due: dict[str, float] = {}
        self._asked_to_end = 0
        self._renew_at = renew_at
        self._renewal_patience = renewal_patience
        self._next_night = next_time(renew_at) if renew_at else None
        self._to_renew: deque[str] = deque()
        self._renewing: tuple[str, float] | None = None  # who, and until when it may take its time

    # --- starting and watching ---

    def start(self) -> None:
        for service in self._services:
            self._launch(service)

    def watch(self, until: Callable[[], bool] = lambda: False) -> int:
        """Keeps the services running; 0 after ``until()`` or a signal, 1 after one that kept dying."""
        while not self._asked_to_end and not until():
            self._renew()
            for name in [name for name, running in self._running.items() if _has_ended(running.process)]:
                if self._renewing and name == self._renewing[0]:
                    self._renewing = None
                    _end_group(self._running[name])
                    self._launch(self._running.pop(name).service)
                elif not self._bury(self._running.pop(name)):
                    return 1
            for name in [name for name, due in self._due.items() if due <= time.monotonic()]:
                del self._due[name]
                self._launch(next(service for service in self._services if service.name == name))
            time.sleep(0.1)
        return 0

    def on_signal(self, number: int, frame: object) -> None:
        """Ends in order; asked a second time, at once."""
        self._asked_to_end += 1
        if self._asked_to_end > 1:
            for running in list(self._running.values()):
                _signal_group(running.process, signal.SIGKILL)

    def renew_now(self, number: int = 0, frame: object = None) -> None:
        """All of them, one after the other, while ``watch`` runs; a signal handler, too."""
        self._to_renew = deque(service.name for service in self._services)

    @property
    def asked_to_end(self) -> bool:
        return self._asked_to_end > 0

    def _renew(self) -> None:
        """The next step of a renewal, if one is due."""
        if self._renew_at and self._next_night and datetime.now(UTC) >= self._next_night:
            self._next_night = next_time(self._renew_at)
            self.renew_now()
        if self._renewing:
            name, until = self._renewing
            if time.monotonic() > until and name in self._running:
                _signal_group(self._running[name].process, signal.SIGKILL)
        # One that is dead or has just been started is new already.
        elif self._to_renew and (running := self._running.get(self._to_renew.popleft())):
            if running.service.renewed != signal.SIGHUP:
                self._renewing = running.service.name, time.monotonic() + self._renewal_patience
            _signal_leader(running.process, running.service.renewed)

    def _launch(self, service: Service) -> None:
        environ = self._environ if service.owner else without_owner(self._environ)
        process = subprocess.Popen(
            tied(service.command, service.orphaned), env=environ, cwd=self._folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0,
        )  # fmt: skip
        last: deque[str] = deque(maxlen=_LAST_LINES)
        reader = threading.Thread(target=self._listen, args=(service.name, process, last), daemon=True)
        self._running[service.name] = _Running(service, process, reader, last)
        reader.start()

    def _listen(self, name: str, process: subprocess.Popen[bytes], last: deque[str]) -> None:
        with (
            process.stdout or io.BytesIO() as output,
            Journal(self._logs / f"{name.replace(' ', '-')}.log") as journal,
        ):
            for raw in output:
                line = raw.decode(errors="replace").rstrip()
                journal.write(line)
                last.append(line)
                self._terminal.heard(name, line)

    def _bury(self, running: _Running) -> bool:
        """Reports a death and plans the next start. False if there have been too many."""
        service = running.service
        ended = _end_group(running)
        self._terminal.loud(f"{service.name} {ended}.")
        for line in running.last:
            self._terminal.loud(f"    {line}")
        now = time.monotonic()
        deaths = [*(death for death in self._deaths[service.name] if now - death < WITHIN_SECONDS), now]
        self._deaths[service.name] = deaths
        if len(deaths) >= DEATHS:
            log = self._logs / f"{service.name.replace(' ', '-')}.log"
            self._terminal.loud(f"{service.name} ended {DEATHS} times within a minute; stopping everything. See {log}")
            return False
        pause = min(0.5 * 2 ** (len(deaths) - 1), _LONGEST_PAUSE)
        self._due[service.name] = now + pause
        self._terminal.loud(f"{service.name} is started again in {pause:g} s.")
        return True

    # --- ending ---

    def stop(self) -> None:
        """First those that take work in, then those that do it; what does not end in time is killed."""
        self._due.clear()
        for first in (True, False):
            group = [running for running in self._running.values() if running.service.ends_first is first]
            for running in group:
                _signal_leader(running.process, signal.SIGTERM)
            until = time.monotonic() + self._patience
            while time.monotonic() < until and self._asked_to_end < 2 and not all(_has_ended(r.process) for r in group):
                time.sleep(0.05)
            for running in group:
                _end_group(running)
                del self._running[running.service.name]


def next_time(at: time_of_day) -> datetime:
    """When it is ``at`` on this machine's clock the next time."""
    today = datetime.now(UTC).astimezone().date()
    # A time without a zone is the machine's own, on both sides of a change to summer time.
    times = (datetime.combine(today + timedelta(days=days), at).astimezone() for days in range(3))
    return next(moment for moment in times if moment > datetime.now(UTC))


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Looks without collecting the dead, so that its process group number cannot be given to another meanwhile."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_leader(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.returncode is None:
        os.kill(process.pid, number)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.returncode is None:
        # macOS says PermissionError of a group in which only the uncollected dead are left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def _end_group(running: _Running) -> str:
    """Kills what is left of a process and its children, collects it, and says how it ended."""
    natural = _has_ended(running.process)
    _signal_group(running.process, signal.SIGKILL)
    code = running.process.wait()
    running.reader.join(timeout=1.0)
    if not natural:
        return "had to be killed"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def interpreter(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
