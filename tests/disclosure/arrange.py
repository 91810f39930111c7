"""A search with a whole life behind it, its bundle, and the verifier run as a stranger runs it."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.disclosure import services
from mugsearch.probes.models import Search
from tests.factories import UserFactory, auditor, examiner
from tests.reviews.arrange import examine, finished_search, store_images

VERIFIER = Path(services.__file__).with_name("verify_bundle.py")


def supervisor(**kwargs: Any) -> User:
    return UserFactory(roles=[Role.SUPERVISOR], **kwargs)


def searched(candidates: int = 3, **kwargs: Any) -> Search:
    """Finished, with images, and with entries of other work before, between and after those about it."""
    audit.record("thing.done", by=None, step="before")
    search = finished_search(candidates, **kwargs)
    store_images(search)
    asked = {"face": search.face, "list_size": search.list_size, "filters": search.filters}
    asked |= {"probe": str(search.probe_id), "policy": search.policy_digest}
    asked |= {"edit": str(search.edit_id)} if search.edit_id else {}
    audit.record("search.requested", by=search.requested_by, obj=search, case=search.probe.case_id, **asked)
    audit.record(
        "search.finished",
        by=None,
        obj=search,
        case=search.probe.case_id,
        probe=str(search.probe_id),
        probe_sha256=search.probe.sha256,
        encoder=search.encoder.name,
        encoder_digest=search.encoder.digest,
        generation=search.generation,
        gallery_size=search.gallery_size,
        depth=search.depth,
        scanned=search.scanned,
        rescored=search.rescored,
        ceiling=search.ceiling,
        threshold=None,
        candidates=sorted(str(one.pk) for one in search.candidates.all()),
    )
    audit.record("thing.done", by=None, text="not yours to read: Zzdetail – ü")
    return search


def examined(search: Search, *, same: tuple[int, ...] = (1,), notes: str = "The left ear") -> list[User]:
    people = [examiner(full_name="Eve First"), examiner(full_name="Ed Second")]
    for person in people:
        examine(person, search, same=same, notes=notes)
        audit.record("thing.done", by=None, step="between")
    return people


def with_lead(candidates: int = 3, **kwargs: Any) -> Search:
    search = searched(candidates, **kwargs)
    examined(search)
    return search


def bundle_of(search: Search, by: User | None = None) -> bytes:
    return b"".join(services.make(by=by or auditor(), search=search).chunks)


def files_of(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def content_of(bundle: bytes) -> Any:
    return json.loads(files_of(bundle)["bundle.json"])


def unpacked(bundle: bytes, folder: Path) -> Path:
    for name, data in files_of(bundle).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def verified(path: Path, *options: str) -> tuple[int, str]:
    """Exit code and what it says, of a Python that knows no packages and no environment."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(VERIFIER), str(path), *options],
        capture_output=True, text=True, timeout=60, check=False, env={},
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout
