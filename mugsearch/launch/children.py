"""Starting other programs so that none outlives this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_TIED = str(Path(__file__).with_name("tied.py"))


def tied(command: Sequence[str], ending: signal.Signals) -> list[str]:
    """The command, made to receive ``ending`` from the kernel when this process is gone."""
    return [sys.executable, "-I", _TIED, str(os.getpid()), str(int(ending)), *command]


def run_to_end(command: Sequence[str], *, environ: Mapping[str, str], folder: Path | None = None) -> int:
    """Runs a program with this terminal and gives its exit code.

    Ctrl-C reaches the program itself, from the terminal; here it only must not end the services under it too
    early. A SIGTERM, which reaches this process alone, is handed on.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A handler that does nothing, not SIG_IGN: the program would inherit that.
    signal.signal(signal.SIGINT, lambda *_: None)
    process: subprocess.Popen[bytes] | None = None
    try:
        process = subprocess.Popen(tied(command, signal.SIGTERM), env=dict(environ), cwd=folder, restore_signals=True)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
