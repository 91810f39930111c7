"""Two windows of one examiner: the older one overwrites nothing that the newer one saved, and loses nothing either."""

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from reviews import services
from reviews.models import Examination, Finding
from reviews.order import in_order
from tests.factories import examiner
from tests.reviews.arrange import DIFFERENT, FILLED, SAME, candidate, claim, find, finished_search, forget

pytestmark = pytest.mark.django_db
Page = Callable[[User], Any]
FETCH = {"X-Requested-With": "fetch"}


@pytest.fixture
def mine() -> Examination:
    return claim(examiner(), finished_search())


def save(mine: Examination, **said: Any) -> Finding:
    return services.save_finding(by=mine.examiner, examination=mine, position=2, **said)


def refused(mine: Examination, **said: Any) -> services.Outdated:
    with pytest.raises(services.Outdated) as error:
        save(mine, **said)
    return error.value


def test_what_another_window_saved_since_is_not_overwritten(mine: Examination):
    first = save(mine, conclusion="-1")
    newer = save(mine, conclusion="2", worksheet=FILLED, saved_at=first.saved_at)
    error = refused(mine, conclusion="-2", notes="old", saved_at=first.saved_at)
    assert (error.position, error.stored) == (2, newer)
    finding = Finding.objects.get()
    assert (finding.conclusion, finding.notes, finding.worksheet, finding.saved_at) == ("2", "", FILLED, newer.saved_at)
    entry = Entry.objects.filter(act="finding.saved", outcome="refused").get()
    assert entry.details["reason"] == "outdated"

    save(mine, conclusion="-2", notes="old", saved_at=newer.saved_at)  # now that it was seen
    assert Finding.objects.get().notes == "old"


def test_a_window_that_knew_of_nothing_overwrites_nothing(mine: Examination):
    save(mine, notes="ears")
    assert refused(mine, conclusion=DIFFERENT).stored.notes == "ears"
    assert refused(mine, notes="").stored.notes == "ears"


def test_the_same_once_more_is_a_success_whatever_was_seen_because_an_answer_may_be_lost(mine: Examination):
    said = {"conclusion": SAME, "notes": "ears", "worksheet": FILLED}
    first = save(mine, **said)
    assert save(mine, **said) == first
    assert Finding.objects.get().saved_at == first.saved_at  # so that the other window still has what is stored
    save(mine, conclusion="1", saved_at=first.saved_at)


def test_excluding_the_rest_leaves_what_another_window_concluded_or_is_working_on(mine: Examination):
    concluded = save(mine, conclusion=SAME, worksheet=FILLED)
    by = {"by": mine.examiner, "examination": mine}
    seen = services.save_finding(**by, position=1, notes="seen")
    draft = services.save_finding(**by, position=3, notes="begun")
    drafts = {1: seen.saved_at, 3: seen.saved_at}
    assert services.exclude_remaining(**by, drafts=drafts) == 1
    for finding, conclusion in ((seen, DIFFERENT), (concluded, SAME), (draft, "")):
        finding.refresh_from_db()
        assert finding.conclusion == conclusion
    assert services.exclude_remaining(**by, drafts={3: draft.saved_at}) == 1


def sent(page: Page, mine: Examination, headers: dict[str, str] | None = None, **said: Any) -> Any:
    said = {"position": "2", "conclusion": "-2", "notes": "from the old one", **said}
    return page(mine.examiner).post(f"/reviews/{mine.pk}/findings", said, headers=headers or {})


def test_the_script_gets_what_is_stored_to_show_both(page: Page, mine: Examination):
    newer = save(mine, conclusion="1", notes="newer", worksheet=FILLED)
    answer = sent(page, mine, FETCH)
    assert answer.status_code == 409
    assert answer.json()["stored"] == {
        "position": 2,
        "conclusion": "1",
        "notes": "newer",
        "worksheet": FILLED,
        "saved_at": newer.saved_at.isoformat(),
    }
    kept = sent(page, mine, FETCH, saved_at=newer.saved_at.isoformat())
    assert kept.json()["saved"][0]["notes"] == "from the old one"
    assert Finding.objects.get().conclusion == "-2"


def test_without_script_both_are_shown_and_the_one_that_was_sent_can_be_kept(page: Page, mine: Examination):
    newer = save(mine, conclusion="1", notes="newer <b>", worksheet={"eyes": {"said": "similar"}})
    shown = sent(page, mine, eyes="different", eyes_notes="lid")
    assert shown.status_code == 409
    for text in ("newer &lt;b&gt;", "from the old one", "+1, some support", "Different. lid", "Keep what I sent"):
        assert text in shown.text
    assert newer.saved_at.isoformat() in shown.text.replace("&#x2B;", "+")
    assert 'name="eyes_notes" hidden>\nlid</textarea>' in shown.text
    assert f"/reviews/{mine.pk}?candidate=2" in shown.text


