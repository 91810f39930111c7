"""Files that are whole and on disk, or not there at all; and bytes that are gone when we say so. For every room."""

import os
from pathlib import Path

from mugsearch.errors import Unavailable

_BLOCK = 2**20  # bytes; a file may be larger than the memory


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
    with path.open("r+b", buffering=0) as file:
        left = os.fstat(file.fileno()).st_size
        while left > 0:
            left -= file.write(bytes(min(_BLOCK, left)))
        os.fsync(file.fileno())
        file.seek(0)
        while block := file.read(_BLOCK):
            if any(block):
                raise Unavailable("A file still holds its old bytes after it was overwritten.")


def shred(path: Path) -> None:
    """Overwrite and unlink. Doing it twice is no error: whoever erases may have been killed before."""
    try:
        overwrite(path)
    except FileNotFoundError:
        return
    path.unlink()


def fsync_folder(folder: Path) -> None:
    """Makes a new name, a rename or an unlinking in `folder` outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
