"""``./run demo`` and ``./run serve``: services, database, processes, address, and the way back."""

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from datetime import time as time_of_day
from pathlib import Path

from mugsearch import closed
from mugsearch.launch import CannotStart
from mugsearch.launch.children import run_to_end
from mugsearch.launch.environment import OWNERS, given
from mugsearch.launch.held import Held
from mugsearch.launch.places import CHECKOUT, Places
from mugsearch.launch.services import services, start_over
from mugsearch.launch.supervisor import Service, Supervisor
from mugsearch.launch.terminal import Terminal

_ANSWER_SECONDS = 60.0
_PORTS_TRIED = 50
_RENEW_AT = "04:30"  # on this machine's clock: after the sweep and the nightly checks, in most zones


def run_demo(*, fresh: bool, photos: Path | None, port: int) -> int:
    """A running system with faces in it, on plain HTTP for this machine only."""
    started = time.monotonic()
    _require_an_owner()
    places = Places.chosen()
    places.prepare()
    with _the_only_one(places, closed_too=fresh) as held:
        if fresh:
            start_over(places)
        with services(places, plain_http=True) as served:
            environ = {**served, "MUGSEARCH_DEMO": "1"}
            _prepare(environ, settings_up=["demo_setup", *(["--photos", str(photos.absolute())] if photos else [])])
            return _run(places, held, environ, host="127.0.0.1", port=port, started=started, sign_ins=True)


def run_serve(*, host: str, port: int, plain_http: bool) -> int:
    """The production processes; TLS ends at the proxy in front of them."""
    if os.environ.get("MUGSEARCH_INSECURE_HTTP") and not plain_http:
        raise CannotStart("MUGSEARCH_INSECURE_HTTP is set. For production unset it; to mean it, give --insecure-http.")
    if os.environ.get("MUGSEARCH_DEMO"):
        raise CannotStart("MUGSEARCH_DEMO shows everybody's code, and only ./run demo sets it. Unset it.")
    started = time.monotonic()
    _require_an_owner()
    places = Places.chosen()
    places.prepare()
    with _the_only_one(places) as held, services(places, plain_http=plain_http) as environ:
        _prepare(environ, settings_up=None)
        return _run(places, held, environ, host=host, port=port, started=started, sign_ins=False)


def _require_an_owner() -> None:
    """On a server of one's own the tables are made by another role than the one that serves."""
    if given("DATABASE_URL") and not given(OWNERS[0]):
        raise CannotStart(
            "DATABASE_URL is set and MUGSEARCH_OWNER_DATABASE_URL is not. The service has to connect as a role that "
            "owns no table. If DATABASE_URL names the owner, call it MUGSEARCH_OWNER_DATABASE_URL; then, as a "
            "superuser, CREATE ROLE mugsearch_service LOGIN PASSWORD '…'; and name that role in DATABASE_URL. The "
            'rest is done at the next start. See docs/operator.md, "Two roles in PostgreSQL".'
        )


def _the_only_one(places: Places, *, closed_too: bool = False) -> Held:
    """`closed_too`: also where a restore has not finished, because everything is deleted next."""
    if not closed_too and (reason := closed.reason(places.var)):
        raise CannotStart(reason)
    held = Held(places.locks / "running")
    if not held.alone_now():
        address = held.read().strip()
        held.release()
        raise CannotStart(
            f"it is already running{f' at {address}' if address else ''}. Ctrl-C in its terminal stops it."
        )
    held.write("")
    return held


def _prepare(environ: Mapping[str, str], *, settings_up: list[str] | None) -> None:
    """The database's tables, the static files, and what the demo needs. Each says itself what it does."""
    commands = [["migrate", "--verbosity", "0"], ["collectstatic", "--noinput", "--verbosity", "0"]]
    for command in [*commands, *([settings_up] if settings_up else [])]:
        code = run_to_end([sys.executable, str(CHECKOUT / "manage.py"), *command], environ=environ, folder=CHECKOUT)
        if code in (130, 143):
            raise KeyboardInterrupt
        if code != 0:
            raise CannotStart(f"manage.py {command[0]} failed with exit code {code}; its message is above.")


def _run(
    places: Places, held: Held, environ: Mapping[str, str], *, host: str, port: int, started: float, sign_ins: bool
) -> int:
    terminal = Terminal()
    port = free_port(host, port, terminal)
    address = f"http://{host}:{port}/"
    supervisor = Supervisor(
        processes(places, host=host, port=port),
        environ=environ,
        folder=CHECKOUT,
        logs=places.log,
        terminal=terminal,
        renew_at=renewal(),
    )
    signal.signal(signal.SIGUSR1, supervisor.renew_now)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, supervisor.on_signal)
    answer = _Answer(host, port, environ["ALLOWED_HOSTS"])
    try:
        supervisor.start()
        code = supervisor.watch(until=answer.has_come)
        if code == 0 and not supervisor.asked_to_end:
            if not answer.came:
                terminal.loud(f"No answer from {address} for {_ANSWER_SECONDS:g} seconds. See {places.log / 'web.log'}")
                return 1
            held.write(address)
            _welcome(terminal, places, address, time.monotonic() - started, sign_ins=sign_ins)
            code = supervisor.watch()
        return code
    finally:
        terminal.say("Stopping …")
        supervisor.stop()
        terminal.say("Stopped. The data stay; run it again to go on." if sign_ins else "Stopped.")


