"""./run manage migrate: Django's own, as the owner of the tables; afterwards the service's role has its rights anew."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate

from mugsearch import ownership, rights
from mugsearch.errors import Unavailable


class Command(Migrate):
    def handle(self, *args: Any, **options: Any) -> None:
        with ownership.acting():
            super().handle(*args, **options)
            if not (options["plan"] or options["check_unapplied"]):
                try:
                    rights.grant(rights.role())
                except Unavailable as error:
                    raise CommandError(error.message) from error
