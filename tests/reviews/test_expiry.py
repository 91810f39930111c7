"""A claim that nobody works on goes back to the queue; a certificate that is about to end says so."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction
from django.utils import timezone

from mugsearch.accounts.models import ExaminerCertificate, Role, User
from mugsearch.audit.models import Entry
from mugsearch.errors import WrongState
from mugsearch.probes import policy
from reviews import queries, services, tasks
from reviews.models import Examination
from tests.factories import CertificateFactory, UserFactory, examiner
from tests.reviews.arrange import SAME, candidate, claim, examine, find, finished_search

pytestmark = pytest.mark.django_db

Page = Callable[[User], Any]


Later = Callable[[float], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """So many hours after the test began."""
    now = timezone.now

    def move(hours: float) -> None:
        monkeypatch.setattr(timezone, "now", lambda: now() + datetime.timedelta(hours=hours))

    return move


def test_a_claim_that_nobody_works_on_for_a_day_goes_back_to_the_queue_and_its_findings_stay_on_record(
    later: Later,
) -> None:
    search, user, other = finished_search(), examiner(), examiner()
    mine = claim(user, search)
    claim(examiner(), search)
    find(user, mine, candidate(search), SAME)
    assert not queries.awaiting_examination(by=other).exists()

    later(23.9)
    assert services.expire_claims() == 0
    later(24.1)
    tasks.expire_claims()

    mine.refresh_from_db()
    assert (mine.state, mine.release, mine.findings.count()) == ("released", "expired", 1)
    assert mine.released_at is not None
    assert services.claim_next(by=other).search == search
    entry = Entry.objects.get(act="examination.expired", object_id=str(mine.pk))
    assert (entry.actor, entry.case) == (None, search.probe.case_id)
    assert entry.details == {"examiner": str(user.pk), "hours": 24}
    with pytest.raises(WrongState, match="Nobody worked on this examination in time"):
        find(user, mine, candidate(search), SAME)


def test_saving_a_finding_starts_the_time_anew(later: Later) -> None:
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    later(20)
    find(user, mine, candidate(search), SAME)
    later(43)
    assert services.expire_claims() == 0
    later(45)
    assert services.expire_claims() == 1


def test_what_is_concluded_never_expires(later: Later) -> None:
    mine = examine(examiner(), finished_search())
    later(1000)
    assert services.expire_claims() == 0
    mine.refresh_from_db()
    assert mine.state == "concluded"


def test_expiring_twice_is_expiring_once(later: Later) -> None:
    claim(examiner(), finished_search())
    later(25)
    assert [services.expire_claims(), services.expire_claims()] == [1, 0]
    assert Entry.objects.filter(act="examination.expired").count() == 1


def test_a_finding_that_is_saved_while_it_expires_keeps_it(later: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list was read before; the row is looked at again under its lock."""
    search, user = finished_search(), examiner()
    mine = claim(user, search)
    later(25)
    idle = queries.idle

    def found_then_saved() -> Any:
        listed = idle()
        pks = list(listed.values_list("pk", flat=True))
        monkeypatch.setattr(queries, "idle", idle)
        find(user, mine, candidate(search), SAME)
        return Examination.objects.filter(pk__in=pks)

    monkeypatch.setattr(queries, "idle", found_then_saved)
    assert services.expire_claims() == 0


def test_the_queue_says_when_a_claim_goes_back_and_what_went_back(page: Page, later: Later) -> None:
    search, user = finished_search(), examiner()
    claim(user, search)
    shown = page(user).get("/reviews/").text
    assert "in 23\xa0hours, 59\xa0minutes" in shown
    assert "Gone back to the queue" not in shown

    later(25)
    services.expire_claims()
    later(0)  # else the session is over, too
    shown = page(user).get("/reviews/").text
    assert "Gone back to the queue" in shown
    assert "not worked on in time" in shown
    assert "Gone back to the queue" not in page(examiner()).get("/reviews/").text


def test_what_one_gave_back_oneself_is_no_news_but_what_a_supervisor_freed_is(page: Page) -> None:
    user = examiner()
    services.release(by=user, examination=claim(user, finished_search()))
    assert "Gone back to the queue" not in page(user).get("/reviews/").text
    services.free(by=UserFactory(roles=[Role.SUPERVISOR]), examination=claim(user, finished_search()))
    shown = page(user).get("/reviews/").text
    assert "freed by a supervisor" in shown


def test_the_api_says_when_a_claim_goes_back(api: Page) -> None:
    user = examiner()
    mine = claim(user, finished_search())
    (row,) = api(user).get("/api/v1/examinations").json()["results"]
    back = datetime.datetime.fromisoformat(row["returns_at"])
    assert back == mine.claimed_at + datetime.timedelta(hours=24)
    services.release(by=user, examination=mine)
    (row,) = api(user).get("/api/v1/examinations").json()["results"]
    assert (row["returns_at"], row["release"]) == (None, "given_back")


@pytest.mark.parametrize(("days", "told"), [(60, True), (0, True), (61, False)])
def test_a_certificate_that_ends_within_sixty_days_says_so(page: Page, days: int, told: bool) -> None:
    user = examiner()
    ExaminerCertificate.objects.update(expires_on=timezone.localdate() + datetime.timedelta(days=days))
    assert ("Your examiner certificate ends on" in page(user).get("/reviews/").text) == told


@pytest.mark.parametrize(("begins", "told"), [(1, False), (2, True)])
def test_nobody_is_warned_whose_next_certificate_follows_without_a_gap(page: Page, begins: int, told: bool) -> None:
    user, today = examiner(), timezone.localdate()
    ExaminerCertificate.objects.update(expires_on=today)
    CertificateFactory(
        examiner=user, issued_on=today + datetime.timedelta(days=begins), expires_on=today + datetime.timedelta(days=99)
    )
    assert ("Your examiner certificate ends on" in page(user).get("/reviews/").text) == told


def test_postgresql_refuses_a_return_that_does_not_say_how() -> None:
    mine = claim(examiner(), finished_search())
    for wrong in ({"state": "released"}, {"release": "expired"}, {"released_at": timezone.now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Examination.objects.filter(pk=mine.pk).update(**wrong)


@pytest.mark.parametrize("hours", ["0", "169", "-1"])
def test_a_policy_with_an_impossible_time_is_refused(hours: str, settings: Any, tmp_path: Path) -> None:
    text = Path(settings.MUGSEARCH_POLICY).read_text().replace("claim_hours = 24", f"claim_hours = {hours}")
    (tmp_path / "policy.toml").write_text(text)
    settings.MUGSEARCH_POLICY = tmp_path / "policy.toml"
    with pytest.raises(ImproperlyConfigured, match="claim_hours"):
        policy.current()