def test_the_page_carries_what_it_was_loaded_with(page: Page, mine: Examination):
    draft = save(mine, notes="ears").saved_at.isoformat()
    shown = page(mine.examiner).get(f"/reviews/{mine.pk}?candidate=2").text.replace("&quot;", '"')
    assert f'name="saved_at" value="{draft}"' in shown
    assert f'data-saved-at="{draft}"' in shown
    assert f'name="drafts" value="{json.dumps({2: draft})}"' in shown


def test_excluding_the_rest_tells_the_script_what_every_candidate_has_now(page: Page, mine: Examination):
    save(mine, conclusion=SAME, worksheet=FILLED)
    answer = sent(page, mine, FETCH, position="remaining", conclusion=DIFFERENT, drafts="{}")
    assert [one["conclusion"] for one in answer.json()["saved"]] == [DIFFERENT, SAME, DIFFERENT]


NO_MOMENTS = [
    "[]x",
    "[1]",
    "1",
    '{"a": "b"}',
    '{"2": 3}',
    '{"2": null}',
    '{"2": "soon"}',
    '{"2": "2026-13-01T00:00:00Z"}',
    '{"2": "2026-01-01T00:00:00"}',
    "[" * 20_000,
    "{%s: 1}" % ("9" * 5_000),
]


@pytest.mark.parametrize("drafts", NO_MOMENTS)
def test_drafts_that_make_no_sense_exclude_nobody(page: Page, mine: Examination, drafts: str):
    answer = sent(page, mine, FETCH, position="remaining", conclusion=DIFFERENT, drafts=drafts)
    assert (answer.status_code, answer.json()["message"].endswith(".")) == (422, True)
    assert not Finding.objects.exists()


