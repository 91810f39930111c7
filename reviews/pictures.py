"""Photographs for whoever may see them now. Each one shown is an entry in the audit, made before it is sent.

What leaves here is a fresh JPEG: its name, its address and its headers hold no id of the probe, the candidate or the
booking.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import numpy as np
from django.http import Http404
from numpy.typing import NDArray

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.engine import images
from mugsearch.errors import BadInput, NotAllowed, Unavailable, WrongState
from mugsearch.gallery.models import Photo
from mugsearch.probes.editing import shown_with
from mugsearch.probes.models import Candidate, Probe, ProbeEdit, Search
from mugsearch.trials.models import TrialPhoto
from mugsearch.trials.services import require_preparer
from mugsearch.vault import services as vault
from reviews import lineup as lineups
from reviews.models import Examination, Lead, Lineup
from reviews.order import candidate_at
from reviews.services import ENDED, require_fit

FULL = 8192  # pixels of the longer side: a photograph of 33 MP is sent as it is, so that it is sharp at any zoom
THUMB = 240
PROBE_THUMB = 640
LINEUP = 640


def probe_examined(*, by: User, examination: Examination, thumb: bool = False) -> bytes:
    """The original, upright and whole, never an edited one (RULES 6); as a thumbnail at most 640 pixels."""
    with audit.act("probe.viewed", by=by, obj=examination.search.probe, thumb=thumb, **_under(examination)):
        _require_open_to(by, examination)
        return _probe(examination.search.probe, thumb=thumb)


def edit_examined(*, by: User, examination: Examination, number: int) -> bytes:
    """Beside the original, never in its place (RULES 6). Http404 for one that this examination doesn't show."""
    with audit.act("probe.viewed", by=by, obj=examination.search.probe, **_under(examination)) as act:
        _require_open_to(by, examination)
        edit = next((one for one in shown_with(examination.search) if one.number == number), None)
        if edit is None:
            raise Http404
        act.note(edit=str(edit.pk))
        return _edit(edit)


def candidate_examined(*, by: User, examination: Examination, position: int, thumb: bool) -> bytes:
    """Http404 for a tombstone: there is nothing left to show."""
    with audit.act("candidate.viewed", by=by, obj=examination, thumb=thumb, **_under(examination)) as act:
        _require_open_to(by, examination)
        try:
            candidate = candidate_at(examination, position)
        except BadInput as error:
            raise Http404 from error
        act.obj = candidate
        return _candidate(candidate, thumb=thumb)


def prepare(search: Search) -> None:
    """Make what an examiner of this search will look at, so that nobody waits for it. Views are kept here only: if a
    look kept one, how long it takes would tell the next examiner what the one before looked at."""
    for thumb in (True, False):
        with suppress(Http404, Unavailable):  # whoever looks is told
            _probe(search.probe, thumb=thumb, keep=True)
        # In no order, so that nobody's first is made last.
        for candidate in search.candidates.select_related("photo", "trial_photo").order_by("?"):
            with suppress(Http404, Unavailable):
                _candidate(candidate, thumb=thumb, keep=True)
    for edit in shown_with(search):
        with suppress(Http404, Unavailable):
            _edit(edit, keep=True)


def probe_of_lead(*, by: User, lead: Lead) -> bytes:
    with audit.act("probe.viewed", by=by, obj=lead.search.probe, **_about(lead)):
        require(by, Role.INVESTIGATOR)
        return _probe(lead.search.probe, thumb=False)


def candidate_of_lead(*, by: User, lead: Lead) -> bytes:
    with audit.act("candidate.viewed", by=by, obj=lead.candidate, **_about(lead)):
        require(by, Role.INVESTIGATOR)
        return _photo(None if lead.withdrawn_at else lead.candidate.photo, thumb=False)


def sibling_of_lead(*, by: User, lead: Lead, number: int) -> bytes:
    """Another photo of the person, counted from 1 in the order of the lead's page."""
    with audit.act("candidate.viewed", by=by, obj=lead.candidate, sibling=number, **_about(lead)):
        require(by, Role.INVESTIGATOR)
        siblings = [] if lead.withdrawn_at else list(lead.candidate.siblings.select_related("photo"))
        if not 1 <= number <= len(siblings):
            raise Http404
        return _photo(siblings[number - 1].photo, thumb=True)


