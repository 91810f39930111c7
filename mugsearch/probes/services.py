"""Submitting a probe image under a case, searching with one of its faces, repeating a search; making a case urgent."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.engine import images
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery import readiness
from mugsearch.gallery.models import Encoder
from mugsearch.probes import policy, tasks
from mugsearch.probes.filters import Filters
from mugsearch.probes.models import Case, PriorityChange, Probe, ProbeEdit, Repeat, Search
from mugsearch.trials.models import CASE_NUMBERS
from mugsearch.validators import require_text
from mugsearch.vault import services as vault


@dataclass(frozen=True)
class Purpose:
    """Why a search is made (RULES 1-3): codes of the policy, and the investigator's attestation."""

    case_number: str
    offence: str
    legal_basis: str
    source: str
    source_detail: str
    attested: bool


def submit(*, by: User, purpose: Purpose, image: bytes, idempotency_key: str | None = None) -> Probe:
    """Take one image under a case. Sending the same `idempotency_key` again returns the probe made first.

    Raises BadImage or BadInput with nothing stored. When it returns, image and row are durable, and the worker
    has been told to look for faces.
    """
    if idempotency_key and (before := _submitted_before(by, idempotency_key)):
        return before
    try:
        with audit.act("probe.submitted", by=by) as act:
            require(by, Role.INVESTIGATOR)
            _check(purpose)
            # All that takes long comes before the first lock.
            decoded = images.decode(image)
            png = images.encode_png(decoded.pixels)
            case = _case(by, purpose.case_number)
            act.case = case.pk
            now = timezone.now()
            probe = Probe(
                id=uuid4(),
                case=case,
                submitted_by=by,
                offence=purpose.offence,
                legal_basis=purpose.legal_basis,
                source=purpose.source,
                source_detail=purpose.source_detail.strip(),
                attested_at=now,
                policy_digest=policy.current().digest,
                sha256=decoded.sha256,
                format=decoded.format,
                width=decoded.pixels.shape[1],
                height=decoded.pixels.shape[0],
                idempotency_key=idempotency_key or None,
            )
            probe.save(force_insert=True)
            vault.create_key(probe.pk)
            vault.store_file(probe.pk, probe.pk, png)
            act.obj = probe
            act.note(sha256=probe.sha256, offence=probe.offence, legal_basis=probe.legal_basis, source=probe.source)
            transaction.on_commit(lambda: tasks.find_faces.delay(str(probe.pk)), robust=True)
    except IntegrityError:
        # The same key arrived twice at the same moment: the other request won.
        if idempotency_key and (before := _submitted_before(by, idempotency_key)):
            return before
        raise
    return probe


def search(
    *,
    by: User,
    probe: Probe,
    face: int,
    edit: int | None = None,
    list_size: int | None = None,
    filters: Filters | None = None,
) -> Search:
    """Queue a search with the face at position `face` of the original's faces, or of those of the edit of this number,
    among those whom `filters` leave."""
    with audit.act("search.requested", by=by, obj=probe, case=probe.case_id) as act:
        require(by, Role.INVESTIGATOR)
        require_member(by, probe.case)
        rules = policy.current()
        size = rules.list_size if list_size is None else list_size
        if not 2 <= size <= 50:
            raise BadInput("The list holds between 2 and 50 people.")
        filters = filters or Filters()
        if problems := filters.problems():
            raise BadInput(next(iter(problems.values())))
        lock(probe)
        probe.refresh_from_db(fields=["state", "faces"])
        used = None if edit is None else probe.edits.filter(number=edit).first()
        if edit is not None and used is None:
            raise BadInput("There is no such edit of this image.")
        image = used or probe
        if image.state != Probe.State.READY:
            raise WrongState("No faces have been found in this image, so there is nothing to search with yet.")
        if not 0 <= face < len(image.faces):
            raise BadInput("Pick one of the faces found in this image.")
        _require_none_under_way(probe, used, face)
        readiness.require_ready()
        queued = Search.objects.create(
            probe=probe,
            edit=used,
            requested_by=by,
            face=face,
            list_size=size,
            filters=filters.as_json(),
            policy_digest=rules.digest,
            positive_rating=rules.positive_rating,
        )
        act.obj = queued
        act.note(
            probe=str(probe.pk),
            face=face,
            list_size=size,
            filters=queued.filters,
            policy=rules.digest,
            quality=image.faces[face]["quality"]["score"],
            mode="investigation",  # no threshold (RULES 8)
            **({"edit": str(used.pk)} if used else {}),
        )
        transaction.on_commit(lambda: tasks.run_search.delay(str(queued.pk)), robust=True)
    return queued


def try_again(*, by: User, search: Search) -> Search:
    """Put a failed search back into the queue."""
    with audit.act("search.requeued", by=by, obj=search, case=search.probe.case_id):
        require(by, Role.INVESTIGATOR)
        require_member(by, search.probe.case)
        lock(search.probe)
        _require_none_under_way(search.probe, search.edit, search.face)
        readiness.require_ready()
        failed = Search.objects.filter(pk=search.pk, state=Search.State.FAILED)
        if failed.update(state=Search.State.QUEUED, attempts=0, failure="", started_at=None) != 1:
            raise WrongState("Only a failed search can be tried again.")
        transaction.on_commit(lambda: tasks.run_search.delay(str(search.pk)), robust=True)
    search.refresh_from_db()
    return search


