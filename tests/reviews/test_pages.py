"""The examiner's way through the pages and the API, and who may not go it."""

import datetime
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from mugsearch.accounts.models import ExaminerCertificate, Role, User
from mugsearch.audit.models import Entry
from reviews import services
from reviews.models import Examination, Lead
from reviews.worksheet import COMPONENTS
from tests.factories import UserFactory, administrator, auditor, clerk, examiner, investigator
from tests.reviews.arrange import (
    FILLED,
    SAME,
    candidate,
    claim,
    examine,
    finished_search,
    forget,
    position_of,
    store_images,
)

pytestmark = pytest.mark.django_db

Page = Callable[[User], Any]


def test_the_queue_says_how_much_waits_and_for_how_long(page: Page):
    finished_search(finished_at=timezone.now() - datetime.timedelta(hours=5))
    finished_search()

    shown = page(examiner()).get("/reviews/")

    assert "2 searches" in shown.text
    assert "5\xa0hours" in shown.text
    assert "Examine the next search" in shown.text


def test_an_empty_queue_says_so(page: Page):
    shown = page(examiner()).get("/reviews/")
    assert "Nothing waits for you" in shown.text
    assert "Examine the next search" not in shown.text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"expires_on": timezone.localdate() - datetime.timedelta(days=1)}, "Your examiner certificate ended on"),
        ({"revoked_at": timezone.now()}, "Your examiner certificate was revoked on"),
        ({"issued_on": timezone.localdate() + datetime.timedelta(days=1)}, "Your examiner certificate begins on"),
        (None, "No examiner certificate is recorded for you"),
    ],
)
def test_without_a_certificate_there_is_an_explanation_and_no_queue(
    page: Page, api: Page, change: dict[str, Any] | None, sentence: str
):
    finished_search()
    user = examiner()
    if change:
        ExaminerCertificate.objects.filter(examiner=user).update(**change)
    else:
        ExaminerCertificate.objects.filter(examiner=user).delete()

    shown = page(user).get("/reviews/")

    assert sentence in shown.text
    assert "Examine the next search" not in shown.text
    assert page(user).post("/reviews/next").status_code == 403
    assert api(user).get("/api/v1/examinations/queue").status_code == 403
    assert not Examination.objects.exists()


def test_a_certificate_that_lapsed_hides_the_images_of_what_one_holds(page: Page):
    search, user = finished_search(), examiner()
    store_images(search)
    mine = claim(user, search)
    assert page(user).get(f"/reviews/{mine.pk}/candidates/1.jpg").status_code == 200
    ExaminerCertificate.objects.update(revoked_at=timezone.now())

    shown = page(user).get(f"/reviews/{mine.pk}")
    assert shown.status_code == 403
    assert "Give back" in shown.text
    for path in ("candidates/1.jpg", "probe.jpg"):
        assert page(user).get(f"/reviews/{mine.pk}/{path}").status_code == 403
    page(user).post(f"/reviews/{mine.pk}/release")
    mine.refresh_from_db()
    assert mine.state == "released"


def test_two_examiners_go_through_the_pages_and_make_a_lead(page: Page):
    search = finished_search()
    for user in (examiner(), examiner()):
        browser: Client = page(user)
        opened = browser.post("/reviews/next", follow=True)
        mine = Examination.objects.get(examiner=user)
        assert "Candidate 1 of 3" in opened.text
        position = position_of(mine, candidate(search, 1))
        saved = browser.post(
            f"/reviews/{mine.pk}/findings",
            {"position": position, "conclusion": "3", "notes": "ears"} | dict.fromkeys(COMPONENTS, "similar"),
            headers={"X-Requested-With": "fetch"},
        )
        (now,) = saved.json()["saved"]
        assert (now["position"], now["conclusion"], now["notes"]) == (position, "3", "ears")
        early = browser.post(f"/reviews/{mine.pk}/conclude")
        assert early.status_code == 409
        browser.post(f"/reviews/{mine.pk}/findings", {"position": "remaining", "conclusion": "-3"})
        shown = browser.get(f"/reviews/{mine.pk}").text
        seen = unescape(re.search(r'name="seen" value="([^"]*)"', shown)[1])
        asked = browser.post(f"/reviews/{mine.pk}/conclude", {"ask": "1", "seen": seen})
        assert "After this nothing can be changed" in asked.text
        seen = unescape(re.search(r'name="seen" value="([^"]*)"', asked.text)[1])
        done = browser.post(f"/reviews/{mine.pk}/conclude", {"seen": seen}, follow=True)
        assert "My findings" in done.text
        assert "ears" in done.text
    assert Lead.objects.get().candidate == candidate(search, 1)


