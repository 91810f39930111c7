"""Whether the index can answer, for those who can't look into it: web processes load no search kernel.

The search worker, or whoever rebuilds the index, keeps one row. While it says REBUILDING new searches are refused,
also when nothing was heard of the rebuild for long: without a worker nobody could answer them, and the next one that
starts goes on with the rebuild. No refusal outlasts its cause: the worker looks every few seconds (tasks.rebuild_index)
and corrects a row that another one left behind. And no row is trusted with an answer: a search asks the index itself.
"""

from datetime import timedelta

from django.utils import timezone

from mugsearch.errors import Unavailable
from mugsearch.gallery import progress
from mugsearch.gallery.models import Encoder, IndexState, Template

State = IndexState.State

# Between two signs of life of a rebuild lies a second or two, or a search; after BUSY another message may take it up.
BUSY = timedelta(seconds=10)
SILENT = timedelta(seconds=60)
SHORTEST_WAIT, USUAL_WAIT, LONGEST_WAIT = 5, 30, 300  # seconds; the usual one while it can't be told


class NotReady(Unavailable):
    """The index is being rebuilt."""

    code = "index_rebuilding"

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def require_ready() -> None:
    """Raises NotReady, saying how far the rebuild is."""
    if state := rebuilding():
        wait = _seconds_left(state) or USUAL_WAIT
        message = f"{sentence(state)} Nothing was stored; try again then."
        raise NotReady(message, retry_after=round(min(max(wait, SHORTEST_WAIT), LONGEST_WAIT)))


def rebuilding() -> IndexState | None:
    """The rebuild under way of the index that searches need."""
    return IndexState.objects.filter(encoder__state=Encoder.State.ACTIVE, state=State.REBUILDING).first()


def notice() -> str:
    """What a page says on top while searches have to wait; mostly nothing."""
    state = rebuilding()
    return sentence(state) if state else ""


def sentence(state: IndexState) -> str:
    """How far it is, for pages and refusals."""
    if state.trouble:
        return f"The index can't be brought up to date at the moment: {state.trouble}"
    silent = timezone.now() - state.updated_at
    if silent > SILENT:
        heard = progress.duration(silent.total_seconds())
        return f"The index is being rebuilt, but for {heard} nothing was heard of it; have the search worker looked at."
    percent = min(99, 100 * state.done // max(state.total, 1))
    seconds = _seconds_left(state)
    left = f", about {progress.duration(seconds)}" if seconds is not None else ""
    return f"The index is being rebuilt: {percent} %{left}."


def under_way(encoder: Encoder) -> bool:
    """Whether somebody is at it right now."""
    alive = IndexState.objects.filter(pk=encoder.pk, state=State.REBUILDING, trouble="")
    return alive.filter(updated_at__gt=timezone.now() - BUSY).exists()


def noticed(encoder: Encoder, *, done: int, why: str) -> bool:
    """The index needs a rebuild: `why` is a code, for the record. False when that is known already."""
    known = IndexState.objects.filter(pk=encoder.pk, state=State.REBUILDING)
    if known.exists():
        return False
    now, total = timezone.now(), Template.objects.searchable().filter(encoder=encoder).count()
    counts = {"done": done, "total": total, "begun_with": done}
    values = {"state": State.REBUILDING, "why": why, "trouble": "", "started_at": now, "updated_at": now}
    IndexState.objects.update_or_create(encoder=encoder, defaults={**counts, **values})
    return True


def went_on(encoder: Encoder, *, done: int) -> None:
    """A sign of life of the rebuild."""
    state, now = IndexState.objects.get(pk=encoder.pk), timezone.now()
    if state.updated_at < now - BUSY:  # it was interrupted: the pause says nothing about how fast it goes
        state.started_at, state.begun_with = now, done
    state.done, state.total, state.trouble, state.updated_at = done, max(done, state.total), "", now
    state.save()


def in_trouble(encoder: Encoder, trouble: str) -> None:
    """It doesn't become current for now, and whoever looks after it tries again."""
    noticed(encoder, done=0, why="trouble")
    IndexState.objects.filter(pk=encoder.pk, state=State.REBUILDING).update(trouble=trouble[:300])


def ready(encoder: Encoder) -> None:
    IndexState.objects.filter(pk=encoder.pk).exclude(state=State.READY).update(
        state=State.READY, trouble="", updated_at=timezone.now()
    )


def why(encoder: Encoder) -> str:
    """Of the last rebuild."""
    return IndexState.objects.filter(pk=encoder.pk).values_list("why", flat=True).first() or ""


def _seconds_left(state: IndexState) -> float | None:
    """None as long as it would be a guess."""
    read, seconds = state.done - state.begun_with, (state.updated_at - state.started_at).total_seconds()
    return (state.total - state.done) * seconds / read if read > 0 and seconds >= 1 else None
