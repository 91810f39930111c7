"""Check a disclosure bundle of a mugsearch search, offline.

    python3 verify_bundle.py [BUNDLE] [--key FINGERPRINT] [--head NUMBER:DIGEST]

BUNDLE is the ZIP as it was handed over, or the folder it was unpacked into; without it, the folder this file is in.
FINGERPRINT is the agency's, got from the agency by another way than the bundle. NUMBER:DIGEST is a head of the
agency's audit that somebody kept outside of the agency.

Python 3.8 or newer and nothing else: no other package, no network. It only reads. Exit code 0: everything fits;
1: refused, with the reason; 2: it was called wrongly.
"""

from __future__ import annotations

import argparse
import binascii
import hashlib
import hmac
import json
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Tuple  # noqa: UP035  an alias is evaluated, and Python 3.8 has no tuple[int, …]

MANIFEST, HEAD, SIGNATURE, CONTENT = "manifest.json", "head.json", "head.sig", "bundle.json"
UNLISTED = (MANIFEST, HEAD, SIGNATURE)  # the manifest can't hold its own digest, nor those of what is made after it
FORMAT = "mugsearch-disclosure/2"
HERE = Path(__file__).resolve().parent


class Refused(Exception):
    """The bundle is not what was signed; the message is one plain sentence."""


# --- Ed25519, verifying only (RFC 8032, section 5.1.7) ----------------------------------------------------------------
# Plain integers, clear rather than fast: one signature takes a few milliseconds. Nothing here is secret, so it needs no
# constant time. Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x*y = T/Z (section 5.1.4).

P = 2**255 - 19  # the field
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)  # a square root of -1

Point = Tuple[int, int, int, int]  # noqa: UP006  as above
NEUTRAL = (0, 1, 1, 0)


def add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar: int, point: Point) -> Point:
    result: Point = NEUTRAL
    while scalar > 0:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def x_of(y: int, odd: int) -> int | None:
    """Section 5.1.3; None where the curve has no such point."""
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if odd else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * ROOT % P
    if (x * x - square) % P != 0:
        return None
    return P - x if x & 1 != odd else x


def point_of(encoded: bytes) -> Point | None:
    number = int.from_bytes(encoded, "little")
    y, odd = number & ((1 << 255) - 1), number >> 255
    x = x_of(y, odd)
    return None if x is None else (x, y, 1, x * y % P)


