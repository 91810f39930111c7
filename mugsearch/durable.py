"""Files that are whole and on disk, or not there at all; and bytes that are gone when we say so. For every room."""

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mugsearch import failpoints
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
    """Put zeros over a file's bytes in place, durably, and prove it by reading back. What a sparse file never held
    stays a hole."""
    with path.open("r+b", buffering=0) as file:
        for place, size in _written(file.fileno()):
            os.pwrite(file.fileno(), bytes(size), place)
        os.fsync(file.fileno())
        for place, size in _written(file.fileno()):
            if any(os.pread(file.fileno(), size, place)):
                raise Unavailable("A file still holds its old bytes after it was overwritten.")


def _written(file: int) -> Iterator[tuple[int, int]]:
    """(place, size) of the stretches that hold bytes, in blocks: a file may be larger than the memory."""
    place, end = 0, os.fstat(file).st_size
    while place < end:
        try:
            place = os.lseek(file, place, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        hole = os.lseek(file, place, os.SEEK_HOLE)
        while place < hole:
            size = min(_BLOCK, hole - place)
            yield place, size
            place += size


def shred(path: Path) -> None:
    """Overwrite and unlink. Doing it twice is no error: whoever erases may have been killed before."""
    try:
        overwrite(path)
    except FileNotFoundError:
        return
    failpoints.reached("file.overwritten")
    path.unlink()


def fsync_folder(folder: Path) -> None:
    """Makes a new name, a rename or an unlinking in `folder` outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(folder: Path) -> None:
    """Everything that was written to the file system of `folder` is on the disk when it returns: of many files, far
    sooner than one after the other. Raises OSError when the disk says that something couldn't be written."""
    if sys.platform != "linux":
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