def _welcome(terminal: Terminal, places: Places, address: str, seconds: float, *, sign_ins: bool) -> None:
    terminal.say(f"\nmugsearch is running at {address}  (up in {seconds:.0f} s; logs in {places.log})")
    if sign_ins and places.sign_ins.exists():
        terminal.say(f"\n{places.sign_ins.read_text().rstrip()}")
    terminal.say("\nCtrl-C stops it.")


def renewal() -> time_of_day | None:
    """When processes are renewed: ``MUGSEARCH_RENEW_AT``, as 04:30, or ``never`` where something else does it.

    Raises:
        CannotStart: if it is neither.
    """
    told = os.environ.get("MUGSEARCH_RENEW_AT") or _RENEW_AT
    try:
        return None if told == "never" else time_of_day.fromisoformat(told)
    except ValueError:
        raise CannotStart(f"MUGSEARCH_RENEW_AT is {told}; it has to be a time as 04:30, or never.") from None


def processes(places: Places, *, host: str, port: int) -> list[Service]:
    """Web, the one search worker (it owns the index), the import worker, the one that acts as owner, and the clock."""
    python = sys.executable
    celery = [python, "-m", "celery", "--quiet", "-A", "mugsearch.celery:app"]
    # Without mingle, gossip and heartbeat: these talk to other workers through a broker that has no server.
    worker = [
        "worker",
        "--without-mingle",
        "--without-gossip",
        "--without-heartbeat",
        "--loglevel=INFO",
    ]
    return [
        Service(
            "web",
            [
                python, "-m", "gunicorn", "mugsearch.wsgi:application", "--bind", f"{host}:{port}",
                "--worker-class", "gthread", "--workers", "2", "--threads", "4", "--no-control-socket",
                "--graceful-timeout", "60", "--timeout", "60", "--log-level", "warning",
                "--forwarder-headers", "",  # else any client says SCRIPT_NAME through a proxy on this machine
            ],
            ends_first=True, orphaned=signal.SIGTERM, renewed=signal.SIGHUP,
        ),
        Service("search worker", [*celery, *worker, "--pool=solo", "-Q", "search", "-n", "search@localhost"]),
        # Threads, so that a long import holds up neither a picked face nor an expungement.
        Service(
            "import worker",
            [*celery, *worker, "--pool=threads", "--concurrency=3", "-Q", "import", "-n", "import@localhost"],
        ),
        # Removed rows leave the tables here, which only their owner may do: so it touches nothing that was uploaded.
        Service(
            "maintenance worker",
            [*celery, *worker, "--pool=solo", "-Q", "maintenance", "-n", "maintenance@localhost"],
            owner=True,
        ),
        Service(
            "scheduler",
            [*celery, "beat", "--loglevel=WARNING", "--pidfile=", "--schedule", str(places.schedule / "beat")],
            ends_first=True,
        ),
    ]  # fmt: skip


def free_port(host: str, wanted: int, terminal: Terminal) -> int:
    """The wanted port, or the next free one, which is said aloud."""
    for port in range(wanted, min(wanted + _PORTS_TRIED, 65536)):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((host, port))
            except PermissionError:
                raise CannotStart(f"port {port} needs more rights than you have; choose one above 1023.") from None
            except OSError:
                continue
        if port != wanted:
            terminal.say(f"Port {wanted} is taken; using {port}.")
        return port
    raise CannotStart(f"no port from {wanted} on is free at {host}; choose another with --port.")


class _Answer:
    """Waits for the first answer of ``/healthz``, asked at most every fifth of a second."""

    def __init__(self, host: str, port: int, allowed_hosts: str) -> None:
        names = [name.strip() for name in allowed_hosts.split(",")]
        self._name = next((name for name in names if name and name[0] not in ".*["), "localhost")
        self._at = ("127.0.0.1" if not host.strip("0.:") else host, port)
        self._until = time.monotonic() + _ANSWER_SECONDS
        self._next = 0.0
        self.came = False

    def has_come(self) -> bool:
        """True once it answered, or the time is over."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + 0.2
        connection = http.client.HTTPConnection(*self._at, timeout=2)
        try:
            # As the proxy would say it: in production plain requests are sent on to https.
            connection.request("GET", "/healthz", headers={"X-Forwarded-Proto": "https", "Host": self._name})
            self.came = connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        return self.came or now > self._until
