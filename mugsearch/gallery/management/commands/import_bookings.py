"""./run manage import_bookings MANIFEST.csv --photos DIR: take the photographs of a folder into the gallery."""

import argparse
import os
import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mugsearch.accounts.models import Agency
from mugsearch.accounts.services import console
from mugsearch.errors import MugsearchError
from mugsearch.gallery import importing, manifest, progress, rejects, sources
from mugsearch.gallery.management.progress_line import ProgressCommand
from mugsearch.gallery.models import ImportRun

EXPLAINED = """\
The manifest is a CSV file with a header. Columns:
  needed    photo (path below DIR), person_id, booking_number
  optional  booked_on, family_name, given_names, date_of_birth, sex, height_in,
            weight_lb, pose, charge, disposition
Dates are YYYY-MM-DD or MM/DD/YYYY. Other columns are ignored and named.

It can be stopped at any time and run again: what is in stays in, and the same
photo of the same booking is never taken twice.

Exit status: 0 every row is in (or waits for a clerk under "Photos to check"),
1 some rows were rejected and are in the rejects file, 2 it could not be
started or stopped early, 130 Ctrl-C.
"""


class Command(ProgressCommand):
    help = "Import booking photographs from a folder, by a manifest."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=EXPLAINED,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("manifest", type=Path, metavar="MANIFEST.csv")
        parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="the folder of the photographs")
        parser.add_argument("--agency", metavar="CODE", help="whose bookings these are; needed if there are several")
        parser.add_argument(
            "--face",
            choices=ImportRun.Several.values,
            default=ImportRun.Several.ONLY.value,
            help="when a photo shows several faces: let a clerk decide (only, the default), or take one",
        )
        parser.add_argument(
            "--rejects",
            type=Path,
            metavar="FILE",
            help="where rows that can't be taken are written (MANIFEST-rejects.csv beside the manifest)",
        )

    def handle(self, **options: Any) -> None:
        path: Path = options["manifest"]
        rejects_file: Path = options["rejects"] or path.with_name(f"{path.stem}-rejects.csv")
        if rejects_file.exists() and path.exists() and rejects_file.samefile(path):
            raise CommandError("The rejects can't be written over the manifest.", returncode=2)
        started = time.monotonic()
        try:
            rows = manifest.read(_bytes_of(path))
            if rows.ignored:
                self.aside(f"Columns that are ignored: {', '.join(rows.ignored)}")
            self.aside(f"{len(rows):,} rows. Ctrl-C stops; the same command goes on.")
            run = importing.run_here(
                by=console(),
                agency=_agency(options["agency"]),
                several=ImportRun.Several(options["face"]),
                manifest=rows,
                source=sources.Folder(options["photos"]),
                progress=self._show,
            )
        except MugsearchError as error:
            self.end_of_progress()
            raise CommandError(f"{error.message} What is in stays in.", returncode=2) from error
        except KeyboardInterrupt:
            self.end_of_progress()
            self.aside("Stopped. What is in stays in: run the same command again to go on.")
            raise SystemExit(130) from None
        self.end_of_progress()
        self._sum_up(run, time.monotonic() - started)
        if run.rejected:
            _write(rejects_file, run)
            self.stdout.write(f"The rejected rows, each with its line and the reason, are in {rejects_file}")
            raise SystemExit(1)

    def _show(self, run: ImportRun) -> None:
        parts = [f"{run.rows_done:,} of {run.rows:,} rows", progress.rate(run)]
        if left := progress.remaining(run):
            parts.append(f"{left} left")
        self.show(" · ".join(part for part in parts if part))

    def _sum_up(self, run: ImportRun, seconds: float) -> None:
        rate = run.rows / max(seconds, 0.001)
        self.stdout.write(f"{run.rows:,} rows in {progress.duration(seconds)} ({rate:,.1f} a second):")
        for count, words in (
            (run.enrolled, "enrolled, they can be searched now"),
            (run.already, "were here already"),
            (run.waiting, "to be decided by a clerk, on the page “Photos to check”"),
            (run.rejected, "rejected"),
        ):
            self.stdout.write(f"{count:>9,}  {words}")


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_file() and path.stat().st_size > manifest.MOST_BYTES:
            raise CommandError(f"{path} is larger than {manifest.MOST_BYTES >> 20} MB; split it.", returncode=2)
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"The manifest {path} can't be read ({error.strerror}).", returncode=2) from error


def _agency(code: str | None) -> Agency:
    known = list(Agency.objects.all())
    if code is None and len(known) == 1:
        return known[0]
    codes = ", ".join(agency.code for agency in known)
    if not known:
        raise CommandError("There is no agency yet.", returncode=2)
    if code is None:
        raise CommandError(f"There are several agencies; add --agency with one of: {codes}", returncode=2)
    for agency in known:
        if agency.code == code:
            return agency
    raise CommandError(f"There is no agency {code}; there is: {codes}", returncode=2)


def _write(path: Path, run: ImportRun) -> None:
    """Whole or not at all; a file of an earlier import is replaced."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8-sig", newline="") as file:
            file.writelines(rejects.as_csv(run.rejects.select_related("held_by")))
        temporary.rename(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CommandError(
            f"The {run.rejected:,} rejects can't be written to {path} ({error.strerror}); they are on the page of "
            "this import, too.",
            returncode=1,
        ) from error
