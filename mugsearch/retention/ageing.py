"""What of an expunged booking lies where no step can reach it, whether anybody can read it, and by which day it goes.

The nightly hunt (`./run manage hunt`) reports what it finds by these codes, and a certificate lists all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

# Names, numbers, the day of birth, photographs and vectors are in no row but as ciphertext (docs/adr/0012).
ROWS = (
    "The deleted rows, where they are still there, have in plain, but not whose it is: year of birth, sex, height, "
    "weight, day and charge of the booking and whether the person was a minor then, pose and SHA-256 of the "
    "photographs’ files and where in them the faces are, dispositions and their days, the words of legal holds, scores "
    "of comparisons and what examiners found in codes, random ids, and digests made with a secret key. Names, numbers, "
    "the day of birth, photographs, vectors and what examiners wrote are in them as ciphertext only, whose key is "
    "destroyed."
)


@dataclass(frozen=True)
class Place:
    """`days` after the completion, at the latest, it is gone, as `known_by` says; None: no day can be named."""

    where: str
    holds: str
    known_by: str
    days: Callable[[], int | None]


PLACES = {
    "wal": Place(
        "The database’s write-ahead log and its archive",
        "The deleted rows.",
        "The operator keeps no part of the log longer (setting MUGSEARCH_WAL_KEPT_DAYS).",
        lambda: int(settings.MUGSEARCH_WAL_KEPT_DAYS),
    ),
    "pages": Place(
        "Free space inside the database’s files, where the rows were",
        "The deleted rows.",
        "PostgreSQL writes new rows over it as it needs the room, or all of it when a table is rewritten (VACUUM "
        "FULL), so no day can be named.",
        lambda: None,
    ),
    "backups": Place(
        "Backups of the database and of the photographs’ files, made before",
        "The deleted rows, and the photographs’ files, which are ciphertext whose key is destroyed.",
        "The operator destroys each of them in that time (setting MUGSEARCH_BACKUPS_KEPT_DAYS).",
        lambda: int(settings.MUGSEARCH_BACKUPS_KEPT_DAYS),
    ),
    "keys_backups": Place(
        "Backups of the data keys, made before, which are kept apart from the others",
        "The destroyed keys, encrypted with the master key. Whoever has such a backup, the master key and a backup of "
        "the database from before could read what was expunged.",
        "The operator destroys each of them in that time (setting MUGSEARCH_BACKUPS_KEPT_DAYS).",
        lambda: int(settings.MUGSEARCH_BACKUPS_KEPT_DAYS),
    ),
    "memory": Place(
        "Memory of the running programs",
        "What they worked with before, until the system uses that memory anew; no page and no search shows it.",
        "They are started anew every night.",
        lambda: 1,
    ),
    "logs": Place(
        "Logs of the programs, of the database and of the web server in front",
        "This system writes random ids and no names into its own. The database’s may quote a statement that failed, "
        "with what is in plain in a row, and the web server’s an address with a name that somebody looked up.",
        "The operator keeps no log longer (setting MUGSEARCH_LOGS_KEPT_DAYS).",
        lambda: int(settings.MUGSEARCH_LOGS_KEPT_DAYS),
    ),
}


def ages_out(completed_at: datetime) -> list[dict[str, Any]]:
    """As a certificate lists them. `until` is the last day, in UTC, on which it may still be there, or None."""
    listed = []
    for code, place in PLACES.items():
        days = place.days()
        until = None if days is None else (completed_at + timedelta(days=days)).date().isoformat()
        said = {"where": place.where, "holds": place.holds, "until": until, "known_by": place.known_by}
        listed.append({"place": code, "days": days, **said})
    return listed
