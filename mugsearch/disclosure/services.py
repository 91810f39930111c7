"""Making a disclosure bundle: allowed, recorded, then written while it is sent.

The entry about it comes first, so that it is in the audit the bundle holds; a second one, with the digest of the
manifest, comes before the signature leaves. In between nothing is locked: what the bundle says is one snapshot of the
database, and the photographs are read one by one. Should somebody be erased meanwhile, what was sent so far stays a ZIP
without an end, which nothing opens.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.template.loader import render_to_string

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.disclosure import content, links, queries
from mugsearch.disclosure.archive import Archive
from mugsearch.disclosure.content import Content
from mugsearch.disclosure.verify_bundle import CONTENT, FORMAT, HEAD, MANIFEST, SIGNATURE
from mugsearch.engine import images
from mugsearch.errors import NotAllowed, Unavailable, WrongState
from mugsearch.probes.models import Candidate, Probe, Search, SiblingPhoto
from mugsearch.vault import services as vault
from mugsearch.vault import signing
from reviews import notice
from reviews.queries import examination_state

HERE = Path(__file__).parent
PRINTED = 480  # pixels of the longer side of an image on the printable page
READ_ME = """Disclosure bundle of one face search.

bundle.html      to read and to print; it needs no network
bundle.json      the same for programs, described by schema.json
probe.png, edits/…, candidates/…   the images, pixel by pixel as they are stored
audit/…          the record of the search, and the links from it to the signed head
manifest.json    the SHA-256 and the size of every file
head.json, head.sig       the signed head: the digest of the manifest and the head of the audit

To check that nothing was changed, added or left out (Python 3.8 or newer, nothing else):

    python3 -I -S verify_bundle.py THE-BUNDLE.zip --key FINGERPRINT

Get the fingerprint of the agency's key from the agency, not from here; and rather than the verify_bundle.py inside,
use one that you got by another way.
"""


@dataclass(frozen=True)
class Bundle:
    """`chunks` are the ZIP's bytes in order; reading them does the work."""

    name: str
    chunks: Iterator[bytes]


def require_possible(*, by: User, search: Search) -> None:
    """Raises NotAllowed or WrongState, with why this person can't have the bundle of this search (now)."""
    require(by, Role.AUDITOR, Role.SUPERVISOR)
    if not queries.within_reach(by).filter(pk=search.pk).exists():
        raise NotAllowed("This search is another agency's.")
    if queries.is_own(by, search):
        raise NotAllowed(
            "You are or were on this case, and nobody discloses their own. Another auditor can make the bundle, or a "
            "supervisor of the case's agency who never was on it."
        )
    if queries.is_blind(by, search):
        raise NotAllowed(
            "A bundle shows ranks, scores and what others concluded. You examine, and have not concluded this search, "
            "or may still be asked about another one of the same image."
        )
    if search.probe.state == Probe.State.ERASED:
        raise WrongState("The image of this search was erased by rule, so its bundle can't be made any more.")
    if queries.is_archived(search):
        files = " and ".join(queries.archives_of(search))
        raise WrongState(
            "Entries about this search have left the database for the archive, so its bundle can't be made any more. "
            f"Ask the operator for {files} and the head beside it: the entries name this search as {search.pk}, and "
            "verify_audit.py checks them, see docs/disclosure.md."
        )
    if not examination_state(search).over:
        raise WrongState("This search has not been examined to the end yet. Its bundle can be made after that.")


def make(*, by: User, search: Search) -> Bundle:
    with audit.act("bundle.made", by=by, obj=search, case=search.probe.case_id) as act:
        require_possible(by=by, search=search)
        act.note(candidates=search.candidates.filter(forgotten_at__isnull=True).count())
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        mine = Entry.objects.of(search).filter(act="bundle.made", outcome="done", actor=by.pk)
        found = content.of_search(search, by=by, made=mine.latest("number"))
    if not all(vault.is_whole(one.name) and vault.has_key(one.owner) for one in found.pictures):
        raise Unavailable(
            "A stored image is missing, or was erased just now. Try again; if it stays so, tell the operator."
        )
    return Bundle(f"disclosure-{search.pk}.zip", _chunks(by, search, found))


def _chunks(by: User, search: Search, found: Content) -> Iterator[bytes]:
    archive, printed = Archive(), {}
    for picture in found.pictures:
        png = vault.read_file(picture.owner, picture.name)
        yield from archive.add(picture.file, png)
        picture.said.update({name: archive.listed[-1][name] for name in ("sha256", "size")})
        printed[picture.file] = _printed(png)
    _require_nobody_erased(found)
    for name, text in _texts(search, found, printed):
        yield from archive.add(name, text)
    for name, lines in links.files(first=found.first, last=found.last, disclosed=found.disclosed):
        yield from archive.add(name, lines)
    manifest = _json({"format": FORMAT, "files": archive.listed})
    head = _json(
        {
            "format": FORMAT,
            "search": str(search.pk),
            "made_at": found.data["made"]["at"],
            "manifest_sha256": sha256(manifest).hexdigest(),
            "audit_head": found.data["audit"]["head"],
            "public_key": signing.public_key().hex(),
        }
    )
    signature = signing.sign(head)
    audit.record(
        "bundle.signed",
        by=by,
        obj=search,
        case=search.probe.case_id,
        manifest=sha256(manifest).hexdigest(),
        entry=found.data["made"]["entry"],
        files=len(archive.listed),
    )
    for name, data in ((MANIFEST, manifest), (HEAD, head), (SIGNATURE, signature)):
        yield from archive.add(name, data)
    yield archive.end()


def _texts(search: Search, found: Content, printed: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    yield CONTENT, _json(found.data)
    about = {"bundle": found.data, "printed": printed, "notice": notice, "fingerprint": signing.fingerprint()}
    yield "bundle.html", render_to_string("disclosure/bundle.html", about).encode()
    for name in ("schema.json", "verify_bundle.py"):
        yield name, (HERE / name).read_bytes()
    yield "read_me.txt", READ_ME.encode()
    if policy := content.policy_of(search):
        yield content.POLICY, policy


def _require_nobody_erased(found: Content) -> None:
    gone = Candidate.objects.filter(pk__in=found.shown, forgotten_at__isnull=False).exists()
    if gone or SiblingPhoto.objects.filter(pk__in=found.beside).count() != len(found.beside):
        raise WrongState("Somebody on the list was erased while the bundle was made. Make it anew.")


def _printed(png: bytes) -> str:
    jpeg = images.view_jpeg(images.read_png(png), max_side=PRINTED, quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, indent=1).encode() + b"\n"
