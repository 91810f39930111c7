"""Check the record of acts (audit) of mugsearch, offline: what was exported, what was archived, and signed heads.

    python3 verify_audit.py FILE-OR-FOLDER… [--against HEAD]… [--key FINGERPRINT]

FILE-OR-FOLDER: exports and archives (audit-….jsonl); several are read as one chain. A head that lies beside a file with
the same name is checked with it. HEAD: a head that was kept outside of the agency's system: NUMBER:DIGEST, a file, or a
folder of such files. FINGERPRINT: of the agency's public key, got from the agency by another way.

Python 3.8 or newer and the package `cryptography`; no network. It only reads. Exit code 0: everything fits; 1: it does
not, with the first bad entry; 2: it was called wrongly.

How it is written: docs/audit.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "mugsearch-audit-head/1"
GENESIS = "0" * 64
LARGEST = 2**16  # bytes; a head has some 700
HEAD_FILE = re.compile(r"head-\d{6,}-\d+-\d{8}T\d{6}Z\.json")
_HEAD = re.compile(
    rb'\{"head":\n?(?P<document>\{[^\n]*\}),\n?"public_key":"(?P<key>[0-9a-f]{64})",\n?'
    rb'"signature":"(?P<signature>[0-9a-f]{128})"\}\n?'
)
_LINE = re.compile(rb'(\{[^\n]*,"previous":"([0-9a-f]{64})"),"digest":"([0-9a-f]{64})"\}\n?')


class Refused(Exception):
    """A head that can't be gone by; the message is one plain sentence."""


@dataclass(frozen=True)
class Head:
    """`chain`: the digest of entry 1, which tells one record from another. `serial`: 0 for a head that was made for one
    file; others count from 1, each with the digest of the one before it (`before`). `begins`: the first entry that
    the database or the file held; `whole`: unless only a part was asked for, up to this entry."""

    number: int
    digest: str
    chain: str = ""
    begins: int = 1
    whole: bool = True
    serial: int = 0
    before: str = ""
    sha256: str = ""
    key: str = ""
    where: str = ""


@dataclass(frozen=True)
class Verdict:
    """`first_bad`: number of the first entry that doesn't fit, None when all do. `last` and `digest`: how far they fit.
    `unchecked`: how many entries that heads are about are not in the files. `previous`: the digest before the first."""

    first: int
    last: int
    digest: str
    first_bad: int | None = None
    problem: str = ""
    unchecked: int = 0
    previous: str = GENESIS


def framed(document: bytes, public_key: str, signature: str) -> bytes:
    """The file of a head: what was signed lies in it byte for byte, and the whole is JSON. Without its line breaks it
    is the same head."""
    signed_by = f'"public_key":"{public_key}",\n"signature":"{signature}"}}\n'
    return b'{"head":\n' + document + b",\n" + signed_by.encode()


def read_head(file: bytes, keys: Iterable[str] = (), where: str = "this head") -> Head:
    """`keys`: fingerprints, of which it has to be signed with one; any will do where none is given. Raises Refused."""
    found = _HEAD.fullmatch(file)
    if found is None:
        raise Refused(f"{where} is no head as mugsearch writes it.")
    document, public_key = found["document"], bytes.fromhex(found["key"].decode())
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(found["signature"].decode()), document)
    except (InvalidSignature, ValueError):
        raise Refused(
            f"The signature of {where} does not fit: it was forged, or changed after it was signed."
        ) from None
    fingerprint = hashlib.sha256(public_key).hexdigest()
    if keys and fingerprint not in set(keys):
        raise Refused(f"{where} was signed with another key, {fingerprint}: it is of another installation, or forged.")
    try:
        said = json.loads(document.decode("utf-8"), object_pairs_hook=no_name_twice)
        if said["format"] != FORMAT:
            raise Refused(f"What was signed in {where} is no head of the format {FORMAT}.")
        numbers, texts = ("number", "begins", "serial"), ("digest", "chain", "before")
        kinds = {**dict.fromkeys(numbers, int), **dict.fromkeys(texts, str), "whole": bool}
        if any(type(said[name]) is not kind for name, kind in kinds.items()):
            raise Refused(f"{where} can't be read.")
        told = {name: said[name] for name in kinds}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused(f"{where} can't be read.") from None
    return Head(**told, sha256=hashlib.sha256(document).hexdigest(), key=fingerprint, where=where)


def no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON doesn't say which of two counts, so two programs might read different things."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refused("A name comes twice in a head.")
    return dict(pairs)


