"""Whose keys were destroyed, and when: for a restored backup of the keys, in which they are alive again.

One line per owner, `id time`, only ever appended to. A line is on the disk before its key is overwritten: a key that is
gone is always listed. A line whose key is still there is of somebody who was killed in between, and destroys it again.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from mugsearch.durable import fsync_folder
from mugsearch.errors import Unavailable


def append(path: Path, owner: UUID) -> None:
    """Durable when it returns. The caller holds the key file's lock."""
    line = f"{owner} {datetime.now(UTC).isoformat(timespec='seconds')}\n"
    add(path, line, refused="The key can't be destroyed: its record can't be written")


def add(path: Path, lines: str, *, refused: str) -> None:
    """Whole lines at the end of a file: durable when it returns, or the file is as it was and Unavailable is raised.
    What a power cut left of a line stays a line of its own."""
    text = lines.encode()
    is_new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    size = os.fstat(file).st_size
    try:
        if size and os.pread(file, 1, size - 1) != b"\n":
            text = b"\n" + text
        if os.write(file, text) != len(text):
            raise OSError(28, "No space left on device")
        os.fsync(file)
        if is_new:
            fsync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise Unavailable(f"{refused} ({error.strerror}).") from error
    finally:
        os.close(file)


def destroyed(path: Path, since: datetime) -> list[tuple[UUID, datetime]]:
    """Each owner once, with the first time, oldest first. A torn line counts for nothing: its key wasn't touched."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found: dict[UUID, datetime] = {}
    for line in lines:
        with suppress(ValueError):
            owner, at = line.split(" ")
            time = datetime.fromisoformat(at)
            if len(line) == 62 and time >= since:
                found.setdefault(UUID(owner), time)
    return list(found.items())
