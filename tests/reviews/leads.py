"""A lead, and the ways in which one is used."""

import datetime
from typing import Any

from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.gallery.models import Photo
from reviews import evidence
from reviews.models import Evidence, Lead
from tests.factories import PhotoFactory, UserFactory, examiner
from tests.reviews.arrange import examine, finished_search

SOURCE = "Fingerprint on the window frame, report 26-118"


def a_lead(candidates: int = 3, **search: Any) -> Lead:
    found = finished_search(candidates, **search)
    examine(examiner(), found, same=(1,))
    examine(examiner(), found, same=(1,))
    return Lead.objects.get(search=found)


def described(person: str, *, sex: str = "M", born: int = 1980, height: int = 70, weight: int = 180) -> Photo:
    """An enrolled photograph of somebody with these records; nobody's face is in it."""
    return PhotoFactory(
        booking__person__person_id=person,
        booking__person__sex=sex,
        booking__person__date_of_birth=datetime.date(born, 6, 1),
        booking__height_in=height,
        booking__weight_lb=weight,
    )


def investigator_of(lead: Lead) -> User:
    return lead.search.requested_by


def recorded(lead: Lead, **said: Any) -> Evidence:
    words = {"kind": "physical", "source": SOURCE, "obtained_on": timezone.localdate(), "attested": True}
    return evidence.record_evidence(by=investigator_of(lead), lead=lead, **{**words, **said})


def supervisor(**kwargs: Any) -> User:
    return UserFactory(roles=[Role.SUPERVISOR], **kwargs)


def withdrawn(lead: Lead) -> Lead:
    """As an expungement leaves it."""
    Lead.objects.filter(pk=lead.pk).update(withdrawn_at=timezone.now(), withdrawn_why=Lead.Why.EXPUNGED)
    lead.refresh_from_db()
    return lead
