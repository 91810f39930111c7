"""The key file, byte by byte: a header of 512 bytes, then slots of 128, so that none straddles a sector of a disk.

A slot is written once, at the end, and never changed but to zeros. Its first byte says what it is, its last is a mark,
so that a slot of which only a part was written, or only a part was overwritten, is recognised as such: nobody was told
that it exists, or it was on its way out. A slot with both and a wrong checksum is damaged, which is something else.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from mugsearch.errors import Unavailable

HEADER, SLOT = 512, 128  # bytes
EMPTY = bytes(SLOT)
VERSION = 1
_MAGIC = b"mugsearch keys\0\0"
_FIRST = struct.pack("<16sHH", _MAGIC, VERSION, SLOT).ljust(HEADER, b"\0")
_LAYOUT = struct.Struct("<B3xd8s16s60s27x")  # kind, time of creation, master key's id, owner, nonce and wrapped key
_SEAL = struct.Struct("<IB")  # CRC-32 of what is before it, the mark
_MARK = 0xA5
_RESIDUE = 0x2144DF1C  # the CRC-32 of anything followed by its own CRC-32
_BLOCK = 8192  # slots that are read at once


class Kind(IntEnum):
    KEY = 1  # of a booking, a probe, a trial photograph
    DIGESTS = 2  # keys the digests that outlive a rotation
    MASTER = 3  # from here on keys are wrapped by this master key


@dataclass(frozen=True, slots=True)
class Slot:
    """`created` in seconds since 1970; `master` the 8 bytes of `master.identity`; `wrapped` 60 bytes."""

    kind: Kind
    created: float
    master: bytes
    owner: UUID
    wrapped: bytes = bytes(60)

    def packed(self) -> bytes:
        body = _LAYOUT.pack(self.kind, self.created, self.master, self.owner.bytes, self.wrapped)
        return body + _SEAL.pack(zlib.crc32(body), _MARK)


def unpacked(raw: bytes) -> Slot | None:
    """None unless it is whole."""
    if len(raw) != SLOT or not is_whole(raw):
        return None
    kind, created, master, owner, wrapped = _LAYOUT.unpack_from(raw)
    return Slot(Kind(kind), created, master, UUID(bytes=owner), wrapped)


def is_whole(raw: bytes) -> bool:
    return raw[0] != 0 and raw[-1] == _MARK and zlib.crc32(raw[:-1]) == _RESIDUE


def is_torn(raw: bytes) -> bool:
    """Written or overwritten in part, by whoever lost power."""
    return (raw[0] == 0 or raw[-1] == 0) and raw != EMPTY


def master_in(raw: bytes) -> bytes:
    return raw[12:20]


def owner_in(raw: bytes) -> bytes:
    """What stands at its place, also in a damaged slot."""
    return raw[20:36]


def begin(file: int) -> None:
    """Write the header where there is none yet, or only the beginning of one. Raises Unavailable when this file is
    none of ours, or of a newer version."""
    found = os.pread(file, HEADER, 0)
    if found == _FIRST:
        return
    unfinished = all(byte in (0, its) for byte, its in zip(found, _FIRST, strict=False))
    if unfinished and os.fstat(file).st_size <= HEADER:
        _write(file, 0, _FIRST)
        return
    magic, version = struct.unpack_from("<16sH", found.ljust(HEADER, b"\0"))
    if magic == _MAGIC and version > VERSION:
        raise Unavailable(f"The key file is of version {version}; this mugsearch reads {VERSION}. Install a newer one.")
    raise Unavailable("The key file is damaged, or isn't one. Restore the keys from their backup.")


def end(file: int) -> int:
    """Where the next slot goes. What a power cut left of one behind it is not counted."""
    size = os.fstat(file).st_size
    return max(HEADER, size - (size - HEADER) % SLOT)


def scan(file: int, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """(place, 128 bytes) of every slot that isn't empty."""
    for block in range(start, stop, SLOT * _BLOCK):
        raw = os.pread(file, min(SLOT * _BLOCK, stop - block), block)
        for at in range(0, len(raw), SLOT):
            slot = raw[at : at + SLOT]
            if slot != EMPTY:
                yield block + at, slot


def append(file: int, slots: Sequence[Slot]) -> None:
    """Durable when it returns. Raises Unavailable, with the file as it was, when the disk is full."""
    place = end(file)
    try:
        _write(file, place, b"".join(slot.packed() for slot in slots))
    except OSError as error:
        with suppress(OSError):
            os.ftruncate(file, place)
            os.fsync(file)
        raise Unavailable(f"The key can't be stored ({error.strerror}). Nothing was saved.") from error


def wipe(file: int, places: Sequence[int]) -> None:
    """Zeros over these slots: durable, and proved by reading them back from the disk, when it returns."""
    if not places:
        return
    try:
        for place in places:
            _write_all(file, place, EMPTY)
        os.fsync(file)
        # Forgets the pages in memory, so that what is read is what the disk has.
        os.posix_fadvise(file, min(places), max(places) + SLOT - min(places), os.POSIX_FADV_DONTNEED)
        left = any(any(os.pread(file, SLOT, place)) for place in places)
    except OSError as error:
        raise Unavailable(f"The key can't be overwritten ({error.strerror}).") from error
    if left:
        raise Unavailable("The data key is still on disk after it was destroyed.")


def _write(file: int, place: int, data: bytes) -> None:
    _write_all(file, place, data)
    os.fsync(file)


def _write_all(file: int, place: int, data: bytes) -> None:
    """The kernel may take less than it is given, for one when the disk becomes full."""
    done = 0
    while done < len(data):
        done += os.pwrite(file, data[done:], place + done)
