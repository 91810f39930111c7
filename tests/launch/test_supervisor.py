"""The parent of all processes, with small processes in place of the real ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mugsearch.launch.places import CHECKOUT

PARENT = """
import signal, sys
from pathlib import Path
from mugsearch.launch.supervisor import Service, Supervisor
from mugsearch.launch.terminal import Terminal

folder = Path(sys.argv[1])
supervisor = Supervisor(
    [Service(name, [sys.executable, "-c", program]) for name, program in zip(sys.argv[2::2], sys.argv[3::2])],
    environ={"PATH": "/usr/bin:/bin"}, folder=folder, logs=folder, terminal=Terminal(sys.stdout), patience=1.0,
)
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
