"""Where the bytes of a manifest's photographs come from: a folder, a ZIP, or single files that were uploaded.

The names come from a file somebody else wrote. They are never used to write, and never reach outside of their place.
`Missing` carries the sentence for the row; a source may be read from several threads at once.
"""

import errno
import json
import lzma
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from mugsearch.engine.images import DEFAULT_LIMITS
from mugsearch.errors import BadInput, Unavailable

MOST_BYTES = DEFAULT_LIMITS.max_bytes
TOO_LARGE = f"The photo is larger than {MOST_BYTES >> 20} MB."
# zipfile reads the whole directory of a ZIP into memory: about 65,000 names with ordinary paths fit into this.
_MOST_DIRECTORY_BYTES = 16 * 2**20


class Missing(Exception):
    """This photograph can't be had; the message is shown to the clerk."""


class Source(Protocol):
    def read(self, name: str) -> bytes:
        """At most MOST_BYTES. Raises Missing with the reason, Unavailable when reading as such fails."""
        ...

    def close(self) -> None: ...


class Folder:
    """Photographs below a folder of this machine. Links may point elsewhere in the folder, not out of it."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BadInput(f"There is no folder {folder}.")
        self._root = folder.resolve(strict=True)

    def read(self, name: str) -> bytes:
        relative = _safe_path(name)
        try:
            real = (self._root / relative).resolve(strict=True)
            if not real.is_relative_to(self._root) or real == self._root:
                raise Missing("The photo lies outside of the folder of photographs.")
            descriptor = self._open(real.relative_to(self._root))
        except FileNotFoundError as error:
            raise Missing("There is no such photo in the folder.") from error
        except (OSError, RuntimeError) as error:  # RuntimeError: links that lead round in a circle
            raise _why_not(error) from error
        with os.fdopen(descriptor, "rb") as file:
            try:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise Missing("This is not a file with a photo.")
                if found.st_size > MOST_BYTES:
                    raise Missing(TOO_LARGE)
                return _at_most(file)
            except OSError as error:
                raise _why_not(error) from error

    def close(self) -> None:
        """Nothing is held open."""

    def _open(self, path: Path) -> int:
        """Step by step and without following links, so that a link put there since `resolve` leads nowhere.

        O_NONBLOCK: opening a FIFO must not wait for somebody to write into it.
        """
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in path.parts[:-1]:
                deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = deeper
            # Opening a device can do something by itself, so its kind is looked at first.
            if not stat.S_ISREG(os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise Missing("This is not a file with a photo.")
            return os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        finally:
            os.close(folder)


class Archive:
    """Members of a ZIP, read one by one and never unpacked to disk.

    Names are exact. A ZIP made of one folder may leave that folder out of the manifest, as it comes from a desktop.
    """

    def __init__(self, path: Path) -> None:
        _check_directory(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, EOFError, struct.error, NotImplementedError) as error:
            raise BadInput("The ZIP with the photos is damaged; make it anew.") from error
        except OSError as error:
            raise Unavailable(f"The ZIP with the photos can't be read ({error.strerror}).") from error
        self._members: dict[str, zipfile.ZipInfo | None] = {}
        for info in self._zip.infolist():
            if not info.is_dir():
                self._members[info.filename] = None if info.filename in self._members else info
        tops = {name.partition("/")[0] + "/" for name in self._members if not name.startswith("__MACOSX/")}
        self._top = tops.pop() if len(tops) == 1 else ""

    def read(self, name: str) -> bytes:
        _safe_path(name)
        found = name if name in self._members else self._top + name
        if found not in self._members:
            raise Missing("There is no such photo in the ZIP.")
        info = self._members[found]
        if info is None:
            raise Missing("The ZIP holds two photos of this name.")
        if info.flag_bits & 0x1:
            raise Missing("The photo is encrypted in the ZIP.")
        if info.file_size > MOST_BYTES:
            raise Missing(TOO_LARGE)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Missing("The photo is packed in a way we don't read; make an ordinary ZIP.")
        try:
            with self._zip.open(info) as member:
                return _at_most(member)
        except OSError as error:
            if error.errno == errno.EINVAL:  # its directory points before the beginning of the file
                raise Missing("The photo is damaged in the ZIP.") from error
            raise Unavailable(f"The ZIP with the photos can't be read ({error.strerror}).") from error
        except _BROKEN as error:
            raise Missing("The photo is damaged in the ZIP.") from error

    def close(self) -> None:
        self._zip.close()


class Files:
    """Uploaded files, staged under names of ours. `names` is {"name in the manifest": "file name here"}."""

    def __init__(self, folder: Path, names: dict[str, str]) -> None:
        self._folder = Folder(folder)
        self._names = names

    @classmethod
    def staged(cls, folder: Path) -> "Files":
        return cls(folder, json.loads((folder / "names.json").read_text()))

    def read(self, name: str) -> bytes:
        here = self._names.get(str(_safe_path(name)))
        if here is None:
            # Never by the last part of a path alone: 2024/front.jpg and 2025/front.jpg are two people.
            raise Missing("This photo was not among the uploaded files; photos in folders have to come in a ZIP.")
        return self._folder.read(here)

    def close(self) -> None:
        """Nothing is held open."""


_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    struct.error,
)


def _safe_path(name: str) -> PurePosixPath:
    """The name as a relative path. What could mean another place on any system is refused, on all of them."""
    if not name or "\0" in name:
        raise Missing("The photo has no usable name.")
    if "\\" in name or name[1:2] == ":":
        raise Missing("The photo's name is a Windows path; write it relative to the folder of photographs, with “/”.")
    path = PurePosixPath(name)
    if path.is_absolute():
        raise Missing("The photo's name begins with “/”; write it relative to the folder of photographs.")
    if ".." in path.parts or not path.parts:
        raise Missing("The photo's name leads out of the folder of photographs.")
    return path


def _at_most(file: IO[bytes]) -> bytes:
    """Sizes that were declared may be a lie, so what is read is limited too."""
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Missing(TOO_LARGE)
    return data


def _why_not(error: OSError | RuntimeError) -> Exception:
    number = error.errno if isinstance(error, OSError) else errno.ELOOP
    if number in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR, errno.ENXIO, errno.EINVAL):
        return Missing("There is no such photo in the folder.")
    if number in (errno.EACCES, errno.EPERM):
        return Missing("The photo may not be read: its file permissions forbid it.")
    return Unavailable(f"The photos can't be read ({os.strerror(number or 0)}).")


def _check_directory(path: Path) -> None:
    """Refuse, before zipfile loads it, a ZIP whose directory of names would fill the memory."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = max(0, size - (1 << 16) - 22)  # the longest comment, and the record
        file.seek(start)
        tail = file.read()
    at = len(tail) - 22 if tail[-22:-18] == b"PK\x05\x06" and tail[-2:] == b"\0\0" else tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise BadInput("The file with the photos is not a ZIP, or it is cut short; make it anew.")
    (directory,) = struct.unpack_from("<I", tail, at + 12)
    if directory > _MOST_DIRECTORY_BYTES or (at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07"):
        raise BadInput("The ZIP holds too many photos or is larger than 4 GB; split the manifest and the ZIP.")
