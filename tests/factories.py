"""Rows for tests, as the services would have left them. Override what the test is about."""

import datetime
import hashlib
import time
from typing import Any, TypeVar

import factory
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.test import Client
from django.utils import timezone

from mugsearch.accounts.models import Agency, ExaminerCertificate, Role, RoleGrant, Sitting, User
from mugsearch.accounts.scopes import open_to
from mugsearch.gallery.models import Booking, Encoder, Person, Photo
from mugsearch.probes.models import Calibration, Candidate, Case, Probe, ProbeEdit, Search

PASSWORD = "correct horse battery"
A_FACE = {"box": [10, 10, 50, 50], "landmarks": [[20, 25], [45, 25], [32, 35], [24, 48], [42, 48]], "score": 0.99}


class AgencyFactory(factory.django.DjangoModelFactory[Agency]):
    class Meta:
        model = Agency
        django_get_or_create = ("code",)

    code = "springfield"
    name = "Springfield Police Department"


class UserFactory(factory.django.DjangoModelFactory[User]):
    """`UserFactory(roles=[Role.EXAMINER], certified=True)`"""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    full_name = factory.Faker("name")
    agency = factory.SubFactory(AgencyFactory)
    password = factory.django.Password(PASSWORD)

    @factory.post_generation
    def roles(self: Any, create: bool, roles: list[Role] | None, **kwargs: Any) -> None:
        since = timezone.now() - datetime.timedelta(days=365)
        RoleGrant.objects.bulk_create(RoleGrant(user=self, role=role, granted_at=since) for role in roles or [])

    @factory.post_generation
    def certified(self: Any, create: bool, certified: bool, **kwargs: Any) -> None:
        if certified:
            CertificateFactory(examiner=self)


class CertificateFactory(factory.django.DjangoModelFactory[ExaminerCertificate]):
    class Meta:
        model = ExaminerCertificate

    programme = "Facial comparison"
    issued_by = "State Academy"
    hours = 80
    issued_on = factory.LazyFunction(lambda: timezone.localdate() - datetime.timedelta(days=30))
    expires_on = factory.LazyFunction(lambda: timezone.localdate() + datetime.timedelta(days=335))


AnyClient = TypeVar("AnyClient", bound=Client)


def signed_in(client: AnyClient, user: User, **sitting: Any) -> AnyClient:
    """As after password and second factor, without the time these take."""
    client.force_login(user)
    Sitting.objects.create(user=user, session_key=client.session.session_key, **sitting)
    return client


def with_banner(client: AnyClient) -> AnyClient:
    """Has acknowledged the banner, and so may send a password."""
    client.post("/banner")
    return client


def sign_in(client: AnyClient, user: User) -> Any:
    """Through the pages, with the password and the code of an app the person has; the last answer."""
    with_banner(client).post("/sign-in", {"username": user.username, "password": PASSWORD})
    return client.post("/sign-in/code", {"code": code_of(user)})


def for_token(user: User, *scopes: str) -> dict[str, Any]:
    """The body that makes a token, of somebody with an authenticator app."""
    told = {"username": user.username, "password": PASSWORD, "code": code_of(user), "name": "test"}
    return {**told, "scopes": scopes or list(open_to(user.roles))}


def second_factor(user: User) -> Authenticator:
    """An authenticator app; `code_of(user)` is what it shows."""
    return totp.TOTP.activate(user, totp.generate_totp_secret()).instance


def code_of(user: User, later: int = 0) -> str:
    """Of now, or of some time steps later. A code that was taken before is of now again."""
    app = Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)
    secret = get_adapter().decrypt(app.data["secret"])
    return totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30 + later))


def investigator(**kwargs: Any) -> User:
    return UserFactory(roles=[Role.INVESTIGATOR], **kwargs)


def examiner(**kwargs: Any) -> User:
    return UserFactory(roles=[Role.EXAMINER], certified=True, **kwargs)


def clerk(**kwargs: Any) -> User:
    return UserFactory(roles=[Role.RECORDS], **kwargs)


def auditor(**kwargs: Any) -> User:
    return UserFactory(roles=[Role.AUDITOR], **kwargs)


def administrator(**kwargs: Any) -> User:
    return UserFactory(roles=[Role.ADMINISTRATOR], **kwargs)


class EncoderFactory(factory.django.DjangoModelFactory[Encoder]):
    class Meta:
        model = Encoder
        django_get_or_create = ("name",)

    spec = "fake"
    name = "fake"
    digest = "f" * 64
    dimension = 128
    licence = "Test only."
    state = Encoder.State.ACTIVE


class PersonFactory(factory.django.DjangoModelFactory[Person]):
    class Meta:
        model = Person

    agency = factory.SubFactory(AgencyFactory)
    person_id = factory.Sequence(lambda n: f"P-{n:05d}")
    family_name = factory.Faker("last_name")
    given_names = factory.Faker("first_name")


