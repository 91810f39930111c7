"""Known-answer trials: preparing them, closing them, withdrawing who is on them, and taking an examiner out of the
queue for what they showed.

A trial is a search like any other to whoever examines it. What it is made of is in `mugsearch.trials`.
"""

import datetime
from collections import Counter
from collections.abc import Mapping
from random import SystemRandom
from uuid import uuid4

from django.db.models import Count
from django.utils import timezone

from mugsearch.accounts.models import Agency, User
from mugsearch.audit import services as audit
from mugsearch.engine import edits, images
from mugsearch.engine.encoders import Face
from mugsearch.errors import BadInput, NotAllowed, WrongState
from mugsearch.gallery.models import Encoder
from mugsearch.probes import editing, policy
from mugsearch.probes.models import Candidate, Case, PriorityChange, Probe, ProbeEdit, Search
from mugsearch.probes.tasks import have_views_prepared
from mugsearch.trials import vectors
from mugsearch.trials.lists import Composed, Held, Material, compose
from mugsearch.trials.models import CASE_NUMBERS, Subject, Trial, TrialPhoto
from mugsearch.trials.services import require_preparer
from mugsearch.validators import require_text
from mugsearch.vault import services as vault
from reviews import likeness, trial_results
from reviews.models import Examination
from reviews.trial_material import REMEMBERED, taken

# Nobody is on these cases, so nobody sees them. No investigator can open one of such a number.
CASES = dict(zip((Case.Priority.NORMAL, Case.Priority.URGENT), CASE_NUMBERS, strict=True))
MOST_AT_ONCE = 100  # trials
MOST_PAIRS = 20
MOST_DAYS = 90
REASON_LIMIT = 1000


def prepare(*, by: User, counts: Mapping[str, int], pairs: int = 1, days: int = 14) -> list[Trial]:
    """So many trials of each kind, each for so many pairs of examiners, due at times spread over the next days.

    All at once would tell what they are. Photographs that were searched with least are taken first.
    """
    with audit.act("trial.prepared", by=by) as act:
        require_preparer(by)
        _check(counts, pairs, days)
        rules = policy.current()
        encoder = _encoder()
        chance = SystemRandom()
        _one_at_a_time(by)
        cases = _cases(by)
        agency = cases[Case.Priority.NORMAL].agency
        urgent, edited = likeness.share_of_urgent(agency), likeness.edits_of_casework(agency)
        material = vectors.usable(agency, encoder)
        chosen = _choose(agency, counts, material, rules.list_size, chance)
        due = likeness.due(agency, len(chosen) * pairs, days, chance)
        trials, searches = [], []
        for kind, probe, composed in chosen:
            trial = Trial.objects.create(
                agency=agency, kind=kind, photo_id=probe.photo, mate_rank=composed.mate_rank, prepared_by=by
            )
            priority = Case.Priority.URGENT if chance.random() < urgent else Case.Priority.NORMAL
            image = _probe(by, cases[priority], trial, rules)
            _edit(image, chance.choice(edited) if edited else [], by, chance)
            searches += [_queue(trial, image, composed, rules, encoder, len(material), due.pop()) for _ in range(pairs)]
            trials.append(trial)
        act.case = cases[Case.Priority.NORMAL].pk
        act.note(trials={str(trial.pk): trial.kind for trial in trials}, searches=[str(one.pk) for one in searches])
        for search in searches:
            have_views_prepared(search.pk)
    return trials


def close(*, by: User, trial: Trial) -> None:
    """Nobody is given it any more. Whoever holds an examination of it can end it; from then on, those who concluded
    are told what it was."""
    with audit.act("trial.closed", by=by, obj=trial):
        require_preparer(by)
        if not Trial.objects.visible_to(by).filter(pk=trial.pk).exists():
            raise NotAllowed("This trial is another agency's.")
        list(Search.objects.select_for_update(no_key=True).filter(trial=trial).order_by("pk"))  # whoever claims one
        still_open = Trial.objects.filter(pk=trial.pk, closed_at__isnull=True)
        if still_open.update(closed_at=timezone.now(), closed_by=by) != 1:
            raise WrongState("This trial is closed already.")
    trial.refresh_from_db()


