"""What a bundle says of a search: the rows as plain data, as `schema.json` describes it.

Whoever was erased is a tombstone: the place on the list and what was concluded there, without notes and worksheets,
which describe a face. People are named, staff and candidates alike, because a court has to be able to call them; of a
booking there is the number and the day, not the charge and not the disposition.
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.auditing.export import as_dict
from mugsearch.auditing.queries import names
from mugsearch.disclosure import queries
from mugsearch.disclosure.verify_bundle import FORMAT
from mugsearch.errors import Unavailable
from mugsearch.gallery.models import Encoder
from mugsearch.probes import calibration, policy
from mugsearch.probes import services as probes
from mugsearch.probes.calibration import FalsePositives, Measured
from mugsearch.probes.models import Candidate, PolicyVersion, Probe, ProbeEdit, Repeat, Search
from reviews.decision import fused
from reviews.drawings import examined
from reviews.evidence import label_of
from reviews.models import Examination, Finding, Lead
from reviews.notice import NOTICE
from reviews.queries import ExaminationState, examination_states, lead_of, list_of


@dataclass(frozen=True)
class Picture:
    """A sealed image, the file of the bundle it becomes, and the part of the content that says its digest."""

    owner: UUID
    name: UUID
    file: str
    said: dict[str, Any]


@dataclass(frozen=True)
class Content:
    """`data` is bundle.json, but for the digests of `pictures`; `shown`: the candidates who are not tombstones, and
    `beside`: the rows that name another booking beside one."""

    data: dict[str, Any]
    pictures: list[Picture]
    shown: list[UUID]
    beside: list[int]
    disclosed: set[int]  # numbers of entries
    first: int
    last: int


def of_search(search: Search, *, by: User, made: Entry) -> Content:
    """To be called in one snapshot of the database. `made` is the entry about making this bundle."""
    probe, lead = search.probe, lead_of(search)
    examinations = list(search.examinations.select_related("examiner").prefetch_related("findings"))
    candidates = list(
        search.candidates.select_related("person__agency", "photo__booking", "sealed_place")
        .prefetch_related("siblings__photo__booking")
        .order_by("rank")
    )
    others = list(probe.searches.exclude(pk=search.pk).select_related("requested_by").order_by("requested_at"))
    states = examination_states([search, *others])
    repeats = list(search.repeats.select_related("requested_by").order_by("requested_at"))
    own = {search.pk, probe.pk} | {one.pk for one in (*examinations, *candidates, *repeats)}
    entries = queries.entries_of(search, own | ({lead.pk} if lead else set()))
    head = Entry.objects.order_by("-number").first()
    if head is None:
        raise Unavailable("The audit can't be read.")
    measured = calibration.of_search(search)
    pictures: list[Picture] = []
    data = {
        "format": FORMAT,
        "notice": NOTICE if lead else None,
        "made": {
            "at": _time(made.at),
            "by": _user(by),
            "system": f"mugsearch {settings.VERSION}",
            "entry": made.number,
        },
        "case": {"id": str(probe.case_id), "number": probe.case.number, "agency": probe.case.agency.name},
        "probe": _probe(probe, pictures),
        "search": _search(search),
        "calibration": _calibration(measured),
        "candidates": [_candidate(one, examinations, lead, pictures, measured) for one in candidates],
        "examinations": [_examination(one, candidates) for one in examinations],
        "decision": _decision(search, states[search.pk], entries, lead),
        "lead": _lead(lead),
        "repeats": [_repeat(one) for one in repeats],
        "other_searches": [_other(one, states[one.pk]) for one in others],
        "audit": {
            "first": entries[0].number,
            "head": f"{head.number}:{head.digest}",
            "actors": {str(actor): name for actor, name in names(entries)[0].items()},
            "entries": [as_dict(entry) for entry in entries],
        },
    }
    shown = [one.pk for one in candidates if one.forgotten_at is None]
    beside = [sibling.pk for one in candidates for sibling in one.siblings.all()]
    return Content(data, pictures, shown, beside, {one.number for one in entries}, entries[0].number, head.number)


def _probe(probe: Probe, pictures: list[Picture]) -> dict[str, Any]:
    labels = probes.policy_labels(probe, policy.current())
    image: dict[str, Any] = {"file": "probe.png"}
    pictures.append(Picture(probe.pk, probe.pk, image["file"], image))
    return {
        "id": str(probe.pk),
        "submitted_at": _time(probe.submitted_at),
        "submitted_by": _user(probe.submitted_by),
        "offence": {"code": probe.offence, "label": labels["offence"]},
        "legal_basis": {"code": probe.legal_basis, "label": labels["legal_basis"]},
        "source": {"code": probe.source, "label": labels["source"]},
        "source_detail": probe.source_detail,
        "attested_at": _time(probe.attested_at),
        "policy_digest": probe.policy_digest,
        "upload": {"sha256": probe.sha256, "format": probe.format, "width": probe.width, "height": probe.height},
        "faces": probe.faces,
        "image": image,
        "edits": [_edit(one, pictures) for one in probe.edits.select_related("probe", "made_by")],
    }


def _edit(edit: ProbeEdit, pictures: list[Picture]) -> dict[str, Any]:
    image: dict[str, Any] = {"file": f"edits/{edit.number:02}.png"}
    pictures.append(Picture(edit.owner, edit.pk, image["file"], image))
    return {
        "id": str(edit.pk),
        "number": edit.number,
        "steps": edit.steps,
        "steps_in_words": edit.words,
        "made_at": _time(edit.made_at),
        "made_by": _user(edit.made_by),
        "width": edit.width,
        "height": edit.height,
        "pixels_sha256": edit.sha256,
        "faces": edit.faces,
        "image": image,
    }


def _search(search: Search) -> dict[str, Any]:
    encoder = cast(Encoder, search.encoder)  # PostgreSQL sees to it that a finished one has it
    return {
        "id": str(search.pk),
        "requested_at": _time(search.requested_at),
        "requested_by": _user(search.requested_by),
        "started_at": _time(search.started_at),
        "finished_at": _time(search.finished_at),
        "mode": "investigation",  # no threshold (RULES 8)
        "threshold": None,
        "edit": search.edit.number if search.edit else None,
        "face": search.face,
        "list_size": search.list_size,
        "filters": search.filters,
        "filters_in_words": [f"{label} {text}" for label, text in search.narrowed_to.words()],
        "policy_digest": search.policy_digest,
        "policy_file": POLICY if policy_of(search) else None,
        "positive_rating": search.positive_rating,
        "encoder": {
            "name": encoder.name,
            "digest": encoder.digest,
            "dimension": encoder.dimension,
            "licence": encoder.licence,
        },
        "gallery": {"generation": search.generation, "size": search.gallery_size},
        "proof": {
            "scanned": search.scanned,
            "rescored": search.rescored,
            "ceiling": search.ceiling,
            "depth": search.depth,
        },
    }


POLICY = "policy.toml"


def policy_of(search: Search) -> bytes | None:
    """The policy file the search was requested under; None where it is from before policies were kept."""
    version = PolicyVersion.objects.filter(digest=search.policy_digest).first()
    return version.text.encode() if version else None


def _calibration(measured: Measured) -> dict[str, Any] | None:
    """The latest there is of the encoder, whole, so that anybody can count the rates again."""
    made = measured.calibration
    if made is None:
        return None
    return {
        "number": made.number,
        "made_at": _time(made.made_at),
        "made_by": _user(made.made_by),
        "gallery": {"generation": made.generation, "size": made.gallery_size},
        "searches": made.people,
        "seed": made.seed,
        "scores": made.scores,
        "caveats": list(measured.caveats),
    }


def _false_positives(found: FalsePositives | None) -> dict[str, Any] | None:
    return asdict(found.rate) if found else None


def _candidate(
    candidate: Candidate,
    examinations: list[Examination],
    lead: Lead | None,
    pictures: list[Picture],
    measured: Measured,
) -> dict[str, Any]:
    found = [
        (number, finding)
        for number, examination in enumerate(examinations, start=1)
        if examination.state == Examination.State.CONCLUDED
        for finding in examination.findings.all()
        if finding.candidate_id == candidate.pk
    ]
    said: dict[str, Any] = {
        "rank": candidate.rank,
        "id": str(candidate.pk),
        "expunged": candidate.forgotten_at is not None and not _is_sealed(candidate),
        "is_lead": lead is not None and lead.candidate_id == candidate.pk,
        "conclusions": [
            {"examination": number, "conclusion": finding.conclusion, "label": finding.label, "rating": finding.rating}
            for number, finding in found
        ],
        "mean_rating": fused([finding.rating for _, finding in found]),
    }
    photo, person = candidate.photo, candidate.person
    if photo is None or person is None:
        return {**said, "sealed": _is_sealed(candidate), "forgotten_at": _time(candidate.forgotten_at)}
    image: dict[str, Any] = {"file": f"candidates/{candidate.rank:02}.png"}
    pictures.append(Picture(photo.booking_id, photo.pk, image["file"], image))
    return {
        **said,
        "score": candidate.score,
        "false_positives": _false_positives(measured.at(candidate.score)),
        "person": {
            "agency": person.agency.name,
            "person_id": person.person_id,
            "family_name": person.family_name,
            "given_names": person.given_names,
            "date_of_birth": _day(person.date_of_birth),
            "sex": person.sex,
        },
        "booking": {"booking_number": photo.booking.booking_number, "booked_on": _day(photo.booking.booked_on)},
        "photograph": {
            "received_sha256": photo.sha256,
            "width": photo.width,
            "height": photo.height,
            "face": photo.face,
            "examined": examined(photo),
            "image": image,
        },
        "other_photographs": [
            {
                "rank": one.rank,
                "score": one.score,
                "received_sha256": one.photo.sha256,
                "booking_number": one.photo.booking.booking_number,
                "booked_on": _day(one.photo.booking.booked_on),
            }
            for one in candidate.siblings.all()
        ],
    }


def _is_sealed(candidate: Candidate) -> bool:
    return hasattr(candidate, "sealed_place")


def _examination(examination: Examination, candidates: list[Candidate]) -> dict[str, Any]:
    findings = {finding.candidate_id: finding for finding in examination.findings.all()}
    day = timezone.localdate(examination.claimed_at)
    held = examination.examiner.certificates.filter(
        Q(revoked_at__isnull=True) | Q(revoked_at__gt=examination.claimed_at), issued_on__lte=day, expires_on__gte=day
    )
    return {
        "id": str(examination.pk),
        "examiner": _user(examination.examiner),
        "certificates": [
            {
                "programme": one.programme,
                "issued_by": one.issued_by,
                "hours": one.hours,
                "issued_on": _day(one.issued_on),
                "expires_on": _day(one.expires_on),
            }
            for one in held
        ],
        "state": examination.state,
        "claimed_at": _time(examination.claimed_at),
        "concluded_at": _time(examination.concluded_at),
        "released_at": _time(examination.released_at),
        "release": examination.release,
        "secret": _secret(examination, candidates),
        "findings": [_finding(one, findings[one.pk]) for one in candidates if one.pk in findings],
    }


def _secret(examination: Examination, candidates: list[Candidate]) -> str | None:
    """The key of the digest that the audit has of the findings (reviews.services), to compare them with it.

    None where a finding is not there as it was said: with the key somebody could try what was said of the erased.
    """
    locked = examination.state == Examination.State.CONCLUDED
    if not locked or any(candidate.forgotten_at is not None for candidate in candidates):
        return None
    return bytes(examination.secret).hex()


def _finding(candidate: Candidate, finding: Finding) -> dict[str, Any]:
    """`conclusion` is empty for a draft. Of a tombstone neither notes nor worksheet: they describe a face."""
    said = {
        "rank": candidate.rank,
        "conclusion": finding.conclusion,
        "label": finding.label,
        "rating": finding.rating,
        "saved_at": _time(finding.saved_at),
    }
    if candidate.forgotten_at is not None:
        return said
    return {**said, "notes": finding.notes, "worksheet": finding.worksheet}


def _decision(search: Search, state: ExaminationState, entries: list[Entry], lead: Lead | None) -> dict[str, Any]:
    """`outcome` is what the record says of it; null where nobody had to decide, because nobody was on the list."""
    said = [entry.details["outcome"] for entry in entries if "outcome" in entry.details and "over" in entry.details]
    adjudication = getattr(search, "adjudication", None)
    return {
        "result": state.result,
        "outcome": said[-1] if said else None,
        "positive_rating": search.positive_rating,
        "examinations_needed": state.examiners_needed,
        "concluded_at": _time(state.concluded_at),
        "third_asked_at": _time(adjudication.opened_at) if adjudication else None,
        "rank": lead.candidate.rank if lead else None,
    }


def _lead(lead: Lead | None) -> dict[str, Any] | None:
    if lead is None:
        return None
    rules = policy.current()
    return {
        "id": str(lead.pk),
        "notice": NOTICE,
        "rank": lead.candidate.rank,
        "confirmed_by": [str(lead.first_id), str(lead.second_id)],
        "released_at": _time(lead.released_at),
        "withdrawn_at": _time(lead.withdrawn_at),
        "withdrawn_why": lead.withdrawn_why,
        "withdrawn_by": _user(lead.withdrawn_by) if lead.withdrawn_by else None,
        "withdrawn_reason": lead.withdrawn_reason,
        "evidence": [
            {
                "kind": one.kind,
                "label": label_of(one.kind, rules),
                "source": one.source,
                "obtained_on": _day(one.obtained_on),
                "attested_at": _time(one.attested_at),
                "recorded_at": _time(one.recorded_at),
                "recorded_by": _user(one.recorded_by),
            }
            for one in lead.evidence.select_related("recorded_by")
        ],
        "outcomes": [
            {
                "outcome": one.outcome,
                "label": one.get_outcome_display(),
                "note": one.note,
                "recorded_at": _time(one.recorded_at),
                "recorded_by": _user(one.recorded_by),
            }
            for one in lead.outcomes.select_related("recorded_by").order_by("pk")
        ],
        "lineups": [
            {
                "id": str(one.pk),
                "places": len(one.photos),
                "candidate_place": one.candidate_place,
                "exported_at": _time(one.exported_at),
                "exported_by": _user(one.exported_by),
            }
            for one in lead.lineups.select_related("exported_by").order_by("exported_at")
        ],
    }


def _repeat(repeat: Repeat) -> dict[str, Any]:
    return {
        "id": str(repeat.pk),
        "requested_at": _time(repeat.requested_at),
        "requested_by": _user(repeat.requested_by),
        "state": repeat.state,
        "finished_at": _time(repeat.finished_at),
        "failure": repeat.failure,
        "generation": repeat.generation,
        "scanned": repeat.scanned,
        "erased_photos": repeat.erased_photos,
        "erased_people": repeat.erased_people,
        "differing": repeat.differing,
    }


def _other(search: Search, state: ExaminationState) -> dict[str, Any]:
    """Another search of the same image. Its list names nobody, and is empty until its own examination is over."""
    return {
        "id": str(search.pk),
        "requested_at": _time(search.requested_at),
        "requested_by": _user(search.requested_by),
        "finished_at": _time(search.finished_at),
        "state": search.state,
        "edit": search.edit.number if search.edit else None,
        "face": search.face,
        "list_size": search.list_size,
        "filters": search.filters,
        "gallery_size": search.gallery_size,
        "examination_over": state.over,
        "result": state.result,
        "list": [
            {
                "rank": one.rank,
                "score": one.score,
                "expunged": one.gone and not one.sealed,
                "sealed": one.sealed,
                "is_lead": one.is_lead,
                "conclusions": one.conclusions,
                "mean_rating": one.rating,
            }
            for one in list_of(search)
        ],
    }


def _user(user: User) -> dict[str, str]:
    return {"id": str(user.pk), "name": user.full_name}


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None
