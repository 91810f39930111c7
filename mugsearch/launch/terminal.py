"""What a person sees, and what is kept in files.

The terminal stays calm: what was started, the address, and errors. Everything else goes into ``var/log``.
"""

import os
import re
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

_ERROR = re.compile(r"\b(ERROR|CRITICAL|FATAL)\b|^Traceback |\"level\": ?\"(error|critical)\"|\[(error|critical)\s*\]")
_LONGEST_FILE = 10_000_000
_KEPT_FILES = 3
#: More errors than this from one process in ten seconds say nothing new.
_LOUD_LINES = 5
_LOUD_SECONDS = 10.0


class Terminal:
    """Lines for a person, from several threads."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._colour = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()
        self._recent: dict[str, deque[float]] = {}

    def say(self, text: str) -> None:
        with self._lock:
            print(text, file=self._stream, flush=True)

    def loud(self, text: str) -> None:
        self.say(f"\033[31m{text}\033[0m" if self._colour else text)

    def heard(self, name: str, line: str) -> None:
        """A line from a process: shown if it tells of an error."""
        if not _ERROR.search(line):
            return
        now = time.monotonic()
        recent = self._recent.setdefault(name, deque())
        while recent and now - recent[0] > _LOUD_SECONDS:
            recent.popleft()
        recent.append(now)
        if len(recent) <= _LOUD_LINES:
            self.loud(f"{name}: {line}")
        elif len(recent) == _LOUD_LINES + 1:
            self.loud(f"{name}: more errors; see its file in var/log.")


class Journal:
    """One log file that starts anew at 10 MB and keeps its three predecessors."""

    def __init__(self, path: Path, longest: int = _LONGEST_FILE) -> None:
        self._path = path
        self._longest = longest
        self._open()

    def write(self, line: str) -> None:
        if self._size > self._longest:
            self._turn()
        text = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}\n".encode()
        self._size += len(text)
        # A full disk must not stop the reader: the process would block on its own output.
        with suppress(OSError):
            os.write(self._file, text)

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = self._path.stat().st_size

    def _turn(self) -> None:
        os.close(self._file)
        for number in range(_KEPT_FILES - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number + 1}"))
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