def heads_of(kept: str, keys: Iterable[str] = ()) -> list[Head]:
    """NUMBER:DIGEST, a file or a folder. Raises Refused, also where a folder holds something else, or lacks one."""
    keys = set(keys)
    typed = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", kept.strip().lower())
    if typed:
        return [Head(int(typed[1]), typed[2], where="the head you gave")]
    path = Path(kept)
    if path.is_file():
        return [_read(path, keys)]
    if not path.is_dir():
        raise Refused(f"There is no head {kept}: it is written NUMBER:DIGEST, or is a file or a folder.")
    files = sorted(path.iterdir())
    for one in files:
        if not HEAD_FILE.fullmatch(one.name) or not one.is_file():
            raise Refused(f"{one.name} doesn't belong into the folder of heads.")
    if not files:
        raise Refused(f"There is no head in {kept}.")
    heads = sorted((_read(one, keys) for one in files), key=lambda head: head.serial)
    require_complete(heads)
    return heads


def require_complete(heads: Sequence[Head]) -> None:
    """Each follows the one before it, and none is missing between the first and the last. Raises Refused."""
    for one, following in zip(heads, heads[1:]):  # noqa: B905, RUF007  Python 3.8 has neither
        if following.serial == one.serial:
            raise Refused(f"{following.where} is a second head number {one.serial}.")
        if following.serial != one.serial + 1:
            raise Refused(f"Head number {one.serial + 1} is missing, between {one.where} and {following.where}.")
        if following.before != one.sha256 or following.number < one.number:
            raise Refused(f"{following.where} does not follow {one.where}: one of them is of another record.")


def _read(path: Path, keys: Iterable[str]) -> Head:
    with path.open("rb") as file:
        return read_head(file.read(LARGEST), keys, path.name)


def digests_of(heads: Iterable[Head]) -> dict[int, set[str]]:
    """{number: digests that were kept of this entry}; each head also tells of entry 1."""
    kept: dict[int, set[str]] = {}
    for head in heads:
        if head.number:
            kept.setdefault(head.number, set()).add(head.digest)
        if head.chain and head.number:
            kept.setdefault(1, set()).add(head.chain)
    return kept


def unseen(number: int) -> None:
    """For whoever doesn't watch."""


@dataclass(frozen=True)
class Line:
    """An entry as it is in a file. `number` is None where it can't be read, `fits` whether the digest is that of it."""

    number: int | None
    previous: str = ""
    digest: str = ""
    fits: bool = False


def parsed(line: bytes) -> Line:
    found = _LINE.fullmatch(line)
    if found is None:
        return Line(None)
    body = found[1] + b"}"
    try:
        said = json.loads(body.decode("utf-8"))
        number, plain = said["number"], canonical(said) == body
    except (ValueError, KeyError, TypeError, RecursionError):
        return Line(None)
    if type(number) is not int or number < 1:
        return Line(None)
    digest = found[3].decode()
    return Line(number, found[2].decode(), digest, plain and hashlib.sha256(body).hexdigest() == digest)


def check(
    lines: Iterable[bytes],
    heads: Sequence[Head] = (),
    begins: int | None = None,
    ends: int | None = None,
    progress: Callable[[int], None] = unseen,
) -> Verdict:
    """`begins`: the first entry there has to be, where that is known; `ends`: the last, where no more was asked for."""
    kept, fitted = digests_of(heads), 0
    first = expected = begins or 0
    before = previous = ""
    for one in map(parsed, lines):
        if not before:  # the first; what comes before it is known of entry 1 alone
            expected = expected or one.number or 1
            first, before = expected, GENESIS if expected == 1 else (one.previous or GENESIS)
            previous = before
        problem = problem_of(one, expected, previous)
        if not problem and kept.get(expected, {one.digest}) != {one.digest}:
            since = f"one after entry {fitted}" if fitted else "one before it"
            problem = f"it is not the one whose digest was kept outside: it or {since} was written anew"
        if problem:
            return Verdict(first, expected - 1, previous, expected, problem)
        fitted = expected if expected in kept else fitted
        progress(expected)
        expected, previous = expected + 1, one.digest
    if not before:
        first = expected = expected or 1
        before = previous = GENESIS
    last = max((number for number in kept if ends is None or number <= ends), default=0)
    if last >= expected:
        return Verdict(first, expected - 1, previous, expected, f"it is missing: there were {last} entries once")
    unchecked = sum(not first <= number < expected for number in kept)
    return Verdict(first, expected - 1, previous, unchecked=unchecked, previous=before)


def problem_of(one: Line, expected: int, previous: str) -> str:
    if one.number is None:
        return "it can't be read"
    if one.number != expected:
        return "it is missing"
    if one.previous != previous:
        return "it is not linked to the entry before it"
    return "" if one.fits else "its contents don't match its digest"


