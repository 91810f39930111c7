"""Rows by the hundred thousand, as the services would have left them: sealed under keys of their own, and logged.

One thing is left out: only the photographs that were imported have a picture in the vault. The pages that are measured
name pictures, they don't hold them.
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import numpy as np
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.db import connection, transaction
from django.utils import timezone

from mugsearch import ownership
from mugsearch.accounts import factors
from mugsearch.accounts.models import Agency, Role, RoleGrant, User
from mugsearch.accounts.services import add_user, console
from mugsearch.audit.models import Entry
from mugsearch.audit.services import GENESIS
from mugsearch.gallery import changes, vectors
from mugsearch.gallery.models import Booking, Encoder, ImportReject, ImportRun, Person, Photo, Template
from mugsearch.probes.models import Candidate, Case, Probe, Search
from mugsearch.retention.models import ExpungementOrder
from reviews.certificates import record_certificate
from reviews.models import Examination, Finding, Lead
from reviews.worksheet import COMPONENTS

BATCH = 5000  # bookings in one transaction
LIST = 20
LARGE_CASE = "26-LARGE"  # every tenth search is one of this case
PASSPHRASE = "a long enough passphrase"  # noqa: S105  of a throw-away database
# Common names are common: the n-th of a list is taken about 1/n times as often as the first.
FAMILY = [a + b for b in ("son", "ley", "man", "berg", "wick", "", "field") for a in (
    "Smith", "John", "Hart", "Gold", "Ander", "Stan", "Wal", "Ash", "Brad", "Car", "Dal", "Ever", "Fre", "Gar", "Hol",
    "Iver", "Jack", "Kel", "Lind", "Mar", "Nor", "Oak", "Per", "Quin", "Rob", "Sand", "Thom", "Up", "Vic", "Win",
)]  # fmt: skip
GIVEN = [
    "Maria", "James", "Anna", "John", "Sofia", "Robert", "Elena", "Michael", "Grace", "David", "Ruth", "Nina",
    "Carl", "Vera", "Tom", "Ida", "Paul", "Lena", "Rosa", "Eric", "Clara", "Otto", "Ella", "Hugo", "Alma",
]  # fmt: skip


@dataclass(frozen=True)
class Staff:
    """One person of every role whose pages are measured, and those who do the rest of the work."""

    agency: Agency
    of_role: dict[Role, User]
    second_investigator: User
    second_examiner: User
    busy_examiner: User  # holds the open examinations


def hire() -> Staff:
    agency = Agency.objects.create(code="bench", name="Benchmark")

    def person(name: str, role: Role) -> User:
        user = add_user(
            by=console(), username=name, full_name=name.title(), agency=agency, password=PASSPHRASE, roles=[role]
        )
        if role == Role.EXAMINER:
            today = timezone.localdate()
            record_certificate(
                by=console(),
                examiner=user,
                programme="Benchmark",
                issued_by="Benchmark academy",
                hours=80,
                issued_on=today,
                expires_on=today + timedelta(days=365),
            )
        return user

    return Staff(
        agency,
        {role: person(role.value, role) for role in Role},
        person("second-investigator", Role.INVESTIGATOR),
        person("second-examiner", Role.EXAMINER),
        person("busy-examiner", Role.EXAMINER),
    )


def add(staff: Staff, encoder: Encoder, bookings: int, say: Callable[[int], None]) -> None:
    """So many bookings more, each with a photograph and its vector. For every hundred one search with its candidates
    and one photograph to check; for every thousand one user, one import, one expungement; and an entry of the record
    for each booking. `say` is told how many bookings there are so far."""
    like = Photo.objects.enrolled().exclude(quality={}).first()
    if like is None:
        raise SystemExit("Import a photograph first: the others are made like it.")
    done = 0
    while done < bookings:
        size = min(BATCH, bookings - done)
        with transaction.atomic():
            photos = _bookings(staff.agency, encoder, like, size)
            searches = _searches(staff, encoder, photos, max(2, size // 100))
            _examinations(staff, searches)
            _administration(staff, photos, max(2, size // 1000))
            _entries(staff, photos, searches)
        done += size
        say(done)
    os.sync()
    # As autovacuum would have by the time there are so many.
    with ownership.acting(), connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _bookings(agency: Agency, encoder: Encoder, like: Photo, count: int) -> list[Photo]:
    """One enrolled photograph each. One person in twenty has several bookings."""
    first = Booking.objects.count()
    random = np.random.default_rng(first)
    families = random.choice(len(FAMILY), count, p=_zipf(len(FAMILY)))
    given = random.choice(len(GIVEN), count, p=_zipf(len(GIVEN)))
    days = random.integers(0, 7300, (2, count)).tolist()
    again = (random.random(count) < 0.05).tolist()
    people: list[Person] = []
    bookings, photos = [], []
    for at in range(count):
        number = first + at
        if not (again[at] and people):
            people.append(
                Person(
                    agency=agency,
                    person_id=f"P-{number:07}",
                    family_name=FAMILY[families[at]],
                    given_names=GIVEN[given[at]],
                    date_of_birth=date(1960, 1, 1) + timedelta(days=days[0][at]) if number % 20 else None,
                    sex="MFMFXMFMU"[number % 9],
                )
            )
        bookings.append(
            Booking(
                agency=agency,
                person=people[-1],
                booking_number=f"{2006 + number % 20}-{number:07}",
                booked_on=date(2006, 1, 1) + timedelta(days=days[1][at]),
                height_in=60 + number % 16,
                weight_lb=120 + number % 120,
                charge="Theft",
            )
        )
        photos.append(_photo(bookings[-1], like, Photo.State.ENROLLED))
    for row in [*people, *bookings]:
        row.seal()
    Person.objects.bulk_create(people)
    Booking.objects.bulk_create(bookings)
    waiting = [
        _photo(booking, like, Photo.State.WAITING) for booking in bookings[:: max(1, count // max(2, count // 100))]
    ]
    Photo.objects.bulk_create(photos + waiting)
    faces = random.standard_normal((count, encoder.dimension)).astype(np.float32)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    changes.put(
        Template.objects.bulk_create(
            Template(photo=photo, encoder=encoder, sealed_vector=vectors.sealed(photo, encoder, face))
            for photo, face in zip(photos, faces, strict=True)
        )
    )
    return photos


def _zipf(names: int) -> np.ndarray:
    shares = 1 / np.arange(1, names + 1)
    return shares / shares.sum()


def _photo(booking: Booking, like: Photo, state: Photo.State) -> Photo:
    enrolled = state == Photo.State.ENROLLED
    return Photo(
        booking=booking,
        sha256=secrets.token_hex(32),
        format=like.format,
        width=like.width,
        height=like.height,
        state=state,
        trouble="" if enrolled else Photo.Trouble.SEVERAL_FACES,
        faces=like.faces if enrolled else like.faces * 2,
        face=like.face if enrolled else None,
        quality=like.quality if enrolled else {},
    )


def _searches(staff: Staff, encoder: Encoder, photos: list[Photo], count: int) -> list[Search]:
    """Finished ones, each of a case of its own or of LARGE_CASE, half of them the first investigator's."""
    investigators = (staff.of_role[Role.INVESTIGATOR], staff.second_investigator)
    large, made = Case.objects.get_or_create(
        agency=staff.agency, number=LARGE_CASE, defaults={"opened_by": investigators[0]}
    )
    if made:
        large.members.add(investigators[0])
    first = Search.objects.count()
    like = photos[0]
    cases, probes, searches, candidates = [], [], [], []
    shown = list({photo.booking.person_id: photo for photo in photos}.values())
    for at in range(count):
        me = investigators[at % 2]
        if at % 10:
            cases.append(Case(agency=staff.agency, number=f"26-{first + at:06}", opened_by=me))
        probes.append(
            Probe(
                case=cases[-1] if at % 10 else large,
                submitted_by=me if at % 10 else investigators[0],
                offence="robbery",
                legal_basis="reasonable-suspicion",
                source="cctv-still",
                source_detail="Benchmark",
                attested_at=timezone.now(),
                policy_digest="0" * 64,
                sha256=secrets.token_hex(32),
                format="JPEG",
                width=like.width,
                height=like.height,
                state=Probe.State.READY,
                faces=[{"face": like.face, "quality": like.quality}],
            )
        )
        searches.append(
            Search(
                probe=probes[-1],
                requested_by=probes[-1].submitted_by,
                face=0,
                list_size=LIST,
                policy_digest="0" * 64,
                positive_rating=2,
                state=Search.State.DONE,
                started_at=timezone.now(),
                finished_at=timezone.now(),
                encoder=encoder,
                generation=changes.latest(),
                gallery_size=first + 1000,
                depth=200,
                scanned=first + 1000,
                rescored=first + 1000,
            )
        )
        listed = [shown[(at * LIST + rank) % len(shown)] for rank in range(LIST)]
        candidates += [
            Candidate(
                search=searches[-1],
                rank=rank,
                person=photo.booking.person,
                photo=photo,
                score=round(0.6 - rank / 100, 6),
            )
            for rank, photo in enumerate(listed, start=1)
        ]
    Case.objects.bulk_create(cases)
    membership = Case.members.through
    membership.objects.bulk_create(membership(case=case, user=case.opened_by) for case in cases)
    Probe.objects.bulk_create(probes)
    Search.objects.bulk_create(searches)
    Candidate.objects.bulk_create(candidates)
    return searches


