"""Locks between processes. The kernel drops them when their holder ends, however it ends: none can go stale."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class Held:
    """A lock on a file, shared or alone, let go at the end of the ``with`` or by ``release()``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def alone(self) -> Self:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return self

    def shared(self) -> Self:
        fcntl.flock(self._file, fcntl.LOCK_SH)
        return self

    def alone_now(self) -> bool:
        """Whether nobody else holds it; if so, it is held from here on."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def write(self, text: str) -> None:
        """Leaves a note for those who come while it is held."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text.encode(), 0)

    def read(self) -> str:
        return self.path.read_text()

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