def encoding_of(point: Point) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = x_of(BASE_Y, 0) or 0
BASE: Point = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def signature_fits(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` was made with the private key of `public_key` (32 bytes)."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, commitment = point_of(public_key), signature[:32]
    s = int.from_bytes(signature[32:], "little")
    if key is None or s >= ORDER:  # a larger s would be a second signature of the same message
        return False
    k = int.from_bytes(hashlib.sha512(commitment + public_key + message).digest(), "little") % ORDER
    minus_key = (P - key[0], key[1], key[2], P - key[3])
    return encoding_of(add(times(s, BASE), times(k, minus_key))) == commitment


# --- SHA-256 from its middle on (FIPS 180-4) --------------------------------------------------------------------------
# An entry of the audit that is not disclosed is given as the state of SHA-256 before its last blocks, and these blocks.
# That shows which entry comes before it, and fixes its digest, but not what it says. Python's hashlib can't start from
# such a state, hence these lines.


def roots() -> tuple[list[int], list[int]]:
    """(round constants, initial state): the first 32 bits of the fractions of cube and square roots of primes."""
    primes: list[int] = []
    number = 2
    while len(primes) < 64:
        if all(number % prime for prime in primes):
            primes.append(number)
        number += 1
    constants = [root(prime << 96, 3) & 0xFFFFFFFF for prime in primes]
    return constants, [root(prime << 64, 2) & 0xFFFFFFFF for prime in primes[:8]]


def root(number: int, degree: int) -> int:
    """The largest integer whose power is not above `number`, by Newton's method from above."""
    found = 1 << (number.bit_length() // degree + 1)
    while found**degree > number:
        found = ((degree - 1) * found + number // found ** (degree - 1)) // degree
    return found


CONSTANTS, INITIAL = roots()


def turned(word: int, by: int) -> int:
    return (word >> by | word << (32 - by)) & 0xFFFFFFFF


def compressed(state: Sequence[int], block: bytes) -> list[int]:
    words = list(struct.unpack(">16I", block))
    for i in range(16, 64):
        s0 = turned(words[i - 15], 7) ^ turned(words[i - 15], 18) ^ words[i - 15] >> 3
        s1 = turned(words[i - 2], 17) ^ turned(words[i - 2], 19) ^ words[i - 2] >> 10
        words.append((words[i - 16] + s0 + words[i - 7] + s1) & 0xFFFFFFFF)
    a, b, c, d, e, f, g, h = state
    for i in range(64):
        one = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + (e & f ^ ~e & g) + CONSTANTS[i] + words[i]
        two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = (one + two) & 0xFFFFFFFF, a, b, c, (d + one) & 0xFFFFFFFF, e, f, g
    new = (a, b, c, d, e, f, g, h)
    return [(state[i] + new[i]) & 0xFFFFFFFF for i in range(8)]


def digest_from(state: Sequence[int], rest: bytes, length: int) -> str:
    """SHA-256 of `length` bytes, of which all but `rest` have gone into `state` already."""
    padded = rest + b"\x80" + b"\x00" * ((55 - length) % 64) + struct.pack(">Q", 8 * length)
    for place in range(0, len(padded), 64):
        state = compressed(state, padded[place : place + 64])
    return struct.pack(">8I", *state).hex()


# --- reading the ZIP or the folder ------------------------------------------------------------------------------------


def local_header(name: bytes, data: bytes) -> bytes:
    """As mugsearch writes it: stored, of 1 January 1980, without anything that could differ."""
    fields = (20, 0, 0, 0, 33, binascii.crc32(data), len(data), len(data), len(name), 0)
    return b"PK\x03\x04" + struct.pack("<5H3I2H", *fields) + name


def directory_entry(name: bytes, header: bytes, offset: int) -> bytes:
    what_the_header_says, place = header[4:30], struct.pack("<3H2I", 0, 0, 0, 0o100600 << 16, offset)
    return b"PK\x01\x02" + struct.pack("<H", 0x0314) + what_the_header_says + place + name


def directory_end(count: int, size: int, offset: int) -> bytes:
    return b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, count, count, size, offset, 0)


def files_of_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every file; Refused when one byte of the packaging is not as mugsearch writes it."""
    differs = Refused(
        "The ZIP is not packed as it was handed over: a byte outside the files differs, or it was packed anew. "
        "If it was packed anew, unpack it and check the folder."
    )
    directory, count, offset = b"", 0, 0
    with path.open("rb") as file:
        while True:
            header = file.read(30)
            if header[:4] != b"PK\x03\x04" or len(header) < 30:
                break
            size, length = struct.unpack("<I", header[22:26])[0], struct.unpack("<H", header[26:28])[0]
            name, data = file.read(length), file.read(size)
            expected = local_header(name, data)
            if header + name != expected:
                raise differs
            yield plain(name), data
            directory += directory_entry(name, expected, offset)
            count, offset = count + 1, offset + len(expected) + len(data)
        if header + file.read() != directory + directory_end(count, len(directory), offset):
            raise differs


def plain(name: bytes) -> str:
    text = name.decode("ascii", "replace")
    if not re.match(r"[a-z0-9_]+(/[a-z0-9_]+)*\.[a-z]+\Z", text):
        raise Refused("A file in the ZIP has a name that mugsearch never gives.")
    return text


def files_of_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for place in sorted(path.rglob("*")):
        if place.is_symlink():
            raise Refused("The folder holds a link: " + place.relative_to(path).as_posix() + ".")
        if not place.is_dir():
            yield place.relative_to(path).as_posix(), place.read_bytes()


class Bundle:
    """What was found: digest and size of every file, and the bytes of those that are looked into."""

    def __init__(self, path: Path) -> None:
        self.packed = path.is_file()
        self.found: dict[str, dict[str, Any]] = {}
        self.kept: dict[str, bytes] = {}
        for name, data in files_of_zip(path) if self.packed else files_of_folder(path):
            if name in self.found:
                raise Refused("The file " + name + " is in the ZIP twice.")
            self.found[name] = {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            if name in (*UNLISTED, CONTENT) or name.startswith("audit/"):
                self.kept[name] = data

    def bytes_of(self, name: str) -> bytes:
        if name not in self.kept:
            raise Refused("The file " + name + " is missing.")
        return self.kept[name]

    def json_of(self, name: str) -> Any:
        return json.loads(self.bytes_of(name).decode("utf-8"))


# --- the checks -------------------------------------------------------------------------------------------------------


def check(bundle: Bundle, key: str | None, kept_head: str | None) -> Iterator[str]:
    """One sentence for every thing that was checked and fits. Raises Refused at the first that doesn't."""
    if bundle.packed:
        yield "The ZIP is packed exactly as mugsearch packs it: nothing is in it beside the files."
    head = bundle.json_of(HEAD)
    yield check_signature(bundle, head, key)
    yield check_files(bundle, head)
    content = bundle.json_of(CONTENT)
    if content["format"] != FORMAT or head["format"] != FORMAT:
        raise Refused("This bundle has another format than this program checks; use the one inside it.")
    if content["search"]["id"] != head["search"] or content["audit"]["head"] != head["audit_head"]:
        raise Refused("The content is of another search, or of another audit, than the signed head.")
    check_images(bundle, content)
    yield from check_audit(bundle, content["audit"], head["audit_head"], kept_head)
    yield check_search(content)
    yield check_conclusions(content)
    yield check_outcome(content)
    yield from check_edits(content)


def check_signature(bundle: Bundle, head: dict[str, Any], key: str | None) -> str:
    public_key = bytes.fromhex(head["public_key"])
    fingerprint = hashlib.sha256(public_key).hexdigest()
    if key is not None and key != fingerprint:
        raise Refused("It was signed with another key than the agency's; the key it names is " + fingerprint + ".")
    if not signature_fits(public_key, bundle.bytes_of(HEAD), bundle.bytes_of(SIGNATURE)):
        raise Refused("The signature does not fit: the head was changed, or another key has signed it.")
    if key is not None:
        return "The head is signed with the key whose fingerprint you gave."
    return (
        f"The head is signed with the key {fingerprint}. Whose key that is can't be told from here: compare it "
        "with the fingerprint that the agency has published."
    )


def check_files(bundle: Bundle, head: dict[str, Any]) -> str:
    if hashlib.sha256(bundle.bytes_of(MANIFEST)).hexdigest() != head["manifest_sha256"]:
        raise Refused("The manifest is not the one that was signed.")
    listed = {one["name"]: one for one in bundle.json_of(MANIFEST)["files"]}
    for name in sorted(listed):
        if name not in bundle.found:
            raise Refused("The file " + name + " is missing.")
        if bundle.found[name] != listed[name]:
            raise Refused("The file " + name + " was changed: its SHA-256 or its size is another.")
    for name in sorted(bundle.found):
        if name not in listed and name not in UNLISTED:
            raise Refused("The file " + name + " does not belong to the bundle.")
    return (
        f"All {len(listed)} files have the SHA-256 and the size that the signed manifest says; none is missing, none "
        "was added."
    )


def check_images(bundle: Bundle, value: Any) -> None:
    """Every image that the content speaks of is the file of this name."""
    if isinstance(value, dict):
        if "file" in value and bundle.found.get(value["file"], {}).get("sha256") != value.get("sha256"):
            raise Refused("The content speaks of another image than the file " + str(value["file"]) + ".")
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        check_images(bundle, part)


def check_audit(bundle: Bundle, audit: dict[str, Any], head: str, kept_head: str | None) -> Iterator[str]:
    shown = {entry["number"]: entry for entry in audit["entries"]}
    number, disclosed, matched = audit["first"] - 1, 0, False
    previous: str | None = None
    for line in lines_of(bundle):
        number += 1
        where = f"entry {number} of the audit"
        if "canonical" in line:
            canonical = line["canonical"].encode("utf-8")
            entry = json.loads(canonical.decode("utf-8"))
            digest = hashlib.sha256(canonical).hexdigest()
            if entry["number"] != number or (previous is not None and entry["previous"] != previous):
                raise Refused("The chain is broken: " + where + " is not linked to the one before it.")
            if shown.pop(number, None) != dict(entry, digest=digest):
                raise Refused("The content does not show " + where + " as the chain has it.")
            disclosed += 1
        elif previous is None:
            raise Refused("The chain does not begin with an entry that is disclosed.")
        else:
            digest = digest_of_link(line, previous)
        previous = digest
        matched = matched or kept_head == f"{number}:{digest}"
    if shown:
        raise Refused("The content shows entries of the audit that the chain does not hold.")
    if head != f"{number}:{previous}":
        raise Refused("The chain of the audit does not lead to the signed head " + head + ".")
    closed = number - audit["first"] + 1 - disclosed
    yield (
        f"{disclosed} entries of the audit are disclosed, and each fits its digest. The chain of digests from the "
        f"first, entry {audit['first']}, leads over {closed} that are not disclosed to the signed head, entry {number}."
    )
    if kept_head is not None:
        yield compared(kept_head, matched, audit["first"])


def compared(kept_head: str, matched: bool, first: int) -> str:
    """A head that was kept outside, with the chain."""
    number = kept_head.partition(":")[0]
    if matched:
        return "The head you gave is in that chain, so nothing up to it was rewritten since it was kept."
    if number.isdigit() and int(number) < first - 1:
        raise Refused(
            "The head you gave, " + kept_head + ", is from before the first entry of this bundle, so it can't be "
            "compared with it. Keep one of a later day, or ask for the audit from there on."
        )
    raise Refused("The head you gave, " + kept_head + ", is not in the chain.")


def recorded(content: dict[str, Any], act: str) -> dict[str, dict[str, Any]]:
    """The entries of one kind of act, by what it was done to."""
    entries = (entry for entry in content["audit"]["entries"] if entry["act"] == act and entry["outcome"] == "done")
    return {entry["object_id"]: entry for entry in entries}


def check_search(content: dict[str, Any]) -> str:
    """The audit has what was asked for and what was found: with what, among whom, by which encoder, which list."""
    search, probe, gallery = content["search"], content["probe"], content["search"]["gallery"]
    edits = {one["number"]: one["id"] for one in probe["edits"]}
    asked = {name: search[name] for name in ("face", "list_size", "filters")}
    asked["probe"], asked["policy"] = probe["id"], search["policy_digest"]
    asked["edit"] = None if search["edit"] is None else edits.get(search["edit"], "none of this number")
    found = {**search["proof"], "generation": gallery["generation"], "gallery_size": gallery["size"]}
    found["threshold"], found["probe_sha256"] = search["threshold"], probe["upload"]["sha256"]
    found["encoder"], found["encoder_digest"] = search["encoder"]["name"], search["encoder"]["digest"]
    found["candidates"] = sorted(one["id"] for one in content["candidates"])
    request = recorded(content, "search.requested").get(search["id"])
    end = recorded(content, "search.finished").get(search["id"])
    if request is None or end is None:
        raise Refused("The audit shows no entry of the search's request, or none of its end.")
    if request["actor"] != search["requested_by"]["id"] or any(request["details"].get(n) != asked[n] for n in asked):
        raise Refused("What was searched with, or among whom, is not what the audit recorded.")
    if any(end["details"].get(name, found[name]) != found[name] for name in found):
        raise Refused("What was found, or by what, is not what the audit recorded.")
    return "What was searched with, among whom, by whom and by which encoder, and the list are as the audit recorded."


def check_conclusions(content: dict[str, Any]) -> str:
    """Each is as it was locked and by whom the audit says, and all that the audit has are there."""
    concluded = recorded(content, "examination.concluded")
    fitting, others = 0, 0
    for one in content["examinations"]:
        if one["state"] != "concluded":
            continue
        entry = concluded.pop(one["id"], None)
        if entry is None or entry["actor"] != one["examiner"]["id"]:
            raise Refused(f"Of the examination {one['id']} the audit shows no conclusion by this examiner.")
        if one["secret"] is None and any("score" not in candidate for candidate in content["candidates"]):
            others += 1
        elif digest_of_findings(one, content) == entry["details"]["findings"]:
            fitting += 1
        else:
            raise Refused(f"The conclusions of the examination {one['id']} are not those the audit recorded.")
    if concluded:
        raise Refused("The audit recorded a conclusion that the content does not show.")
    sentence = f"The conclusions, notes and worksheets of {fitting} examinations are those the audit recorded."
    gone = f" Of {others} this can't be told: somebody on the list was expunged or sealed since."
    return sentence + (gone if others else "")


def digest_of_findings(examination: dict[str, Any], content: dict[str, Any]) -> str:
    """The audit has an HMAC of what was concluded, made when it was locked; the bundle has its key."""
    ids = {one["rank"]: one["id"] for one in content["candidates"]}
    said = [
        [ids[one["rank"]], one["conclusion"], one["notes"], *filter(None, [one["worksheet"]])]
        for one in examination["findings"]
    ]
    text = json.dumps(sorted(said, key=lambda one: str(one[0])), sort_keys=True).encode("ascii")
    return hmac.new(bytes.fromhex(examination["secret"] or ""), text, "sha256").hexdigest()


def check_outcome(content: dict[str, Any]) -> str:
    """The candidates show what the examinations say of them, and those came to what the audit has."""
    said: dict[int, list[Any]] = {one["rank"]: [] for one in content["candidates"]}
    for number, examination in enumerate(content["examinations"], start=1):
        for one in examination["findings"] if examination["state"] == "concluded" else ():
            rating = int(one["conclusion"]) if re.fullmatch("-?[0-3]", one["conclusion"]) else None
            said[one["rank"]].append((number, one["conclusion"], rating))
            if one["rating"] != rating:
                raise Refused(f"A rating of the examination {examination['id']} is not that of its conclusion.")
    for one in content["candidates"]:
        if said[one["rank"]] != [(its["examination"], its["conclusion"], its["rating"]) for its in one["conclusions"]]:
            raise Refused(f"What is said of the candidate at rank {one['rank']} is not what the examinations say.")
    ends = sorted(recorded(content, "examination.concluded").values(), key=lambda entry: entry["number"])[-1:]
    outcome, lead = content["decision"]["outcome"], (content["lead"] or {}).get("id")
    if [(end["details"].get("outcome"), end["details"].get("lead")) for end in ends] not in ([], [(outcome, lead)]):
        raise Refused("What the examinations came to is not what the audit recorded.")
    return "Each candidate shows what the examinations say, and what those came to is what the audit recorded."


def check_edits(content: dict[str, Any]) -> Iterator[str]:
    """The audit has the steps and the digest of the pixels of every edit of the probe, from when it was made."""
    done = (entry for entry in content["audit"]["entries"] if entry["outcome"] == "done")
    made = {entry["details"]["edit"]: entry for entry in done if entry["act"] == "probe.edited"}
    for one in content["probe"]["edits"]:
        entry = made.pop(one["id"], None)
        said = {"edit": one["id"], "number": one["number"], "steps": one["steps"], "sha256": one["pixels_sha256"]}
        if entry is None or entry["actor"] != one["made_by"]["id"] or said != {n: entry["details"][n] for n in said}:
            raise Refused(f"The edit {one['number']} of the probe is not the one the audit recorded.")
    if made:
        raise Refused("The audit recorded an edit of the probe that the content does not show.")
    if count := len(content["probe"]["edits"]):
        yield f"The steps and digests of {count} edits of the probe are those the audit recorded."
        yield "To see that the steps of an edit make its pixels, make them again from probe.png."


def lines_of(bundle: Bundle) -> Iterator[dict[str, Any]]:
    for name in sorted(name for name in bundle.kept if name.startswith("audit/")):
        for line in bundle.kept[name].split(b"\n")[:-1]:
            yield json.loads(line.decode("utf-8"))


def digest_of_link(line: dict[str, Any], previous: str) -> str:
    rest = bytes.fromhex(line["tail"]) + b'"previous":"' + previous.encode("ascii") + b'"}'
    if (line["length"] - len(rest)) % 64 or line["length"] < len(rest) or len(line["state"]) != 64:
        raise Refused("A link of the audit is not as mugsearch writes it.")
    return digest_from(struct.unpack(">8I", bytes.fromhex(line["state"])), rest, line["length"])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Check a disclosure bundle of a mugsearch search, offline.")
    parser.add_argument(
        "bundle", nargs="?", type=Path, default=HERE, help="the ZIP, or the folder it was unpacked into"
    )
    parser.add_argument("--key", metavar="FINGERPRINT", help="of the agency's key, got by another way than the bundle")
    parser.add_argument("--head", metavar="NUMBER:DIGEST", help="of the audit, as somebody outside the agency kept it")
    given = parser.parse_args(arguments)
    if not given.bundle.exists():
        parser.error(f"there is no {given.bundle}")
    key = re.sub(r"[\s:]", "", given.key).lower() if given.key is not None else None
    try:
        for sentence in check(Bundle(given.bundle), key, given.head):
            print("ok       " + sentence)
    except Refused as reason:
        print(f"REFUSED  {reason}")
        return 1
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError, struct.error) as error:
        print(f"REFUSED  A file of the bundle can't be read ({type(error).__name__}).")
        return 1
    print("Everything fits.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