def test_without_script_saving_leads_to_the_next_open_candidate(page: Page):
    search, user = finished_search(), examiner()
    mine = claim(user, search)

    answer = page(user).post(f"/reviews/{mine.pk}/findings", {"position": "1", "conclusion": "-3"})

    assert answer.headers["Location"] == f"/reviews/{mine.pk}?candidate=2"
    assert "Candidate 2 of 3" in page(user).get(f"/reviews/{mine.pk}?candidate=2").text


@pytest.mark.parametrize(
    "sent",
    [
        {"position": "1", "conclusion": "certain"},
        {"position": "0", "conclusion": "3"},
        {"position": "²", "conclusion": "3"},
        {"position": "remaining", "conclusion": "3"},
        {"position": "1", "conclusion": "3", "notes": "x" * 4001},
        {"position": "1", "conclusion": "3", "notes": "a\x00b"},
        {},
    ],
)
def test_the_script_is_told_in_one_sentence_why_a_finding_was_refused(page: Page, sent: dict[str, str]):
    search, user = finished_search(), examiner()
    mine = claim(user, search)

    answer = page(user).post(f"/reviews/{mine.pk}/findings", sent, headers={"X-Requested-With": "fetch"})

    assert answer.status_code == 422
    assert answer.json()["message"].endswith(".")
    assert not mine.findings.exists()


def test_a_tombstone_keeps_its_place_and_has_no_image(page: Page, api: Page):
    search, user = finished_search(), examiner()
    store_images(search)
    mine = claim(user, search)
    gone = candidate(search, 2)
    position = position_of(mine, gone)
    forget(gone)

    shown = page(user).get(f"/reviews/{mine.pk}")
    assert "Expunged" in shown.text
    assert "0 of 2 concluded" in shown.text
    answer = api(user).get(f"/api/v1/examinations/{mine.pk}").json()["candidates"]
    assert answer[position - 1]["gone"] is True
    assert answer[position - 1]["image"] is None
    assert len(answer) == 3
    assert page(user).get(f"/reviews/{mine.pk}/candidates/{position}.jpg").status_code == 404


def test_a_list_of_tombstones_can_be_concluded(page: Page):
    search, user = finished_search(candidates=2), examiner()
    mine = claim(user, search)
    for rank in (1, 2):
        forget(candidate(search, rank))

    assert "Nobody is left to compare" in page(user).get(f"/reviews/{mine.pk}").text
    assert page(user).post(f"/reviews/{mine.pk}/conclude").status_code == 302


def test_a_probe_with_several_faces_marks_the_one_searched(page: Page, api: Page):
    faces = [
        {"face": {"box": [10, 20, 30, 40], "landmarks": [[0, 0]] * 5, "score": 0.9}, "quality": {}},
        {"face": {"box": [111, 122, 33, 44], "landmarks": [[0, 0]] * 5, "score": 0.9}, "quality": {}},
    ]
    user = examiner()
    mine = claim(user, finished_search(probe__faces=faces, face=1))
    alone = claim(user, finished_search())

    shown = page(user).get(f"/reviews/{mine.pk}").text
    assert 'x="111" y="122" width="33" height="44"' in shown
    assert 'x="10" y="20"' not in shown
    shares = [0.4625, 0.3812, 0.1375, 0.1375]  # of 240 x 320
    assert api(user).get(f"/api/v1/examinations/{mine.pk}").json()["face"] == shares
    assert "which one is meant" not in page(user).get(f"/reviews/{alone.pk}").text


