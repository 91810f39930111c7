"""What an examiner can get from the server before their own conclusion is locked, searched for everything secret."""

import datetime
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.probes.models import Search, SiblingPhoto
from mugsearch.probes.services import change_priority
from reviews import services
from reviews.models import Adjudication, Examination, Finding
from reviews.order import in_order
from tests.factories import (
    CandidateFactory,
    EditFactory,
    PhotoFactory,
    ProbeFactory,
    SearchFactory,
    examiner,
    investigator,
    measured,
)
from tests.reviews.arrange import DIFFERENT, FILLED, SAME, candidate, claim, examine, find, position_of, store_images

pytestmark = pytest.mark.django_db

MARKED_NOTE = "zz-first-examiner-note"
MARKED_DRAWING = {"probe": [0.1357, 0.2468], "candidate": [0.1579, 0.3579, 0.0135, 0.0246]}
TOKEN = re.compile(r'<meta name="csrf-token" content="(\w+)"')


@pytest.fixture
def search() -> Search:
    """Everything an examiner must not know has a value that appears nowhere else by chance."""
    asked = investigator(full_name="Zz-Investigator Name", username="zz-investigator")
    editor = investigator(full_name="Zz-Editor Name", username="zz-editor")
    then = timezone.now() - datetime.timedelta(days=3)
    probe = ProbeFactory(
        case__number="ZZ-CASE-4711",
        case__opened_by=asked,
        offence="zz-offence",
        legal_basis="zz-legal-basis",
        source_detail="zz-source-detail",
        sha256="ab" * 32,
        policy_digest="cd" * 32,
    )
    change_priority(by=asked, case=probe.case, priority="urgent", reason="zz-priority-reason")
    edits = [
        EditFactory(probe=probe, number=number, steps=steps, made_by=editor, made_at=made_at, sha256=f"{number}d" * 32)
        for number, steps, made_at in (
            (1, [{"rotate": 12.0}], datetime.datetime(2004, 3, 5, tzinfo=datetime.UTC)),
            (2, [{"contrast": 17}], datetime.datetime(2004, 3, 6, tzinfo=datetime.UTC)),
            (3, [{"brightness": 93}], timezone.now()),  # made after the search was requested
        )
    ]
    search = SearchFactory(probe=probe, edit=edits[1], requested_at=then, finished_at=then)
    for rank, score in ((1, 0.87654), (2, 0.76543), (3, 0.65432)):
        photo = PhotoFactory(
            sha256=f"{rank}e" * 32,
            booking__booking_number=f"ZZ-BOOKING-{rank}",
            booking__booked_on=datetime.date(1987, 6, rank),
            booking__charge=f"zz-charge-{rank}",
            booking__disposition=f"zz-disposition-{rank}",
            booking__person__person_id=f"ZZ-PERSON-{rank}",
            booking__person__family_name=f"Zzfamily{rank}",
            booking__person__given_names=f"Zzgiven{rank}",
            booking__person__date_of_birth=datetime.date(1961, 2, rank),
        )
        found = CandidateFactory(search=search, rank=rank, photo=photo, person=photo.booking.person, score=score)
        SiblingPhoto.objects.create(candidate=found, photo=PhotoFactory(booking=photo.booking), rank=71 + rank)
    store_images(search)
    measured(encoder=search.encoder, scores=[0.1] * 4999 + [0.7] * 1111, gallery_size=98765)
    return search


@pytest.fixture
def first(search: Search) -> Examination:
    """The other examiner, who has concluded already."""
    user = examiner(full_name="Zz-Other Examiner", username="zz-other")
    examination = claim(user, search)
    drawn = {**FILLED, "marks": {"said": "similar", "notes": MARKED_NOTE, "drawn": [MARKED_DRAWING]}}
    position = position_of(examination, candidate(search, 1))
    services.save_finding(
        by=user, examination=examination, position=position, conclusion=SAME, notes=MARKED_NOTE, worksheet=drawn
    )
    services.exclude_remaining(by=user, examination=examination)
    services.conclude(by=user, examination=examination)
    return examination


