"""The script ``run``, in a checkout of its own with no packages to install."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mugsearch.launch.places import CHECKOUT

TOOLS = [
    "cat",
    "chmod",
    "cmp",
    "cp",
    "date",
    "dirname",
    "env",
    "grep",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "sed",
    "sh",
    "tail",
]
LAUNCH = """
import os, sys
print("launched", *sys.argv[1:])
print("in", os.getcwd())
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    checkout = tmp_path / "a check out"
    (checkout / "mugsearch" / "launch").mkdir(parents=True)
    (checkout / "mugsearch" / "launch" / "__main__.py").write_text(LAUNCH)
    shutil.copy(CHECKOUT / "run", checkout)
    (checkout / "requirements.txt").write_text("# none\n")
    (checkout / "requirements-dev.txt").write_text("# none\n")
    (checkout / "requirements-bench.txt").write_text("# none\n")
    return checkout


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A search path with the usual tools and no Python."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return folder


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def python_in(folder: Path, name: str) -> None:
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    program(folder, name, f'exec "{base}" "$@"')


def run(checkout: Path, *arguments: str, path: Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(checkout / "run"), *arguments], env={"PATH": str(path)}, cwd=cwd or checkout.parent, text=True,
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip


def test_without_python_it_says_so_in_one_line(checkout: Path, tools: Path) -> None:
    done = run(checkout, "demo", path=tools)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Python 3.11, 3.12 or 3.13 is needed and none was found" in done.stderr


def test_an_old_python_is_named(checkout: Path, tools: Path) -> None:
    program(tools, "python3", 'case "$*" in *platform*) echo 3.9.2 ;; *) exit 1 ;; esac')
    done = run(checkout, "demo", path=tools)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "only Python 3.9.2" in done.stderr


def test_a_python_without_its_venv_module_is_named(checkout: Path, tools: Path) -> None:
    program(tools, "python3", 'case "$*" in *ensurepip*) exit 1 ;; *platform*) echo 3.11.2 ;; esac')
    done = run(checkout, "demo", path=tools)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "apt install python3-venv" in done.stderr


def test_an_unknown_command_is_refused_before_anything_is_installed(checkout: Path, tools: Path) -> None:
    done = run(checkout, "dmeo", path=tools)
    assert done.returncode == 1
    assert "no command 'dmeo'" in done.stderr
    assert not (checkout / ".venv").exists()


def test_it_installs_once_and_again_only_when_it_has_to(checkout: Path, tools: Path, tmp_path: Path) -> None:
    # A pyenv shim is found first and fails.
    program(tools, "python3.13", "echo 'pyenv: version not found' >&2; exit 127")
    python_in(tools, "python3")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    first = run(checkout, "manage", "migrate", "--plan", path=tools, cwd=elsewhere)
    assert first.returncode == 0, first.stderr
    assert first.stdout == f"launched manage migrate --plan\nin {elsewhere}\n"
    assert "first time only" in first.stderr
    assert (checkout / ".venv" / "bin" / "python").exists()

    assert run(checkout, "manage", path=tools).stderr == ""

    # The tests' packages include the service's.
    assert "Installing" in run(checkout, "test", path=tools).stderr
    assert run(checkout, "manage", path=tools).stderr == ""

    (checkout / "requirements.txt").write_text("# none either\n")
    assert "the requirements changed" in run(checkout, "manage", path=tools).stderr
    assert run(checkout, "manage", path=tools).stderr == ""


def test_only_the_comparison_with_other_engines_installs_them_and_nothing_takes_them_away(
    checkout: Path, tools: Path
) -> None:
    python_in(tools, "python3")
    has = checkout / ".venv" / "mugsearch-installed"
    assert run(checkout, "bench", "import_rate", path=tools).returncode == 0
    assert not (has / "requirements-bench.txt").exists()

    assert "Installing" in run(checkout, "bench", "search", "--rows", "1", path=tools).stderr
    assert (has / "requirements-bench.txt").exists()
    assert run(checkout, "test", path=tools).stderr == ""
    assert run(checkout, "manage", path=tools).stderr == ""

    (checkout / "requirements.txt").write_text("# none either\n")
    assert "the requirements changed" in run(checkout, "manage", path=tools).stderr
    assert run(checkout, "bench", "search", path=tools).stderr == ""


def test_a_moved_checkout_gets_a_new_environment(checkout: Path, tools: Path, tmp_path: Path) -> None:
    python_in(tools, "python3")
    assert run(checkout, "manage", path=tools).returncode == 0
    moved = checkout.rename(tmp_path / "moved")
    done = run(moved, "manage", path=tools)
    assert done.returncode == 0, done.stderr
    assert "Installing" in done.stderr
    assert str(moved) in (moved / ".venv" / "bin" / "activate").read_text()


def test_another_checkout_in_the_callers_folder_is_not_run(checkout: Path, tools: Path, tmp_path: Path) -> None:
    python_in(tools, "python3")
    other = tmp_path / "other"
    (other / "mugsearch" / "launch").mkdir(parents=True)
    (other / "mugsearch" / "launch" / "__main__.py").write_text("print('the wrong one')")
    assert run(checkout, "manage", path=tools, cwd=other).stdout.startswith("launched manage")


def test_two_at_once_install_once(checkout: Path, tools: Path) -> None:
    python_in(tools, "python3")
    both = [
        subprocess.Popen(
            [str(checkout / "run"), "manage"], env={"PATH": str(tools)}, text=True, stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    shown = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], shown
    assert sum("Installing" in errors for _, errors in shown) == 1
    assert all("launched" in output for output, _ in shown)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_checkout_of_somebody_else_is_named(checkout: Path, tools: Path) -> None:
    python_in(tools, "python3")
    checkout.chmod(0o500)
    done = run(checkout, "manage", path=tools)
    checkout.chmod(0o700)
    assert done.returncode == 1
    assert "the user it belongs to" in done.stderr
