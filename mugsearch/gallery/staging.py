"""Uploads on their way to the import worker: settings.STAGING/<run id>/, closed to others, gone when the run ends.

manifest.csv            as it was sent
photos.zip              or: photos/0, photos/1 … with photos/names.json saying which is which
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from mugsearch.durable import fsync_folder, overwrite
from mugsearch.errors import BadInput, Unavailable
from mugsearch.gallery import manifest, sources
from mugsearch.gallery.models import ImportRun

MOST_ZIP_BYTES = 2 * 2**30
MOST_FILES = 1000
# An upload is staged within one request; a folder without a run that is older belongs to a process that died.
_ABANDONED_AFTER = timedelta(hours=6)


class Upload(Protocol):
    """What Django calls an UploadedFile."""

    name: str | None
    size: int | None

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]: ...


def check(photos: Sequence[Upload]) -> None:
    """Raises BadInput unless this is one ZIP, or photographs with different names, of sizes we take."""
    if not photos:
        raise BadInput("Choose the photos: one ZIP, or the photo files themselves.")
    if _is_zip(photos):
        if (photos[0].size or 0) > MOST_ZIP_BYTES:
            raise BadInput(f"The ZIP is larger than {MOST_ZIP_BYTES >> 30} GB; split the manifest and the ZIP.")
        return
    names = [photo.name or "" for photo in photos]
    if any(name.lower().endswith(".zip") for name in names):
        raise BadInput("Send either one ZIP or photo files, not both.")
    if len(names) > MOST_FILES:
        raise BadInput(f"These are more than {MOST_FILES:,} files; put them into a ZIP.")
    if len(set(names)) < len(names):
        raise BadInput("Two of the files have the same name; put them into a ZIP with folders.")
    if any((photo.size or 0) > sources.MOST_BYTES for photo in photos):
        raise BadInput(f"One of the photos is larger than {sources.MOST_BYTES >> 20} MB.")


def stage(run_id: UUID, manifest_bytes: bytes, photos: Sequence[Upload]) -> None:
    """Durable when it returns. Raises Unavailable, with nothing left behind, when the disk is full."""
    check(photos)
    folder = _folder(run_id)
    try:
        folder.mkdir(parents=True, mode=0o700)
        _write(folder / "manifest.csv", [manifest_bytes])
        if _is_zip(photos):
            _write(folder / "photos.zip", photos[0].chunks())
            sources.Archive(folder / "photos.zip").close()
        else:
            (folder / "photos").mkdir(mode=0o700)
            names = {photo.name or "": str(number) for number, photo in enumerate(photos)}
            for photo in photos:
                _write(folder / "photos" / names[photo.name or ""], photo.chunks())
            _write(folder / "photos" / "names.json", [json.dumps(names).encode()])
            fsync_folder(folder / "photos")
        fsync_folder(folder)
        fsync_folder(folder.parent)
    except OSError as error:
        remove(run_id)
        raise Unavailable(f"The upload can't be stored ({error.strerror}). Nothing was saved.") from error
    except BadInput:
        remove(run_id)
        raise


@contextmanager
def opened(run_id: UUID) -> Iterator[tuple[manifest.Manifest, sources.Source]]:
    """The staged manifest and photographs. Raises BadInput when they are gone or can't be used."""
    folder = _folder(run_id)
    try:
        read = manifest.read((folder / "manifest.csv").read_bytes())
        zipped = folder / "photos.zip"
        source: sources.Source = sources.Archive(zipped) if zipped.exists() else sources.Files.staged(folder / "photos")
    except FileNotFoundError as error:
        raise BadInput("The uploaded files are gone; start the import again.") from error
    try:
        yield read, source
    finally:
        source.close()


def remove(run_id: UUID) -> None:
    """Overwrite and delete an upload. Doing it twice is no error."""
    folder = _folder(run_id)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            overwrite(path)
    shutil.rmtree(folder, ignore_errors=True)


def present() -> list[str]:
    """The uploads on disk now, each the id of a run that is there or about to be."""
    root = Path(settings.STAGING)
    # Not what else may lie there, such as lost+found.
    return sorted(folder.name for folder in root.iterdir() if _is_run(folder.name)) if root.is_dir() else []


def sweep() -> None:
    """Remove uploads whose run has ended, or which never became a run because their process died."""
    root = Path(settings.STAGING)
    for folder in root.iterdir() if root.is_dir() else ():
        if not _is_run(folder.name):
            continue
        run_id = UUID(folder.name)
        run = ImportRun.objects.filter(pk=run_id).first()
        ended = run is not None and run.state in (ImportRun.State.DONE, ImportRun.State.FAILED)
        old = timezone.now().timestamp() - folder.stat().st_mtime > _ABANDONED_AFTER.total_seconds()
        if ended or (run is None and old):
            remove(run_id)


def _is_run(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _folder(run_id: UUID) -> Path:
    return Path(settings.STAGING) / str(run_id)


def _is_zip(photos: Sequence[Upload]) -> bool:
    return len(photos) == 1 and (photos[0].name or "").lower().endswith(".zip")


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        for block in blocks:
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
