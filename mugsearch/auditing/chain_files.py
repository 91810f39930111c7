"""Entries of the chain as a file that can be checked without this system: exports, and archives of old entries.

Beside `audit-….jsonl` lies the signed head of its last entry, `audit-….head.json`, and the program that checks both.
A file has its name only when all of it is on the disk, and none is ever written over.
"""

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from mugsearch import durable
from mugsearch.audit.models import canonical, line
from mugsearch.audit.verify import rows_between, unseen
from mugsearch.auditing import heads, verify_audit
from mugsearch.errors import BadInput, Unavailable, WrongState
from mugsearch.vault import signing

VERIFIER = Path(verify_audit.__file__)
_AT_ONCE = 1000  # lines


@dataclass(frozen=True)
class Written:
    """`previous`: the digest before the first entry; `digest`: that of the last."""

    path: Path
    first: int
    last: int
    previous: str
    digest: str
    sha256: str
    bytes: int


def name_of(first: int, last: int) -> str:
    return f"audit-{first:012}-{last:012}.jsonl"


def write(path: Path, *, first: int, last: int, whole: bool, progress: Callable[[int], None] = unseen) -> Written:
    """To be called with `reading()`. What is in the table is written as it is: it is for the checker to say if it fits.
    Raises BadInput where a file of this name is, Unavailable; then nothing is left of it."""
    if path.exists():
        raise BadInput(f"{path} is there already. Nothing is written over: choose another name.")
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with part.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)  # what a killed one left
            written = _write(file, path, first, last, progress)
            file.flush()
            os.fsync(file.fileno())
            _write_beside(written, whole)
            os.link(part, path)  # fails where the name is taken by now; a rename would replace it
            part.unlink()
        durable.fsync_folder(path.parent)
    except BlockingIOError as error:
        raise WrongState(f"Another one is writing {path} now.") from error
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Unavailable(f"{path} can't be written ({error.strerror}). Nothing is left of it.") from error
    return written


def _write(file: Any, path: Path, first: int, last: int, progress: Callable[[int], None]) -> Written:
    summed, size, previous, digest = sha256(), 0, "", ""
    waiting: list[bytes] = []

    def put() -> None:
        nonlocal size
        block = b"".join(waiting)
        file.write(block)
        summed.update(block)
        size += len(block)
        waiting.clear()

    try:
        for row in rows_between(first, last):
            digest = row.pop("digest")
            previous = previous or row["previous"]
            waiting.append(line(canonical(**row), digest))
            if len(waiting) == _AT_ONCE:
                put()
            progress(row["number"])
    except ValueError as error:
        raise Unavailable("An entry can't be read. Verify the record: ./run manage audit verify") from error
    put()
    return Written(path, first, last, previous, digest, summed.hexdigest(), size)


def _write_beside(written: Written, whole: bool) -> None:
    head = heads.signed(written.last, written.digest, begins=written.first, whole=whole)
    durable.write(verify_audit.head_beside(written.path), head)
    durable.write(written.path.with_name(VERIFIER.name), VERIFIER.read_bytes())


def read_back(path: Path) -> Written:
    """Every line of it again, from the disk, with its head. Raises Unavailable when it isn't what was written."""
    try:
        verdict, _, own = verify_audit.check_files([path], keys={signing.fingerprint()})
        with path.open("rb") as file:
            digest, size = file_digest(file, "sha256").hexdigest(), path.stat().st_size
    except (verify_audit.Refused, OSError) as error:
        raise Unavailable(f"{path} can't be read back: {error}") from error
    if verdict.first_bad is not None:
        raise Unavailable(f"{path} is not intact: entry {verdict.first_bad}: {verdict.problem}.")
    if len(own) != 1 or (own[0].number, own[0].digest) != (verdict.last, verdict.digest):
        raise Unavailable(f"The signed head beside {path} is missing, or of another file.")
    return Written(path, verdict.first, verdict.last, verdict.previous, verdict.digest, digest, size)
