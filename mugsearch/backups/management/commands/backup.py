"""./run manage backup DIR"""

import datetime
import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from mugsearch.accounts.services import console
from mugsearch.backups import folders, making, manifests
from mugsearch.errors import MugsearchError
from mugsearch.gallery import progress
from mugsearch.gallery.management.progress_line import ProgressCommand


class Command(ProgressCommand):
    help = (
        "Back up the database and the images into a new folder below DIR, while the service runs. The keys are not in "
        "it, and without them no photograph, name or number in it opens: see backup_keys."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dir", type=Path, metavar="DIR", help="on another disk; not where backups of keys are")

        parser.add_argument("--without-lost", action="store_true", help="also where images are missing from the disk")

    def handle(self, *, dir: Path, without_lost: bool, **options: Any) -> None:  # noqa: A002  as the command line calls it
        started = time.monotonic()
        for left in folders.remove_leftovers(dir, folders.DATA):
            self.stdout.write(f"Removed {left.name}: it was left by a backup that was killed.")
        try:
            made = making.make(by=console(), home=dir, without_lost=without_lost, report=self.show)
        except MugsearchError as error:
            self.end_of_progress()
            raise CommandError(error.message) from error
        self.end_of_progress()
        took = progress.duration(time.monotonic() - started)
        self.stdout.write(f"{made.folder}")
        self.stdout.write(f"The database and {made.files:,} images, {made.bytes / 2**20:,.1f} MiB, {took}.")
        if made.lost:
            self.stdout.write(f"ATTENTION: {made.lost:,} images are not in it: they are missing from the disk.")
        if made.erased:
            self.stdout.write(f"{made.erased:,} images are not in it: they were erased while it was made.")
        self.stdout.write(f"Destroy it by {folders.destroy_by():%-d %B %Y}: what is expunged from now on is in it.")
        self.stdout.write("No photograph, name or number in it opens without the keys. Back them up, too, elsewhere:")
        self.stdout.write("    ./run manage backup_keys ANOTHER_DIR")
        self._say_which_are_old(dir)

    def _say_which_are_old(self, home: Path) -> None:
        old = []
        for folder in folders.all_in(home, folders.DATA):
            try:
                if datetime.date.fromisoformat(manifests.peek(folder)["destroy_by"]) < timezone.localdate():
                    old.append(folder)
            except (MugsearchError, KeyError, ValueError):
                self.stdout.write(f"{folder.name} has no manifest that can be read: it can't be restored.")
        if old:
            self.stdout.write(f"To be destroyed now, they are over their date: {', '.join(one.name for one in old)}")