def repeat(*, by: User, search: Search) -> Repeat:
    """Have a finished search made once more, to show that its list can be had again."""
    with audit.act("search.repeat-requested", by=by, obj=search, case=search.probe.case_id) as act:
        require(by, Role.AUDITOR, Role.INVESTIGATOR)
        if not by.has_role(Role.AUDITOR):
            require_member(by, search.probe.case)
        lock(search.probe)
        search.probe.refresh_from_db(fields=["state"])
        if reason := unrepeatable(search):
            raise WrongState(reason)
        if search.repeats.filter(state__in=[Search.State.QUEUED, Search.State.RUNNING]).exists():
            raise WrongState("This search is being repeated already.")
        readiness.require_ready()
        queued = Repeat.objects.create(search=search, requested_by=by)
        act.note(repeat=str(queued.pk))
        transaction.on_commit(lambda: tasks.run_repeat.delay(str(queued.pk)), robust=True)
    return queued


def unrepeatable(search: Search) -> str:
    """Why it can't be repeated, in a sentence; empty when it can."""
    if search.trial_id is not None:
        return "A known-answer trial searched no gallery, so there is nothing to repeat."
    if search.state != Search.State.DONE or search.encoder is None or search.finished_at is None:
        return "Only a finished search can be repeated."
    if search.probe.state == Probe.State.ERASED:
        return "The image was erased: no lead came of it in the time that the policy gives."
    active_since = search.encoder.activated_at
    replaced = search.encoder.state != Encoder.State.ACTIVE or (active_since and active_since > search.finished_at)
    if replaced:
        return (
            "The encoder was replaced since this search, and all vectors it had made were erased then, so the search "
            "can't be repeated; its list stays as it was recorded."
        )
    return ""


def change_priority(*, by: User, case: Case, priority: str, reason: str) -> PriorityChange:
    """Of all searches of the case, those that wait now and those to come. The reason stays with the case: the record
    holds no text that may name somebody."""
    with audit.act("case.priority-changed", by=by, obj=case, case=case.pk, priority=priority[:6]) as act:
        require(by, Role.INVESTIGATOR)
        require_member(by, case)
        if priority not in Case.Priority.values:
            raise BadInput("A case is urgent or normal.")
        reason = reason.strip()
        refusal = f"Say why, in up to {PriorityChange.REASON_LIMIT} characters."
        require_text(reason, least=1, most=PriorityChange.REASON_LIMIT, refusal=refusal)
        Case.objects.select_for_update(no_key=True).get(pk=case.pk)  # two who change it wait for each other
        change = PriorityChange.objects.create(case=case, priority=priority, reason=reason, by=by)
        if Case.objects.filter(pk=case.pk).exclude(priority=priority).update(priority=priority) != 1:
            raise WrongState(f"This case is {priority} already.")
        act.note(change=change.pk)
    case.refresh_from_db(fields=["priority"])
    return change


def _check(purpose: Purpose) -> None:
    rules = policy.current()
    if not purpose.case_number.strip():
        raise BadInput("A case number is needed.")
    if purpose.case_number.strip() in CASE_NUMBERS:
        raise BadInput("This case number is kept for trials.")
    if purpose.source in rules.refused_sources:
        raise BadInput(f"{rules.refused_sources[purpose.source]}: such an image can't be searched with.")
    for code, allowed, what in (
        (purpose.offence, rules.offences, "an offence"),
        (purpose.legal_basis, rules.legal_bases, "a legal basis"),
        (purpose.source, rules.sources, "a source"),
    ):
        if code not in allowed:
            raise BadInput(f"Choose {what} from the agency's list.")
    if not purpose.source_detail.strip():
        raise BadInput("Say where the image came from.")
    if not purpose.attested:
        raise BadInput("Nothing is searched without the attestation.")


def _case(by: User, number: str) -> Case:
    if by.agency_id is None:
        raise NotAllowed("Your account belongs to no agency, so it can't open cases.")
    case, opened = Case.objects.get_or_create(
        agency_id=by.agency_id, number=number.strip(), defaults={"opened_by": by, "responsible": by}
    )
    if opened:
        case.members.add(by)
        case.memberships.update(added_by=by)
    require_member(by, case)
    return case


def require_member(by: User, case: Case) -> None:
    if not case.members.filter(pk=by.pk).exists():
        raise NotAllowed("This case is another investigator's. Ask them to share it with you.")


def lock(probe: Probe) -> None:
    """Two clicks wait for each other."""
    Probe.objects.select_for_update().get(pk=probe.pk)


def _require_none_under_way(probe: Probe, edit: ProbeEdit | None, face: int) -> None:
    if probe.searches.filter(edit=edit, face=face, state__in=[Search.State.QUEUED, Search.State.RUNNING]).exists():
        raise WrongState("A search with this face is under way already.")


def _submitted_before(by: User, key: str) -> Probe | None:
    return Probe.objects.filter(submitted_by=by, idempotency_key=key).first()


def policy_labels(probe: Probe, rules: policy.Policy) -> dict[str, Any]:
    """The words for the codes on a probe; a code that the policy no longer has stands for itself."""
    return {
        "offence": rules.offences.get(probe.offence, probe.offence),
        "legal_basis": rules.legal_bases.get(probe.legal_basis, probe.legal_basis),
        "source": rules.sources.get(probe.source, probe.source),
    }
