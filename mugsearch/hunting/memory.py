"""The memory of every process of ours, and files that one has open but that have no name any more. Linux only.

Ours are: whoever was started with this MUGSEARCH_VAR, the launcher above it, the database server if it is here, and all
processes under them. The process that hunts holds the markers itself, as its parents may on their command lines, so
these are left out. Parts of a program's file that nobody can have written to are, too.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.conf import settings

from mugsearch.hunting.files import blocks, embedded
from mugsearch.hunting.markers import Sought
from mugsearch.hunting.report import Ages, Place, Progress

_PROC: Final = Path("/proc")
_BLOCK: Final = 8 * 2**20


def look(sought: Sought, server: int | None, progress: Progress) -> Iterator[Place]:
    """`server`: number of the database server's process where that is on this machine."""
    ours = Place("memory of processes", Ages.MEMORY)
    # What the server's processes share are copies of the pages of its files.
    shared = Place("PostgreSQL, shared memory", Ages.PAGES)
    # The server removes segments of its log, and files of tables that were written anew, that a session has open.
    unnamed = {
        "/pg_wal/": Place("write-ahead log, removed and still open", Ages.WAL),
        "/base/": Place("database files, removed and still open", Ages.PAGES),
        "": Place("open files without a name"),
    }
    if not (_PROC / "self" / "maps").exists():
        ours.missed.append("this system doesn't show the memory of processes")
        yield ours
        return
    seen: set[str] = set()
    for pid, name in sorted(processes(server).items()):
        progress(f"memory of {name} ({pid})")
        try:
            ours.read(0, 1)
            _process(pid, name, sought, ours, shared if name == "postgres" else ours, seen)
            _unnamed(pid, name, unnamed, sought)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        except PermissionError:
            ours.missed.append(f"{name} ({pid}): the right to read its memory is missing")
    yield from (ours, shared, *unnamed.values())


def processes(server: int | None) -> dict[int, str]:
    """{pid: name} of ours, without this one and those above it."""
    parents = {pid: parent for pid in _numbers() if (parent := _parent(pid)) is not None}
    own = {os.getpid(), *_above(os.getpid(), parents)}
    roots = {pid for pid in parents if pid not in own and _is_ours(pid)}
    roots |= {launcher for pid in roots if (launcher := _launcher(pid, parents)) is not None}
    if (server := server or _embedded_server()) is not None:
        roots.add(server)
    found = {pid for pid in parents if pid in roots or roots & set(_above(pid, parents))}
    return {pid: _name(pid) for pid in found - own}


def _launcher(pid: int, parents: dict[int, int]) -> int | None:
    """The nearest one: above a service that a test has started is the launcher of the tests."""
    return next((one for one in (pid, *_above(pid, parents)) if b"mugsearch.launch" in _command(one)), None)


def _numbers() -> list[int]:
    return [int(path.name) for path in _PROC.iterdir() if path.name.isdigit()]


def _above(pid: int, parents: dict[int, int]) -> list[int]:
    found: list[int] = []
    while (pid := parents.get(pid, 0)) > 1 and pid not in found:
        found.append(pid)
    return found


def _parent(pid: int) -> int | None:
    try:
        return int((_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return None


def _is_ours(pid: int) -> bool:
    try:
        told = dict(
            entry.partition(b"=")[::2] for entry in (_PROC / str(pid) / "environ").read_bytes().split(b"\0") if entry
        )
        if (var := told.get(b"MUGSEARCH_VAR")) is None:
            if b"mugsearch" not in _command(pid):
                return False
            var = os.fsencode((_PROC / str(pid) / "cwd").readlink() / "var")
        return Path(os.fsdecode(var)).resolve() == Path(settings.VAR)
    except OSError:
        return False


def _command(pid: int) -> bytes:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return "process"


def _embedded_server() -> int | None:
    try:
        return int(((embedded() or Path()) / "data" / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError):
        return None


def _process(pid: int, name: str, sought: Sought, own: Place, shared: Place, seen: set[str]) -> None:
    memory = os.open(_PROC / str(pid) / "mem", os.O_RDONLY)
    try:
        for line in (_PROC / str(pid) / "maps").read_text().splitlines():
            edges, rights, offset, device, inode, *file = line.split(maxsplit=5)
            if rights[0] != "r" or line.endswith(("[vvar]", "[vvar_vclock]", "[vsyscall]")):
                continue
            if rights[1] != "w" and file and file[0].startswith("/"):
                continue  # as it is in the program's file
            if rights[3] == "s":
                # Several processes have the same pages.
                if (same := f"{device} {inode} {offset}") in seen:
                    continue
                seen.add(same)
            place = shared if rights[3] == "s" else own
            start, end = (int(edge, 16) for edge in edges.split("-"))
            where = f"{name} ({pid}), {_kind(file, rights)}"
            place.found(where, sought.in_blocks(_pages(memory, start, end, place)))
    finally:
        os.close(memory)


def _kind(file: list[str], rights: str) -> str:
    if rights[3] == "s":
        return "shared"
    return file[0].strip("[]") if file and file[0].startswith("[") else "its own"


def _pages(memory: int, start: int, end: int, place: Place) -> Iterator[bytes]:
    for at in range(start, end, _BLOCK):
        try:
            block = os.pread(memory, min(_BLOCK, end - at), at)
        except OSError:
            return  # a page of a device, or one beyond the end of its file
        place.read(len(block))
        yield block


def _unnamed(pid: int, name: str, places: dict[str, Place], sought: Sought) -> None:
    """Files that were unlinked while open, in the place whose folder is in their path."""
    for link in (_PROC / str(pid) / "fd").iterdir():
        try:
            path = str(link.readlink())
            if not path.endswith(" (deleted)") or not link.is_file():
                continue
            known = (place for folder, place in places.items() if folder in path and (not folder or name == "postgres"))
            place = next(known)
            with link.open("rb", buffering=0) as file:
                place.read(0, 1)
                place.found(f"{name} ({pid})", sought.in_blocks(blocks(file.read, place)))
        except OSError:
            continue  # closed meanwhile
