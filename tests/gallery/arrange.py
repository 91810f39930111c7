"""Manifests, folders and ZIPs of synthetic photographs, and an import of them through the product's services."""

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings as configured
from django.core.files.uploadedfile import SimpleUploadedFile as Upload

from mugsearch.accounts.models import Agency, User
from mugsearch.accounts.services import console
from mugsearch.gallery import importing, manifest, services, sources
from mugsearch.gallery.models import Booking, ImportRun, Person, Photo
from mugsearch.vault import services as vault
from tests.factories import AgencyFactory, clerk
from tests.fakes import synthetic_photo

Rows = Iterable[Mapping[str, str]]


def row(photo: str, person: str = "P-1", booking: str = "B-1", **more: str) -> dict[str, str]:
    return {"photo": photo, "person_id": person, "booking_number": booking, **more}


def csv_of(rows: Rows) -> bytes:
    rows = list(rows)
    names = list(dict.fromkeys(name for one in rows for name in one))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def zip_of(photos: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in photos.items():
            archive.writestr(name, data)
    return out.getvalue()


def folder_of(folder: Path, photos: Mapping[str, bytes]) -> Path:
    for name, data in photos.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def people(count: int, *, per_person: int = 1) -> tuple[list[dict[str, str]], dict[str, bytes]]:
    """Rows and photographs of `count` people with `per_person` bookings each, one photo a booking."""
    rows, photos = [], {}
    for person in range(count):
        for booking in range(per_person):
            name = f"{person}-{booking}.png"
            rows.append(row(name, f"P-{person}", f"B-{person}-{booking}"))
            photos[name] = synthetic_photo(person, variant=booking)
    return rows, photos


def import_folder(
    rows: Rows,
    folder: Path,
    *,
    several: ImportRun.Several = ImportRun.Several.ONLY,
    by: User | None = None,
    agency: Agency | None = None,
) -> ImportRun:
    return importing.run_here(
        by=by or console(),
        agency=agency or AgencyFactory(),
        several=several,
        manifest=manifest.read(csv_of(rows)),
        source=sources.Folder(folder),
    )


def reasons(run: ImportRun) -> dict[int, str]:
    return dict(run.rejects.values_list("line", "reason"))


def assert_the_vault_holds_what_postgresql_says() -> None:
    assert {name for name, _ in vault.files()} == set(Photo.objects.values_list("pk", flat=True))
    owners = {*Booking.objects.values_list("pk", flat=True), *Person.objects.values_list("pk", flat=True)}
    assert set(dict(vault.keys())) == owners


def staged(count: int = 6, **kwargs: Any) -> ImportRun:
    rows, photos = people(count)
    upload = Upload("photos.zip", zip_of(photos))
    by = kwargs.pop("by", None) or clerk()
    return services.start_import(
        by=by,
        several=ImportRun.Several.ONLY,
        manifest_file=csv_of(rows),
        photos=[upload],
    )


def staging_folders() -> list[str]:
    root = Path(configured.STAGING)
    return [path.name for path in root.iterdir()] if root.exists() else []