def canonical(said: Any) -> bytes:
    """What the digest of an entry is taken over: sorted names, no blanks, as few escapes as JSON allows."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def files_in(given: Sequence[Path]) -> list[Path]:
    """The files of entries, in the order of their first one."""
    found: list[tuple[int, str, Path]] = []
    for path in given:
        inside = sorted(path.glob("audit-*.jsonl")) if path.is_dir() else [path]
        if not inside:
            raise Refused(f"There is no audit-….jsonl in {path}.")
        for one in inside:
            with one.open("rb") as file:
                # The last of them: what stands in the details comes before.
                numbered = re.findall(rb'"number":([0-9]{1,18}),"object_id":', file.readline(2**24))
            found.append((int(numbered[-1]) if numbered else 0, one.name, one))
    return [path for _, _, path in sorted(found)]


def head_beside(file: Path) -> Path:
    return file.with_name(file.name[: -len(".jsonl")] + ".head.json") if file.name.endswith(".jsonl") else file


def heads_beside(files: Iterable[Path], keys: Iterable[str]) -> list[Head]:
    beside = [head_beside(one) for one in files]
    return [_read(path, keys) for path in beside if path.name.endswith(".head.json") and path.is_file()]


def lines_of(files: Iterable[Path]) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            yield from file


def check_files(
    given: Sequence[Path],
    against: Sequence[str] = (),
    keys: Iterable[str] = (),
    progress: Callable[[int], None] = unseen,
) -> tuple[Verdict, list[Head], list[Head]]:
    """The verdict, the heads that were kept outside, and those beside the files. Raises Refused."""
    files = files_in(given)
    own = heads_beside(files, keys)
    outside = [head for kept in against for head in heads_of(kept, keys)]
    begins = min((head.begins for head in own), default=None)
    newest = max(own, key=lambda head: head.number, default=None)
    ends = newest.number if newest and not newest.whole else None
    return check(lines_of(files), [*own, *outside], begins, ends, progress), outside, own


def in_words(verdict: Verdict, outside: Sequence[Head], own: Sequence[Head]) -> Iterator[str]:
    """What fits, a sentence each."""
    yield f"{verdict.last - verdict.first + 1:,} entries fit together, {verdict.first:,} to {verdict.last:,}."
    if verdict.first > 1:
        yield f"What came before entry {verdict.first:,} is not in these files: check it with the archive."
    if own:
        yield f"{len(own)} signed heads beside the files fit."
    if outside:
        yield f"Of {len(outside)} heads kept outside, each about an entry in these files fits."
    if verdict.unchecked:
        yield f"{verdict.unchecked} entries that heads are about are not in these files."
    for key in sorted({head.key for head in (*own, *outside) if head.key}):
        yield f"Heads were signed with the key {key}. Compare it with the fingerprint that the agency has published."
    if not outside:
        yield "Nobody can tell if the end was cut off or all written anew: no head kept outside was given (--against)."
    yield f"Head: {verdict.last}:{verdict.digest}"


def printable(text: str) -> str:
    """No character of a file steers the terminal it is shown on."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def shown() -> Callable[[int], None]:
    if not sys.stderr.isatty():
        return unseen
    started, done = time.monotonic(), [0]

    def show(number: int) -> None:
        done[0] += 1
        if done[0] % 10_000 == 0:
            rate = done[0] / max(time.monotonic() - started, 0.001)
            print(f"\rentry {number:,}, {rate:,.0f} a second ", end="", file=sys.stderr)

    return show


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Check the record of acts of mugsearch, offline.")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE-OR-FOLDER", help="exports and archives")
    parser.add_argument("--against", action="append", default=[], metavar="HEAD", help="NUMBER:DIGEST, file or folder")
    parser.add_argument("--key", action="append", default=[], metavar="FINGERPRINT", help="of the agency's key")
    given = parser.parse_args(arguments)
    for path in given.files:
        if not path.exists():
            parser.error(f"there is no {path}")
    keys = {re.sub(r"[\s:]", "", key).lower() for key in given.key}
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    try:
        verdict, outside, own = check_files(given.files, given.against, keys, shown())
    except (Refused, OSError) as reason:
        print("REFUSED  " + printable(str(reason)))
        return 1
    if verdict.first_bad is not None:
        print(f"NOT INTACT  Entry {verdict.first_bad}: {printable(verdict.problem)}.")
        print(f"The entries {verdict.first} to {verdict.last} before it fit together.")
        return 1
    for sentence in in_words(verdict, outside, own):
        print("ok  " + printable(sentence))
    print("Intact.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