def secrets(search: Search, first: Examination) -> list[str]:
    probe, other = search.probe, first.examiner
    told = [search.pk, probe.pk, probe.case_id, first.pk, other.pk, probe.submitted_by_id]
    for one in search.candidates.select_related("photo__booking"):
        told += [one.pk, one.photo_id, one.person_id, one.photo.booking_id, one.photo.sha256, f"{one.score:.3f}"]
        told += [sibling.photo_id for sibling in one.siblings.all()]
    told += [probe.sha256, probe.policy_digest, bytes(first.secret).hex()]
    told += [number for shape in MARKED_DRAWING.values() for number in shape] + ["13.57%", "24.68%", "15.79%", "35.79%"]
    told += ["zz-", "zzfamily", "zzgiven", "1987", "1961", "cosine", "rank"]
    told += ["false positive", "false-positive", "false_positive", "calibrat", "6110", "6,110", "98765", "98,765"]
    for edit in probe.edits.all():
        told += [edit.pk, edit.made_by_id, edit.sha256]
    told += ["2004", "+93", "edit 3", "edits/3"]
    return [str(one).lower() for one in told]


def images_of(mine: Examination, prefix: str) -> Iterator[str]:
    for size in ("", "?size=thumb"):
        yield f"{prefix}{mine.pk}/probe.jpg{size}"
        yield from (f"{prefix}{mine.pk}/edits/{number}.jpg{size}" for number in (1, 2))
        for position in (1, 2, 3):
            yield f"{prefix}{mine.pk}/candidates/{position}.jpg{size}"


def everything(mine: Examination, page: Any, api: Any) -> Iterator[tuple[str, HttpResponse]]:
    """Every answer this examiner can get, refusals included. Those that end the examination come last."""
    at = f"/reviews/{mine.pk}"
    for path in (
        "/reviews/",
        at,
        f"{at}?candidate=2",
        f"{at}?candidate=9",
        f"{at}/conclude",
        *images_of(mine, "/reviews/"),
    ):
        yield path, page.get(path)
    at = f"/api/v1/examinations/{mine.pk}"
    for path in ("/api/v1/examinations/queue", "/api/v1/examinations", at, *images_of(mine, "/api/v1/examinations/")):
        yield path, api.get(path)
    yield "no such edit", page.get(f"/reviews/{mine.pk}/edits/{3}.jpg")
    yield "no such edit", api.get(f"{at}/edits/{3}.jpg")
    yield "finding", api.post(f"{at}/findings", {"position": 1, "conclusion": "no_conclusion", "notes": "mine"})
    yield "bad finding", api.post(f"{at}/findings", {"position": 44, "conclusion": "3"})
    yield "bad finding", page.post(f"/reviews/{mine.pk}/findings", {"position": "x", "conclusion": "3"})
    yield (
        "finding",
        page.post(
            f"/reviews/{mine.pk}/findings",
            {"position": "2", "conclusion": "3", "notes": ""},
            headers={"X-Requested-With": "fetch"},
        ),
    )
    yield "early conclude", api.post(f"{at}/conclude")
    yield "next", api.post("/api/v1/examinations/next")
    yield "exclude", api.post(f"{at}/exclude-remaining")
    yield "ask", page.post(f"/reviews/{mine.pk}/conclude", {"ask": "1"})


def told_by(response: HttpResponse, mine: Examination) -> str:
    headers = " ".join(f"{name}: {value}" for name, value in response.headers.items())
    body = response.content.decode("latin-1") if response.headers.get("Content-Type") == "image/jpeg" else response.text
    return without_chance(f"{headers} {body}", mine).lower()


def without_chance(text: str, mine: Examination) -> str:
    """My own id, a page's token and the parts of a second are random, so they could hold anything by chance."""
    token = TOKEN.search(text)
    text = text.replace(token[1], "CSRF") if token else text
    return re.sub(r"(:\d\d)\.\d+", r"\1", text.replace(str(mine.pk), "ID"))


@pytest.fixture
def second(search: Search, first: Examination) -> Examination:
    return services.claim_next(by=examiner(full_name="Plain Examiner"))


def test_no_answer_before_my_conclusion_holds_anything_secret(
    search: Search, first: Examination, second: Examination, page: Callable[[User], Any], api: Callable[[User], Any]
):
    hidden = secrets(search, first)
    seen = 0
    for name, response in everything(second, page(second.examiner), api(second.examiner)):
        text = told_by(response, second)
        assert not [secret for secret in hidden if secret in text], name
        seen += 1
    assert seen > 20


def after_mine(mine: Examination, page: Callable[[User], Any], api: Callable[[User], Any]) -> list[HttpResponse]:
    """What its examiner gets once they have concluded."""
    return [
        api(mine.examiner).get(f"/api/v1/examinations/{mine.pk}"),
        page(mine.examiner).get(f"/reviews/{mine.pk}"),
        page(mine.examiner).get("/reviews/"),
    ]


