"""./run manage restore DIR [--keys DIR] [--replace] [--accept-doubts]"""

import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mugsearch.backups import folders, restoring
from mugsearch.errors import MugsearchError
from mugsearch.gallery import progress
from mugsearch.gallery.management.progress_line import ProgressCommand

_SAID = (
    ("expunged", "bookings were expunged again"),
    ("sealed", "bookings were sealed again"),
    ("unsealed", "bookings were unsealed again"),
    ("probes", "probes were erased again"),
    ("holds", "legal holds were set again; their numbers and reasons are lost, ask who set them"),
    ("lifted", "legal holds were lifted again"),
)


class Command(ProgressCommand):
    help = (
        "Put a backup back, purge again everything that was purged after it, and open the service. Nothing is touched "
        "before the whole backup was checked. Interrupted, call it again: until it has finished, nothing starts."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dir", type=Path, nargs="?", metavar="DIR", help="one backup of the data, mugsearch-data-…")
        parser.add_argument("--keys", type=Path, metavar="DIR", help="a backup of the keys, where the keys are lost")
        parser.add_argument("--replace", action="store_true", help="what is in the database now may be replaced")
        parser.add_argument(
            "--accept-doubts", action="store_true", help="open although the ledger can't tell all that was purged"
        )
        parser.add_argument(
            "--give-up", action="store_true", help="open what was there before; as long as nothing was replaced"
        )

    def handle(
        self,
        *,
        dir: Path | None,  # noqa: A002
        keys: Path | None,
        replace: bool,
        accept_doubts: bool,
        give_up: bool,
        **options: Any,
    ) -> None:
        started = time.monotonic()
        if give_up:
            self._give_up()
            return
        if dir is None:
            raise CommandError("Name the backup: ./run manage restore DIR")
        if inside := folders.all_in(dir, folders.DATA):
            raise CommandError(f"{dir} holds {len(inside)} backups. Name one; the newest is {inside[-1]}")
        try:
            done = restoring.restore(
                dir, keys=keys, replace=replace, accept_doubts=accept_doubts, say=self._say, report=self.show
            )
        except MugsearchError as error:
            self.end_of_progress()
            raise CommandError(error.message) from error
        except KeyboardInterrupt:
            self.end_of_progress()
            self.aside("Stopped. If it had begun, mugsearch stays closed: call the same command again to finish.")
            raise SystemExit(130) from None
        self.end_of_progress()
        self.stdout.write(
            f"Restored as of {done.made_at[:16].replace('T', ' ')} UTC, and open again "
            f"({progress.duration(time.monotonic() - started)})."
        )
        self.stdout.write(f"{done.photos:>9,}  photographs can be found by searches")
        for name, words in _SAID:
            if count := done.counts.get(name, 0):
                self.stdout.write(f"{count:>9,}  {words}")
        if done.waiting:
            self.stdout.write(f"{done.waiting:>9,}  orders are still being verified; they go on when the service runs")
        self._warn(done)
        self.stdout.write("Next: ./run manage audit verify, then start the service. What was done after the backup and")
        self.stdout.write("is not a purge (imports, searches, examinations, accounts) has to be done again.")

    def _give_up(self) -> None:
        try:
            restoring.give_up()
        except MugsearchError as error:
            raise CommandError(error.message) from error
        self.stdout.write("Nothing had been replaced. mugsearch is open again with what was there before.")

    def _say(self, line: str) -> None:
        self.end_of_progress()
        self.aside(line)

    def _warn(self, done: restoring.Restored) -> None:
        if done.keyless:
            self.stdout.write(
                f"ATTENTION: {done.keyless:,} bookings have no key: the keys' backup is older than they are. Nobody "
                "can read them any more; import them anew."
            )
        if done.narrowed is None:
            self.stdout.write(
                "ATTENTION: the database that was replaced told nothing of people. Whoever was disabled or lost a "
                "role, a second factor, a password or a certificate after the backup has it again: see the page Users."
            )
        elif done.narrowed:
            self.stdout.write(
                f"{done.narrowed:,} people lost again what had been taken from them after the backup. Who had another "
                "second factor is locked, who had another password needs a new one: see the page Users and the record."
            )
        if done.cases is None:
            self.stdout.write(
                "ATTENTION: the database that was replaced didn't tell who is on which case. Whoever was taken off one "
                "after the backup is on it again, and whoever came on one since may be given its searches to examine."
            )
        elif done.cases:
            self.stdout.write(
                f"{done.cases:,} cases are with whoever had them before the restore, where that is in the backup. Who "
                "came on a case after the backup is to be put on it anew."
            )
        if done.unassigned:
            self.stdout.write(
                f"ATTENTION: {len(done.unassigned):,} cases were given to somebody who is not in the backup; nobody "
                f"sees them now. A supervisor has to assign them (Assign a case): {', '.join(done.unassigned)}"
            )
        if done.not_here:
            self.stdout.write(
                "ATTENTION: sealed or held after the backup, of bookings that are not in it. If a feed brings them "
                f"again they are NOT sealed or held; order them anew: {', '.join(done.not_here)}"
            )
        for doubt in done.doubts:
            self.stdout.write(f"ATTENTION: {doubt} What it doesn't know of was NOT purged again.")
        if done.ledger_ends:
            self.stdout.write(
                f"The last purge that the ledger knows of was at {done.ledger_ends[:16].replace('T', ' ')} UTC. If "
                "there were later ones (certificates on paper), order them anew before anybody searches."
            )
