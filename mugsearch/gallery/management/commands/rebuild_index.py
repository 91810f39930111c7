"""./run manage rebuild_index: bring the index up to date here and now, or make it anew."""

import signal
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mugsearch.engine.index import State
from mugsearch.errors import MugsearchError
from mugsearch.gallery import encoding, live, progress
from mugsearch.gallery.management.progress_line import ProgressCommand
from mugsearch.gallery.models import Template


class Command(ProgressCommand):
    help = (
        "Go on with a rebuild of the index, or take in what it lacks. The search worker does the same by itself; both "
        "may run at once. Ctrl-C stops it between two of its steps; it can be run again. While it runs, searches wait."
    )
    _stopped = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--anew", action="store_true", help="erase the index first, also one that is whole")

    def handle(self, *, anew: bool, **options: Any) -> None:
        started = time.monotonic()
        # A change of the index that is broken off in the middle would have to begin anew.
        before = signal.signal(signal.SIGINT, lambda *_: setattr(self, "_stopped", True))
        try:
            encoder = encoding.active()
            if anew:
                live.start_over(encoder)
            total = Template.objects.searchable().filter(encoder=encoder).count()
            live.rebuild(encoder, report=lambda state: self._show(state, total))
            state = live.catch_up(encoder).state()
        except MugsearchError as error:
            self.end_of_progress()
            raise CommandError(f"{error.message} What was read stays read.", returncode=2) from error
        except KeyboardInterrupt:
            self.end_of_progress()
            self.aside("Stopped. Run the same command without --anew to go on; so does the search worker.")
            raise SystemExit(130) from None
        finally:
            signal.signal(signal.SIGINT, before)
        self.end_of_progress()
        took = progress.duration(time.monotonic() - started)
        self.stdout.write(f"The index is whole: {state.live:,} vectors, as of change {state.generation:,} ({took}).")

    def _show(self, state: State, total: int) -> None:
        if self._stopped:
            raise KeyboardInterrupt
        self.show(f"{state.live:,} of {max(total, state.live):,} vectors")
