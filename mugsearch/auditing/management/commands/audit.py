"""./run manage audit verify | export | head | archive"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mugsearch import ownership
from mugsearch.accounts.services import console
from mugsearch.audit.models import Entry
from mugsearch.audit.verify import Head, unseen
from mugsearch.auditing import archiving, heads, services, verify_audit
from mugsearch.errors import MugsearchError
from mugsearch.vault import signing


class Command(BaseCommand):
    help = "The record of acts: check it, take it along, let a signed head of it leave, archive what is old."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, parser_class=ArgumentParser)
        verify = what.add_parser("verify", help="read the chain; exit code 1 and the first bad entry if it doesn't fit")
        verify.add_argument(
            "--against",
            action="append",
            default=[],
            metavar="HEAD",
            help="a head that was kept outside: NUMBER:DIGEST, a file, or a folder; shows a cut or rewritten chain",
        )
        verify.add_argument(
            "--key",
            action="append",
            default=[],
            metavar="FINGERPRINT",
            help="of a key that signed heads here before; the one in use counts without",
        )
        export = what.add_parser("export", help="JSON lines, their signed head, and the program that checks both")
        export.add_argument("to", type=Path, metavar="FILE.jsonl|DIR")
        export.add_argument("--from", dest="first", type=_number, metavar="NUMBER")
        export.add_argument("--to", dest="last", type=_number, metavar="NUMBER")
        what.add_parser("head", help="sign a head now and send it to every destination")
        archive = what.add_parser("archive", help="put old entries into a signed file, and remove them here")
        archive.add_argument(
            "to", type=Path, nargs="?", metavar="DIR", help="on another disk; without it, what would go"
        )

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        try:
            getattr(self, f"_{what}")(options)
        except (MugsearchError, verify_audit.Refused) as error:
            message = error.message if isinstance(error, MugsearchError) else str(error)
            raise CommandError(message, returncode=2) from error

    def _verify(self, options: dict[str, Any]) -> None:
        keys = {signing.fingerprint(), *(key.replace(":", "").lower() for key in options["key"])}
        kept = [head for one in options["against"] for head in verify_audit.heads_of(one, keys)]
        told = [Head(number, digest) for number, some in verify_audit.digests_of(kept).items() for digest in some]
        verdict = services.verify(by=console(), against=told, progress=self._progress(Entry.objects.count()))
        if not verdict.intact:
            raise CommandError(
                f"NOT INTACT. Entry {verdict.first_bad}: {verdict.problem}. "
                f"The {verdict.entries} entries before it fit together."
            )
        fits = ", and the head kept outside fits" if len(kept) == 1 else f", and {len(kept)} heads kept outside fit"
        self.stdout.write(f"Intact. Entries: {verdict.entries}{fits if kept else ''}.")
        if verdict.archived:
            self.stdout.write(
                f"Entries 1 to {verdict.archived} are in the archive: check them with verify_audit.py there."
            )
        if verdict.unchecked:
            self.stdout.write(f"Heads about {len(verdict.unchecked)} archived entries can only be checked there.")
        self.stdout.write(f"Head: {verdict.kept_head}")
        self.stdout.write("Keep the head outside this database and give it to the next run with --against.")

    def _export(self, options: dict[str, Any]) -> None:
        written = services.export_chain(
            by=console(),
            path=options["to"],
            first=options["first"],
            last=options["last"],
            progress=self._progress(Entry.objects.count()),
        )
        self.stdout.write(f"{written.path}: entries {written.first} to {written.last}, {written.bytes:,} bytes.")
        self.stdout.write(f"SHA-256: {written.sha256}")
        self.stdout.write(f"Beside it are its signed head and verify_audit.py. Key: {signing.fingerprint()}")

    def _head(self, options: dict[str, Any]) -> None:
        head = heads.sign(by=console())
        heads.deliver()
        self.stdout.write(f"Head {head.serial}: {head.number}:{head.digest}")
        failed = False
        for status in heads.statuses():
            there = status.last is not None and status.last.serial == head.serial
            failed = failed or not there
            self.stdout.write(
                f"{status.label}, {status.way.where}: {'there' if there else f'NOT there. {status.trouble}'}"
            )
            if status.way.caution:
                self.stderr.write(f"CAUTION: {status.way.caution}")
        if failed:
            raise CommandError("The head has not reached every destination. It is tried again every five minutes.")

    def _archive(self, options: dict[str, Any]) -> None:
        if options["to"] is None:
            planned, left = archiving.plan(), archiving.unremoved()
            if left:
                self.stdout.write(f"Entries {left} are archived in {left.file} and not removed yet: give its folder.")
            elif planned.count < 1:
                self.stdout.write(f"There is nothing to archive. {planned.because}")
            else:
                self.stdout.write(f"Entries {planned.first} to {planned.last} can be archived. {planned.because}")
            return
        with ownership.acting():
            progress = self._progress(archiving.plan().count)
            span = archiving.archive(by=console(), folder=options["to"], progress=progress)
        self.stdout.write(f"Entries {span} are in {options['to'] / span.file} and no longer in the database.")
        self.stdout.write(f"SHA-256: {span.sha256}. Keep it, its head and a copy of both as long as the law asks for.")

    def _progress(self, total: int) -> Callable[[int], None]:
        if not sys.stderr.isatty():
            return unseen
        started, done = time.monotonic(), 0

        def show(number: int) -> None:
            nonlocal done
            done += 1
            if done % 2000 == 0:
                rate = done / max(time.monotonic() - started, 0.001)
                left = max(total - done, 0) / rate
                self.stderr.write(f"\r{done:,} of {total:,}, {rate:,.0f}/s, {left:.0f} s left ", ending="")

        return show


def _number(typed: str) -> int:
    number = int(typed)
    if not 0 < number < 2**63:
        raise ValueError
    return number
