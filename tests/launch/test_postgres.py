"""The embedded PostgreSQL. pytest's folders are closed to other users, so as root this also shows that the server,
which then runs without rights, reaches its data all the same."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from mugsearch.launch.places import CHECKOUT, Places
from mugsearch.launch.postgres import ADMIN, EmbeddedPostgres, Lease

HOLD_FOR_EVER = """
import sys, time
from pathlib import Path
from mugsearch.launch.postgres import EmbeddedPostgres
lease = EmbeddedPostgres(Path(sys.argv[1]), Path(sys.argv[2]), durable=False).lease()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    places = Places(tmp_path / "var with blanks")
    places.prepare()
    yield places
    if places.postgres.exists():
        server(places).discard()


def server(places: Places) -> EmbeddedPostgres:
    return EmbeddedPostgres(places.postgres, places.locks, durable=False)


def postmaster(places: Places) -> int:
    return int((places.postgres / "data" / "postmaster.pid").read_text().split()[0])


def socket_folder(lease: Lease) -> Path:
    return Path(str(conninfo_to_dict(lease.url)["host"]))


def is_running(pid: int) -> bool:
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except FileNotFoundError:
        return False


def remember(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'Škoda' AS name")


def recall(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT name FROM kept").fetchone()
    assert row is not None
    return str(row[0])


def test_data_outlast_a_stop_and_a_start(places: Places) -> None:
    lease = server(places).lease()
    remember(lease.owner_url)
    lease.end()
    lease = server(places).lease()
    assert recall(lease.owner_url) == "Škoda"
    lease.end()


def test_data_outlast_kill_9_of_the_server(places: Places) -> None:
    lease = EmbeddedPostgres(places.postgres, places.locks).lease()
    remember(lease.owner_url)
    killed = postmaster(places)
    os.kill(killed, signal.SIGKILL)
    while is_running(killed):
        time.sleep(0.01)
    again = server(places).lease()
    assert recall(again.owner_url) == "Škoda"
    assert postmaster(places) != killed


def test_a_server_whose_parent_was_killed_is_used_again(places: Places) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", HOLD_FOR_EVER, str(places.postgres), str(places.locks)],
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"held\n"
    left_over = postmaster(places)
    parent.kill()
    parent.wait()
    lease = server(places).lease()
    assert postmaster(places) == left_over
    lease.end()
    assert not is_running(left_over)


def test_the_last_to_leave_stops_the_server(places: Places) -> None:
    first, second = server(places).lease(), server(places).lease()
    pid = postmaster(places)
    first.end()
    assert is_running(pid)
    second.end()
    assert not is_running(pid)


def test_two_first_starts_at_once_make_one_server(places: Places) -> None:
    leases = []
    threads = [threading.Thread(target=lambda: leases.append(server(places).lease())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(leases) == 2
    remember(leases[0].owner_url)
    assert recall(leases[1].owner_url) == "Škoda"


def test_an_interrupted_first_start_does_not_stand_in_the_way(places: Places) -> None:
    half = places.postgres / "data.draft"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    server(places).lease().end()
    assert not half.exists()


def test_the_service_owns_nothing_and_sees_what_it_is_given(places: Places) -> None:
    lease = server(places).lease()
    remember(lease.owner_url)
    with psycopg.connect(lease.url, autocommit=True) as connection:
        for forbidden in ("SELECT * FROM kept", "CREATE TABLE mine ()", "SET ROLE mugsearch", "CREATE ROLE mine"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)  # type: ignore[arg-type]
    with psycopg.connect(lease.owner_url) as connection:
        connection.execute("GRANT SELECT ON kept TO mugsearch_service")
    assert recall(lease.url) == "Škoda"
    lease.end()


def test_a_data_folder_from_before_there_was_the_services_role_gets_it_at_the_next_start(places: Places) -> None:
    lease = server(places).lease()
    remember(lease.owner_url)
    as_admin = lease.owner_url.replace("mugsearch@", f"{ADMIN}@")
    with psycopg.connect(as_admin, autocommit=True) as connection:
        connection.execute("DROP OWNED BY mugsearch_service")
        connection.execute("DROP ROLE mugsearch_service")
    lease.end()
    lease = server(places).lease()
    assert recall(lease.owner_url) == "Škoda"
    with psycopg.connect(lease.url, autocommit=True) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("mugsearch_service",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM kept")
    lease.end()


def test_it_listens_on_no_port_and_its_socket_is_closed_to_others(places: Places) -> None:
    lease = server(places).lease()
    with psycopg.connect(lease.url) as connection:
        settings = connection.execute(
            "SELECT current_setting('listen_addresses'), current_setting('is_superuser')"
        ).fetchone()
    assert settings == ("", "off")
    assert socket_folder(lease).stat().st_mode & 0o777 == 0o700


def test_promises_are_kept_on_disk_where_the_data_are_meant_to_last(places: Places) -> None:
    lease = EmbeddedPostgres(places.postgres, places.locks).lease()
    with psycopg.connect(lease.url) as connection:
        settings = connection.execute(
            "SELECT current_setting('fsync'), current_setting('full_page_writes'), "
            "current_setting('synchronous_commit'), current_setting('data_checksums')"
        ).fetchone()
    assert settings == ("on", "on", "on", "on")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused_even_where_the_folders_are_open(tmp_path: Path) -> None:
    # A path too long for a socket: then it is in the system's temporary folder, which everybody may pass through.
    places = Places(tmp_path / ("long" * 25) / "var")
    places.prepare()
    lease = server(places).lease()
    folder = socket_folder(lease)
    folder.chmod(0o777)
    (folder / ".s.PGSQL.5432").chmod(0o777)
    answer = subprocess.run(
        ["/usr/bin/env", "python3", "-c", PEER_OF_NOBODY, str(folder / ".s.PGSQL.5432")],
        user=65534, group=65534, extra_groups=[], capture_output=True, text=True, check=False, cwd="/",
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    lease.end()
    assert "Peer authentication failed" in answer.stdout


#: The start-up message of the protocol, by hand: the interpreter of another user has no psycopg.
PEER_OF_NOBODY = """
import socket, struct, sys
door = socket.socket(socket.AF_UNIX)
door.connect(sys.argv[1])
text = b"user\\0mugsearch\\0database\\0mugsearch\\0\\0"
door.sendall(struct.pack("!ii", len(text) + 8, 196608) + text)
print(door.recv(4096).decode(errors="replace"))
"""


def test_a_path_too_long_for_a_socket_is_no_hindrance(tmp_path: Path) -> None:
    places = Places(tmp_path / ("long" * 25) / "var")
    places.prepare()
    lease = server(places).lease()
    folder = Path((places.postgres / "socket-folder").read_text())
    try:
        remember(lease.owner_url)
        assert recall(lease.owner_url) == "Škoda"
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        lease.end()
    assert not folder.exists()
