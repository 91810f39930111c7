"""How far an import is, in words. `run.rate` is rows a second, lately; it says nothing while a run waits."""

from mugsearch.gallery.models import ImportRun


def rate(run: ImportRun) -> str:
    if run.state != ImportRun.State.RUNNING or run.rate <= 0:
        return ""
    if run.rate < 1:
        return f"{60 * run.rate:.0f} rows a minute"
    return f"{run.rate:,.0f} rows a second" if run.rate >= 10 else f"{run.rate:.1f} rows a second"


def remaining(run: ImportRun) -> str:
    """ "about 46 seconds", or nothing as long as it would be a guess."""
    if run.state != ImportRun.State.RUNNING or run.rate <= 0 or run.rows_done < 16:
        return ""
    return f"about {duration((run.rows - run.rows_done) / run.rate)}"


def duration(seconds: float) -> str:
    if seconds < 1.5:
        return "1 second"
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