def withdraw(*, by: User, subject: Subject) -> None:
    """Destroy the photographs of somebody who takes their consent back: here, under old trials, and on old lists.

    What examiners concluded stays. Resumes where it was killed: keys and files go before the rows say so.
    """
    with audit.act("trial.material-withdrawn", by=by, obj=subject) as act:
        require_preparer(by)
        if not Subject.objects.visible_to(by).filter(pk=subject.pk).exists():
            raise NotAllowed("This subject is another agency's.")
        _one_at_a_time(by)
        locked = Subject.objects.select_for_update().get(pk=subject.pk)
        if locked.withdrawn_at:
            raise WrongState("These photographs were withdrawn already.")
        photos = list(TrialPhoto.objects.select_for_update().filter(subject=subject))
        listing = Search.objects.filter(trial__isnull=False, candidates__trial_photo__in=photos)
        touched = Search.objects.filter(pk__in=listing) | Search.objects.filter(trial__photo__in=photos)
        if touched.filter(trial__closed_at__isnull=True).exists():
            raise WrongState("Trials with this subject are open. Close them first.")
        if Examination.objects.filter(search__in=touched, state=Examination.State.CLAIMED).exists():
            raise WrongState("Somebody is examining a trial with this subject. Wait until they end it, or free it.")
        probes = Probe.objects.filter(searches__trial__photo__in=photos).distinct()
        edits_made = ProbeEdit.objects.filter(probe__in=probes)
        for owner in {*(photo.pk for photo in photos), *(probe.owner for probe in probes)}:
            vault.destroy_key(owner)
        for file in [*photos, *probes, *edits_made]:
            vault.remove_file(file.pk)
        now = timezone.now()
        tombstone = {"trial_photo": None, "score": None, "forgotten_at": now}
        Candidate.objects.filter(trial_photo__in=photos).update(**tombstone)
        TrialPhoto.objects.filter(subject=subject).update(
            state=TrialPhoto.State.ERASED, sha256="", face=None, quality={}, encoder=None, sealed_vector=None
        )
        Probe.objects.filter(pk__in=[probe.pk for probe in probes]).update(faces=[], sha256="")
        edits_made.update(sha256="")
        Subject.objects.filter(pk=subject.pk).update(withdrawn_at=now, withdrawn_by=by)
        act.note(photos=[str(photo.pk) for photo in photos])
    subject.refresh_from_db()


def take_out(*, by: User, examiner: User, reason: str) -> None:
    """Out of the queue until re-certified: every certificate of theirs is revoked, and they read why."""
    with audit.act("examiner.taken-out", by=by, obj=examiner) as act:
        require_preparer(by)
        reason = reason.strip()
        refusal = f"Say why, in up to {REASON_LIMIT} characters: {examiner.full_name} reads it."
        require_text(reason, least=1, most=REASON_LIMIT, refusal=refusal)
        if examiner.agency_id != by.agency_id:
            raise NotAllowed("This examiner is another agency's.")
        User.objects.select_for_update(no_key=True).get(pk=examiner.pk)  # two clicks wait for each other
        record = trial_results.told_to(examiner)
        valid = examiner.certificates.valid()
        if not valid.exists():
            raise WrongState(f"{examiner.full_name} has no valid certificate, so nothing is offered to them.")
        if not record.below_the_bar:
            raise WrongState(f"{examiner.full_name} is not below the policy's bar in trials that are closed.")
        act.note(misses=record.misses_now.errors, mated=record.misses_now.tried)
        act.note(false_leads=record.false_leads_now.errors, trials=record.false_leads_now.tried)
        later = examiner.certificates.filter(revoked_at__isnull=True, expires_on__gte=timezone.localdate())
        later.update(revoked_at=timezone.now(), revoked_by=by, revoked_reason=reason)


def _check(counts: Mapping[str, int], pairs: int, days: int) -> None:
    if not set(counts) <= set(Trial.Kind.values) or any(count < 0 for count in counts.values()):
        raise BadInput("Say how many trials of each kind to prepare.")
    if not 1 <= sum(counts.values()) <= MOST_AT_ONCE:
        raise BadInput(f"Prepare between 1 and {MOST_AT_ONCE} trials at once.")
    if not 1 <= pairs <= MOST_PAIRS:
        raise BadInput(f"A trial is for 1 to {MOST_PAIRS} pairs of examiners.")
    if not 0 <= days <= MOST_DAYS:
        raise BadInput(f"Trials are spread over up to {MOST_DAYS} days.")


def _one_at_a_time(by: User) -> None:
    """Whoever prepares trials of this agency or withdraws photographs waits for each other."""
    Agency.objects.select_for_update(no_key=True).get(users=by)


def _cases(by: User) -> dict[Case.Priority, Case]:
    """One of each priority: if all trials were normal, an urgent search would be known to be casework."""
    cases = {}
    for priority, number in CASES.items():
        case, opened = Case.objects.get_or_create(agency=by.agency, number=number, defaults={"opened_by": by})
        if case.members.exists():  # opened before the number was kept for trials
            raise WrongState(f"Investigators work on a case with the number “{number}”, so no trials can be under it.")
        if opened and priority != Case.Priority.NORMAL:
            PriorityChange.objects.create(case=case, priority=priority, reason="As casework has it.", by=by)
            Case.objects.filter(pk=case.pk).update(priority=priority)
        cases[priority] = case
    return cases


def _encoder() -> Encoder:
    """The active one, without loading its models: only the worker does."""
    encoder = Encoder.objects.filter(state=Encoder.State.ACTIVE).first()
    if encoder is None:
        raise WrongState("No encoder is active yet, so no list can be made.")
    return encoder


Chosen = tuple[str, Held, Composed]


