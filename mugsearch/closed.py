"""Whether the service may run on these data: not between the first change of a restore and its last check.

A file below `var` says so, so that it outlasts a power cut and is known to every process, also one without Django.
"""

import shlex
from pathlib import Path

_SENTENCE = (
    "A backup is being restored, or restoring it was interrupted, so mugsearch stays closed. "
    "To finish it: ./run manage restore {backup}"
)


def marker(var: Path) -> Path:
    """Holds the folder of the backup in its first line; what follows is the restore's own (`mugsearch.backups`)."""
    return var / "restoring"


def reason(var: Path) -> str | None:
    """None when it is open; else a sentence that says what to do."""
    try:
        backup = marker(var).read_text().partition("\n")[0]
    except FileNotFoundError:
        return None
    return _SENTENCE.format(backup=shlex.quote(backup))
