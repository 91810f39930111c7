"""The steps of an order in the words of its certificate: what was done, and what was looked at to know it was."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mugsearch.retention.models import ExpungementOrder

Kind = ExpungementOrder.Kind

_CODE = re.compile(r"[a-z][a-z_]{0,39}")
_INDEX = (
    "Index proved",
    "{the_vectors} in the index overwritten and read back; then looked for in it, and none was found.",
)
# {step: (what was done, what was checked)}, in the order of the steps. What is in braces is counted on the order, or
# by the step (ExpungementOrder.checks).
EXPUNGED = {
    "erased_at": (
        "Records erased",
        (
            "In one transaction with the order, after the searches and imports that were writing had ended. From then "
            "on no search could return the booking (gallery change {generation})."
        ),
    ),
    "key_destroyed_at": (
        "Data keys destroyed",
        "{the_keys} overwritten, read back and removed; then looked for, and none was found.",
    ),
    "files_removed_at": (
        "Photographs removed",
        "{the_files} overwritten, read back and removed; then looked for, and none was found.",
    ),
    "uploads_gone_at": (
        "Uploads gone",
        "Every upload that an import had not finished with at the time is off the disk.",
    ),
    "forgotten_at": _INDEX,
    "leavings_gone_at": (
        "Leavings gone",
        (
            "Messages between the processes, sessions and unfinished uploads were looked through. Those that held "
            "something of it or were left over were removed: {removed}."
        ),
    ),
    "vacuumed_at": (
        "Database vacuumed",
        (
            "The removed rows are out of {tables} tables and their indexes, and the statistics were made anew. "
            "None was kept for a reader that had begun before."
        ),
    ),
    "verified_at": (
        "Last look",
        (
            "{columns} columns of {tables} tables were read once more, and the stores of keys and files and the index "
            "were asked: nothing of it was found."
        ),
    ),
}
SEALED = {"forgotten_at": _INDEX}
_NOTHING_TO_LOOK_FOR = (
    "An earlier version of this software carried out the steps before and kept no ids of what went, so this look had "
    "nothing to look for."
)
_LOOKS = ("leavings_gone_at", "verified_at")  # for the ids that the last one counts

# Of an order that a restore carried out once more: what had been done before.
_AGAIN = {
    "key_destroyed_at": "Destroyed before, or again: {keys} looked for, and none was found.",
    "files_removed_at": "Removed before, or again: {files} looked for, and none was found.",
    "forgotten_at": "The index was built without it: {vectors} looked for in it, and none was found.",
}

KEPT = {
    Kind.EXPUNGE: (
        "This order with its number, and this certificate.",
        "A digest of the booking number, made with a secret key, so that an import can’t bring the booking back.",
        "In earlier lists of candidates the place, without image, name and score, and the grade an examiner gave it.",
        "In line-ups made before, an empty place.",
        (
            "The cases it was on a list of, with their probes, and in the words of whoever wrote it what evidence "
            "there was, what became of a lead and why one was withdrawn. They are about the case, and may say more."
        ),
        "The record of acts (audit), which can’t be changed: it has random ids, counts and digests, and no names.",
    ),
    Kind.SEAL: (
        "Nothing was destroyed: photographs, vectors and what was recorded are kept, and seen by records staff only.",
        "In earlier lists of candidates the places, and what examiners wrote; both are hidden while it is sealed.",
        "Another order can unseal it. Until then no search compares with it.",
    ),
    Kind.UNSEAL: ("Everything. Leads that were withdrawn when it was sealed stay withdrawn.",),
}


def steps(order: ExpungementOrder) -> list[dict[str, Any]]:
    """[{"step", "what", "at", "checked", "numbers"}, …] of a complete order, naming nobody."""
    return [*_ordered(order), *_carried_out(order)]


def _carried_out(order: ExpungementOrder) -> Iterable[dict[str, Any]]:
    if order.kind == Kind.SEAL:
        yield _step(
            "sealed",
            "Sealed",
            order.approved_at or order.requested_at,
            "In one transaction, after the searches and imports that were writing had ended. From then on no search "
            f"could return it (gallery change {order.generation}), and its places on old lists read as tombstones.",
        )
    if order.kind == Kind.UNSEAL:
        yield _step(
            "unsealed",
            "Unsealed",
            order.approved_at,
            f"In the transaction of the approval. Every search from then on compares with "
            f"{_counted(order)['the_vectors']} again (gallery change {order.generation}), and its places on old lists "
            "are what they were: the database compared each.",
        )
    for name, (what, checked) in {Kind.EXPUNGE: EXPUNGED, Kind.SEAL: SEALED}.get(Kind(order.kind), {}).items():
        numbers = _numbers_only(order.checks.get(name, {}))
        if order.is_replayed:
            checked = _AGAIN.get(name, checked)
        if name in _LOOKS and not order.checks.get("verified_at", {}).get("ids"):
            checked = _NOTHING_TO_LOOK_FOR
        if numbers.get("searches"):
            checked += " Searches with the vectors themselves, before they were wiped: {searches}; none was found."
        if numbers.get("log_gone"):
            checked += " No file of the server’s write-ahead log from before is left."
        yield _step(name, what, getattr(order, name), checked.format_map(_Counted(_counted(order) | numbers)), numbers)


_REPLAYED = (
    "By two records clerks, before a backup was restored that did not know of it; carried out once more from the "
    "ledger that is kept with the keys."
)


def _ordered(order: ExpungementOrder) -> list[dict[str, Any]]:
    if order.rule:
        said = _REPLAYED if order.is_replayed else "By a rule of the policy in force, which was due on that day."
        return [_step("ordered", "Ordered", order.erased_at or order.requested_at, said)]
    said = "By another records clerk, who was shown exactly what would be done."
    return [
        _step("requested", "Requested", order.requested_at, "By a records clerk, with an order number and a reason."),
        _step("approved", "Approved", order.approved_at, said),
    ]


def _step(
    name: str, what: str, at: datetime | None, checked: str, numbers: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"step": name, "what": what, "at": utc(at), "checked": checked, "numbers": numbers or {}}


def in_words(step: dict[str, Any]) -> str:
    """The numbers of a step, as in "searches: 3, found: 0"."""
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in step["numbers"].items())


def utc(at: datetime | None) -> str | None:
    """2026-11-26T10:15:30Z"""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else None


class _Counted(dict[str, Any]):
    """Of what an earlier version did not count, 0."""

    def __missing__(self, name: str) -> int:
        return 0


def _counted(order: ExpungementOrder) -> dict[str, Any]:
    counts, destroyed = order.counts, order.checks.get("key_destroyed_at", {})
    return {
        "generation": order.generation,
        "the_vectors": _number_of(counts.get("templates", 0), "vector"),
        "the_files": _number_of(counts.get("photos", 0), "encrypted file"),
        # Also those of dispositions and rejected rows. An order of before keys were counted destroyed its booking's.
        "the_keys": _number_of(destroyed.get("keys", counts.get("keys", 1)), "data key"),
    }


def _number_of(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"


def _numbers_only(checks: dict[str, Any]) -> dict[str, Any]:
    """Numbers and fixed codes, whatever else a step may ever write down: a certificate names nobody."""
    return {name: value for name, value in checks.items() if _is_plain(name) and _is_plain(value)}


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and _CODE.fullmatch(value) is not None)
