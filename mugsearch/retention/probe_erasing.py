"""Unsolved probes age out (RULES 29): the image, its edits and the faces found in them go, the record of what was
searched and found stays.

    rows       the probe and its edits become ERASED and lose their faces: no search, no examination any more
    key        the probe's data key
    files      the image and its edits, overwritten and unlinked

As with bookings, each step is recorded when it was verified, and may be done twice.
"""

import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from mugsearch.audit import services as audit
from mugsearch.errors import MugsearchError, Unavailable, WrongState
from mugsearch.probes import policy
from mugsearch.probes.models import Probe, ProbeEdit, Search
from mugsearch.probes.policy import Policy
from mugsearch.probes.retention_rules import Retention
from mugsearch.probes.services import lock
from mugsearch.retention import erasing, purges
from mugsearch.retention.disposition_models import ProbeErasure
from mugsearch.vault import services as vault
from reviews.models import Examination, Lead
from reviews.queries import NEEDED

State = Probe.State


def unsolved() -> "QuerySet[Probe]":
    """Of casework, without a lead (a withdrawn one is part of the record, too), without an examination or a search
    under way. `since`: its last search or examination, or when it was submitted."""
    searches = Search.objects.filter(probe=OuterRef("pk"))
    under_way = searches.filter(state__in=[Search.State.QUEUED, Search.State.RUNNING])
    claimed = Examination.objects.filter(search__probe=OuterRef("pk"), state=Examination.State.CLAIMED)
    # One has concluded and another is awaited: what the first found must not come to nothing.
    ended = Count("examinations", filter=Q(examinations__state=Examination.State.CONCLUDED))
    half_examined = searches.annotate(ended=ended, needed=NEEDED).filter(ended__gt=0, ended__lt=F("needed"))
    last = Greatest("searches__requested_at", "searches__examinations__concluded_at")
    return (
        Probe.objects.exclude(state=State.ERASED)
        .filter(
            ~Exists(Lead.objects.filter(search__probe=OuterRef("pk"))),
            ~Exists(claimed),
            ~Exists(under_way),
            ~Exists(half_examined),
            ~Exists(searches.filter(trial__isnull=False)),
        )
        .annotate(since=Greatest("submitted_at", Max(last)))
        .order_by("since", "pk")
    )


def due(retention: Retention, *, today: datetime.date) -> list[UUID]:
    """Those that have aged out by today; none where the policy has no days for it."""
    if retention.probe_days is None:
        return []
    return list(_aged(retention.probe_days, today).values_list("pk", flat=True))


def erase(probe_id: UUID, *, in_force: Policy) -> bool:
    """False, and nothing done, when the probe has not aged out any more; an entry in the audit says so."""
    try:
        _erase_rows(probe_id, in_force)
    except WrongState:
        return False
    carry_out(probe_id)
    return True


def carry_out(probe_id: UUID) -> None:
    """What follows the rows. A step that fails is in the log and tried again by `tasks.resume`."""
    for step in (destroy_key, remove_files):
        try:
            step(probe_id)
        except (MugsearchError, OSError) as error:
            erasing.report(error, step.__name__, probe_id)
            return


def left_behind() -> list[UUID]:
    return list(ProbeErasure.objects.filter(files_removed_at=None).values_list("pk", flat=True))


def destroy_key(probe_id: UUID) -> None:
    with transaction.atomic(durable=True):
        row = _locked(probe_id)
        if row.key_destroyed_at:
            return
        purges.follow()
        vault.destroy_key(probe_id)
        if vault.has_key(probe_id):
            raise Unavailable("The data key is still there after it was destroyed.")
        row.key_destroyed_at = timezone.now()
        row.save(update_fields=["key_destroyed_at"])


def remove_files(probe_id: UUID) -> None:
    with transaction.atomic(durable=True):
        row = _locked(probe_id)
        if row.files_removed_at or not row.key_destroyed_at:
            return
        names = [probe_id, *ProbeEdit.objects.filter(probe=probe_id).values_list("pk", flat=True)]
        for name in names:
            vault.remove_file(name)
        if left := sum(vault.has_file(name) for name in names):
            raise Unavailable(f"{left} images are still on the disk after they were removed.")
        row.files_removed_at = timezone.now()
        row.save(update_fields=["files_removed_at"])
        seconds = (row.files_removed_at - row.erased_at).total_seconds()
        audit.record("probe.erased", by=None, obj=row.probe, case=row.probe.case_id, files=len(names), seconds=seconds)


def _erase_rows(probe_id: UUID, in_force: Policy) -> None:
    """The probe's row, then its searches': who claims an examination of it meanwhile waits, and finds it erased."""
    probe = Probe.objects.get(pk=probe_id)
    with audit.act("probe.aged-out", by=None, obj=probe, case=probe.case_id) as act:
        lock(probe)
        list(Search.objects.select_for_update(no_key=True).filter(probe=probe_id).order_by("pk").values_list("pk"))
        days = in_force.retention.probe_days
        if policy.current().digest != in_force.digest or days is None:
            raise WrongState("The policy was changed while the sweep ran.")
        if not _aged(days, timezone.localdate()).filter(pk=probe_id).exists():
            raise WrongState("This probe has not aged out any more.")
        rule = f"A probe without a lead: erase {days} day{'' if days == 1 else 's'} after its last search"
        act.note(rule=rule, policy=in_force.digest, edits=_empty(probe, rule, in_force.digest))


def erase_again(probe: Probe, *, rule: str, policy_digest: str) -> None:
    """Of a restored backup, in which it is as it was; its key is destroyed, or about to be."""
    with audit.act("probe.aged-out", by=None, obj=probe, case=probe.case_id, replayed=True) as act:
        lock(probe)
        act.note(rule=rule, policy=policy_digest, edits=_empty(probe, rule, policy_digest))
    carry_out(probe.pk)


def _empty(probe: Probe, rule: str, policy_digest: str) -> int:
    """The rows; returns how many edits."""
    ProbeErasure.objects.create(probe=probe, rule=rule, policy_digest=policy_digest)
    edits: int = ProbeEdit.objects.filter(probe=probe).update(state=State.ERASED, faces=[])
    Probe.objects.filter(pk=probe.pk).update(state=State.ERASED, faces=[])
    return edits


def _aged(days: int, today: datetime.date) -> "QuerySet[Probe]":
    """The day after the last of the days, as with bookings."""
    return unsolved().filter(Q(since__date__lte=today - datetime.timedelta(days=days + 1)))


def _locked(probe_id: UUID) -> ProbeErasure:
    return ProbeErasure.objects.select_for_update(of=("self",)).select_related("probe").get(pk=probe_id)
