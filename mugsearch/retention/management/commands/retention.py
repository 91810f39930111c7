"""./run manage retention sweep: do what the policy's rules of retention say is due today."""

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mugsearch.errors import MugsearchError
from mugsearch.gallery import progress
from mugsearch.gallery.management.progress_line import ProgressCommand
from mugsearch.retention import sweeping
from mugsearch.retention.sweeping import Plan


class Command(ProgressCommand):
    help = (
        "Expunge or seal the bookings whose rule is due, and erase the probes that have aged out. It may be stopped "
        "and run again: it goes on with what is left. Exit status: 0 done, 1 something due was left, 2 nothing was "
        "done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["sweep"])
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument(
            "--confirm",
            type=int,
            metavar="N",
            help="up to so many bookings may go at once, whatever the policy's share",
        )

    def handle(self, *, dry_run: bool, confirm: int | None, **options: Any) -> None:
        if dry_run:
            self._say(sweeping.plan())
            return
        started = time.monotonic()
        try:
            swept = sweeping.sweep(confirm=confirm, report=lambda done, of: self.show(f"{done:,} of {of:,} bookings"))
        except MugsearchError as error:
            self.end_of_progress()
            raise CommandError(error.message, returncode=2) from error
        self.end_of_progress()
        took = progress.duration(time.monotonic() - started)
        self.stdout.write(f"{swept.done:,} bookings and {swept.probes:,} probes, {took}.")
        for sentence, count in swept.skipped.items():
            self.stdout.write(f"{count:>9,}  left: {sentence}")
        if swept.skipped:
            raise SystemExit(1)

    def _say(self, plan: Plan) -> None:
        self.stdout.write(f"Due on {plan.today:%Y-%m-%d}, by the policy {plan.policy.digest[:12]}:")
        for code, rule in plan.policy.retention.rules.items():
            if count := plan.by_rule.get(code, 0):
                self.stdout.write(f"{count:>9,}  {rule.words}")
        self.stdout.write(f"{len(plan.probes):>9,}  probes without a lead, to be erased")
        for sentence in sorted({due.why_not for due in plan.waiting if due.why_not}):
            count = sum(due.why_not == sentence for due in plan.waiting)
            self.stdout.write(f"{count:>9,}  due, but left: {sentence}")
        self.stdout.write(
            f"Nothing was done. {plan.count:,} bookings and {len(plan.probes):,} probes would go "
            f"(plan {plan.digest[:12]})."
        )
        if plan.too_many:
            share = plan.policy.retention.max_share
            self.stdout.write(
                f"That is more than {share} % of an agency's gallery or of the probes: needs --confirm {plan.count}. "
                "That number is of the bookings; the probes go, too."
            )
