"""./run manage calibrate: how often somebody who is not in the gallery would be mistaken for somebody who is."""

import signal
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mugsearch.accounts.services import console
from mugsearch.errors import MugsearchError
from mugsearch.gallery import progress
from mugsearch.gallery.management.progress_line import ProgressCommand
from mugsearch.probes import calibrating, calibration

ALIKE = 0.6  # where find_duplicates begins, too


class Command(ProgressCommand):
    help = (
        "Measure how high people score who are not in the gallery, and record it: the false-positive rates shown "
        "beside scores come from here. Measure again when the gallery has grown or shrunk by a fifth. Searches go on "
        "meanwhile. Ctrl-C stops it and leaves nothing."
    )
    _stopped = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--sample",
            type=int,
            default=calibrating.SAMPLE,
            metavar="N",
            help=f"people to measure with, drawn at random; default {calibrating.SAMPLE}, or all where there are fewer",
        )
        parser.add_argument("--seed", default="", help="draw the people of an earlier measurement; see its page")

    def handle(self, *, sample: int, seed: str, **options: Any) -> None:
        started = time.monotonic()
        # A change of the index that is broken off in the middle would have to begin anew.
        before = signal.signal(signal.SIGINT, lambda *_: setattr(self, "_stopped", True))
        try:
            made = calibrating.calibrate(by=console(), people=sample, seed=seed, report=self._show)
        except MugsearchError as error:
            self.end_of_progress()
            raise CommandError(f"{error.message} Nothing was recorded.", returncode=2) from error
        except KeyboardInterrupt:
            self.end_of_progress()
            self.aside("Stopped. Nothing was recorded.")
            raise SystemExit(130) from None
        finally:
            signal.signal(signal.SIGINT, before)
        self.end_of_progress()
        took = progress.duration(time.monotonic() - started)
        self.stdout.write(
            f"Measured with {made.people:,} people, each searched without their own photographs among "
            f"{made.gallery_size:,} ({took}).\n\n   cosine   would still return somebody"
        )
        for threshold, rate in calibration.table(made):
            self.stdout.write(f"     {threshold:.2f}   {rate.words}")
        self.stdout.write(f"\nRecorded as measurement {made.number}, seed {made.seed}. It is shown from now on.")
        if alike := calibration.fpir(made.scores, ALIKE).count:
            self.stdout.write(
                f"{alike:,} scored {ALIKE} or more. That may be one person under two numbers, which makes the rates "
                "too high: find_duplicates lists such pairs."
            )

    def _show(self, done: int, total: int) -> None:
        if self._stopped:
            raise KeyboardInterrupt
        self.show(f"{done:,} of {total:,} people")
