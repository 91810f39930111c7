"""The parent of all processes, with small processes in place of the real ones."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mugsearch.launch.places import CHECKOUT, Places
from mugsearch.launch.sessions import processes
from mugsearch.launch.supervisor import next_time

PARENT = """
import signal, sys
from pathlib import Path
from mugsearch.launch.supervisor import Service, Supervisor
from mugsearch.launch.terminal import Terminal

folder = Path(sys.argv[1])
supervisor = Supervisor(
    [Service(name, [sys.executable, "-c", program]) for name, program in zip(sys.argv[2::2], sys.argv[3::2])],
    environ={"PATH": "/usr/bin:/bin"}, folder=folder, logs=folder, terminal=Terminal(sys.stdout), patience=1.0,
    renewal_patience=0.5,
)
signal.signal(signal.SIGUSR1, supervisor.renew_now)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, supervisor.on_signal)
supervisor.start()
code = supervisor.watch()
supervisor.stop()
sys.exit(code)
"""
#: Notes its number and stays, with a child of its own; deaf to polite requests.
STUBBORN = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
draft = pathlib.Path(f"{os.getpid()}.draft")
draft.touch()
draft.rename(f"{os.getpid()}.pid")
time.sleep(600)
"""
POLITE = STUBBORN.replace("signal.SIG_IGN", "signal.SIG_DFL").replace("os.fork()", "")
#: Adds to a list when it starts and when it is asked to end.
LISTED = """
import os, pathlib, signal, sys, time
def note(what):
    with open("listed", "a") as file:
        file.write(f"{what} NAME\\n")
def end(*_):
    time.sleep(0.3)
    note("ended")
    sys.exit()
signal.signal(signal.SIGTERM, end)
note("began")
pathlib.Path(f"{os.getpid()}.pid").touch()
time.sleep(600)
"""
FAILING = "print('the cause of it'); raise SystemExit(7)"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list["subprocess.Popen[str]"]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
    for pid in numbers(tmp_path):
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def parent(folder: Path, started: list["subprocess.Popen[str]"], *services: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), *services], cwd=CHECKOUT, text=True, stdout=subprocess.PIPE
    )
    started.append(process)
    return process


def numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.pid")]


def wait_for_numbers(folder: Path, count: int) -> list[int]:
    until = time.monotonic() + 15
    while len(found := numbers(folder)) < count:
        assert time.monotonic() < until, f"only {found} started"
        time.sleep(0.02)
    return found


def is_running(pid: int) -> bool:
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except FileNotFoundError:
        return False


