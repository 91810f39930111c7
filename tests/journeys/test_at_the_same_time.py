"""Two people whose work meets in the database: nobody gets an error for it.

PostgreSQL looks at foreign keys when a transaction commits; the order of the locks is gallery, rows, changes, chain.
Each test holds one act open at the moment that used to end in a deadlock.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.errors import WrongState
from mugsearch.gallery import encoding, live
from mugsearch.gallery import services as gallery
from mugsearch.probes.models import Search
from mugsearch.retention import queries
from mugsearch.retention import services as retention
from tests.factories import clerk, examiner
from tests.gallery_rows import enrol
from tests.probes.test_searching import submitted
from tests.retention.arrange import requested
from tests.reviews.arrange import SAME, candidate, claim, find, finished_search

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fake_encoder")]


def at_the_same_time(*acts: Callable[[], Any]) -> list[Any]:
    answers: list[Any] = [None] * len(acts)

    def do(place: int, act: Callable[[], Any]) -> None:
        try:
            answers[place] = act()
        except Exception as error:  # noqa: BLE001  # shown by the test's assertion
            answers[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=(place, act)) for place, act in enumerate(acts)]
    for thread in threads:
        thread.start()
        time.sleep(0.2)
    for thread in threads:
        thread.join(30)
    return answers


@pytest.fixture
def slow_chain(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """slow_chain(act): that act waits before it takes the chain, every other one after."""

    def hold(name: str) -> None:
        append = audit.append

        def slowly(this: audit.Act, *args: Any) -> Any:
            if this.name == name:
                time.sleep(0.5)
            entry = append(this, *args)
            if this.name != name:
                time.sleep(0.8)
            return entry

        monkeypatch.setattr(audit, "append", slowly)

    return hold


def test_an_expungement_is_approved_while_an_examiner_saves_a_finding_on_that_candidate(slow_chain):
    search, user, second = finished_search(candidates=2), examiner(), clerk()
    examination = claim(user, search)
    booking = candidate(search).photo.booking
    order = requested(booking)
    seen = queries.preview(booking).digest
    slow_chain("booking.expunged")
    approved, found = at_the_same_time(
        lambda: retention.approve(by=second, order=order, seen=seen),
        lambda: find(user, examination, candidate(search), SAME),
    )
    assert approved is None
    # The finding came first, or the candidate was gone.
    assert not isinstance(found, Exception) or isinstance(found, WrongState), found
    assert not Entry.objects.filter(outcome="failed").exists()


def test_a_person_is_corrected_while_a_search_lists_them(slow_chain):
    from mugsearch.probes import services, working

    photo = enrol(5)
    probe = submitted(5)
    search = services.search(by=probe.submitted_by, probe=probe, face=0)
    live.catch_up(encoding.active())
    by, person = clerk(agency=photo.booking.agency), photo.booking.person
    slow_chain("person.edited")
    edited, searched = at_the_same_time(
        lambda: gallery.edit_person(
            by=by, person=person, family_name="New", given_names="Name", date_of_birth=None, sex=""
        ),
        lambda: working.run_search(search.pk),
    )
    assert not any(isinstance(answer, Exception) for answer in (edited, searched)), (edited, searched)
    assert Search.objects.get(pk=search.pk).state == Search.State.DONE
    person.refresh_from_db()
    assert person.family_name == "New"


def test_one_booking_requested_by_five_clerks_at_once_is_one_order_and_four_clear_answers():
    booking = enrol(1).booking
    clerks = [clerk() for _ in range(5)]

    def request(by: Any) -> Any:
        return retention.request(by=by, booking=booking, order_number="C-1", reason="dismissed")

    answers = at_the_same_time(*[lambda by=by: request(by) for by in clerks])
    assert sum(isinstance(answer, WrongState) for answer in answers) == 4, answers
