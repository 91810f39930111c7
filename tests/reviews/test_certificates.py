"""A certificate counts no longer than the policy lets it."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.accounts.models import ExaminerCertificate, Role, User
from mugsearch.audit.models import Entry
from mugsearch.demo import people
from mugsearch.errors import BadInput, NotAllowed
from mugsearch.probes import policy, policy_changes
from reviews.certificates import last_day, record_certificate
from tests.factories import AgencyFactory, CertificateFactory, UserFactory, administrator, auditor, examiner
from tests.probes.test_policy import put_in_force, text

pytestmark = pytest.mark.django_db
Page = Callable[[User], Any]
SAID = {"programme": "Faces", "issued_by": "Academy", "hours": 80}
ISSUED = datetime.date(2026, 1, 31)


def record(expires_on: datetime.date | None, by: User | None = None) -> ExaminerCertificate:
    person = UserFactory(roles=[Role.EXAMINER])
    return record_certificate(
        by=by or administrator(), examiner=person, **SAID, issued_on=ISSUED, expires_on=expires_on
    )


@pytest.mark.parametrize(
    ("issued_on", "months", "last"),
    [
        ((2026, 1, 31), 24, (2028, 1, 31)),
        ((2026, 1, 31), 1, (2026, 2, 28)),
        ((2024, 2, 29), 12, (2025, 2, 28)),
        ((2026, 11, 30), 1, (2026, 12, 30)),
        ((2026, 12, 1), 60, (2031, 12, 1)),
        ((9999, 12, 1), 60, (9999, 12, 31)),
    ],
)
def test_months_are_counted_to_the_same_day_or_the_last_one_of_a_short_month(issued_on: Any, months: int, last: Any):
    assert last_day(datetime.date(*issued_on), months) == datetime.date(*last)


def test_one_that_would_count_for_longer_is_refused_and_the_last_day_is_taken():
    day = datetime.timedelta(days=1)
    with pytest.raises(BadInput, match="24 months from the day it was issued: until 31 January 2028"):
        record(datetime.date(2028, 1, 31) + day)
    assert not ExaminerCertificate.objects.exists()
    assert Entry.objects.get(act="certificate.recorded").outcome == "refused"
    assert record(datetime.date(2028, 1, 31)).expires_on == datetime.date(2028, 1, 31)
    assert record(None).expires_on == datetime.date(2028, 1, 31)
    with pytest.raises(BadInput, match="expire after"):
        record(ISSUED)


def test_the_policy_in_force_decides_and_what_was_recorded_before_stays_valid():
    old = CertificateFactory(examiner=examiner(), expires_on=timezone.localdate() + datetime.timedelta(days=2000))
    put_in_force(text(certificate_months="6"))
    with pytest.raises(BadInput, match="6 months"):
        record(datetime.date(2026, 8, 1))
    assert record(None).expires_on == datetime.date(2026, 7, 31)
    assert old in old.examiner.certificates.valid()
    assert old.examiner.may_examine()


@pytest.mark.parametrize("who", [examiner, auditor])
def test_only_an_administrator_records_one(who: Callable[[], User], page: Page, api: Page):
    other, person = who(), UserFactory(roles=[Role.EXAMINER])
    with pytest.raises(NotAllowed):
        record(None, other)
    assert page(other).get(f"/users/{person.pk}/certificates").status_code == 403
    assert page(other).post(f"/users/{person.pk}/certificates", SAID).status_code == 403
    assert api(other).post(f"/api/v1/users/{person.pk}/certificates", SAID).status_code == 403
    assert not person.may_examine()


def test_the_page_says_how_long_one_counts_and_why_a_longer_one_is_refused(page: Page):
    browser, person = page(administrator()), UserFactory(roles=[Role.EXAMINER])
    path = f"/users/{person.pk}/certificates"
    assert path in browser.get(f"/users/{person.pk}").text
    assert "24 months from the day it was issued" in browser.get(path).text
    today = timezone.localdate()
    sent = {**SAID, "issued_on": today.isoformat()}
    late = browser.post(path, {**sent, "expires_on": "2099-01-01"})
    assert (late.status_code, "at the latest" in late.text) == (422, True)
    assert "Academy" in late.text  # what was typed is still there
    assert "is recorded" in browser.post(path, sent, follow=True).text
    assert person.certificates.get().expires_on == last_day(today, 24)
    assert browser.get("/users/00000000-0000-4000-8000-000000000000/certificates").status_code == 404


def test_the_api_refuses_the_same_and_takes_the_same(api: Page):
    client, person = api(administrator()), UserFactory(roles=[Role.EXAMINER])
    path, sent = f"/api/v1/users/{person.pk}/certificates", {**SAID, "issued_on": "2026-01-31"}
    late = client.post(path, {**sent, "expires_on": "2028-02-01"})
    assert (late.status_code, late.json()["code"]) == (422, "bad_input")
    assert client.post(path, sent).json()["expires_on"] == "2028-01-31"


def test_the_command_that_fills_a_demo_keeps_to_the_policy(tmp_path: Path):
    put_in_force(text(certificate_months="1"))
    made = people.ensure(AgencyFactory(), tmp_path / "sign-ins.txt")
    assert made["edgar"].certificates.get().expires_on == last_day(timezone.localdate(), 1)


def test_the_effects_of_another_number_of_months_are_told():
    (effect,) = policy_changes.effects(policy.current(), policy.read(text(certificate_months="12")))
    assert (effect.before, effect.after) == ("24", "12")
    assert "Those recorded before stay valid as they are" in effect.means
    older = "\n".join(line for line in text().decode().splitlines() if not line.startswith("certificate_months"))
    assert policy.read(older.encode()).certificate_months == 24


@pytest.mark.parametrize("months", ["0", "61", "1.5"])
def test_other_numbers_of_months_are_no_policy(months: str):
    with pytest.raises(BadInput):
        policy_changes.proposed(text(certificate_months=months))
