"""./run manage check_index: compare the index with PostgreSQL, as every night, and mend what differs."""

from typing import Any

from django.core.management.base import CommandError

from mugsearch.errors import MugsearchError
from mugsearch.gallery import checking, encoding
from mugsearch.gallery.checking import Checked
from mugsearch.gallery.management.progress_line import ProgressCommand
from mugsearch.gallery.models import Template


class Command(ProgressCommand):
    help = (
        "Compare every vector of the index with PostgreSQL, both ways, and mend what differs. Exit status: 0 nothing "
        "differed, 1 something did, 2 it could not be compared."
    )

    def handle(self, **options: Any) -> None:
        try:
            encoder = encoding.active()
            total = Template.objects.searchable().filter(encoder=encoder).count()
            checked = checking.check(encoder, report=lambda so_far: self._show(so_far, total))
        except MugsearchError as error:
            self.end_of_progress()
            raise CommandError(error.message, returncode=2) from error
        self.end_of_progress()
        self.stdout.write(f"{checked.vectors:,} vectors compared.")
        for count, words in (
            (checked.missing, "were missing in the index and are there again"),
            (checked.superfluous, "were in the index only and are erased"),
            (checked.different, "were not as in PostgreSQL and are now"),
            (checked.unreadable, "can't be read from PostgreSQL; the log says of which photos"),
        ):
            if count:
                self.stdout.write(f"{count:>9,}  {words}")
        if not checked.all_is_well():
            raise SystemExit(1)

    def _show(self, checked: Checked, total: int) -> None:
        self.show(f"{checked.vectors:,} of {max(total, checked.vectors):,} vectors")
