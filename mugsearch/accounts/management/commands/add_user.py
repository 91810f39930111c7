import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mugsearch.accounts import services
from mugsearch.accounts.models import Agency, Role
from mugsearch.errors import MugsearchError


class Command(BaseCommand):
    help = "Add somebody who can sign in: the first administrator; the others are added on the page Users."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="the full name")
        parser.add_argument("--agency", required=True, help="the agency's code")
        parser.add_argument("--role", required=True, action="append", choices=Role.values, help="may be repeated")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        agency = Agency.objects.filter(code=options["agency"]).first()
        if agency is None:
            codes = ", ".join(Agency.objects.values_list("code", flat=True)) or "none yet; use add_agency"
            raise CommandError(f"There is no agency {options['agency']}. There are: {codes}.")
        try:
            services.add_user(
                by=services.console(),
                username=username,
                full_name=options["name"],
                agency=agency,
                password=_password(),
                roles=[Role(role) for role in options["role"]],
            )
        except MugsearchError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{options['name']} can sign in as {username}.")


def _password() -> str:
    """Typed twice at a terminal, else the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise CommandError("The two passwords differ.")
    return first
