"""Writing files so that they are whole and on disk, or not there at all."""

import os
from pathlib import Path

from mugsearch.errors import Unavailable


def write(path: Path, data: bytes) -> None:
    """Atomic and durable: temporary file, fsync, rename, fsync of the folder. Unavailable when the disk is full."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fsync_folder(path.parent.parent)
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        fsync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Unavailable(f"The file can't be stored ({error.strerror}). Nothing was saved.") from error


def overwrite(path: Path) -> None:
    """Put zeros over a file's bytes in place, durably, and prove it by reading back."""
    size = path.stat().st_size
    with path.open("r+b", buffering=0) as file:
        file.write(bytes(size))
        os.fsync(file.fileno())
    if any(path.read_bytes()):
        raise Unavailable("A file still holds its old bytes after it was overwritten.")


def fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
