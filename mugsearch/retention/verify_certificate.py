"""Check a certificate of mugsearch about an expunged, sealed or unsealed booking, offline.

    python3 verify_certificate.py CERTIFICATE [--key FINGERPRINT]

CERTIFICATE is the JSON file as it was handed over, or the PDF, which has that file attached. FINGERPRINT is that of the
agency's public key, got from the agency by another way than the certificate.

Python 3.8 or newer and the package `cryptography`; no network. It only reads. It prints what was signed, in words: what
the pages of a PDF show is not signed itself, so compare. Exit code 0: everything fits; 1: refused, with the reason;
2: it was called wrongly.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import textwrap
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "mugsearch-certificate/1"
_FILE = re.compile(
    rb'\{"certificate":\n(?P<document>\{.*\}),\n"public_key":"(?P<key>[0-9a-f]{64})",\n'
    rb'"signature":"(?P<signature>[0-9a-f]{128})"\}\n',
    re.DOTALL,
)
_ATTACHED = re.compile(rb"/Type\s*/EmbeddedFile\b.*?\bstream\r?\n", re.DOTALL)
LARGEST = 2**24  # bytes; a certificate has some thousand


class Refused(Exception):
    """The certificate is not what was signed; the message is one plain sentence."""


def framed(document: bytes, public_key: bytes, signature: bytes) -> bytes:
    """The file: what was signed lies in it byte for byte, and the whole is JSON."""
    signed_by = b'"public_key":"%s",\n"signature":"%s"' % (public_key.hex().encode(), signature.hex().encode())
    return b'{"certificate":\n' + document + b",\n" + signed_by + b"}\n"


def check(file: bytes, key: str | None) -> tuple[list[str], dict[str, Any]]:
    """One sentence for every thing that was checked and fits, and what was signed. Raises Refused."""
    fits = []
    if file.startswith(b"%PDF"):
        file = attached(file)
        fits.append("Checked is the file attached to the PDF, neither what its pages show nor any other file in it.")
    found = _FILE.fullmatch(file)
    if found is None:
        raise Refused("This is no certificate as mugsearch writes it: something before, behind or between was changed.")
    document, public_key = found["document"], bytes.fromhex(found["key"].decode())
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(found["signature"].decode()), document)
    except (InvalidSignature, ValueError):
        raise Refused("The signature does not fit: the certificate was changed after it was signed.") from None
    fits.append("Nothing in it was changed since it was signed.")
    fits.append(whose(hashlib.sha256(public_key).hexdigest(), key))
    said = json.loads(document.decode("utf-8"), object_pairs_hook=no_name_twice)
    if said.get("format") != FORMAT:
        raise Refused("What was signed is no certificate of the format " + FORMAT + ".")
    fits.append("The SHA-256 of what was signed, as the agency's audit has it: " + hashlib.sha256(document).hexdigest())
    return fits, said


def attached(pdf: bytes) -> bytes:
    found = list(_ATTACHED.finditer(pdf))
    if len(found) != 1:
        raise Refused(f"{len(found)} files are attached to this PDF; a certificate has one. Check the JSON instead.")
    unpacking = zlib.decompressobj()  # it knows where the file ends
    try:
        content = unpacking.decompress(pdf[found[0].end() :], LARGEST)
    except zlib.error:
        content = b""
    if not unpacking.eof:
        raise Refused("What is attached to this PDF can't be read. Save the JSON from it and check that.")
    return content


def whose(fingerprint: str, key: str | None) -> str:
    if key is None:
        return (
            "It is signed with the key " + fingerprint + ". Whose key that is can't be told from here: compare it with "
            "the fingerprint that the agency has published."
        )
    if key != fingerprint:
        raise Refused("It was signed with another key than the one you gave; its key is " + fingerprint + ".")
    return "It is signed with the key whose fingerprint you gave."


def no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON doesn't say which of two counts, so two programs might read different things."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refused("A name comes twice in it.")
    return dict(pairs)


def in_words(said: dict[str, Any]) -> Iterator[str]:
    order = said["order"]
    yield f"{said['title']}, {said['agency']}"
    yield ""
    yield f"Order number {order['number']} (in the system: {order['id']})"
    yield f"Kind         {order['kind']}, {'all bookings of the person' if order['whole_person'] else 'one booking'}"
    yield f"Ordered by   {order['ordered_by']}"
    for name in ("rule", "disposition", "policy_sha256"):
        if order[name]:
            yield f"  {name.replace('_', ' ')}: {order[name]}"
    yield f"Complete     {said['completed_at']} (Z: Coordinated Universal Time)"
    yield f"Certified    {said['certified_at']} by {said['software']}"
    yield ""
    yield said["statement"]
    yield ""
    yield "What was done and checked:"
    for step in said["steps"]:
        numbers = ", ".join(f"{name} {value}" for name, value in step["numbers"].items())
        yield f"  {step['at']}  {step['what']}. {step['checked']} {numbers}"
    yield "Counted:"
    for line in said["counts"]:
        yield f"  {line['count']} {line['said']}"
    yield "What stays:"
    for sentence in said["kept"]:
        yield f"  {sentence}"
    yield "What still ages out, and the last day on which it may be there:"
    if said["rows"]:
        yield f"  {said['rows']}"
    for place in said["ages_out"]:
        yield f"  {place['until'] or 'no fixed day'}  {place['where']}. {place['holds']} {place['known_by']}"
    if not said["ages_out"]:
        yield "  Nothing: nothing was destroyed."


def printable(text: str) -> str:
    """No character of a certificate steers the terminal it is shown on."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Check a certificate of mugsearch, offline.")
    parser.add_argument("certificate", type=Path, help="the JSON file, or the PDF that has it attached")
    parser.add_argument("--key", metavar="FINGERPRINT", help="of the agency's key, got by another way")
    given = parser.parse_args(arguments)
    if not given.certificate.is_file():
        parser.error(f"there is no file {given.certificate}")
    key = re.sub(r"[\s:]", "", given.key).lower() if given.key is not None else None
    try:
        fits, said = check(given.certificate.read_bytes(), key)
        words = [printable(line) for line in in_words(said)]
    except Refused as reason:
        print(f"REFUSED  {reason}")
        return 1
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        print(f"REFUSED  It can't be read ({type(error).__name__}).")
        return 1
    for sentence in fits:
        print("ok       " + sentence)
    print("\nThis is what was signed:\n")
    for line in words:
        print(textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="      ", replace_whitespace=False))
    print("\nEverything fits.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