def test_my_own_conclusion_tells_me_nothing_while_somebody_else_has_to_conclude(
    search: Search, first: Examination, second: Examination, page: Callable[[User], Any], api: Callable[[User], Any]
):
    """We disagree: a third is asked, and I don't learn that either."""
    user = second.examiner
    services.exclude_remaining(by=user, examination=second)
    answers = [api(user).post(f"/api/v1/examinations/{second.pk}/conclude"), *after_mine(second, page, api)]
    assert Adjudication.objects.filter(search=search).exists()
    assert answers[1].json()["over"] is False
    for response in answers:
        text = told_by(response, second)
        assert not [secret for secret in secrets(search, first) if secret in text]
        assert not [word for word in ("third", "disagree", "adjudicat", "fused") if word in text]
        assert "lead" not in re.sub(r"(lead-|mislead)\w*", "", text)


def test_the_third_is_as_blind_as_the_others(
    search: Search, first: Examination, second: Examination, page: Callable[[User], Any], api: Callable[[User], Any]
):
    services.exclude_remaining(by=second.examiner, examination=second)
    services.conclude(by=second.examiner, examination=second)
    third = services.claim_next(by=examiner(full_name="Plain Examiner"))
    assert third.search == search
    hidden = {*secrets(search, first), *secrets(search, second), "third", "disagree", "adjudicat"}
    for name, response in everything(third, page(third.examiner), api(third.examiner)):
        text = told_by(response, third)
        assert not [secret for secret in hidden if secret in text], name


def test_when_all_have_concluded_i_learn_ranks_scores_and_what_the_others_found_and_nobodys_name(
    search: Search, first: Examination, second: Examination, page: Callable[[User], Any], api: Callable[[User], Any]
):
    user = second.examiner
    find(user, second, candidate(search, 1), Finding.Conclusion.SAME_2)  # there will be a lead
    services.exclude_remaining(by=user, examination=second)
    services.conclude(by=user, examination=second)
    as_json, as_page, queue = after_mine(second, page, api)
    told = {one["told"]["rank"]: one["told"] for one in as_json.json()["candidates"]}
    rates = {rank: one.pop("false_positives") for rank, one in told.items()}
    assert told[1] == {"rank": 1, "score": 0.87654, "others": [SAME.label], "rating": 2.5}
    assert told[3] == {"rank": 3, "score": 0.65432, "others": [DIFFERENT.label], "rating": -3}
    assert [rates[rank]["count"] for rank in (1, 2, 3)] == [0, 0, 1111]
    for shown in ("0.877", SAME.label, "+2.5", ">−3<", "Examination over", "0 of 6,110", "1,111 of 6,110", "98,765"):
        assert shown in as_page.text
    may_be_told = {"0.877", "0.765", "0.654", "cosine", "rank", "false positive", "false_positive", "false-positive"}
    may_be_told |= {"calibrat", "6110", "6,110", "98765", "98,765"}
    for response in (as_json, as_page, queue):
        text = told_by(response, second)
        assert not [secret for secret in secrets(search, first) if secret in text and secret not in may_be_told]
        assert "lead" not in re.sub(r"(lead-|mislead)\w*", "", text)
        assert MARKED_NOTE not in text


def test_before_the_other_has_concluded_mine_tells_only_that(search: Search, api: Callable[[User], Any]):
    user, other = examiner(), examiner()
    claim(other, search)
    mine = claim(user, search)
    services.exclude_remaining(by=user, examination=mine)
    services.conclude(by=user, examination=mine)
    assert api(user).get(f"/api/v1/examinations/{mine.pk}").json()["over"] is False


def test_the_answers_are_the_same_however_many_examined_before_me(
    page: Callable[[User], Any], api: Callable[[User], Any]
):
    """Byte for byte but for ids, positions and times of my own."""
    answers = []
    for before in (0, 1, 2):
        search = SearchFactory(finished_at=timezone.now() - datetime.timedelta(hours=2))
        for rank in (1, 2, 3):
            CandidateFactory(search=search, rank=rank)
        store_images(search)
        for _ in range(before):
            examine(examiner(), search, same=() if search.examinations.exists() else (1,))
        user = examiner(full_name="Same Name")
        mine = services.claim_next(by=user)
        assert mine.search == search
        text = [
            told_by(api(user).get(f"/api/v1/examinations/{mine.pk}"), mine),
            page(user).get(f"/reviews/{mine.pk}").text,
        ]
        answers.append([plain(one, mine) for one in text])
        while search.examinations.count() < (3 if before == 2 else 2):
            claim(examiner(), search)  # full now, so that it is not offered again
    assert answers[0] == answers[1] == answers[2]