def _choose(
    agency: Agency, counts: Mapping[str, int], material: list[Held], size: int, chance: SystemRandom
) -> list[Chosen]:
    """Nobody is on two of them, nor on one that is open. The least used photographs are searched with first, by chance
    among equals; for look-alikes those first whose closest other is closest."""
    used = dict(Trial.objects.filter(agency=agency).values_list("photo").annotate(Count("pk")))
    apart = taken(agency)
    free = Material(material).without(apart)
    in_turn = list(free.held)
    chance.shuffle(in_turn)
    in_turn.sort(key=lambda held: used.get(held.photo, 0))
    twice = Counter(held.subject for held in free.held)
    chosen: list[Chosen] = []
    for kind in (Trial.Kind.MATED, Trial.Kind.LOOK_ALIKE, Trial.Kind.NON_MATED):
        wanted, ordered = counts.get(kind, 0), in_turn
        if kind == Trial.Kind.MATED:
            ordered = [held for held in in_turn if twice[held.subject] > 1]
        if kind == Trial.Kind.LOOK_ALIKE and wanted:
            closest = {held.photo: free.closest_other(held) for held in free.held}
            left = [held for held in in_turn if held.photo in closest]
            ordered = sorted(left, key=lambda held: (used.get(held.photo, 0), -closest[held.photo]))
        for held in ordered:
            if not wanted or len(free.held) < size:
                break
            if held.subject in apart:
                continue
            if composed := compose(kind, held, free, size=size, chance=chance):
                chosen.append((kind, held, composed))
                apart |= {held.subject, *(place.subject for place in composed.places)}
                free = free.without(apart)
                wanted -= 1
        if wanted:
            raise BadInput(_too_little(kind, counts[kind] - wanted, counts, material, free.held, size))
    return chosen


def _too_little(
    kind: Trial.Kind, made: int, counts: Mapping[str, int], material: list[Held], free: list[Held], size: int
) -> str:
    people, left = ({held.subject for held in some} for some in (material, free))
    each = size if kind == Trial.Kind.MATED else size + 1
    twice = " one of them with two photographs," if kind == Trial.Kind.MATED else ""
    return (
        f"There is material for {made} of {counts[kind]} trials “{kind.label}”. Each takes {each} people,{twice} who "
        f"are on no other open trial, and on none of the last {REMEMBERED.days} days that an examiner has seen: a face "
        f"known from one trial would tell the other. Of {len(people)} people with {len(material)} usable "
        f"photographs {len(left)} are left. Add more people, or close trials that nobody has begun."
    )


def _probe(by: User, case: Case, trial: Trial, rules: policy.Policy) -> Probe:
    photo = trial.photo
    probe = Probe.objects.create(
        id=uuid4(),
        case=case,
        submitted_by=by,
        attested_at=timezone.now(),
        policy_digest=rules.digest,
        sha256=photo.sha256,
        format=photo.format,
        width=photo.width,
        height=photo.height,
        state=Probe.State.READY,
        faces=[{"face": photo.face, "quality": photo.quality}],
        trial_photo=photo,
    )
    # Under the photograph's own key: whatever becomes of this preparation, withdrawing the consent destroys the copy.
    vault.store_file(probe.owner, probe.pk, vault.read_file(photo.pk, photo.pk))
    return probe


def _edit(probe: Probe, like: list[likeness.Steps], by: User, chance: SystemRandom) -> None:
    """As casework has them, or none where the photograph needs no such edit."""
    face = Face.from_dict(probe.faces[0]["face"])
    size = {"width": probe.width, "height": probe.height}
    wanted = [likeness.edit_like(steps, face, **size, chance=chance) for steps in like]
    original = editing.stored(probe) if any(wanted) else None
    for at, todo in enumerate(wanted):
        if todo and original is not None and todo not in wanted[:at]:
            pixels = edits.apply(todo, original)
            editing.keep(probe, todo, pixels, images.encode_png(pixels), by=by, state=Probe.State.READY)


def _queue(
    trial: Trial,
    probe: Probe,
    composed: Composed,
    rules: policy.Policy,
    encoder: Encoder,
    photographs: int,
    due: datetime.datetime,
) -> Search:
    """A finished search, as one of the gallery would be: `generation` 0 says that it searched none."""
    search = Search.objects.create(
        probe=probe,
        requested_by=trial.prepared_by,
        trial=trial,
        face=0,
        list_size=rules.list_size,
        policy_digest=rules.digest,
        positive_rating=rules.positive_rating,
        state=Search.State.DONE,
        started_at=due,
        finished_at=due,
        encoder=encoder,
        generation=0,
        gallery_size=photographs,
        depth=len(composed.places),
        scanned=photographs,
        rescored=photographs,
    )
    Candidate.objects.bulk_create(
        Candidate(search=search, rank=rank, trial_photo_id=place.photo, score=place.score)
        for rank, place in enumerate(composed.places, start=1)
    )
    return search
