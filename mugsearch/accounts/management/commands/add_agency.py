from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mugsearch.accounts import services
from mugsearch.errors import MugsearchError


class Command(BaseCommand):
    help = "Add an agency, so that users, bookings and cases can belong to it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code", help="a short code, for example springfield")
        parser.add_argument("name", help='the full name, for example "Springfield Police Department"')

    def handle(self, *args: Any, code: str, name: str, **options: Any) -> None:
        try:
            services.add_agency(by=services.console(), code=code, name=name)
        except MugsearchError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{name} is added, with the code {code}.")
