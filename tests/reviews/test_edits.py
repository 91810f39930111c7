"""Edits of the probe on the examiner's screen, beside the original and never in its place; and on what comes after."""

import datetime
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.probes.models import ProbeEdit, Search
from mugsearch.vault import services as vault
from reviews import pictures, services, tasks
from tests.factories import A_FACE, EditFactory, ProbeFactory, examiner, investigator
from tests.reviews.arrange import claim, examine, finished_search, store_images

pytestmark = pytest.mark.django_db

Page = Callable[[User], Any]
QUALITY = {"score": 80, "reasons": [], "measures": {}}


def edit(probe: Any, **kwargs: Any) -> ProbeEdit:
    made_at = timezone.now() - datetime.timedelta(hours=1)
    return EditFactory(probe=probe, **{"made_at": made_at, "steps": [{"rotate": 12.5}], **kwargs})


@pytest.fixture
def search() -> Search:
    """With an edit that is turned upside down, of a probe on which no face was found."""
    probe = ProbeFactory(faces=[], state="no_face")
    face = {**A_FACE, "box": [24, 32, 60, 80]}
    used = edit(probe, steps=[{"rotate": 180.0}], faces=[{"face": face, "quality": QUALITY}])
    found = finished_search(probe=probe, edit=used)
    store_images(found)
    return found


def test_the_examiner_gets_the_original_and_may_look_at_the_edits_which_say_what_they_are(search: Search, page: Page):
    mine = services.claim_next(by=examiner())
    shown = page(mine.examiner).get(f"/reviews/{mine.pk}").text
    assert f'<img src="/reviews/{mine.pk}/probe.jpg" alt="Probe"' in shown
    assert f'href="/reviews/{mine.pk}/edits/1.jpg"' in shown
    assert "Edit 1 of the probe: rotated 180° to the right" in shown
    assert "<dt><kbd>O</kbd></dt>" in shown


def test_without_edits_there_is_neither_the_key_nor_its_button(page: Page):
    search = finished_search()
    edit(search.probe, made_at=timezone.now() + datetime.timedelta(seconds=1))  # after the search was requested
    mine = services.claim_next(by=examiner())
    shown = page(mine.examiner).get(f"/reviews/{mine.pk}").text
    assert "data-edit" not in shown
    assert "<kbd>O</kbd>" not in shown


def test_a_look_at_an_edit_is_on_record_and_one_that_is_not_shown_is_not_there(search: Search, page: Page, api: Page):
    later = edit(search.probe, steps=[{"contrast": 5}], made_at=timezone.now())
    mine = claim(examiner(), search)
    assert page(mine.examiner).get(f"/reviews/{mine.pk}/edits/1.jpg").status_code == 200
    assert api(mine.examiner).get(f"/api/v1/examinations/{mine.pk}/edits/1.jpg").status_code == 200
    looks = Entry.objects.filter(act="probe.viewed", actor=mine.examiner.pk)
    assert [look.details for look in looks] == [{"edit": str(search.edit_id), "examination": str(mine.pk)}] * 2
    for number in (0, later.number, 11, 10**30):
        assert page(mine.examiner).get(f"/reviews/{mine.pk}/edits/{number}.jpg").status_code == 404


def test_the_edits_are_mine_alone_and_only_while_i_hold_the_examination(search: Search, page: Page, api: Page):
    mine, other = claim(examiner(), search), claim(examiner(), search)
    for user in (other.examiner, examiner(), search.requested_by):
        assert page(user).get(f"/reviews/{mine.pk}/edits/1.jpg").status_code in (403, 404)
        assert api(user).get(f"/api/v1/examinations/{mine.pk}/edits/1.jpg").status_code in (403, 404)
    services.release(by=mine.examiner, examination=mine)
    assert page(mine.examiner).get(f"/reviews/{mine.pk}/edits/1.jpg").status_code == 409


def test_what_the_examiner_will_look_at_is_made_before_also_of_the_edits(search: Search):
    tasks.prepare_views(str(search.pk))
    assert vault.read_view(search.probe_id, search.edit_id, "full") is not None
    mine = claim(examiner(), search)
    kept = vault.read_view(search.probe_id, search.edit_id, "full")
    assert pictures.edit_examined(by=mine.examiner, examination=mine, number=1) == kept


def test_the_face_is_pointed_out_on_the_original_where_it_was_found_on_an_edit(search: Search, page: Page, api: Page):
    mine = claim(examiner(), search)
    upside_down = [(240 - 24 - 60) / 240, (320 - 32 - 80) / 320, 60 / 240, 80 / 320]
    assert api(mine.examiner).get(f"/api/v1/examinations/{mine.pk}").json()["face"] == pytest.approx(upside_down)
    shown = page(mine.examiner).get(f"/reviews/{mine.pk}").text
    assert "Which face on the probe is meant" in shown
    assert 'x="156" y="208" width="60" height="80"' in shown


def test_a_search_and_a_lead_say_that_they_were_made_with_an_edit(search: Search, page: Page, api: Page):
    for _ in range(2):
        examine(examiner(), search, same=(1,))
    me, said = search.requested_by, "Edit 1 of the image: rotated 180° to the right"
    assert said in page(me).get(f"/searches/{search.pk}").text
    lead = page(me).get(f"/reviews/leads/{search.lead.pk}").text
    assert said in lead
    assert 'x="156" y="208"' in lead  # the face, on the original
    assert "rotated 180° to the right" in page(me).get(f"/cases/{search.probe.case_id}").text
    assert api(me).get(f"/api/v1/leads/{search.lead.pk}").json()["searched_with"] == "rotated 180° to the right"


def test_a_search_with_the_original_does_not_speak_of_edits(page: Page, api: Page):
    search = finished_search()
    for _ in range(2):
        examine(examiner(), search, same=(1,))
    for address in (f"/searches/{search.pk}", f"/reviews/leads/{search.lead.pk}"):
        assert "Searched with" not in page(search.requested_by).get(address).text
    assert api(search.requested_by).get(f"/api/v1/leads/{search.lead.pk}").json()["searched_with"] is None


def test_nobody_examines_an_image_twice_also_when_it_is_searched_again_with_an_edit(search: Search):
    me = examiner()
    examine(me, search)
    finished_search(probe=search.probe)
    with pytest.raises(services.WrongState, match="Nothing waits"):
        services.claim_next(by=me)


def test_the_list_of_a_case_reads_its_edits_in_the_same_few_queries(page: Page, django_assert_max_num_queries: Any):
    me = investigator()
    case = ProbeFactory(case__opened_by=me).case
    counts = []
    for _ in range(2):
        for _ in range(3):
            probe = ProbeFactory(case=case)
            finished_search(1, probe=probe, edit=edit(probe))
        with django_assert_max_num_queries(60) as queries:
            text = page(me).get(f"/cases/{case.pk}").text
        counts.append(len(queries))
    assert len(re.findall("rotated 12.5°", text)) == 6
    assert counts[0] == counts[1]
