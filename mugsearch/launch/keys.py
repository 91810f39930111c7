"""The three secrets of an embedded installation, made once and never again.

Losing the master key loses every image it protects, so an existing file is never touched: not even an empty or
damaged one, which a person has to look at.
"""

import os
import secrets
from pathlib import Path

from mugsearch.durable import fsync_folder
from mugsearch.launch import CannotStart
from mugsearch.launch.places import Places, owned

NAMES = ("secret_key", "master_key", "signing_key")
_BYTES = 32


def ensure_keys(places: Places) -> dict[str, Path]:
    """The path of each of ``NAMES`` (64 hexadecimal digits), made where missing."""
    with owned(places.secrets):
        return {name: _ensure(places.secrets / name) for name in NAMES}


def _ensure(path: Path) -> Path:
    if not path.exists():
        _write_once(path, secrets.token_hex(_BYTES))
    if len(path.read_text().strip()) < 2 * _BYTES:
        loss = "the stored images stay unreadable" if path.name == "master_key" else "others must be told of a new one"
        raise CannotStart(f"{path} is damaged. Restore it from a backup: without it {loss}.")
    return path


def _write_once(path: Path, text: str) -> None:
    """Writes the whole file or none of it, and lets the first of two writers win."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.draft")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, text.encode())
        os.fsync(file)
    finally:
        os.close(file)
    try:
        # A link fails if the name is taken, where a rename would replace it.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    fsync_folder(path.parent)
