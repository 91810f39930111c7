"""A command that takes a while and says how far it is: one moving line on a terminal, a line now and then in a file."""

import time
from typing import Any

from django.core.management.base import BaseCommand

EVERY_SECONDS = 5.0  # between lines of progress when they go into a file


class ProgressCommand(BaseCommand):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shown = time.monotonic()

    def show(self, line: str) -> None:
        if self.stderr.isatty():
            self.aside(f"\r\x1b[K{line}", ending="")
            self.stderr.flush()
        elif time.monotonic() - self._shown > EVERY_SECONDS:
            self._shown = time.monotonic()
            self.aside(line)

    def aside(self, text: str, ending: str = "\n") -> None:
        """Beside the result, and not in the red of errors that Django gives to this stream."""
        self.stderr.write(text, str, ending)

    def end_of_progress(self) -> None:
        if self.stderr.isatty():
            self.aside("\r\x1b[K", ending="")
