import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mugsearch import matrix


class Command(BaseCommand):
    help = "Print which role may send what where, or write it to docs/access-matrix.csv."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help="renew the file that is checked in")

    def handle(self, *args: Any, write: bool, **options: Any) -> None:
        try:
            made = matrix.text()
        except matrix.Undeclared as error:
            raise CommandError(str(error)) from error
        if not write:
            sys.stdout.write(made)
            return
        matrix.file().write_text(made)
        self.stdout.write(f"{matrix.FILE} is renewed: {made.count(chr(10)) - 1} rows.")
