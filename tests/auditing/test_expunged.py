"""A real expungement with everything the auditors' desk keeps: it gets complete, and nothing there leads back."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.auditing import drawing, queries, reviews, signal_queries, signals
from mugsearch.auditing.models import Sighting
from mugsearch.gallery import encoding, live
from mugsearch.probes import signal_rules
from tests.factories import CandidateFactory, CaseFactory, ProbeFactory, SearchFactory, auditor, investigator
from tests.retention.arrange import Life, a_life, expunged, sealed

pytestmark = pytest.mark.django_db(transaction=True)

DAY = datetime.timedelta(days=1)
RULES = {name: default for name, (_, _, default) in signal_rules.RULES.items()}


@pytest.fixture
def life(fake_encoder: object) -> Life:
    """Of somebody who has an investigator's name and was first on three of their lists yesterday."""
    live.reset()
    life = a_life()
    person = life.booking.person
    who = investigator(full_name=f"{person.given_names.split()[0]} {person.family_name}")
    for _ in range(3):
        at = drawing.bounds(timezone.localdate()) - datetime.timedelta(hours=12)
        probe = ProbeFactory(case=CaseFactory(opened_by=who), submitted_at=at)
        search = SearchFactory(probe=probe, requested_at=at, encoder=encoding.active())
        CandidateFactory(search=search, rank=1, photo=life.photos[0], person=person)
    return life


def asked(name: str) -> list[signal_queries.Row]:
    end = drawing.bounds(timezone.localdate())
    return list(signals.BY_NAME[name].query(RULES, end - DAY, end))


def test_what_signals_pointed_at_holds_up_no_expungement_and_leads_to_nobody(
    life: Life, page: Callable[[User], Client]
) -> None:
    by, booking = auditor(), life.booking
    number, gone = booking.booking_number, [booking.pk, booking.person_id, *(photo.pk for photo in life.photos)]
    drawing.draw(timezone.localdate() - DAY)
    found = Sighting.objects.filter(signal__in=["same-face", "self-or-colleague"])
    assert found.count() == 2
    for one in found:
        reviews.remark(by=by, sighting=one, verdict="explained", note="A series of burglaries.")
    page(by).get(f"/audit/bookings/{booking.pk}")
    assert len(queries.lookups_of(booking.pk)) > 5
    expunged(booking)
    assert queries.lookups_of(booking.pk) == (str(booking.pk),)
    assert "There is no such booking" in page(by).get("/audit/timelines", {"booking": number}).text
    week = drawing.monday(timezone.localdate() - DAY)
    for address in (f"/audit/bookings/{booking.pk}", "/audit/signals", f"/audit/reviews/{week}", "/audit/saved"):
        text = page(by).get(address).text
        for secret in (number, *gone[1:]):
            assert str(secret) not in text, address
    kept: Any = list(Sighting.objects.values_list("searches", "key"))
    assert not any(str(one) in str(kept) for one in gone)


@pytest.mark.parametrize("end", [sealed, expunged])
@pytest.mark.parametrize("name", ["same-face", "self-or-colleague"])
def test_signals_drawn_later_do_not_see_whoever_was_sealed_or_expunged(
    life: Life, name: str, end: Callable[..., object]
) -> None:
    assert asked(name)
    end(life.booking)
    assert asked(name) == []
