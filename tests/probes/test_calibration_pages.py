"""The page and the API of the measurements behind false-positive rates."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from mugsearch.accounts.models import Role, User
from mugsearch.gallery.models import Encoder
from tests.factories import EncoderFactory, UserFactory, administrator, auditor, clerk, examiner, investigator, measured
from tests.gallery_rows import enrol

pytestmark = pytest.mark.django_db

PAGE, API = "/policy/false-positives", "/api/v1/calibrations"


def supervisor() -> User:
    return UserFactory(roles=[Role.SUPERVISOR])


@pytest.mark.parametrize("who", [administrator, auditor, supervisor])
def test_administrators_auditors_and_supervisors_read_them(
    who: Callable[[], User], page: Callable[[User], Client], api: Callable[[User], APIClient]
) -> None:
    made = measured(scores=[0.1] * 1990 + [0.31] * 7 + [0.55] * 3, gallery_size=2263)
    shown = page(who()).get(PAGE).text.replace("\N{NO-BREAK SPACE}", " ")
    for words in ("0.50 %, 10 of 2,000 searches", "0.15 %, 3 of 2,000 searches", "0 of 2,000 searches", "2,263"):
        assert words in shown
    (one,) = api(who()).get(API).json()["results"]
    assert (one["number"], one["people"], one["gallery_size"]) == (made.number, 2000, 2263)
    assert one["scores"] == made.scores


@pytest.mark.parametrize("who", [investigator, examiner, clerk])
def test_nobody_else_does(
    who: Callable[[], User], page: Callable[[User], Client], api: Callable[[User], APIClient]
) -> None:
    measured()
    assert page(who()).get(PAGE).status_code == 403
    assert api(who()).get(API).status_code == 403


def test_the_policys_page_leads_there(page: Callable[[User], Client]) -> None:
    assert PAGE in page(auditor()).get("/policy").text


def test_without_a_measurement_it_says_what_to_do(page: Callable[[User], Client]) -> None:
    assert "./run manage calibrate" in page(auditor()).get(PAGE).text
    other = EncoderFactory(name="old", digest="e" * 64, state=Encoder.State.RETIRED)
    measured(encoder=other)
    EncoderFactory()
    shown = page(auditor()).get(PAGE).text
    assert "Nothing has been measured with the encoder that answers now" in shown
    assert ">old<" in shown


def test_it_says_when_the_gallery_has_changed_so_much_that_it_should_be_measured_again(
    page: Callable[[User], Client], fake_encoder: Any
) -> None:
    enrol(1)
    for number in range(2, 11):
        enrol(number)
    words = "The gallery has changed much since"
    measured(encoder=Encoder.objects.get(), gallery_size=9)
    assert words not in page(auditor()).get(PAGE).text
    measured(encoder=Encoder.objects.get(), gallery_size=8)
    assert words in page(auditor()).get(PAGE).text
