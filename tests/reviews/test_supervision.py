"""The supervisors' page and API of open examinations: who holds what since when, and nothing of the faces."""

from collections.abc import Callable
from typing import Any

import pytest

from mugsearch.accounts.models import Role, RoleGrant, User
from mugsearch.audit.models import Entry
from mugsearch.errors import NotAllowed
from reviews import services
from reviews.models import Examination
from tests.factories import UserFactory, auditor, examiner, investigator
from tests.reviews.arrange import SAME, candidate, claim, find, finished_search

pytestmark = pytest.mark.django_db

Page = Callable[[User], Any]


@pytest.fixture
def held() -> Examination:
    search, user = finished_search(probe__case__number="ZZ-CASE"), examiner(full_name="Erin Away")
    mine = claim(user, search)
    find(user, mine, candidate(search), SAME, "zz-note")
    return mine


@pytest.fixture
def boss() -> User:
    return UserFactory(roles=[Role.SUPERVISOR])


def test_a_supervisor_sees_who_holds_an_examination_and_nothing_of_what_it_is_about(
    page: Page, api: Page, held: Examination, boss: User
):
    shown = page(boss).get("/reviews/open").text
    listed = api(boss).get("/api/v1/examinations/open")

    assert "Erin Away" in shown
    assert "1 of 3" in shown
    row = listed.json()["results"][0]
    assert row.keys() == {"id", "examiner", "claimed_at", "found", "total"}
    assert (row["examiner"], row["found"], row["total"]) == ("Erin Away", 1, 3)
    ids = [held.search_id, held.search.probe_id, held.search.probe.case_id]
    ids += held.search.candidates.values_list("pk", flat=True)
    for secret in ["ZZ-CASE", "zz-note", "Same person", *map(str, ids)]:
        assert secret not in shown + listed.text
    looks = Entry.objects.filter(act="examination.listed", actor=boss.pk)
    assert [look.details["shown"] for look in looks] == [[str(held.pk)]] * 2


def test_a_holder_who_can_not_go_on_is_marked(page: Page, held: Examination, boss: User):
    assert "Can't examine now" not in page(boss).get("/reviews/open").text
    held.examiner.certificates.all().delete()
    assert "Can't examine now" in page(boss).get("/reviews/open").text


@pytest.mark.parametrize("way", ["page", "api"])
def test_freeing_puts_it_back_into_the_queue(way: str, page: Page, api: Page, held: Examination, boss: User):
    if way == "page":
        answer = page(boss).post(f"/reviews/{held.pk}/free", follow=True)
        assert "back in the queue" in answer.text
        assert "Nobody holds an examination" in answer.text
    else:
        assert api(boss).post(f"/api/v1/examinations/{held.pk}/free").status_code == 204
        assert api(boss).post(f"/api/v1/examinations/{held.pk}/free").status_code == 404
    held.refresh_from_db()
    assert held.state == "released"
    back = page(held.examiner).get(f"/reviews/{held.pk}", follow=True)
    assert "A supervisor has given this examination back to the queue" in back.text


def test_nobody_but_a_supervisor_opens_or_frees(page: Page, api: Page, held: Examination):
    for person in (held.examiner, examiner(), investigator(), auditor()):
        assert page(person).get("/reviews/open").status_code == 403
        assert page(person).post(f"/reviews/{held.pk}/free").status_code == 403
        assert api(person).get("/api/v1/examinations/open").status_code == 403
        assert api(person).post(f"/api/v1/examinations/{held.pk}/free").status_code == 403
    held.refresh_from_db()
    assert held.state == "claimed"


def test_a_supervisor_on_the_case_neither_sees_nor_frees(page: Page, api: Page, held: Examination, boss: User):
    held.search.probe.case.members.add(boss)
    _assert_out_of_reach(page, api, held, boss)
    held.search.probe.case.members.remove(boss)  # leaving it for a moment opens nothing
    _assert_out_of_reach(page, api, held, boss)


def _assert_out_of_reach(page: Page, api: Page, held: Examination, boss: User) -> None:
    assert "Erin Away" not in page(boss).get("/reviews/open").text
    assert page(boss).post(f"/reviews/{held.pk}/free").status_code == 404
    assert api(boss).post(f"/api/v1/examinations/{held.pk}/free").status_code == 404


def test_the_page_is_where_a_supervisors_work_begins(page: Page, boss: User):
    landed = page(boss).get("/", follow=True)
    assert landed.redirect_chain[-1][0] == "/reviews/open"
    assert ">Open examinations<" in landed.text


def test_a_supervisor_who_examines_a_search_sees_and_frees_nothing_of_the_other_place():
    search, both = finished_search(candidates=2), examiner()
    RoleGrant.objects.create(user=both, role=Role.SUPERVISOR)
    both.refresh_from_db()
    claim(both, search)
    other = claim(examiner(), search)
    assert not Examination.objects.open_to(both).exists()
    with pytest.raises(NotAllowed):
        services.free(by=both, examination=other)
    other.refresh_from_db()
    assert other.state == Examination.State.CLAIMED