def place_of_lineup(*, by: User, lineup: Lineup, place: int) -> bytes:
    """Every place in the same way, so that nothing tells the candidate's from the others: the face, as large as it
    is. Http404 for a place whose photograph is gone."""
    with audit.act("lineup.photo-viewed", by=by, obj=lineup, place=place, **_about(lineup.lead)):
        require(by, Role.INVESTIGATOR)
        shown = {one.number: one.photo for one in lineups.places(lineup)}
        photo = shown.get(place)
        if photo is None:
            raise Http404
        pixels = _read(photo.booking_id, photo.pk)
        if photo.face:
            x, y, width, height = photo.face["box"]
            pixels = images.crop(pixels, (x, y, width, height), 0.5)
        return _jpeg(pixels, LINEUP)


def of_trial(*, by: User, photo: TrialPhoto, thumb: bool) -> bytes:
    """For whoever prepares trials. Http404 for one whose subject was withdrawn."""
    with audit.act("trial.photo-viewed", by=by, obj=photo, thumb=thumb):
        require_preparer(by)
        if photo.state == TrialPhoto.State.ERASED:
            raise Http404
        return _trial_photo(photo, thumb=thumb)


def _under(examination: Examination) -> dict[str, Any]:
    return {"case": examination.search.probe.case_id, "examination": str(examination.pk)}


def _about(lead: Lead) -> dict[str, Any]:
    return {"case": lead.search.probe.case_id, "lead": str(lead.pk)}


def _require_open_to(by: User, examination: Examination) -> None:
    require(by, Role.EXAMINER)
    if examination.examiner_id != by.pk:
        raise NotAllowed("This is somebody else's examination.")
    if examination.state == Examination.State.RELEASED:
        raise WrongState(ENDED[examination.release])
    if examination.state == Examination.State.CLAIMED:
        require_fit(by, examination)


def _probe(probe: Probe, *, thumb: bool, keep: bool = False) -> bytes:
    side = PROBE_THUMB if thumb else FULL
    return _made_once(probe.owner, probe.pk, thumb, lambda pixels: _jpeg(pixels, side), keep=keep)


def _candidate(candidate: Candidate, *, thumb: bool, keep: bool = False) -> bytes:
    """As an examiner sees one. Of a trial in the same way: nothing about the picture tells that it is one."""
    if (tried := candidate.trial_photo) is None:
        return _photo(candidate.photo, thumb=thumb, alone=True, keep=keep)
    return _trial_photo(tried, thumb=thumb, keep=keep)


def _trial_photo(photo: TrialPhoto, *, thumb: bool, keep: bool = False) -> bytes:
    box = photo.face["box"] if photo.face and thumb else None
    return _made_once(photo.pk, photo.pk, thumb, _drawing(box, thumb=thumb), keep=keep)


def _edit(edit: ProbeEdit, *, keep: bool = False) -> bytes:
    return _made_once(edit.owner, edit.pk, False, lambda pixels: _jpeg(pixels, FULL), keep=keep)


def _photo(photo: Photo | None, *, thumb: bool, alone: bool = False, keep: bool = False) -> bytes:
    """`alone`: of a photograph with several faces only the enrolled one, so that nobody compares the wrong person."""
    if photo is None:
        raise Http404
    box = photo.face["box"] if photo.face and (thumb or (alone and len(photo.faces) > 1)) else None
    drawn = _drawing(box, thumb=thumb)
    if not (thumb or alone) and len(photo.faces) > 1:  # of these the full view is the face alone
        return drawn(_read(photo.booking_id, photo.pk))
    return _made_once(photo.booking_id, photo.pk, thumb, drawn, keep=keep)


def _drawing(box: Any, *, thumb: bool) -> Callable[[NDArray[np.uint8]], bytes]:
    side = THUMB if thumb else FULL
    return lambda pixels: _jpeg(images.crop(pixels, box, 0.5) if box else pixels, side)


def _made_once(
    owner: UUID, name: UUID, thumb: bool, draw: Callable[[NDArray[np.uint8]], bytes], *, keep: bool
) -> bytes:
    """Decoding a large photograph takes a second, so the view of it is kept, sealed like the photograph itself."""
    kind = "thumb" if thumb else "full"
    try:
        if (kept := vault.read_view(owner, name, kind)) is not None:
            return kept
        made = draw(_read(owner, name))
        if keep:
            with suppress(Unavailable):  # a full disk: it is made again the next time
                vault.store_view(owner, name, kind, made)
    except vault.KeyDestroyed as error:
        raise Http404 from error  # expunged between two requests of one page
    if keep and not vault.has_key(owner):  # expunged meanwhile: the files may have been removed before this was there
        vault.remove_file(name)
    return made


def _read(owner: UUID, name: UUID) -> NDArray[np.uint8]:
    try:
        return images.read_png(vault.read_file(owner, name))
    except vault.KeyDestroyed as error:
        raise Http404 from error


def _jpeg(pixels: NDArray[np.uint8], side: int) -> bytes:
    return images.view_jpeg(pixels, max_side=side, quality=92)