def plain(text: str, mine: Examination) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dt[\d:]+z", "TIME", without_chance(text, mine), flags=re.IGNORECASE)


def test_the_answers_are_the_same_with_whichever_of_the_images_it_was_searched(
    page: Callable[[User], Any], api: Callable[[User], Any]
):
    answers = []
    for used in (None, 1, 2):
        probe = ProbeFactory(faces=ProbeFactory.faces * 2)  # so that it has to be said which one is meant
        before = timezone.now() - datetime.timedelta(hours=3)
        for number in (1, 2):
            EditFactory(probe=probe, number=number, made_at=before)
        edit = probe.edits.filter(number=used).first()
        search = SearchFactory(probe=probe, edit=edit, finished_at=timezone.now() - datetime.timedelta(hours=2))
        CandidateFactory(search=search, rank=1)
        user = examiner(full_name="Same Name")
        mine = services.claim_next(by=user)
        assert mine.search == search
        answers.append(
            [
                plain(told_by(api(user).get(f"/api/v1/examinations/{mine.pk}"), mine), mine),
                plain(page(user).get(f"/reviews/{mine.pk}").text, mine),
            ]
        )
        claim(examiner(), search)  # full now, so that it is not offered again
    assert "brightness +2 %" in answers[0][1]
    assert "which one is meant" in answers[0][1]
    assert answers[0] == answers[1] == answers[2]


def test_two_orders_tell_nothing_of_each_other_or_of_the_ranks():
    """Over 200 examinations every rank stands first about equally often; two orders agree no more than by chance."""
    search = SearchFactory()
    for rank in (1, 2, 3, 4):
        CandidateFactory(search=search, rank=rank)
    orders = [[one.rank for one in in_order(Examination(search=search))] for _ in range(200)]

    for rank in (1, 2, 3, 4):
        first = sum(order[0] == rank for order in orders)
        assert 20 <= first <= 85  # 50 expected; outside this once in ten million runs
    alike = sum(one == two for one, two in zip(orders[::2], orders[1::2], strict=True))
    assert alike <= 20  # of 100, 4 expected


def test_an_order_stays_as_it_is_from_one_look_to_the_next(second: Examination):
    assert in_order(second) == in_order(Examination.objects.get(pk=second.pk))


def test_images_are_mine_alone(second: Examination, first: Examination, page: Callable[[User], Any]):
    stranger, other = examiner(), first.examiner
    for path in images_of(second, "/reviews/"):
        assert page(second.examiner).get(path).status_code == 200
        assert page(stranger).get(path).status_code == 404
        assert page(other).get(path).status_code == 404


def test_the_image_at_a_position_is_that_candidates(second: Examination, search: Search, page: Callable[[User], Any]):
    """The arranged pictures are of one grey each: 40 for the probe, 10 more for every rank, then for every edit."""
    import io

    from PIL import Image

    def grey(path: str) -> int:
        picture = Image.open(io.BytesIO(page(second.examiner).get(path).content))
        assert not picture.info.keys() & {"exif", "comment", "icc_profile"}
        return round(picture.convert("L").getpixel((5, 5)) / 10)

    stored = [one.pk for one in search.candidates.select_related("photo")]
    for place, pk in enumerate(stored, start=5):
        position = position_of(second, search.candidates.get(pk=pk))
        assert grey(reverse("examination_candidate_image", args=[second.pk, position])) == place
    assert grey(reverse("examination_probe_image", args=[second.pk])) == 4
    assert [grey(f"/reviews/{second.pk}/edits/{number}.jpg") for number in (1, 2)] == [8, 9]


def test_the_json_has_these_fields_and_no_others(second: Examination, api: Callable[[User], Any]):
    answer = json.loads(api(second.examiner).get(f"/api/v1/examinations/{second.pk}").content)
    assert answer.keys() == {
        "id", "state", "claimed_at", "concluded_at", "found", "total", "over", "probe_image", "face", "edits",
        "candidates",
    }  # fmt: skip
    assert answer["candidates"][0].keys() == {
        "position",
        "gone",
        "image",
        "conclusion",
        "notes",
        "worksheet",
        "saved_at",
        "told",
    }
    assert {one["told"] for one in answer["candidates"]} == {None}
    assert [one.keys() for one in answer["edits"]] == [{"number", "words", "image"}] * 2
