"""What says that a backup is whole, ours and unchanged.

manifest.json   what it is, as text that somebody can read
manifest.mac    a keyed digest of it: only who has the key file can have written it
SHA256SUMS      the digest of every other file, as `sha256sum -c` checks them; its own digest is in the manifest
"""

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from mugsearch.errors import BadInput
from mugsearch.vault.digests import keyed_by

FORMAT = 1
_PURPOSE = "mugsearch backup manifest"

Report = Callable[[int, int], None]  # how many of how many files are done


class BackupDamaged(BadInput):
    """Something of it is missing, changed, or was written by another installation. Nothing was touched."""

    code = "backup_damaged"


@dataclass(frozen=True)
class Manifest:
    """`said` is manifest.json; `sums` SHA-256 of every file by its path in the backup."""

    folder: Path
    said: dict[str, Any]
    sums: dict[str, str]
    digest: str

    def require(self, kind: str) -> None:
        if self.said["kind"] != kind:
            raise BadInput(f"{self.folder} is a backup of the {self.said['kind']}, not of the {kind}.")


def write(folder: Path, root: bytes, sums: dict[str, str], **said: Any) -> None:
    """`root`: the digest key of the key file. Not durable yet."""
    text = "".join(f"{digest}  {path}\n" for path, digest in sums.items()).encode()
    (folder / "SHA256SUMS").write_bytes(text)
    said = {"format": FORMAT, **said, "files": len(sums), "sums": sha256(text).hexdigest()}
    manifest = (json.dumps(said, indent=1) + "\n").encode()
    (folder / "manifest.json").write_bytes(manifest)
    (folder / "manifest.mac").write_text(keyed_by(root, _PURPOSE, manifest) + "\n")


def peek(folder: Path) -> dict[str, Any]:
    """manifest.json, unchecked. Raises BackupDamaged."""
    try:
        said = json.loads((folder / "manifest.json").read_bytes())
        kind = said["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupDamaged(f"{folder} is no backup of mugsearch, or its manifest.json is damaged.") from error
    if kind not in ("data", "keys"):
        raise BackupDamaged(f"{folder} is no backup of mugsearch, or its manifest.json is damaged.")
    return dict(said)


def verified(folder: Path, root: bytes, report: Report = lambda *_: None) -> Manifest:
    """Every byte of it is what was written. Raises BackupDamaged, with the first file that isn't."""
    try:
        manifest = (folder / "manifest.json").read_bytes()
        mac = (folder / "manifest.mac").read_text(encoding="ascii").strip()
        if not hmac.compare_digest(mac, keyed_by(root, _PURPOSE, manifest)):
            raise BackupDamaged(
                f"{folder}/manifest.json was changed, or it is a backup of another installation: it doesn't fit the "
                "key file of this one."
            )
        said = peek(folder)
        if said["format"] > FORMAT:
            raise BadInput("This backup was made by a newer mugsearch. Install that one to restore it.")
        text = (folder / "SHA256SUMS").read_bytes()
        if sha256(text).hexdigest() != said["sums"]:
            raise BackupDamaged(f"{folder}/SHA256SUMS was changed.")
        sums = {path: digest for digest, path in (line.split("  ", 1) for line in text.decode().splitlines())}
        for number, (path, digest) in enumerate(sums.items(), start=1):
            with (folder / path).open("rb") as file:
                if file_digest(file, "sha256").hexdigest() != digest:
                    raise BackupDamaged(f"{folder / path} was changed: its digest is not what the backup says.")
            report(number, len(sums))
    except FileNotFoundError as error:
        raise BackupDamaged(f"{error.filename} is missing in the backup.") from error
    except (OSError, UnicodeError) as error:
        raise BackupDamaged(f"The backup in {folder} can't be read ({error}).") from error
    return Manifest(folder, said, sums, sha256(manifest).hexdigest())
