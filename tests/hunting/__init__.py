"""Looking for the bytes of vectors: in every file of a folder, and in all the memory of a running process.

Any 32 bytes of a vector give it away, in any form it is ever computed in: the beginning of memory that was freed is
soon overwritten, the rest may stay for long.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mugsearch.engine import scan

_PIECE = 32  # bytes, and every place in memory or in a file that a vector may begin at is a multiple of 8
_BLOCK = 16 * 2**20


class Traces:
    """All pieces of `vectors` (n, d) as float32, as float64 and as the index codes them."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        forms = {"float32": vectors, "float64": vectors.astype(np.float64), "int8": scan.encode(vectors)[0]}
        self._forms = {
            data[start : start + _PIECE]: name
            for name, form in forms.items()
            for data in (row.tobytes() for row in form)
            for start in range(0, len(data) - _PIECE + 1, _PIECE)
        }
        self._words = np.array([int.from_bytes(piece[:8], "little") for piece in self._forms], np.uint64)
        self._likely = np.zeros(2**16, bool)
        self._likely[self._words & 0xFFFF] = True

    def within(self, data: bytes) -> set[str]:
        """The forms of which a piece is in `data`."""
        words = np.frombuffer(data, "<u8", len(data) // 8)
        places = np.flatnonzero(self._likely[words & 0xFFFF])
        places = places[np.isin(words[places], self._words)]
        pieces = (data[8 * place : 8 * place + _PIECE] for place in places.tolist())
        return {self._forms[piece] for piece in pieces if piece in self._forms}


def in_files(folder: Path, sought: Traces) -> set[str]:
    """The forms found in a file below `folder`."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {form for data in files for form in sought.within(data)}


def in_memory(pid: int, sought: Traces) -> set[tuple[str, str]]:
    """The forms found in what the process has mapped, each with the name of the file whose pages they are, empty for
    memory of its own. Skips the test where we may not look."""
    return {(form, file) for file, data in _memory(pid) for form in sought.within(data)}


def _memory(pid: int) -> Iterator[tuple[str, bytes]]:
    try:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    except (FileNotFoundError, PermissionError) as error:
        pytest.skip(f"the memory of another process can't be read here: {error.strerror}")
    try:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, _, _, _, *file = line.split(maxsplit=5)
            if not rights.startswith("r") or line.endswith(("[vvar]", "[vvar_vclock]", "[vsyscall]")):
                continue
            start, end = (int(edge, 16) for edge in place.split("-"))
            for at in range(start, end, _BLOCK - 4096):
                try:
                    yield Path(*file).name, os.pread(memory, min(_BLOCK, end - at), at)
                except OSError:
                    break  # a page of a device, or one beyond the end of its file
    finally:
        os.close(memory)
