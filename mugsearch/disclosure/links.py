"""The audit from the first entry that is disclosed to the head, so that it can be checked by somebody who may read only
a few entries of it.

A disclosed entry is there as its canonical form. Of all others there is what SHA-256 has come to before their last
bytes, and these last bytes: at most 63 of them, then `"previous":"…"}`, which is last because the keys are sorted. From
that and the digest of the entry before follows the digest of the entry, but not what it says. A list of digests alone
would be worth nothing: whoever makes entries up could write any digests between them and the true head.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mugsearch.audit.models import Entry
from mugsearch.disclosure.verify_bundle import CONSTANTS, INITIAL

PER_FILE = 20_000  # entries; about 3 MB
_AT_ONCE = 5_000
_LAST = len('"previous":""}') + 64  # bytes: what every canonical form ends with
_BLOCK = 64  # bytes, of SHA-256

Words = NDArray[np.uint32]


def files(*, first: int, last: int, disclosed: set[int]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the files that hold the entries from `first` to `last`, one JSON object a line."""
    for place, start in enumerate(range(first, last + 1, PER_FILE), start=1):
        lines: list[bytes] = []
        for at in range(start, min(start + PER_FILE, last + 1), _AT_ONCE):
            end = min(at + _AT_ONCE, start + PER_FILE, last + 1)
            lines += _lines(list(Entry.objects.filter(number__gte=at, number__lt=end).order_by("number")), disclosed)
        yield f"audit/{place:06}.jsonl", b"".join(lines)


def _lines(entries: list[Entry], disclosed: set[int]) -> Iterator[bytes]:
    closed = [entry.canonical() for entry in entries if entry.number not in disclosed]
    links = _links(closed)
    for entry in entries:
        shown = {"canonical": entry.canonical().decode()} if entry.number in disclosed else next(links)
        yield json.dumps(shown, ensure_ascii=False).encode() + b"\n"


def _links(canonical: list[bytes]) -> Iterator[dict[str, Any]]:
    blocks = [(len(one) - _LAST) // _BLOCK for one in canonical]
    for one, count, state in zip(canonical, blocks, states(canonical, blocks), strict=True):
        yield {"state": state.hex(), "length": len(one), "tail": one[count * _BLOCK : len(one) - _LAST].hex()}


def states(messages: list[bytes], blocks: list[int]) -> list[bytes]:
    """What SHA-256 has come to after so many blocks of 64 bytes of each message: 32 bytes each.

    All messages go through it side by side; hashlib doesn't tell its state.
    """
    counts = np.array(blocks, dtype=np.int64)
    state = np.repeat(np.array(INITIAL, dtype=np.uint32)[:, None], len(messages), axis=1)
    for block in range(counts.max(initial=0)):
        going = np.flatnonzero(counts > block)
        joined = b"".join(messages[place][block * _BLOCK : (block + 1) * _BLOCK] for place in going)
        words = np.frombuffer(joined, dtype=">u4").reshape(-1, 16).T.astype(np.uint32)
        state[:, going] = _compressed(state[:, going], words)
    return [column.astype(">u4").tobytes() for column in state.T]


def _compressed(state: Words, block: Words) -> Words:
    """FIPS 180-4, 6.2.2. `state`: 8 x N, `block`: 16 x N words; additions wrap as they should."""
    words = list(block)
    for i in range(16, 64):
        s0 = _turned(words[i - 15], 7) ^ _turned(words[i - 15], 18) ^ (words[i - 15] >> 3)
        s1 = _turned(words[i - 2], 17) ^ _turned(words[i - 2], 19) ^ (words[i - 2] >> 10)
        words.append(words[i - 16] + s0 + words[i - 7] + s1)
    a, b, c, d, e, f, g, h = state
    for word, constant in zip(words, CONSTANTS, strict=True):
        one = h + (_turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)) + ((e & f) ^ (~e & g)) + np.uint32(constant) + word
        two = (_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
        a, b, c, d, e, f, g, h = one + two, a, b, c, d + one, e, f, g
    added: Words = state + np.stack((a, b, c, d, e, f, g, h))
    return added


def _turned(word: Words, by: int) -> Words:
    return (word >> np.uint32(by)) | (word << np.uint32(32 - by))
