"""Making an edit of a probe, and what a search with one means on the original, which is what examiners compare."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from django.db import transaction
from numpy import uint8
from numpy.typing import NDArray

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.engine import edits, images
from mugsearch.errors import BadInput, WrongState
from mugsearch.probes import tasks
from mugsearch.probes.models import Probe, ProbeEdit, Search
from mugsearch.probes.services import lock, require_member
from mugsearch.vault import services as vault

ERASED = "This image has been erased: no lead came of it in the time that the policy gives."
FULL = f"An image has at most {ProbeEdit.MOST} edits."


def edit(*, by: User, probe: Probe, steps: object) -> ProbeEdit:
    """Make a new image of the original, as engine.edits reads `steps`; the worker looks for faces in it.

    Raises BadInput, with what to change, for steps that can't be made of it. The original is only read.
    """
    with audit.act("probe.edited", by=by, obj=probe, case=probe.case_id) as act:
        require(by, Role.INVESTIGATOR)
        require_member(by, probe.case)
        todo = edits.read(steps, width=probe.width, height=probe.height)
        if probe.edits.count() >= ProbeEdit.MOST:
            raise WrongState(FULL)
        # All that takes long comes before the lock.
        original = stored(probe)
        pixels = edits.apply(todo, original)
        png = images.encode_png(pixels)
        lock(probe)
        if Probe.objects.filter(pk=probe.pk, state=Probe.State.ERASED).exists():
            raise WrongState(ERASED)
        if probe.edits.count() >= ProbeEdit.MOST:
            raise WrongState(FULL)
        if same := probe.edits.filter(steps=[step.as_json() for step in todo]).first():
            raise BadInput(f"Edit {same.number} was made in just this way.")
        made = keep(probe, todo, pixels, png, by=by)
        act.note(
            edit=str(made.pk),
            number=made.number,
            steps=made.steps,
            sha256=made.sha256,
            original_sha256=edits.digest(original),
        )
        transaction.on_commit(lambda: tasks.find_faces_of_edit.delay(str(made.pk)), robust=True)
    return made


def keep(
    probe: Probe,
    steps: Sequence[edits.Step],
    pixels: NDArray[uint8],
    png: bytes,
    *,
    by: User,
    state: Probe.State = Probe.State.RECEIVED,
) -> ProbeEdit:
    """The next edit of this probe: its file, sealed with the probe's key, and its row."""
    made = ProbeEdit(
        id=uuid4(),
        probe=probe,
        number=probe.edits.count() + 1,
        steps=[step.as_json() for step in steps],
        made_by=by,
        sha256=edits.digest(pixels),
        width=pixels.shape[1],
        height=pixels.shape[0],
        state=state,
    )
    vault.store_file(made.owner, made.pk, png)
    made.save(force_insert=True)
    return made


def stored(image: Probe | ProbeEdit) -> NDArray[uint8]:
    return images.read_png(vault.read_file(image.owner, image.pk))


def face_of(search: Search) -> dict[str, Any]:
    """The face that was searched, {"face", "quality"}, in the pixels of `search.image`; empty where it was erased."""
    if search.image.state == Probe.State.ERASED:
        return {}
    found: dict[str, Any] = search.image.faces[search.face]
    return found


def box_of(search: Search) -> list[int] | None:
    """Where that face is on the ORIGINAL: x, y, width, height in its pixels, as far as it is on it. None where it isn't
    known any more.

    In whole pixels, for how a number is written would tell whether it comes from an edit (RULES 12).
    """
    if search.face >= len(search.image.faces):
        return None
    box = face_of(search)["face"]["box"]
    if search.edit is not None:
        size = {"width": search.probe.width, "height": search.probe.height}
        box = edits.to_original(tuple(box), edits.read(search.edit.steps, **size), **size)
    x, y, box_width, box_height = box
    left, right = (min(max(0, round(at)), search.probe.width) for at in (x, x + box_width))
    top, bottom = (min(max(0, round(at)), search.probe.height) for at in (y, y + box_height))
    return [left, top, right - left, bottom - top]


def meant(search: Search) -> list[int] | None:
    """`box_of`, where a look at the original doesn't tell which face is meant: it has several, none was found on it, or
    the one that was found is another. It doesn't tell what was searched with."""
    box = box_of(search)
    found = [one["face"]["box"] for one in search.probe.faces]
    if box is not None and len(found) == 1:
        (x, y, width, height), middle = found[0], (box[0] + box[2] / 2, box[1] + box[3] / 2)
        if x <= middle[0] <= x + width and y <= middle[1] <= y + height:
            return None
    return box


def shown_with(search: Search) -> list[ProbeEdit]:
    """The edits an examiner of this search may look at: those that were there when it was requested, all of them, for
    neither which one was searched with nor what an investigator does later is theirs to know (RULES 12)."""
    return list(search.probe.edits.filter(made_at__lte=search.requested_at))
