"""./run manage hunt: look everywhere for what should be gone."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mugsearch import ownership
from mugsearch.accounts.services import console
from mugsearch.errors import BadInput, MugsearchError
from mugsearch.gallery.management.progress_line import ProgressCommand
from mugsearch.hunting import services
from mugsearch.hunting.markers import Marker
from mugsearch.hunting.report import Hunt, Place


class Command(ProgressCommand):
    help = (
        "Look for markers in every table, file, log, queue and process of this installation. Markers are best typed or "
        "piped in, one a line: on a command line they stay in the shell's history and are shown by ps. Exit status: 0 "
        "nothing is in plain where it may not be, 1 something is, 2 it could not be done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("markers", nargs="*", metavar="MARKER", help="text; without any, they are read from here")
        parser.add_argument("--from", type=Path, dest="lines", metavar="FILE", help="a file of markers, one a line")
        parser.add_argument("--hex", nargs="+", default=[], metavar="HEX", help="bytes, as hex digits")
        parser.add_argument("--file", nargs="+", type=Path, default=[], help="a file that is recognised by its pieces")
        parser.add_argument(
            "--also", nargs="+", type=Path, default=[], metavar="DIR", help="a folder to read besides, as of backups"
        )

    def handle(self, *, markers: list[str], also: list[Path], **options: Any) -> None:
        try:
            sought = [*map(Marker.of_text, [*markers, *self._typed(options["lines"], markers, options)])]
            sought += [Marker.of_bytes(_from_hex(digits)) for digits in options["hex"]]
            sought += [Marker.of_file(_bytes_of(path)) for path in options["file"]]
            with ownership.acting():  # who sees more of the server
                done = services.hunt(by=console(), markers=sought, also=also, progress=self.show)
        except MugsearchError as error:
            self.end_of_progress()
            raise CommandError(error.message, returncode=2) from error
        self.end_of_progress()
        self._say(done)
        if done.in_plain:
            raise SystemExit(1)

    def _typed(self, lines: Path | None, markers: list[str], options: dict[str, Any]) -> list[str]:
        if lines is not None:
            read = _bytes_of(lines).decode("utf-8-sig", "strict")
        elif markers or options["hex"] or options["file"]:
            return []
        else:
            if sys.stdin.isatty():
                self.aside("Markers, one a line; Ctrl-D ends them:")
            read = sys.stdin.read()
        return [line for line in read.splitlines() if line.strip()]

    def _say(self, done: Hunt) -> None:
        self.stdout.write(f"{'place':28}{'read':>12}{'items':>10}  found")
        for place in done.places:
            self.stdout.write(f"{place.name:28}{place.bytes / 2**20:>9,.1f} MB{place.items:>10,}  {_found(place)}")
            for (where, number, form), count in sorted(place.finds.items()):
                self.stdout.write(f"    marker {number} as {form}, {count} x: {where}")
            for missed in place.missed:
                self.stdout.write(f"    not looked at: {missed}")
        rate = done.bytes / 2**20 / max(done.seconds, 0.001)
        self.stdout.write(
            f"{done.markers} markers, {done.bytes / 2**20:,.0f} MB in {done.seconds:.0f} s, {rate:,.0f} MB/s."
        )
        self.stdout.write("This process and those it was started from hold the markers and were left out.")
        if done.in_plain:
            self.stdout.write(f"IN PLAIN: {', '.join(place.name for place in done.in_plain)}.")
        elif done.ages:
            self.stdout.write(f"Nothing but what ages out: {', '.join(sorted(done.ages))}.")
        else:
            self.stdout.write("Nothing was found.")


def _found(place: Place) -> str:
    if not place.finds:
        return "-"
    return f"{', '.join(map(str, place.markers))}  {place.ages or 'IN PLAIN'}"


def _from_hex(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise BadInput("What follows --hex is an even number of hex digits.") from None


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror}).") from error