def wait_until_gone(pids: list[int]) -> None:
    until = time.monotonic() + 5
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < until, f"still running: {left}"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process_not_even_a_stubborn_one(
    tmp_path: Path, started: list["subprocess.Popen[str]"], number: signal.Signals
) -> None:
    process = parent(tmp_path, started, "web", POLITE, "worker", STUBBORN)
    pids = wait_for_numbers(tmp_path, 3)
    process.send_signal(number)
    assert process.wait(timeout=10) == 0
    wait_until_gone(pids)


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path, started: list["subprocess.Popen[str]"]) -> None:
    process = parent(tmp_path, started, "worker", STUBBORN)
    pids = wait_for_numbers(tmp_path, 2)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
    assert time.monotonic() - began < 0.9
    wait_until_gone(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the orphans")
def test_kill_9_of_the_parent_leaves_no_process(tmp_path: Path, started: list["subprocess.Popen[str]"]) -> None:
    process = parent(tmp_path, started, "web", POLITE, "worker", POLITE)
    pids = wait_for_numbers(tmp_path, 2)
    process.kill()
    wait_until_gone(pids)


def test_a_process_that_dies_is_reported_and_started_again(
    tmp_path: Path, started: list["subprocess.Popen[str]"]
) -> None:
    process = parent(tmp_path, started, "search worker", POLITE)
    (first,) = wait_for_numbers(tmp_path, 1)
    os.kill(first, signal.SIGKILL)
    assert len(wait_for_numbers(tmp_path, 2)) == 2
    process.send_signal(signal.SIGINT)
    shown = process.communicate(timeout=10)[0]
    assert "search worker was ended by SIGKILL." in shown
    assert "started again" in shown


def test_one_that_keeps_dying_stops_everything_and_says_why(
    tmp_path: Path, started: list["subprocess.Popen[str]"]
) -> None:
    # The pauses between the starts double: half a second, one, two, four.
    process = parent(tmp_path, started, "scheduler", FAILING, "web", POLITE)
    shown = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert shown.count("scheduler ended with exit code 7.") == 5
    assert "the cause of it" in shown
    assert "stopping everything" in shown
    assert "the cause of it" in (tmp_path / "scheduler.log").read_text()
    wait_until_gone(numbers(tmp_path))


def test_a_renewal_is_one_after_the_other_and_no_death(tmp_path: Path, started: list["subprocess.Popen[str]"]) -> None:
    names = ("search worker", "import worker", "scheduler")
    process = parent(tmp_path, started, *(part for name in names for part in (name, LISTED.replace("NAME", name))))
    wait_for_numbers(tmp_path, 3)
    for _ in range(2):  # more often than so many deaths would be forgiven
        process.send_signal(signal.SIGUSR1)
        listed = wait_for_lines(tmp_path / "listed", 9)[3:]
        assert listed[::2] == [f"ended {name}" for name in names]
        assert listed[1::2] == [f"began {name}" for name in names]
        (tmp_path / "listed").write_text("x\nx\nx\n")
    process.send_signal(signal.SIGINT)
    assert "started again" not in process.communicate(timeout=10)[0]


def test_one_that_does_not_end_for_a_renewal_is_killed(tmp_path: Path, started: list["subprocess.Popen[str]"]) -> None:
    process = parent(tmp_path, started, "import worker", STUBBORN)
    first = wait_for_numbers(tmp_path, 2)
    process.send_signal(signal.SIGUSR1)
    wait_for_numbers(tmp_path, 4)
    wait_until_gone(first)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0


def test_the_night_comes_once_a_day_on_the_clock_of_the_machine() -> None:
    now = datetime.now(UTC).astimezone()
    for minutes in (-1, 1, 60 * 13):
        at = (now + timedelta(minutes=minutes)).time()
        night = next_time(at)
        assert timedelta(0) < night - now <= timedelta(days=1, hours=1)
        assert night.astimezone().time() == at


def test_when_it_comes_they_are_renewed(tmp_path: Path, started: list["subprocess.Popen[str]"]) -> None:
    soon = "from datetime import datetime, timedelta; at = (datetime.now() + timedelta(seconds=3)).time()"
    program = PARENT.replace("folder = ", f"{soon}\nfolder = ").replace("patience=1.0,", "patience=1.0, renew_at=at,")
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), "web", POLITE], cwd=CHECKOUT, text=True, stdout=subprocess.PIPE
    )
    started.append(process)
    first = wait_for_numbers(tmp_path, 1)
    wait_for_numbers(tmp_path, 2)
    wait_until_gone(first)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0


WEB = """
import os, time
def application(environ, start):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(4)
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


def test_a_renewal_of_the_web_drops_no_request(tmp_path: Path) -> None:
    (tmp_path / "answering.py").write_text(WEB)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    web = processes(Places(tmp_path), host="127.0.0.1", port=port)[0]
    assert web.renewed == signal.SIGHUP
    command = [part.replace("mugsearch.wsgi:", "answering:") for part in web.command]
    server = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    try:
        wait_for_answer(port)
        with ThreadPoolExecutor(5) as people:
            slow = people.submit(ask, port, "/slow")
            time.sleep(0.5)
            until = time.monotonic() + 6
            asking = [people.submit(ask_until, port, until) for _ in range(4)]
            server.send_signal(signal.SIGHUP)
            before = slow.result()  # who was at it when the renewal began
            answers = [answer for one in asking for answer in one.result()]
        assert len(answers) > 100
        assert before not in {ask(port) for _ in range(40)}
    finally:
        server.terminate()
        server.wait(20)


def ask(port: int, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return answer.read().decode()


def ask_until(port: int, until: float) -> list[str]:
    answers = []
    while time.monotonic() < until:
        answers.append(ask(port))
    return answers


def wait_for_answer(port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            ask(port)
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.1)
        else:
            return


def wait_for_lines(path: Path, count: int) -> list[str]:
    until = time.monotonic() + 20
    while len(lines := path.read_text().splitlines()) < count:
        assert time.monotonic() < until, lines
        time.sleep(0.02)
    return lines