def rename(person: Any, **told: Any) -> Person:
    """Write something else of a person's identity; `person` is the row's id."""
    row = Person.objects.get(pk=person)
    for name, value in told.items():
        setattr(row, name, value)
    row.save()
    return row


class BookingFactory(factory.django.DjangoModelFactory[Booking]):
    class Meta:
        model = Booking

    agency = factory.SubFactory(AgencyFactory)
    person = factory.SubFactory(PersonFactory)
    booking_number = factory.Sequence(lambda n: f"B-{n:05d}")


class PhotoFactory(factory.django.DjangoModelFactory[Photo]):
    """Only the row; a photo with a file, a key and a vector comes from an import, or from tests.gallery_rows.enrol."""

    class Meta:
        model = Photo

    booking = factory.SubFactory(BookingFactory)
    sha256 = factory.Sequence(lambda n: hashlib.sha256(str(n).encode()).hexdigest())
    format = "PNG"
    width = 240
    height = 320
    state = Photo.State.ENROLLED
    face = A_FACE
    faces = [A_FACE]


class CaseFactory(factory.django.DjangoModelFactory[Case]):
    class Meta:
        model = Case
        skip_postgeneration_save = True

    agency = factory.SubFactory(AgencyFactory)
    number = factory.Sequence(lambda n: f"26-{n:05d}")
    opened_by = factory.LazyFunction(investigator)

    @factory.post_generation
    def members(self: Any, create: bool, members: list[User] | None, **kwargs: Any) -> None:
        self.members.set(members or [self.opened_by])
        self.responsible = (members or [self.opened_by])[0]
        self.save(update_fields=["responsible"])


class ProbeFactory(factory.django.DjangoModelFactory[Probe]):
    class Meta:
        model = Probe

    case = factory.SubFactory(CaseFactory)
    submitted_by = factory.SelfAttribute("case.opened_by")
    offence = "robbery"
    legal_basis = "reasonable-suspicion"
    source = "cctv-still"
    source_detail = "Camera at the entrance"
    attested_at = factory.LazyFunction(timezone.now)
    policy_digest = "0" * 64
    sha256 = factory.Sequence(lambda n: hashlib.sha256(f"probe {n}".encode()).hexdigest())
    format = "PNG"
    width = 240
    height = 320
    state = Probe.State.READY
    faces = [{"face": A_FACE, "quality": {"score": 80, "reasons": [], "measures": {}}}]


class EditFactory(factory.django.DjangoModelFactory[ProbeEdit]):
    """Only the row; an edit with pixels comes from probes.editing.edit."""

    class Meta:
        model = ProbeEdit

    probe = factory.SubFactory(ProbeFactory)
    number = factory.LazyAttribute(lambda edit: edit.probe.edits.count() + 1)
    steps = factory.LazyAttribute(lambda edit: [{"brightness": edit.number}])
    made_by = factory.SelfAttribute("probe.submitted_by")
    sha256 = factory.Sequence(lambda n: hashlib.sha256(f"edit {n}".encode()).hexdigest())
    width = 240
    height = 320
    state = Probe.State.READY
    faces = [{"face": A_FACE, "quality": {"score": 80, "reasons": [], "measures": {}}}]


class SearchFactory(factory.django.DjangoModelFactory[Search]):
    """A finished search. `SearchFactory(state="queued", …)` for an unfinished one."""

    class Meta:
        model = Search

    probe = factory.SubFactory(ProbeFactory)
    requested_by = factory.SelfAttribute("probe.submitted_by")
    face = 0
    list_size = 20
    policy_digest = "ef" * 32
    positive_rating = 2
    state = Search.State.DONE
    encoder = factory.SubFactory(EncoderFactory)
    generation = 1
    gallery_size = 100
    depth = 100
    scanned = 100
    rescored = 100
    started_at = factory.LazyFunction(timezone.now)
    finished_at = factory.LazyFunction(timezone.now)


class CandidateFactory(factory.django.DjangoModelFactory[Candidate]):
    class Meta:
        model = Candidate

    search = factory.SubFactory(SearchFactory)
    rank = factory.Sequence(lambda n: n % 50 + 1)
    photo = factory.SubFactory(PhotoFactory)
    person = factory.SelfAttribute("photo.booking.person")
    score = 0.5


def measured(**kwargs: Any) -> Calibration:
    """Of the active encoder, as probes.calibrating leaves it."""
    told = {"gallery_size": 100, "scores": [0.1, 0.2, 0.3, 0.4], "generation": 1, "seed": "s"} | kwargs
    told = {"encoder": kwargs.get("encoder") or EncoderFactory(), "made_by": administrator()} | told
    return Calibration.objects.create(**({"people": len(told["scores"])} | told))
