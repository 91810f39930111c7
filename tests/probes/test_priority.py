"""An investigator on a case says that it is urgent, or no longer is, and why."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, MugsearchError, NotAllowed, WrongState
from mugsearch.probes import services
from mugsearch.probes.models import Case, PriorityChange
from tests.factories import CaseFactory, auditor, clerk, examiner, investigator
from tests.journeys.test_at_the_same_time import at_the_same_time
from tests.triggers import as_owner

pytestmark = pytest.mark.django_db
Page = Callable[[User], Any]
URGENT, NORMAL = Case.Priority.URGENT, Case.Priority.NORMAL


def urge(case: Case, reason: str = "A child is missing") -> PriorityChange:
    return services.change_priority(by=case.opened_by, case=case, priority=URGENT, reason=reason)


def test_a_case_is_normal_until_somebody_on_it_says_otherwise_with_a_reason():
    case = CaseFactory()
    assert case.priority == NORMAL
    change = urge(case, " A child is missing ")
    assert case.priority == Case.objects.get().priority == URGENT
    services.change_priority(by=case.opened_by, case=case, priority=NORMAL, reason="She is found")
    assert [(one.priority, one.reason, one.by) for one in case.priority_changes.all()] == [
        (NORMAL, "She is found", case.opened_by),
        (URGENT, "A child is missing", case.opened_by),
    ]
    entry = Entry.objects.filter(act="case.priority-changed").order_by("number")[0]
    assert (entry.actor, entry.outcome, entry.object_id, entry.case) == (
        case.opened_by_id,
        "done",
        str(case.pk),
        case.pk,
    )
    assert entry.details == {"priority": "urgent", "change": change.pk}  # the reason may name somebody


@pytest.mark.parametrize("who", [investigator, examiner, clerk, auditor])
def test_nobody_else_changes_the_priority_of_a_case(who: Callable[[], User], page: Page, api: Page):
    case, other = CaseFactory(), who()
    with pytest.raises(NotAllowed):
        services.change_priority(by=other, case=case, priority=URGENT, reason="r")
    said = {"priority": "urgent", "reason": "r"}
    hidden = 404 if who is investigator else 403
    assert page(other).post(f"/cases/{case.pk}/priority", said).status_code == hidden
    assert api(other).post(f"/api/v1/cases/{case.pk}/priority", said).status_code == hidden
    assert api(other).get(f"/api/v1/cases/{case.pk}/priority").status_code == hidden
    case.refresh_from_db()
    assert case.priority == NORMAL


@pytest.mark.parametrize(
    ("priority", "reason"), [("urgent", ""), ("urgent", " "), ("urgent", "x" * 1001), ("urgent", "a\x00"), ("1", "r")]
)
def test_a_priority_without_a_reason_or_without_a_name_is_refused(priority: str, reason: str):
    case = CaseFactory()
    with pytest.raises(BadInput):
        services.change_priority(by=case.opened_by, case=case, priority=priority, reason=reason)
    assert not PriorityChange.objects.exists()


def test_what_is_urgent_already_stays_as_it_was_said():
    case = CaseFactory()
    urge(case)
    with pytest.raises(WrongState, match="urgent already"):
        urge(case, "Again")
    assert case.priority_changes.get().reason == "A child is missing"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_make_a_case_urgent_together_one_does():
    case = CaseFactory()
    answers = at_the_same_time(lambda: urge(Case.objects.get()), lambda: urge(Case.objects.get()))
    assert sorted(type(one).__name__ for one in answers) == ["PriorityChange", "WrongState"]
    assert all(isinstance(one, PriorityChange | MugsearchError) for one in answers)
    assert case.priority_changes.count() == 1


def test_postgresql_takes_no_priority_that_nobody_gave_a_reason_for():
    case = CaseFactory()
    for attempt in (
        lambda: Case.objects.update(priority="urgent"),
        lambda: CaseFactory(priority="urgent"),
        lambda: PriorityChange.objects.create(case=case, priority="urgent", reason="", by=case.opened_by),
        lambda: PriorityChange.objects.create(case=case, priority="1", reason="r", by=case.opened_by),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            attempt()


def test_who_made_a_case_urgent_and_why_stays_on_record():
    urge(CaseFactory())
    for statement in (
        "UPDATE probes_prioritychange SET reason = 'x'",
        "DELETE FROM probes_prioritychange",
        "SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE probes_prioritychange",
    ):
        with as_owner(), pytest.raises(IntegrityError, match="stays on record"), transaction.atomic():
            connection.cursor().execute(statement)


def test_the_page_of_a_case_says_how_urgent_it_is_and_makes_it_otherwise(page: Page):
    case = CaseFactory()
    browser = page(case.opened_by)
    assert "Make it urgent" in browser.get(f"/cases/{case.pk}").text
    said = {"priority": "urgent", "reason": "A child <b>is missing"}
    shown = browser.post(f"/cases/{case.pk}/priority", said, follow=True).text
    for text in ("The case is urgent now.", "A child &lt;b&gt;is missing", "Make it normal", case.opened_by.full_name):
        assert text in shown
    assert "Urgent</span>" in browser.get("/cases/").text
    assert browser.post(f"/cases/{case.pk}/priority", said).status_code == 409
    assert browser.post(f"/cases/{case.pk}/priority", {"priority": "urgent"}).status_code == 422


def test_the_same_over_the_api(api: Page):
    case = CaseFactory()
    client, path = api(case.opened_by), f"/api/v1/cases/{case.pk}/priority"
    assert client.get(path).json() == []
    made = client.post(path, {"priority": "urgent", "reason": "A child is missing"})
    assert made.status_code == 201
    assert client.get(path).json() == [made.json()]
    assert made.json().keys() == {"priority", "reason", "by", "at"}
    assert [one["priority"] for one in client.get("/api/v1/cases").json()["results"]] == ["urgent"]
    assert client.post(path, {"priority": "urgent", "reason": "Again"}).status_code == 409
    assert client.post(path, {"priority": "1", "reason": "r"}).status_code == 400
