"""./run manage backup_keys DIR"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mugsearch.accounts.services import console
from mugsearch.backups import folders, making
from mugsearch.errors import MugsearchError


class Command(BaseCommand):
    help = (
        "Back up the data keys and the ledgers of what was destroyed into a new folder below DIR, while the service "
        "runs. The master key, which opens them, is not in it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dir", type=Path, metavar="DIR", help="not where backups of the data are")

    def handle(self, *, dir: Path, **options: Any) -> None:  # noqa: A002  as the command line calls it
        for left in folders.remove_leftovers(dir, folders.KEYS):
            self.stdout.write(f"Removed {left.name}: it was left by a backup that was killed.")
        try:
            made = making.make_of_keys(by=console(), home=dir)
        except MugsearchError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{made.folder}")
        self.stdout.write(f"The data keys and the ledgers of what was purged, {made.bytes / 2**20:,.1f} MiB.")
        self.stdout.write(
            "The master key is NOT in it: keep MUGSEARCH_MASTER_KEY (where ./run made it: var/secrets/master_key) in a "
            "third place. Without it these keys open nothing."
        )
        self.stdout.write(
            f"Destroy it by {folders.destroy_by():%-d %B %Y}, and earlier ones as soon as this one is safe: the keys "
            "of what is expunged from now on are in it."
        )
