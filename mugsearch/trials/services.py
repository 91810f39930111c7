"""Adding photographs to try examiners with. Preparing trials and ending them is in `reviews.trials`, which can reach
the queue."""

import re
from collections.abc import Sequence
from uuid import uuid4

from django.db import IntegrityError, transaction

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.engine import images
from mugsearch.errors import BadImage, BadInput, NotAllowed, WrongState
from mugsearch.gallery.models import Photo
from mugsearch.trials import tasks
from mugsearch.trials.models import Subject, TrialPhoto
from mugsearch.vault import services as vault

MOST_AT_ONCE = 20  # photographs of one subject in one request


def require_preparer(by: User) -> None:
    require(by, Role.SUPERVISOR)
    if by.holds(Role.EXAMINER):
        raise NotAllowed("Whoever examines can't see known-answer trials or prepare them: they would know the answers.")
    if by.agency_id is None:
        raise NotAllowed("Your account belongs to no agency, so it can't prepare trials.")


def add(*, by: User, code: str, consent: str, reference: str, photos: Sequence[bytes]) -> Subject:
    """Photographs of one subject, new or known by `code`; all of them or, with BadInput, none. What the subject has
    already is passed over. When it returns, files and rows are durable, and the worker has been told to look for the
    faces."""
    with audit.act("trial.material-added", by=by) as act:
        require_preparer(by)
        code, reference = code.strip(), reference.strip()
        if not re.fullmatch(r"[-\w.]{1,64}", code, re.ASCII):
            raise BadInput("A code has up to 64 letters, digits, dots, - and _, and is nobody's name.")
        if consent not in Subject.Consent.values:
            raise BadInput("Say whether the subject gave consent or is synthetic. Nobody else is tried with.")
        if not reference or len(reference) > Subject.REFERENCE_LIMIT or not reference.isprintable():
            raise BadInput(
                f"Say where the consent is kept, or who made it, in up to {Subject.REFERENCE_LIMIT} characters."
            )
        if not 1 <= len(photos) <= MOST_AT_ONCE:
            raise BadInput(f"Choose between 1 and {MOST_AT_ONCE} photographs of one subject.")
        decoded = [_decoded(number, photo) for number, photo in enumerate(photos, start=1)]
        given = {"consent": consent, "reference": reference, "added_by": by}
        subject, _ = Subject.objects.select_for_update().get_or_create(agency=by.agency, code=code, defaults=given)
        if subject.withdrawn_at:
            raise WrongState("The photographs of this subject were withdrawn. Take another code for somebody new.")
        if (subject.consent, subject.reference) != (consent, reference):
            raise BadInput(
                f"Subject {code} is known with another consent: {subject.get_consent_display()}, {subject.reference}."
            )
        added = [
            _add_photo(subject, one) for one in {one.sha256: one for one in decoded}.values() if _is_new(subject, one)
        ]
        act.obj = subject
        act.note(consent=consent, photos=[str(photo.pk) for photo in added])
        for photo in added:
            transaction.on_commit(lambda pk=str(photo.pk): tasks.look_at.delay(pk), robust=True)  # type: ignore[misc]  # bound per photo
    return subject


def _decoded(number: int, photo: bytes) -> images.Decoded:
    try:
        return images.decode(photo)
    except BadImage as error:
        raise BadImage(f"Photograph {number}: {error.message}") from error


# One sentence for both: nobody is to learn here whose photograph the gallery or another agency holds.
KNOWN = "One of these photographs is in use already, so it can't be this subject's. Take others."


def _is_new(subject: Subject, photo: images.Decoded) -> bool:
    if Photo.objects.filter(sha256=photo.sha256).exists():
        raise BadInput(KNOWN)
    known = TrialPhoto.objects.filter(sha256=photo.sha256).first()
    if known and known.subject_id != subject.pk:
        raise BadInput(KNOWN)
    return known is None


def _add_photo(subject: Subject, decoded: images.Decoded) -> TrialPhoto:
    height, width = decoded.pixels.shape[:2]
    photo = TrialPhoto(
        id=uuid4(), subject=subject, sha256=decoded.sha256, format=decoded.format, width=width, height=height
    )
    try:
        photo.save(force_insert=True)
    except IntegrityError as error:  # somebody adds the same file at the same moment
        raise BadInput(KNOWN) from error
    vault.create_key(photo.pk)
    vault.store_file(photo.pk, photo.pk, images.encode_png(decoded.pixels))
    return photo
