"""One agency with something of every kind that an address may name, and the people whose it is."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from mugsearch.accounts import tokens
from mugsearch.accounts.models import Agency, Role, Sitting, User
from mugsearch.audit import services as audit
from mugsearch.auditing import heads, reviews
from mugsearch.auditing.models import Draw, Sighting
from mugsearch.engine import images
from mugsearch.gallery.models import ImportReject, ImportRun, Photo
from mugsearch.matrix import Endpoint
from mugsearch.probes import policy, policy_changes
from mugsearch.probes.models import SiblingPhoto
from mugsearch.retention import dispositions
from mugsearch.retention.dispositions import Reported
from mugsearch.trials import services as trials
from mugsearch.trials.models import Trial
from mugsearch.vault import services as vault
from reviews import lineup
from reviews.models import Lead
from tests import factories
from tests.access.walking import filled
from tests.fakes import synthetic_photo, synthetic_pixels
from tests.retention.arrange import held, requested, sealed
from tests.reviews.arrange import claim, examine, finished_search, store_images
from tests.reviews.leads import described, recorded


@dataclass
class World:
    """`ids`: by (name of the URL, parameter), by the URL's parameter, or, where that is `pk`, by what stands before it.

    `holders`: of each role somebody who may reach what that role reaches of it.
    """

    agency: Agency
    ids: dict[Any, Any]
    holders: dict[Role, User]

    @property
    def owner(self) -> User:
        return self.holders[Role.INVESTIGATOR]

    def address(self, endpoint: Endpoint) -> str:
        return filled(endpoint, **self.ids_of(endpoint))

    def ids_of(self, endpoint: Endpoint) -> dict[str, Any]:
        return dict(self._found(endpoint))

    def knows_some_of(self, endpoint: Endpoint) -> bool:
        return any(self._found(endpoint))

    def _found(self, endpoint: Endpoint) -> Iterator[tuple[str, Any]]:
        before = endpoint.path.partition("<")[0].strip("/").split("/")[-1]  # `/api/v1/probes/<uuid:pk>/image`: probes
        for name in endpoint.parameters:
            for key in ((endpoint.name, name), before if name in ("pk", "user_id") else name, name):
                if key in self.ids:
                    yield name, self.ids[key]
                    break


def a_world() -> World:
    lead, other = _a_lead(), finished_search()
    search, examiner = lead.search, lead.first.examiner
    agency = search.probe.case.agency
    holders = {
        Role.INVESTIGATOR: search.requested_by,
        Role.EXAMINER: examiner,
        Role.RECORDS: factories.clerk(agency=agency),
        Role.SUPERVISOR: factories.UserFactory(roles=[Role.SUPERVISOR], agency=agency),
        Role.ADMINISTRATOR: factories.administrator(agency=agency),
        Role.AUDITOR: factories.auditor(agency=agency),
    }
    claimed = claim(examiner, other)
    ids = {
        **_of_casework(lead),
        **_of_the_gallery(lead, holders[Role.RECORDS]),
        **_of_trials(holders[Role.SUPERVISOR]),
        **_of_accounts(holders),
        **_of_auditors(lead, holders),
        "examination_id": lead.first_id,
        "examinations": lead.first_id,
        **{(name, "examination_id"): claimed.pk for name in ("free", "release", "save_finding", "conclude")},
        **{(f"api_{name}", "pk"): claimed.pk for name in ("free", "release", "findings", "conclude")},
        ("api_exclude_remaining", "pk"): claimed.pk,
        "user": examiner.pk,
        "users": examiner.pk,
        "user_id": examiner.pk,
        "certificate_id": examiner.certificates.get().pk,
        "certificates": examiner.certificates.get().pk,
        "examiner_id": examiner.pk,
        "examiners": examiner.pk,
    }
    member = factories.investigator()
    search.probe.case.members.add(member)
    ids |= {("end_sharing", "user_id"): member.pk, ("api_case_member", "user"): member.pk}
    return World(agency, ids, holders)


def _a_lead() -> Lead:
    """Of somebody of whom there are enough like them for a line-up."""
    search = factories.SearchFactory()
    for rank in (1, 2):
        photo = described(f"LISTED-{rank}")
        factories.CandidateFactory(search=search, rank=rank, photo=photo, score=0.9 - rank / 100)
    for number in range(5):
        described(f"OTHER-{number}")
    for examiner in (factories.examiner(), factories.examiner()):
        examine(examiner, search, same=(1,))
    return Lead.objects.get(search=search)


def _of_casework(lead: Lead) -> dict[Any, Any]:
    search, probe = lead.search, lead.search.probe
    factories.EditFactory(probe=probe, made_at=search.requested_at - datetime.timedelta(minutes=1))
    sibling = factories.PhotoFactory(booking__person=lead.candidate.person)
    SiblingPhoto.objects.create(candidate=lead.candidate, photo=sibling, rank=2, score=0.5)
    store_images(search)
    for photo in Photo.objects.exclude(pk__in=search.candidates.values("photo")):
        _store(photo)
    recorded(lead)
    made = lineup.export(by=search.requested_by, lead=lead)
    return {
        "case_id": probe.case_id,
        "cases": probe.case_id,
        "probe_id": probe.pk,
        "probes": probe.pk,
        "search_id": search.pk,
        "searches": search.pk,
        "lead_id": lead.pk,
        "leads": lead.pk,
        "lineup_id": made.pk,
        "lineup": made.pk,
        "place": 1,
        "number": 1,
        "position": 1,
    }


def _store(photo: Photo) -> None:
    vault.create_key(photo.booking_id)
    vault.store_file(photo.booking_id, photo.pk, images.encode_png(synthetic_pixels(1)))


def _of_the_gallery(lead: Lead, clerk: User) -> dict[Any, Any]:
    booking = lead.candidate.photo.booking
    run = ImportRun.objects.create(agency=clerk.agency, started_by=clerk, state=ImportRun.State.DONE)
    ImportReject.objects.create(run=run, line=2, photo="a.jpg", booking_number="B-2", reason="No such file.")
    waiting = dispositions.record(by=clerk, reported=Reported("not-here", "dismissed", timezone.localdate()))
    order, done = requested(booking, by=clerk), sealed(factories.BookingFactory(agency=clerk.agency), by=clerk)
    hold = held(factories.BookingFactory(agency=clerk.agency), by=clerk)
    return {
        "person_id": booking.person_id,
        "people": booking.person_id,
        "booking_id": booking.pk,
        "bookings": booking.pk,
        "photo_id": lead.candidate.photo_id,
        "photos": lead.candidate.photo_id,
        "run_id": run.pk,
        "imports": run.pk,
        "dispositions": waiting.pk,
        "code": next(iter(policy.current().retention.rules)),
        "order_id": order.pk,
        "expungements": order.pk,
        **{(name, "order_id"): done.pk for name in ("expungement_certificate", "certificate_json", "certificate_pdf")},
        **{(name, "pk"): done.pk for name in ("api_certificate", "api_certificate_pdf")},
        "hold_id": hold.pk,
        "holds": hold.pk,
    }


def _of_trials(supervisor: User) -> dict[Any, Any]:
    told = {"by": supervisor, "consent": "synthetic", "reference": "Generator 1"}
    tried, subject = (trials.add(code=f"S-{one}", photos=[synthetic_photo(one)], **told) for one in (1, 2))
    photo = tried.photos.get()
    made = Trial.objects.create(agency=tried.agency, kind="non_mated", photo=photo, prepared_by=supervisor)
    return {
        "trial_id": made.pk,
        "trials": made.pk,
        "subject_id": subject.pk,
        "material": subject.pk,
        ("trial_photo", "photo_id"): photo.pk,
        ("api_trial_photo", "pk"): photo.pk,
    }


def _of_accounts(holders: dict[Role, User]) -> dict[Any, Any]:
    """Of the investigator: another session than the one that walks, a token and a second factor."""
    owner = holders[Role.INVESTIGATOR]
    sitting = Sitting.objects.create(user=owner, session_key="another")
    token, _ = tokens.make(by=owner, name="nightly", scopes=["investigator:read"])
    return {
        "sitting_id": sitting.pk,
        "sessions": sitting.pk,
        "token_id": token.id,
        "tokens": token.id,
        "factor_id": factories.second_factor(owner).pk,
    }


def _of_auditors(lead: Lead, holders: dict[Role, User]) -> dict[Any, Any]:
    auditor, today = holders[Role.AUDITOR], timezone.localdate()
    draw = Draw.objects.create(day=today, searches=0, policy_digest="0" * 64)
    told = {"signal": "case-searches", "week": today, "key": "k" * 64, "count": 25, "case": lead.search.probe.case}
    head = heads.sign(by=None)
    version = policy_changes.change(
        by=holders[Role.ADMINISTRATOR],
        text=policy.of_installation().replace(b"list_size = ", b"list_size =  ", 1),
        reason="Council decision 9",
        instead_of=policy.current().digest,
    )
    entry = audit.record("case.viewed", by=auditor, obj=lead.search.probe.case)
    return {
        "sighting_id": Sighting.objects.create(draw=draw, **told).pk,
        "saved_id": reviews.save(by=auditor, name="Every week", days=7).pk,
        "serial": head.pk,
        "day": today.isoformat(),
        ("audit_entry", "number"): entry.number,
        ("api_audit_entry", "number"): entry.number,
        ("download_policy", "number"): version.number,
        ("api_policy_version", "number"): version.number,
    }
