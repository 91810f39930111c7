"""Many people, or one person many times, at the same moment: one wins, the others are told, all is on record."""

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection

from mugsearch.accounts.models import User
from mugsearch.accounts.services import revoke_certificate
from mugsearch.audit.models import Entry
from mugsearch.errors import MugsearchError
from reviews import services
from reviews.models import Examination, Lead
from tests.factories import administrator, examiner
from tests.reviews.arrange import SAME, candidate, claim, examine, find, finished_search

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 50


def together(acts: list[Callable[[], object]]) -> Counter[str]:
    """What became of them: "done", or the code of the refusal."""
    outcomes: list[str] = []
    gate = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        gate.wait()
        try:
            act()
            outcomes.append("done")
        except MugsearchError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(outcomes)


def on_record(act: str) -> Counter[str]:
    return Counter(Entry.objects.filter(act=act).values_list("outcome", flat=True))


def test_of_fifty_who_conclude_one_examination_at_once_one_does_and_there_is_one_lead() -> None:
    search, user = finished_search(), examiner()
    examine(examiner(), search, same=(1,))
    mine = claim(user, search)
    find(user, mine, candidate(search), SAME)
    services.exclude_remaining(by=user, examination=mine)

    outcomes = together([lambda: services.conclude(by=user, examination=mine)] * MANY)

    assert outcomes == {"done": 1, "wrong_state": MANY - 1}
    assert on_record("examination.concluded") == {"done": 2, "refused": MANY - 1}
    assert Lead.objects.get().second == mine


def test_of_fifty_who_claim_one_search_at_once_two_hold_it() -> None:
    search = finished_search()
    people = [examiner() for _ in range(MANY)]

    outcomes = together([lambda who=who: services.claim_next(by=who) for who in people])

    assert outcomes == {"done": 2, "wrong_state": MANY - 2}
    assert Examination.objects.filter(search=search).count() == 2
    assert on_record("examination.claimed") == {"done": 2, "refused": MANY - 2}


def test_the_two_who_disagree_at_the_same_moment_are_followed_by_one_third() -> None:
    search, both = finished_search(), []
    for same in ((1,), ()):
        user = examiner()
        mine = claim(user, search)
        for rank in same:
            find(user, mine, candidate(search, rank), SAME)
        services.exclude_remaining(by=user, examination=mine)
        both.append((user, mine))

    outcomes = together(
        [lambda user=user, mine=mine: services.conclude(by=user, examination=mine) for user, mine in both]
    )

    assert outcomes == {"done": 2}
    assert search.adjudication
    assert services.claim_next(by=examiner()).search == search


def test_whoever_revokes_a_certificate_waits_for_who_concludes_under_it(monkeypatch):
    """Else PostgreSQL refused the conclusion with an error nobody understands."""
    admin, anna, search = administrator(), examiner(), finished_search(2)
    mine = claim(anna, search)
    services.exclude_remaining(by=anna, examination=mine)
    looked, at_it = services._require_certificate, threading.Event()

    def slowly(by: User) -> None:
        looked(by)
        at_it.set()
        time.sleep(0.5)

    def revoke() -> None:
        at_it.wait(10)
        revoke_certificate(by=admin, certificate=anna.certificates.get())
        connection.close()

    monkeypatch.setattr(services, "_require_certificate", slowly)
    revoking = threading.Thread(target=revoke)
    revoking.start()
    services.conclude(by=anna, examination=mine)
    revoking.join()
    mine.refresh_from_db()
    assert mine.state == "concluded"
    assert not anna.may_examine()