def test_the_api_says_what_is_stored_and_takes_what_was_read(api: Page, mine: Examination):
    at, client = f"/api/v1/examinations/{mine.pk}", api(mine.examiner)
    said = {"position": 2, "conclusion": "2", "notes": "chin"}
    assert client.post(f"{at}/findings", said, format="json").status_code == 200
    assert client.post(f"{at}/findings", said, format="json").status_code == 200  # the answer was lost
    answer = client.post(f"{at}/findings", {**said, "conclusion": "1"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "outdated")
    stored = answer.json()["stored"]
    assert (stored["conclusion"], stored["notes"], stored["worksheet"]) == ("2", "chin", {})
    read = client.get(at).json()["candidates"][1]["saved_at"]
    assert stored["saved_at"] == read
    changed = client.post(f"{at}/findings", {**said, "conclusion": "1", "saved_at": read}, format="json")
    assert changed.json()["candidates"][1]["conclusion"] == "1"

    client.post(f"{at}/findings", {"position": 3, "notes": "draft"}, format="json")
    left = client.post(f"{at}/exclude-remaining").json()
    assert [one["conclusion"] for one in left["candidates"]] == [DIFFERENT, "1", ""]
    drafts = [{"position": 3, "saved_at": left["candidates"][2]["saved_at"]}]
    done = client.post(f"{at}/exclude-remaining", {"drafts": drafts}, format="json").json()
    assert [one["conclusion"] for one in done["candidates"]] == [DIFFERENT, "1", DIFFERENT]


SEEN = re.compile(r'name="seen" value="([^"]*)"')


@pytest.fixture
def all_excluded():
    user, search = examiner(), finished_search(2)
    mine = claim(user, search)
    services.exclude_remaining(by=user, examination=mine)
    return mine


def test_a_window_that_shows_less_than_what_would_be_locked_locks_nothing(page, all_excluded):
    mine, browser, url = all_excluded, page(all_excluded.examiner), f"/reviews/{all_excluded.pk}/conclude"
    seen = unescape(SEEN.search(browser.get(url).text)[1])
    assert seen == unescape(SEEN.search(browser.get(f"/reviews/{mine.pk}").text)[1])
    find(mine.examiner, mine, candidate(mine.search, 1), "no_conclusion")  # in another window
    refused = browser.post(url, {"seen": seen})
    mine.refresh_from_db()
    assert (refused.status_code, mine.state) == (409, "claimed")
    seen = unescape(SEEN.search(browser.get(url).text)[1])
    assert browser.post(url, {"seen": seen}).status_code == 302
    mine.refresh_from_db()
    assert mine.state == "concluded"


def test_without_script_one_isn_t_asked_to_lock_what_the_page_before_didn_t_show(page, all_excluded):
    mine, browser, url = all_excluded, page(all_excluded.examiner), f"/reviews/{all_excluded.pk}/conclude"
    loaded = unescape(SEEN.search(browser.get(f"/reviews/{mine.pk}").text)[1])
    assert browser.post(url, {"ask": "1", "seen": loaded}).status_code == 200
    find(mine.examiner, mine, candidate(mine.search, 1), "no_conclusion")  # in another window
    assert browser.post(url, {"ask": "1", "seen": loaded}).status_code == 409


def test_having_saved_later_doesnt_mean_having_seen_what_another_window_saved_before(page, all_excluded):
    mine, browser = all_excluded, page(all_excluded.examiner)
    loaded = json.loads(unescape(SEEN.search(browser.get(f"/reviews/{mine.pk}").text)[1]))
    first, second = in_order(mine)
    find(mine.examiner, mine, first, "no_conclusion")  # in another window
    here = find(mine.examiner, mine, second, "unsuitable")
    seen = {**loaded, "2": here.saved_at.isoformat()}
    assert browser.post(f"/reviews/{mine.pk}/conclude", {"seen": json.dumps(seen)}).status_code == 409


@pytest.mark.parametrize("seen", ["", "{}", '{"9": "2026-01-01T00:00:00Z"}'])
def test_a_page_that_shows_none_of_the_findings_locks_nothing(page, all_excluded, seen):
    url = f"/reviews/{all_excluded.pk}/conclude"
    assert page(all_excluded.examiner).post(url, {"seen": seen} if seen else {}).status_code == 409


@pytest.mark.parametrize("seen", NO_MOMENTS)
def test_what_says_nothing_of_what_was_seen_is_refused(page, all_excluded, seen):
    answer = page(all_excluded.examiner).post(f"/reviews/{all_excluded.pk}/conclude", {"seen": seen})
    assert answer.status_code == 422
    all_excluded.refresh_from_db()
    assert all_excluded.state == "claimed"


def test_a_finding_on_somebody_expunged_meanwhile_needs_not_be_seen(all_excluded):
    mine = all_excluded
    first, second = in_order(mine)
    forget(first)
    seen = {2: mine.findings.get(candidate=second).saved_at}
    services.conclude(by=mine.examiner, examination=mine, seen=seen)
    mine.refresh_from_db()
    assert mine.state == "concluded"


def test_over_rest_what_was_seen_may_be_said_and_less_than_what_would_be_locked_locks_nothing(api, all_excluded):
    client, url = api(all_excluded.examiner), f"/api/v1/examinations/{all_excluded.pk}"
    read = [{key: one[key] for key in ("position", "saved_at")} for one in client.get(url).json()["candidates"]]
    assert client.post(f"{url}/conclude", {"seen": []}, format="json").status_code == 409
    find(all_excluded.examiner, all_excluded, candidate(all_excluded.search, 1), "no_conclusion")
    assert client.post(f"{url}/conclude", {"seen": read}, format="json").status_code == 409
    assert client.post(f"{url}/conclude", {"seen": "yesterday"}, format="json").status_code == 400
    read = [{key: one[key] for key in ("position", "saved_at")} for one in client.get(url).json()["candidates"]]
    assert client.post(f"{url}/conclude", {"seen": read}, format="json").status_code == 200


def test_lines_sent_without_script_are_the_same_text_as_with_it(page, mine):
    notes = "x\r\n" * 1500  # 4,500 characters as they are sent, 3,000 as they are meant
    saved = save(mine, conclusion="-2", notes="one\ntwo")
    same = sent(page, mine, FETCH, notes="one\r\ntwo")
    assert (same.status_code, same.json()["saved"][0]["saved_at"]) == (200, saved.saved_at.isoformat())
    assert sent(page, mine, FETCH, notes=notes, saved_at=saved.saved_at.isoformat()).status_code == 200
    assert Finding.objects.get().notes == "x\n" * 1500


def test_without_script_a_difference_in_drawings_alone_is_shown(page, mine):
    save(mine, conclusion="-2", notes="x", worksheet={"eyes": {"drawn": [{"probe": [0.1, 0.1]}]}})
    shown = sent(page, mine, notes="x", eyes_drawn=json.dumps([{"probe": [0.9, 0.9]}]))
    assert shown.status_code == 409
    assert "Eyes</th>" in shown.text
    assert "1 drawn" in shown.text
