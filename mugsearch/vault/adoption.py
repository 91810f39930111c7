"""Version 0.1's first form of the key store, one file per owner, is taken over once, when the store is opened."""

from contextlib import suppress
from pathlib import Path
from uuid import UUID

from mugsearch.durable import fsync_folder, shred


def path(folder: Path, owner: UUID) -> Path:
    return folder / owner.hex[:2] / owner.hex


def files(folder: Path) -> list[Path]:
    """Those of whole keys; what a killed process left half written is removed. None in a store of this form."""
    found = []
    for file in folder.glob("[0-9a-f][0-9a-f]/*"):
        if file.suffix == ".part":
            shred(file)
        else:
            found.append(file)
    return found


def remove(found: list[Path]) -> None:
    """Overwritten, then unlinked, and their folders with the last of them. The keys are durable elsewhere by now."""
    for file in found:
        shred(file)
    for folder in {file.parent for file in found}:
        if folder.exists():
            fsync_folder(folder)
        with suppress(OSError):  # not empty yet
            folder.rmdir()
