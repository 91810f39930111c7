"""Running an import: rows are prepared in threads, and written in the manifest's order, chunk by chunk.

A chunk is one transaction with its audit entry and the run's counters, so `rows_done` is always the truth: whoever
takes over a run whose worker died goes on right there. `runner` is the fence: an attempt that was taken over while
it was thought dead can't write any more. Loads the encoder, so web processes don't import this module.
"""

import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from contextlib import closing
from datetime import timedelta
from itertools import islice
from uuid import UUID

from django.db.models import F, Q
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.engine.encoders import Encoder as LoadedEncoder
from mugsearch.errors import BadInput, NotAllowed, Unavailable, WrongState
from mugsearch.gallery import chunks, encoding, staging, suppression
from mugsearch.gallery.manifest import BadRow, Manifest, Row
from mugsearch.gallery.models import Booking, Encoder, ImportRun, Photo
from mugsearch.gallery.preparing import Outcome, Several, prepare
from mugsearch.gallery.sources import Source

logger = logging.getLogger(__name__)

State = ImportRun.State
# After this long without a sign of life the worker of a run is thought dead; it gives one every few seconds.
STALE = timedelta(seconds=60)
HEARTBEAT = 5.0
TRIES = 3
CHUNK = 16  # new photographs per transaction
CHUNK_ROWS = 400  # rows per transaction when most are here already
CHUNK_SECONDS = 1.0  # so that progress can be seen when photographs are slow
CHUNK_BYTES = 64 * 2**20
WINDOW = 400  # rows whose bookings are looked up in one query
AHEAD_BYTES = 128 * 2**20  # of prepared photographs that wait for those before them
INTERRUPTED = "It was interrupted. Run the same command again to go on: what is in stays in."

Progress = Callable[[ImportRun], None]


def run(run_id: UUID | str) -> None:
    """The worker's side of `services.start_import`. Calling it twice, together or after one another, is harmless."""
    runner = uuid.uuid4()
    if not _claim(run_id, runner):
        return
    this = ImportRun.objects.select_related("agency").get(pk=run_id)
    try:
        if this.tries > TRIES:
            raise BadInput(f"The import stopped {TRIES} times after row {this.rows_done:,}; look at the row after it.")
        chunks.forget_unwritten(this)
        with staging.opened(this.pk) as (manifest, source):
            _Attempt(this, runner, manifest, source).work()
    except WrongState:
        logger.info("import %s was taken over by another worker", run_id)
        return
    except Unavailable as error:
        _pause(this, runner, error)
        return
    except (BadInput, NotAllowed) as error:
        _end(this, runner, State.FAILED, failure=error.message)
    staging.remove(this.pk)


def run_here(
    *,
    by: User,
    agency: Agency,
    several: Several,
    manifest: Manifest,
    source: Source,
    progress: Progress | None = None,
) -> ImportRun:
    """Import from a folder of this machine, in this process, and return the finished run. For commands.

    Raises Unavailable (disk full …), with everything that was written kept: calling again goes on.
    """
    runner = uuid.uuid4()
    with audit.act("import.started", by=by, rows=len(manifest), several=several.value) as act:
        require(by, Role.RECORDS)
        this = ImportRun.objects.create(
            agency=agency,
            started_by=by,
            several=several,
            state=State.RUNNING,
            rows=len(manifest),
            ignored_columns=manifest.ignored,
            started_at=timezone.now(),
            alive_at=timezone.now(),
            runner=runner,
            tries=1,
        )
        act.obj = this
    try:
        _Attempt(this, runner, manifest, source, progress).work()
    except (BadInput, NotAllowed, Unavailable) as error:
        _end(this, runner, State.FAILED, failure=error.message)
        raise
    except KeyboardInterrupt:
        _end(this, runner, State.FAILED, failure=INTERRUPTED)
        raise
    return this


