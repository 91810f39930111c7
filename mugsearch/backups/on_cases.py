"""Who was taken off a case after a backup is not put on it again by its restore: as with `people`, this is noted before
the database that knows it is replaced.

Whoever came on a case after the backup is not on it any more either, and is shared with anew. But they have seen it, so
that they were on it is written down once more: they examine none of its searches.
"""

from collections import defaultdict
from typing import TypedDict
from uuid import UUID

from mugsearch.accounts.models import User
from mugsearch.accounts.services import console
from mugsearch.probes import sharing
from mugsearch.probes.models import Case, Membership


class OnCase(TypedDict):
    """Ids of people. `was`: whoever was on it at any time and isn't now."""

    responsible: str
    on: list[str]
    was: list[str]


Known = dict[str, OnCase]


def known() -> Known:
    """By case, of the database that is connected now."""
    return {
        str(case): {"responsible": str(responsible), "on": _texts(on), "was": _texts(was)}
        for case, (responsible, on, was) in _now().items()
    }


def take_again(before: Known) -> None:
    """One act for each case that differs; the others are passed over, so it may be repeated."""
    people = {str(pk) for pk in User.objects.people().values_list("pk", flat=True)}
    for pk, (responsible, on, was) in _now().items():
        said = before.get(str(pk))
        if said is None:
            continue
        # Who came after the backup isn't here: then nobody has it until a supervisor assigns it.
        successor = said["responsible"] if said["responsible"] in people else str(console().pk)
        left = {str(one) for one in on} - {*said["on"], successor}
        seen = people.intersection([*said["on"], *said["was"]]) - {str(one) for one in on | was} - {successor}
        if left or seen or successor != str(responsible):
            sharing.as_before_restore(
                by=console(),
                case=Case.objects.get(pk=pk),
                responsible=User.objects.get(pk=successor),
                left=list(User.objects.filter(pk__in=left)),
                seen=list(User.objects.filter(pk__in=seen)),
            )


def unassigned() -> list[str]:
    """Numbers of the cases that wait for a supervisor."""
    return list(Case.objects.filter(responsible=console()).order_by("number").values_list("number", flat=True))


def _now() -> dict[UUID, tuple[UUID, set[UUID], set[UUID]]]:
    """Of every case: who is responsible, who is on it, and who was. The case of trials is nobody's."""
    on: dict[UUID, set[UUID]] = defaultdict(set)
    ever: dict[UUID, set[UUID]] = defaultdict(set)
    for case, user, until in Membership.objects.values_list("case", "user", "until"):
        ever[case].add(user)
        if until is None:
            on[case].add(user)
    cases = Case.objects.filter(responsible__isnull=False).values_list("pk", "responsible")
    return {case: (responsible, on[case], ever[case] - on[case]) for case, responsible in cases}


def _texts(ids: set[UUID]) -> list[str]:
    return sorted(map(str, ids))
