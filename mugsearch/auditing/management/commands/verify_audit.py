"""./run manage verify_audit [--against NUMBER:DIGEST]"""

import sys
import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mugsearch.accounts.services import console
from mugsearch.audit.models import Entry
from mugsearch.audit.verify import Head, unseen
from mugsearch.auditing import services
from mugsearch.errors import BadInput


class Command(BaseCommand):
    help = "Read the audit from its first entry to its last; exit code 1 and the first bad entry if it doesn't fit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--against",
            metavar="NUMBER:DIGEST",
            help="A head that an earlier run printed and that was kept elsewhere: shows a cut or rewritten chain.",
        )

    def handle(self, *args: Any, against: str | None = None, **options: Any) -> None:
        try:
            head = Head.parse(against) if against else None
        except BadInput as error:
            raise CommandError(error.message, returncode=2) from error
        verdict = services.verify(by=console(), against=head, progress=self._progress())
        if not verdict.intact:
            raise CommandError(
                f"NOT INTACT. Entry {verdict.first_bad}: {verdict.problem}. "
                f"The {verdict.entries} entries before it fit together."
            )
        self.stdout.write(f"Intact. Entries: {verdict.entries}{', and the head kept outside fits' if head else ''}.")
        self.stdout.write(f"Head: {verdict.kept_head}")
        self.stdout.write("Keep the head outside this database and give it to the next run with --against.")

    def _progress(self) -> Callable[[int], None]:
        if not sys.stderr.isatty():
            return unseen
        total, started = Entry.objects.count(), time.monotonic()

        def show(done: int) -> None:
            if done % 2000 == 0:
                rate = done / max(time.monotonic() - started, 0.001)
                left = max(total - done, 0) / rate
                self.stderr.write(f"\r{done:,} of {total:,}, {rate:,.0f}/s, {left:.0f} s left ", ending="")

        return show