def _examinations(staff: Staff, searches: list[Search]) -> None:
    """Of four searches one is examined and led to somebody, one is examined and led to nobody. Of twenty one is begun:
    the very first by the examiner whose pages are measured."""
    pair = (staff.of_role[Role.EXAMINER], staff.second_examiner)
    examined = [search for at, search in enumerate(searches) if at % 4 < 2]
    begun = [search for at, search in enumerate(searches) if at % 20 == 2]
    holder = staff.busy_examiner if Examination.objects.exists() else pair[0]
    examinations = Examination.objects.bulk_create(
        [Examination(search=search, examiner=examiner) for search in examined for examiner in pair]
        + [Examination(search=search, examiner=holder) for search in begun]
    )
    candidates: dict[UUID, list[Candidate]] = {search.pk: [] for search in examined}
    for candidate in Candidate.objects.filter(search__in=examined).order_by("search", "rank"):
        candidates[candidate.search_id].append(candidate)
    led = {search.pk for search in examined[::2]}
    concluded = [examination for examination in examinations if examination.search_id in candidates]
    Finding.objects.bulk_create(
        Finding(
            examination=examination,
            candidate=candidate,
            conclusion="3" if candidate.rank == 1 and candidate.search_id in led else "-3",
            said={component: {"said": "similar"} for component in COMPONENTS},
        )
        for examination in concluded
        for candidate in candidates[examination.search_id]
    )
    Examination.objects.filter(pk__in=[examination.pk for examination in concluded]).update(
        state=Examination.State.CONCLUDED, concluded_at=timezone.now()
    )
    Lead.objects.bulk_create(
        Lead(search_id=first.search_id, candidate=candidates[first.search_id][0], first=first, second=second)
        for first, second in zip(concluded[::2], concluded[1::2], strict=True)
        if first.search_id in led
    )