def test_images_come_small_or_whole_and_never_from_a_cache(page: Page):
    search, user = finished_search(), examiner()
    store_images(search)
    mine = claim(user, search)

    whole = page(user).get(f"/reviews/{mine.pk}/candidates/1.jpg")
    small = page(user).get(f"/reviews/{mine.pk}/candidates/1.jpg?size=thumb")

    assert whole.headers["Content-Type"] == small.headers["Content-Type"] == "image/jpeg"
    assert len(small.content) < len(whole.content)
    assert whole.headers["Cache-Control"] == "no-store"
    assert "Content-Disposition" not in whole.headers
    for position in (0, 4, 99):
        assert page(user).get(f"/reviews/{mine.pk}/candidates/{position}.jpg").status_code == 404


def test_every_look_at_a_face_is_recorded_with_examination_and_case(page: Page, api: Page):
    search, user = finished_search(), examiner()
    store_images(search)
    mine = claim(user, search)
    before = Entry.objects.count()

    page(user).get(f"/reviews/{mine.pk}/candidates/1.jpg")
    api(user).get(f"/api/v1/examinations/{mine.pk}/candidates/1.jpg?size=thumb")
    page(user).get(f"/reviews/{mine.pk}/probe.jpg")

    entries = list(Entry.objects.filter(number__gt=before).order_by("number"))
    seen = [one for one in search.candidates.all() if position_of(mine, one) == 1]
    assert [entry.act for entry in entries] == ["candidate.viewed", "candidate.viewed", "probe.viewed"]
    assert {entry.object_id for entry in entries[:2]} == {str(seen[0].pk)}
    assert all(entry.case == search.probe.case_id for entry in entries)
    assert all(entry.details["examination"] == str(mine.pk) for entry in entries)


def test_whoever_was_put_on_the_case_sees_no_candidates_any_more_and_may_give_back(page: Page):
    search, user = finished_search(), UserFactory(roles=[Role.EXAMINER, Role.INVESTIGATOR], certified=True)
    store_images(search)
    mine = claim(user, search)
    search.probe.case.members.add(user)

    shown = page(user).get(f"/reviews/{mine.pk}")
    assert shown.status_code == 403
    assert "a case you are on" in shown.text
    assert "Give back" in shown.text
    assert page(user).get(f"/reviews/{mine.pk}/candidates/1.jpg").status_code == 403
    assert page(user).post(f"/reviews/{mine.pk}/conclude").status_code == 403
    page(user).post(f"/reviews/{mine.pk}/release")
    mine.refresh_from_db()
    assert mine.state == "released"


def test_whoever_holds_enough_is_told_instead_of_offered_more(page: Page):
    user = examiner()
    for _ in range(4):
        finished_search()
    for _ in range(3):
        page(user).post("/reviews/next")

    shown = page(user).get("/reviews/").text
    assert "Examine the next search" not in shown
    assert "You hold 3 examinations" in shown
    assert page(user).post("/reviews/next").status_code == 409


def test_what_was_given_back_shows_nothing_any_more(page: Page):
    search, user = finished_search(), examiner()
    store_images(search)
    mine = claim(user, search)
    services.release(by=user, examination=mine)

    assert page(user).get(f"/reviews/{mine.pk}").headers["Location"] == "/reviews/"
    assert page(user).get(f"/reviews/{mine.pk}/candidates/1.jpg").status_code == 409


def test_only_examiners_have_a_queue(page: Page, api: Page):
    for person in (investigator(), clerk(), auditor(), administrator()):
        assert page(person).get("/reviews/").status_code == 403
        assert page(person).post("/reviews/next").status_code == 403
        assert api(person).get("/api/v1/examinations/queue").status_code == 403
        assert api(person).post("/api/v1/examinations/next").status_code == 403
    assert page(examiner()).get("/reviews/").status_code == 200
    empty = api(examiner()).get("/api/v1/examinations/queue").json()
    assert (empty["waiting"], empty["oldest"]) == (0, None)


