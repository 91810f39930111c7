"""./run manage rotate_master_key"""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from mugsearch.accounts.services import console
from mugsearch.errors import MugsearchError
from mugsearch.vault import services


class Command(BaseCommand):
    help = (
        "Wrap every data key anew: MUGSEARCH_MASTER_KEY replaces MUGSEARCH_MASTER_KEY_OLD. The service may run, once "
        "all of its processes were started with both. Killed, it goes on where it was when it is called again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.MUGSEARCH_MASTER_KEY_OLD:
            raise CommandError("Set MUGSEARCH_MASTER_KEY_OLD to the master key that MUGSEARCH_MASTER_KEY replaces.")
        try:
            keys = services.rotate_master_key(by=console(), progress=self._show)
        except MugsearchError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Wrapped anew: {keys:,} keys. The old master key opens none of them any more.")
        self.stdout.write("Remove MUGSEARCH_MASTER_KEY_OLD and start the services again.")

    def _show(self, done: int) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{done:,} keys ", ending="")
