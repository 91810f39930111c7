"""What a backup doesn't know of, written beside the keys as soon as it is committed, and read again by a restore.

The record (audit) is where it comes from: whatever of ACTS is in it gets a line in the ledger, in the same order. A
line follows the commit, so nothing is replayed that didn't happen; and it comes before a key is destroyed and before
an order is complete. A process killed in between is made good by the next one, at the latest by `tasks.resume`.
"""

import logging
from typing import Any, Final

from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry, Outcome
from mugsearch.errors import MugsearchError
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from mugsearch.vault.purges import Line

logger = logging.getLogger(__name__)

ORDERS: Final = ("booking.expunged", "booking.sealed", "booking.unsealed")
ACTS: Final = (*ORDERS, "hold.set", "hold.lifted", "probe.aged-out", "backup.restored")


def follow() -> None:
    """Bring the ledger up to what is committed. Not inside a transaction that writes one of ACTS. May raise
    Unavailable."""
    last = vault.last_purge()
    if last is None or not _knows(last) or _entries().filter(number__gt=last["number"]).exists():
        vault.note_purges(_following)


def try_to_follow() -> None:
    """For who has done the act already, and doesn't undo it because the ledger can't be written now."""
    try:
        follow()
    except (MugsearchError, OSError) as error:
        logger.error("the ledger of purges: %s", type(error).__name__)


def unknown_here() -> list[Line]:
    """The lines of what happened after this database's last moment: those after the last one that its record holds.
    Empty unless an older backup was restored."""
    lines = vault.purges()
    for at in range(len(lines), 0, -1):
        if _knows(lines[at - 1]):
            return lines[at:]
    return lines


def _following(last: Line | None) -> list[Line]:
    entries = _entries()
    if last is None:
        return [_line(entry) for entry in entries]
    if _knows(last):
        return [_line(entry) for entry in entries.filter(number__gt=last["number"])]
    known = {line["digest"] for line in vault.purges()}  # the record was forked by a restore
    return [_line(entry) for entry in entries if entry.digest not in known]


def _entries() -> Any:
    return Entry.objects.filter(act__in=ACTS, outcome=Outcome.DONE).order_by("number")


def _knows(line: Line) -> bool:
    """Also where its entry was archived: that is more than a year ago, so no lost branch of the record goes on from
    there."""
    known = Entry.objects.filter(number=line["number"], digest=line["digest"]).exists()
    return known or bool(line["number"] <= audit.archived_to())


def _line(entry: Entry) -> Line:
    """Opaque ids and keyed digests; of an order also its number, which names nobody, and the rule that ordered it."""
    line: Line = {
        "number": entry.number,
        "digest": entry.digest,
        "at": entry.at.isoformat(),
        "act": entry.act,
        "object": entry.object_id,
        "actor": str(entry.actor or ""),
    }
    told = ("bookings", "suppressed", "hold", "last_day", "rule", "policy")
    line |= {name: entry.details[name] for name in told if name in entry.details}
    if entry.act in ORDERS:
        order = ExpungementOrder.objects.get(pk=entry.object_id)
        line |= {
            "order_number": order.order_number,
            "rule": order.rule,
            "disposition": order.disposition,
            "policy": order.policy_digest,
        }
    return line