def _administration(staff: Staff, photos: list[Photo], count: int) -> None:
    """Users, imports with their rejects, and orders to expunge: complete, waiting, withdrawn."""
    clerk, now = staff.of_role[Role.RECORDS], timezone.now()
    first = User.objects.count()
    users = User.objects.bulk_create(
        User(username=f"user-{first + at}", full_name=f"User {first + at}", agency=staff.agency) for at in range(count)
    )
    RoleGrant.objects.bulk_create(RoleGrant(user=user, role=Role.INVESTIGATOR) for user in users)
    runs = ImportRun.objects.bulk_create(
        ImportRun(
            agency=staff.agency,
            started_by=clerk,
            state=ImportRun.State.DONE,
            rows=1000,
            rows_done=1000,
            enrolled=990,
            rejected=10,
            started_at=now,
            finished_at=now,
        )
        for _ in range(count)
    )
    largest = ImportRun.objects.filter(rejects__isnull=False).first() or runs[0]
    line = largest.rejects.count()
    ImportReject.create_all(
        [
            ImportReject(
                run=largest,
                line=line + at + 2,
                photo=f"{at}.jpg",
                booking_number=f"2026-R{line + at:07}",
                reason="There is no such photo in the folder.",
            )
            for at in range(max(60, 10 * count))
        ]
    )
    other_clerk = console()
    orders = []
    for at, photo in enumerate(photos[:count]):
        state = (ExpungementOrder.State.COMPLETE, ExpungementOrder.State.REQUESTED, ExpungementOrder.State.WITHDRAWN)[
            at % 3
        ]
        order = ExpungementOrder(
            agency=staff.agency, order_number=secrets.token_hex(4), reason="Acquitted.", requested_by=clerk, state=state
        )
        if state == ExpungementOrder.State.COMPLETE:
            order.approved_by, order.generation = other_clerk, 1
            for step in (
                "approved",
                "erased",
                "key_destroyed",
                "files_removed",
                "uploads_gone",
                "forgotten",
                "leavings_gone",
                "vacuumed",
                "verified",
                "completed",
            ):
                setattr(order, f"{step}_at", now)
        else:
            order.booking = photo.booking_id
        orders.append(order)
    ExpungementOrder.objects.bulk_create(orders)


