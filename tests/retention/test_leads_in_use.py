"""What an expungement does to leads that were opened, confirmed, exported: told, and gone from line-ups."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.gallery import live
from mugsearch.gallery.models import Person, Photo
from mugsearch.retention import tasks
from mugsearch.retention.models import ExpungementOrder
from reviews import evidence, leads, lineup
from reviews.models import Lead, Lineup
from tests.gallery_rows import enrol
from tests.retention.arrange import Life, a_life, approved, finish, requested
from tests.reviews.leads import supervisor

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def exported(life: Life) -> tuple[Lineup, list[Photo]]:
    """A line-up of this life's lead with evidence, and its fillers."""
    others = [enrol(20 + number) for number in range(5)]
    for person in Person.objects.all():
        person.sex, person.date_of_birth = "F", datetime.date(1990, 1, 1)
        person.save()
    mine, lead = life.lead.search.requested_by, life.lead
    day = timezone.localdate()
    evidence.record_evidence(by=mine, lead=lead, kind="witness", source="A letter", obtained_on=day, attested=True)
    return lineup.export(by=mine, lead=Lead.objects.get(pk=lead.pk)), others


def test_the_lead_says_why_it_is_withdrawn_and_who_opened_it_is_told(page: Callable[[User], Any]) -> None:
    life = a_life()
    mine = life.lead.search.requested_by
    page(mine).get(f"/reviews/leads/{life.lead.pk}")
    approved(requested(life.booking))
    assert Lead.objects.get(pk=life.lead.pk).withdrawn_why == "expunged"
    assert "1 lead you opened was withdrawn" in page(mine).get("/cases/").text
    assert "has been expunged" in page(mine).get(f"/reviews/leads/{life.lead.pk}").text
    assert "withdrawn" not in page(mine).get("/cases/").text


def test_an_expunged_filler_leaves_a_gap_and_the_expungement_is_complete(page: Callable[[User], Any]) -> None:
    life = a_life()
    made, others = exported(life)
    mine, gone = life.lead.search.requested_by, others[0]
    place = made.photos.index(str(gone.pk)) + 1
    browser, at = page(mine), f"/reviews/leads/{life.lead.pk}/lineups/{made.pk}"
    assert browser.get(f"{at}/{place}.jpg").status_code == 200

    order = approved(requested(gone.booking))
    tasks.resume()
    tasks.prove_forgotten(str(order.pk))
    finish()
    order.refresh_from_db()
    assert order.state == ExpungementOrder.State.COMPLETE
    shown = browser.get(at).text
    assert shown.count(".jpg") == 5
    assert "not shown any more" in shown
    assert browser.get(f"{at}/{place}.jpg").status_code == 404
    assert Lineup.objects.get(pk=made.pk).photos == made.photos


def test_expunging_the_candidate_withdraws_the_lead_and_empties_its_line_up(page: Callable[[User], Any]) -> None:
    life = a_life()
    made, _ = exported(life)
    approved(requested(life.booking))
    browser, at = page(life.lead.search.requested_by), f"/reviews/leads/{life.lead.pk}/lineups/{made.pk}"
    assert ".jpg" not in browser.get(at).text
    assert browser.get(f"{at}/1.jpg").status_code == 404


def test_a_booking_whose_lead_was_withdrawn_for_a_certificate_is_expunged_all_the_same() -> None:
    life = a_life()
    leads.withdraw(by=supervisor(agency=life.lead.search.probe.case.agency), lead=life.lead, reason="It was forged")
    approved(requested(life.booking))
    lead = Lead.objects.get(pk=life.lead.pk)
    assert (lead.withdrawn_why, lead.withdrawn_reason) == ("certificate", "It was forged")
    assert not Photo.objects.filter(booking=life.booking.pk).exists()