def test_an_examination_is_its_examiners_alone(page: Page, api: Page):
    owner, stranger = examiner(), examiner()
    mine = claim(owner, finished_search())
    sent = {"position": "1", "conclusion": "3"}
    gets = ["", "/conclude", "/probe.jpg", "/candidates/1.jpg"]
    posts = ["/findings", "/conclude", "/release"]

    assert page(owner).get(f"/reviews/{mine.pk}").status_code == 200
    for path in gets:
        assert page(stranger).get(f"/reviews/{mine.pk}{path}").status_code == 404
        assert page(investigator()).get(f"/reviews/{mine.pk}{path}").status_code == 403
        assert Client().get(f"/reviews/{mine.pk}{path}").status_code == 302
    for path in posts:
        assert page(stranger).post(f"/reviews/{mine.pk}{path}", sent).status_code == 404
    for path in ("", "/probe.jpg", "/candidates/1.jpg"):
        assert api(stranger).get(f"/api/v1/examinations/{mine.pk}{path}").status_code == 404
    for path in ("/findings", "/exclude-remaining", "/release", "/conclude"):
        assert api(stranger).post(f"/api/v1/examinations/{mine.pk}{path}", sent).status_code == 404
    assert api(stranger).get("/api/v1/examinations").json()["count"] == 0
    mine.refresh_from_db()
    assert mine.state == "claimed"
    assert not mine.findings.exists()


def test_the_same_way_through_the_api(api: Page):
    search = finished_search()
    for user in (examiner(), examiner()):
        client = api(user)
        assert client.get("/api/v1/examinations/queue").json()["waiting"] == 1
        claimed = client.post("/api/v1/examinations/next")
        assert claimed.status_code == 201
        at = f"/api/v1/examinations/{claimed.json()['id']}"
        mine = Examination.objects.get(examiner=user)
        position = position_of(mine, candidate(search, 3))
        said = {"position": position, "conclusion": SAME, "notes": "chin"}
        saved = client.post(f"{at}/findings", said | {"worksheet": FILLED}, format="json")
        assert saved.json()["found"] == 1
        assert client.post(f"{at}/findings", said).json()["candidates"][position - 1]["worksheet"] == FILLED
        refused = client.post(f"{at}/findings", said | {"worksheet": {"hat": {}}}, format="json")
        assert (refused.status_code, "E3149" in refused.text) == (422, True)
        assert client.post(f"{at}/conclude").status_code == 409
        assert client.post(f"{at}/exclude-remaining").json()["found"] == 3
        assert client.post(f"{at}/conclude").json()["state"] == "concluded"
        assert client.post(f"{at}/conclude").status_code == 409
        assert client.post("/api/v1/examinations/next").status_code == 409
        listed = client.get("/api/v1/examinations?state=concluded").json()["results"]
        assert [(one["found"], one["total"]) for one in listed] == [(3, 3)]
    assert Lead.objects.get().candidate == candidate(search, 3)


def test_a_long_list_of_concluded_examinations_has_pages(page: Page):
    user = examiner()
    for _ in range(26):
        examine(user, finished_search(candidates=1))
    assert "1–25 of 26" in page(user).get("/reviews/").text
    assert "26–26 of 26" in page(user).get("/reviews/?page=2").text


def test_of_a_photograph_with_several_faces_the_examiner_sees_the_enrolled_one(page, fake_encoder):
    from mugsearch.engine import images
    from mugsearch.gallery.models import Photo
    from mugsearch.vault import services as vault
    from tests.fakes import synthetic_photo

    search, user = finished_search(candidates=1), examiner()
    photo = search.candidates.get().photo
    pixels = images.decode(synthetic_photo(1, faces=2, size=(640, 320))).pixels
    faces = [face.to_dict() for face in fake_encoder.faces(pixels)]
    Photo.objects.filter(pk=photo.pk).update(faces=faces, face=faces[1])
    vault.create_key(photo.booking_id)
    vault.store_file(photo.booking_id, photo.pk, images.encode_png(pixels))
    mine = claim(user, search)
    sent = page(user).get(f"/reviews/{mine.pk}/candidates/1.jpg?size=full").content
    assert len(fake_encoder.faces(pixels)) == 2
    assert images.decode(sent).pixels.shape[1] < pixels.shape[1]