def _entries(staff: Staff, photos: list[Photo], searches: list[Search]) -> None:
    """The record goes on where it is: numbered without gaps, each entry linked to the one before. The second
    investigator is in its first thousand entries only, as somebody who left."""
    last = Entry.objects.order_by("-number").first()
    clerk, investigator = staff.of_role[Role.RECORDS].pk, staff.of_role[Role.INVESTIGATOR].pk
    left = staff.second_investigator.pk
    entries = [last or Entry(number=0, digest=GENESIS)]
    people = [str(photo.booking.person_id) for photo in photos]
    for at, photo in enumerate(photos):
        search = searches[at % len(searches)]
        kind = at % 4
        about = {
            0: {"act": "people.searched", "details": {"text": True, "born": False, "shown": people[at : at + 25]}},
            1: {"act": "person.viewed", "object_type": "gallery.person", "object_id": people[at]},
            2: {"act": "booking.viewed", "object_type": "gallery.booking", "object_id": str(photo.booking_id)},
            3: {
                "act": "search.viewed",
                "object_type": "probes.search",
                "object_id": str(search.pk),
                "case": search.probe.case_id,
            },
        }[kind]
        entries.append(
            Entry(
                number=entries[-1].number + 1,
                at=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=60 * (entries[-1].number + 1)),
                actor=clerk if kind < 3 else investigator if entries[-1].number > 1000 else left,
                outcome="done",
                address="10.0.0.7",
                **about,
            )
        )
    for before, entry in pairwise(entries):
        entry.previous = before.digest
        entry.digest = entry.expected_digest()
    Entry.objects.bulk_create(entries[1:])


def code_of(user: User) -> str:
    """A code that will be taken, of an authenticator app that is made for it."""
    if not factors.has_one(user):
        TOTP.activate(user, generate_totp_secret())
    user.refresh_from_db()
    return factors.demo_code(user) or ""
