"""What the commands that do something for one person share."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from mugsearch.accounts.models import User
from mugsearch.errors import MugsearchError


class ForSomebody(BaseCommand):
    """`done`: what is said afterwards, with the user name in place of {}."""

    done: ClassVar[str]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        user = User.objects.people().filter(username__iexact=username).first()
        if user is None:
            raise CommandError(f"There is no user {username}.")
        try:
            self.do(user)
        except MugsearchError as error:
            raise CommandError(error.message) from error
        self.stdout.write(self.done.format(user.username))

    def do(self, user: User) -> None:
        raise NotImplementedError
