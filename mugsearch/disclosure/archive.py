"""A ZIP that is written as it is sent: one file in memory at a time, and the same bytes for the same files.

Photographs don't compress and must not lie about in a temporary file, so everything is stored and nothing goes to the
disk. Nothing in the packaging can differ (no time, no system, no order of its own), so `verify_bundle.py` refuses a ZIP
of which any byte was changed. The layout of a header is there, once for both.
"""

from hashlib import sha256
from typing import Any

from mugsearch.disclosure.verify_bundle import directory_end, directory_entry, local_header
from mugsearch.errors import WrongState

LARGEST = 2**32 - 2**24  # bytes; what a ZIP can hold without the extension that old programs don't know


class Archive:
    """`listed`: name, SHA-256 and size of every file so far, in order."""

    def __init__(self) -> None:
        self.listed: list[dict[str, Any]] = []
        self._directory: list[bytes] = []
        self._offset = 0

    def add(self, name: str, data: bytes) -> tuple[bytes, bytes]:
        """What to send for this file: its header and its content. WrongState when the ZIP would be too large."""
        if self._offset + len(data) > LARGEST:
            raise WrongState("This bundle would be larger than 4 GB.")
        header = local_header(name.encode("ascii"), data)
        self._directory.append(directory_entry(name.encode("ascii"), header, self._offset))
        self._offset += len(header) + len(data)
        self.listed.append({"name": name, "sha256": sha256(data).hexdigest(), "size": len(data)})
        return header, data

    def end(self) -> bytes:
        directory = b"".join(self._directory)
        return directory + directory_end(len(self._directory), len(directory), self._offset)