def left_behind() -> list[UUID]:
    """Runs to nudge: their message was lost, they paused, or their worker died. Ends what nobody can go on with."""
    before = timezone.now() - STALE
    for lost in ImportRun.objects.filter(state=State.RUNNING, staged=False, alive_at__lt=before):
        runner = uuid.uuid4()
        if _claim(lost.pk, runner):
            chunks.forget_unwritten(lost)
            _end(lost, runner, State.FAILED, failure=INTERRUPTED)
    queued = Q(state=State.QUEUED) & (
        Q(alive_at=None, created_at__lt=timezone.now() - timedelta(seconds=15)) | Q(alive_at__lt=before)
    )
    dead = Q(state=State.RUNNING, alive_at__lt=before)
    found = list(ImportRun.objects.filter(queued | dead, staged=True).values_list("pk", flat=True))
    # A run may wait long for its turn: one nudge a minute is enough.
    ImportRun.objects.filter(pk__in=found, state=State.QUEUED).update(alive_at=timezone.now())
    return found


def _claim(run_id: UUID | str, runner: UUID) -> bool:
    free = Q(state=State.QUEUED) | Q(state=State.RUNNING, alive_at__lt=timezone.now() - STALE)
    now = timezone.now()
    claimed = ImportRun.objects.filter(free, pk=run_id).update(
        state=State.RUNNING, runner=runner, tries=F("tries") + 1, alive_at=now, failure="", rate=0
    )
    ImportRun.objects.filter(pk=run_id, started_at=None).update(started_at=now)
    return claimed == 1


def _pause(this: ImportRun, runner: UUID, error: Unavailable) -> None:
    """Back into the queue, saying why; `left_behind` tries again, for as long as it takes."""
    logger.warning("import %s pauses: %s", this.pk, error.message)
    ours = ImportRun.objects.filter(pk=this.pk, state=State.RUNNING, runner=runner)
    ours.update(state=State.QUEUED, failure=error.message[:500], tries=0, rate=0, alive_at=timezone.now())


def _end(this: ImportRun, runner: UUID, state: ImportRun.State, *, failure: str = "") -> None:
    this.refresh_from_db()
    with audit.act(f"import.{'finished' if state == State.DONE else 'failed'}", by=this.started_by, obj=this) as act:
        ours = ImportRun.objects.filter(pk=this.pk, state=State.RUNNING, runner=runner)
        now = timezone.now()
        if ours.update(state=state, failure=failure[:500], finished_at=now, alive_at=now, unwritten={}) != 1:
            raise WrongState("This import is being run by another worker.")
        act.note(
            rows=this.rows,
            rows_done=this.rows_done,
            enrolled=this.enrolled,
            waiting=this.waiting,
            already=this.already,
            rejected=this.rejected,
        )
    this.refresh_from_db()


