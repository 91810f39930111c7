"""A trial is casework to whoever examines it: every answer is the same but for what is random in both."""

import re
from typing import Any

import numpy as np
import pytest

from mugsearch.engine import images
from mugsearch.gallery import encoding
from mugsearch.probes.models import Probe
from mugsearch.trials.models import Trial, TrialPhoto
from mugsearch.vault import services as vault
from reviews import pictures, services
from reviews.models import Examination
from tests.factories import CandidateFactory, PhotoFactory, SearchFactory, examiner, measured
from tests.reviews.arrange import SAME, candidate, find
from tests.reviews.test_blindness import everything, without_chance
from tests.trials.arrange import material, prepare, search_of, supervisor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fake_encoder")]

RANDOM = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # ids
    r"|csrfmiddlewaretoken\" value=\"\w+|csrf-token\" content=\"\w+"
    r"|\d{4}-\d\d-\d\dT[\d:.+Z]+|\d{1,2} \w{3} \d{4}, \d\d:\d\d"
)


def all_alike(owner: Any, name: Any = None) -> None:
    """The same grey picture behind everything, so that nothing but the kind of search can make a difference."""
    vault.create_key(owner)
    vault.store_file(owner, name or owner, images.encode_png(np.full((320, 240, 3), 90, dtype=np.uint8)))


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Trial:
    mona = supervisor()
    material(mona, 22)
    (made,) = prepare(mona, Trial.Kind.MATED)
    for photo in TrialPhoto.objects.all():
        all_alike(photo.pk)
    probe = search_of(made).probe
    all_alike(probe.owner, probe.pk)
    return made


@pytest.fixture
def casework(trial: Trial) -> Any:
    """A search of the gallery that looks like it: as many candidates, faces in the same places."""
    like = search_of(trial)
    search = SearchFactory(
        encoder=encoding.active(),
        probe__faces=like.probe.faces,
        probe__width=like.probe.width,
        probe__height=like.probe.height,
        finished_at=like.finished_at,
        gallery_size=5000,
    )
    all_alike(search.probe_id)
    for one in like.candidates.select_related("trial_photo"):
        photo = PhotoFactory(face=one.trial_photo.face, faces=[one.trial_photo.face])
        CandidateFactory(search=search, rank=one.rank, photo=photo, person=photo.booking.person, score=one.score)
        vault.create_key(photo.booking_id)
        vault.store_file(photo.booking_id, photo.pk, images.encode_png(np.full((320, 240, 3), 90, dtype=np.uint8)))
    return search


def both_of(by: Any, trial: Trial, casework: Any) -> tuple[Examination, Examination]:
    claimed = {one.search_id: one for one in (services.claim_next(by=by), services.claim_next(by=by))}
    return claimed[search_of(trial).pk], claimed[casework.pk]


def plain(response: Any, mine: Examination) -> tuple[int, str]:
    body = response.content.decode("latin-1")
    headers = sorted(f"{name}: {value}" for name, value in response.headers.items())
    return response.status_code, RANDOM.sub("*", without_chance(f"{headers} {body}", mine))


def test_every_answer_to_an_examiner_is_the_same_for_a_trial_and_for_casework(trial, casework, page, api):
    anna = examiner()
    tried, worked = both_of(anna, trial, casework)
    for search in (search_of(trial), casework):
        pictures.prepare(search)
    # Claimed at the same moment, in an order that tells nothing.
    answers = zip(everything(tried, page(anna), api(anna)), everything(worked, page(anna), api(anna)), strict=True)
    seen = 0
    for (what, of_trial), (_, of_casework) in answers:
        if what in ("next", "/reviews/", "/api/v1/examinations", "/api/v1/examinations/queue"):
            continue  # lists of both
        assert plain(of_trial, tried) == plain(of_casework, worked), what
        seen += 1
    assert seen > 20


def test_what_is_told_when_all_have_concluded_is_the_same_too(trial, casework, page, api):
    measured(encoder=encoding.active(), gallery_size=10_000)  # its caveat says how many were compared
    anna, ben = examiner(), examiner()
    rank = trial.mate_rank
    for person in (anna, ben):
        for mine in both_of(person, trial, casework):
            find(person, mine, candidate(mine.search, rank), SAME)
            services.exclude_remaining(by=person, examination=mine)
            services.conclude(by=person, examination=mine)
    tried, worked = (Examination.objects.get(examiner=anna, search=search) for search in (search_of(trial), casework))
    texts = []
    for mine in (tried, worked):
        text = plain(page(anna).get(f"/reviews/{mine.pk}"), mine)[1]
        assert "Rank" in text
        # Rows stand in the order of each examination's own secret.
        rows = re.findall(
            r"<tr>.*?</tr>", re.sub(r"Candidate \d+|/candidates/\d+|<th scope=\"row\".*?</th>", "#", text), re.DOTALL
        )
        # A position of one's own order may have a digit more.
        text = re.sub(r"Content-Length: \d+", "", text)
        texts.append((sorted(rows), re.sub(r"<tbody>.*</tbody>", "", text, flags=re.DOTALL)))
    assert texts[0] == texts[1]
    shown = [api(anna).get(f"/api/v1/examinations/{mine.pk}").json() for mine in (tried, worked)]
    assert shown[0].keys() == shown[1].keys()
    assert sorted(map(str, (one["told"] for one in shown[0]["candidates"]))) == sorted(
        map(str, (one["told"] for one in shown[1]["candidates"]))
    )


def test_the_examiners_list_says_nothing_of_what_a_search_is(trial, casework, page, api):
    anna = examiner()
    both_of(anna, trial, casework)
    rows = api(anna).get("/api/v1/examinations").json()["results"]
    assert len(rows) == 2
    assert rows[0].keys() == rows[1].keys()
    text = page(anna).get("/reviews/").content.decode()
    one, other = re.findall(r"<tr>\s*<th scope=\"row\" data-label=\"Claimed\">.*?</tr>", text, re.DOTALL)
    assert RANDOM.sub("*", one) == RANDOM.sub("*", other)
    assert Probe.objects.filter(case__number__icontains="trial").exists()
    assert "Known-answer" not in text