class _Attempt:
    """One attempt at a run, from where it stands to its end."""

    def __init__(
        self,
        run: ImportRun,
        runner: UUID,
        manifest: Manifest,
        source: Source,
        progress: Progress | None = None,
    ) -> None:
        self._run = run
        self._runner = runner
        self._manifest = manifest
        self._source = source
        self._progress = progress
        self._threads = len(os.sched_getaffinity(0))
        self._usual_bytes = AHEAD_BYTES // 32
        self._speed: deque[tuple[float, int]] = deque([(time.monotonic(), run.rows_done)], maxlen=12)

    def work(self) -> None:
        while True:
            encoder = encoding.active()
            try:
                self._go_on(encoder, encoding.loaded(encoder.spec))
                break
            except chunks.EncoderChanged:
                logger.info("import %s goes on with another encoder", self._run.pk)
        _end(self._run, self._runner, State.DONE)

    def _go_on(self, encoder: Encoder, model: LoadedEncoder) -> None:
        rows = islice(self._manifest, self._run.rows_done, None)
        chunk: list[Outcome | BadRow] = []
        since = time.monotonic()
        with closing(self._in_order(rows, model)) as outcomes:
            for outcome in outcomes:
                chunk.append(outcome)
                if _full(chunk) or time.monotonic() - since > CHUNK_SECONDS:
                    self._write(chunk, encoder)
                    chunk, since = [], time.monotonic()
        if chunk:
            self._write(chunk, encoder)

    def _in_order(self, rows: Iterable[Row | BadRow], model: LoadedEncoder) -> Generator[Outcome | BadRow, None, None]:
        """Outcomes in the order of the rows, while threads work on those that follow."""
        tasks = self._tasks(rows)
        waiting: deque[Outcome | BadRow | Future[Outcome]] = deque()
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="import")
        try:
            while True:
                while len(waiting) < self._ahead() and (task := next(tasks, None)) is not None:
                    if isinstance(task, tuple):
                        several = Several(self._run.several)
                        waiting.append(pool.submit(prepare, task[0], self._source, task[1], model, several))
                    else:
                        waiting.append(task)
                if not waiting:
                    return
                first = waiting.popleft()
                outcome = self._result(first) if isinstance(first, Future) else first
                if isinstance(outcome, Outcome) and outcome.photo:
                    self._usual_bytes = max(len(outcome.photo.png), self._usual_bytes * 9 // 10)
                yield outcome
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _tasks(self, rows: Iterable[Row | BadRow]) -> Iterator[Outcome | BadRow | tuple[Row, frozenset[str]]]:
        """What is left to do for each row: nothing, or to prepare it, knowing what its booking has already."""
        rows = iter(rows)
        while window := list(islice(rows, WINDOW)):
            good = [row for row in window if isinstance(row, Row)]
            expunged = suppression.suppressed(self._run.agency_id, (row.booking_number for row in good))
            numbers = {row.number_digest for row in good}
            bookings = Booking.objects.filter(agency=self._run.agency_id, number_digest__in=numbers)
            owners = dict(bookings.values_list("number_digest", "person__id_digest"))
            here: dict[str, set[str]] = {}
            for number, sha256 in Photo.objects.filter(booking__in=bookings).values_list(
                "booking__number_digest", "sha256"
            ):
                here.setdefault(number, set()).add(sha256)
            for row in window:
                if isinstance(row, BadRow):
                    yield row
                elif row.booking_number in expunged:
                    yield Outcome(row, reason=chunks.EXPUNGED)
                elif owners.get(row.number_digest, row.id_digest) != row.id_digest:
                    yield Outcome(row, reason=chunks.SOMEBODY_ELSES)
                else:
                    yield row, frozenset(here.get(row.number_digest, ()))

    def _ahead(self) -> int:
        """How many rows the threads may be ahead: fewer when photographs are large, so that they fit into memory."""
        return max(2 * self._threads, min(32, AHEAD_BYTES // max(self._usual_bytes, 1)))

    def _result(self, future: "Future[Outcome]") -> Outcome:
        while True:
            try:
                return future.result(timeout=HEARTBEAT)
            except StillRunning:
                if future.done():  # the task's own timeout, not ours
                    raise
                ours = ImportRun.objects.filter(pk=self._run.pk, state=State.RUNNING, runner=self._runner)
                if ours.update(alive_at=timezone.now()) != 1:
                    raise WrongState("This import is being run by another worker.") from None

    def _write(self, chunk: list[Outcome | BadRow], encoder: Encoder) -> None:
        now = time.monotonic()
        then, rows_then = self._speed[0]
        rows_now = self._run.rows_done + len(chunk)
        rate = (rows_now - rows_then) / max(now - then, 0.001)
        chunks.write(run=self._run, runner=self._runner, encoder=encoder, outcomes=chunk, rate=rate)
        self._speed.append((now, rows_now))
        self._run.refresh_from_db()
        if self._progress:
            self._progress(self._run)


def _full(chunk: list[Outcome | BadRow]) -> bool:
    new = [outcome.photo for outcome in chunk if isinstance(outcome, Outcome) and outcome.photo]
    size = sum(len(photo.png) for photo in new)
    return len(new) >= CHUNK or len(chunk) >= CHUNK_ROWS or size >= CHUNK_BYTES
