"""Line-ups: locked behind evidence, fillers by record and never by face, nobody shown who was expunged."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.engine import images
from mugsearch.errors import NotAllowed, WrongState
from mugsearch.gallery.models import Photo
from mugsearch.vault import services as vault
from reviews import leads, lineup, notice, outcomes
from reviews.models import Lead, Lineup
from tests.factories import CandidateFactory, PhotoFactory, SearchFactory, examiner, investigator, rename
from tests.reviews.arrange import examine
from tests.reviews.leads import described, investigator_of, recorded, supervisor, withdrawn
from tests.reviews.test_database_rules import refused, sql

pytestmark = pytest.mark.django_db


@pytest.fixture
def lead() -> Lead:
    """Of a man born in 1980, 70 in, 180 lb, with two men of the very same description on the list."""
    search = SearchFactory()
    for rank in (1, 2, 3):
        photo = described(f"LISTED-{rank}")
        CandidateFactory(search=search, rank=rank, photo=photo, score=0.9 - rank / 100)
    examine(examiner(), search, same=(1,))
    examine(examiner(), search, same=(1,))
    return Lead.objects.get(search=search)


def others(count: int = 5) -> list[Photo]:
    return [described(f"OTHER-{number}", born=1980 + number) for number in range(count)]


def exported(lead: Lead) -> Lineup:
    return lineup.export(by=investigator_of(lead), lead=lead)


def people_of(made: Lineup) -> set[str]:
    shown = Photo.objects.filter(pk__in=made.photos).select_related("booking__person")
    return {photo.booking.person.person_id for photo in shown}


def nearest(lead: Lead, count: int) -> list[str]:
    photo = lead.candidate.photo
    assert photo
    found = lineup.fillers(lead.candidate, photo)[:count]
    return [Photo.objects.get(pk=pk).booking.person.person_id for pk in found]


def test_without_evidence_there_is_no_line_up_and_with_it_there_is(lead: Lead):
    others()
    with pytest.raises(WrongState, match="independent evidence"):
        exported(lead)
    recorded(lead)
    made = exported(lead)
    assert len(made.photos) == 6
    assert people_of(made) == {"LISTED-1", *(f"OTHER-{number}" for number in range(5))}
    assert lead.candidate.photo_id
    assert made.photos[made.candidate_place - 1] == str(lead.candidate.photo_id)
    entry = Entry.objects.get(act="lineup.exported", outcome="done")
    assert entry.details == {"lineup": str(made.pk), "places": 6}


def test_nobody_else_exports_one(lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]):
    others()
    recorded(lead)
    for person, status in ((investigator(), 404), (lead.first.examiner, 403), (supervisor(), 403)):
        with pytest.raises(NotAllowed):
            lineup.export(by=person, lead=lead)
        assert page(person).post(f"/reviews/leads/{lead.pk}/lineups").status_code == status
        assert api(person).post(f"/api/v1/leads/{lead.pk}/lineups").status_code == status
        assert api(person).get(f"/api/v1/leads/{lead.pk}/lineups").status_code == status
    assert not Lineup.objects.exists()


def test_a_withdrawn_lead_has_no_line_up(lead: Lead):
    others()
    recorded(lead)
    with pytest.raises(WrongState, match="withdrawn"):
        exported(withdrawn(lead))


def test_a_lead_found_false_has_no_line_up_until_that_is_corrected(lead: Lead):
    others()
    recorded(lead)
    outcomes.record_outcome(by=investigator_of(lead), lead=lead, outcome="false_lead")
    with pytest.raises(WrongState, match="found false"):
        exported(lead)
    outcomes.record_outcome(by=investigator_of(lead), lead=lead, outcome="no_use")
    assert exported(lead)


def test_fillers_are_of_the_same_recorded_sex_enrolled_other_people_and_not_of_the_list(lead: Lead):
    photo = lead.candidate.photo
    assert photo
    described("WOMAN", sex="F")
    described("NOT-RECORDED", sex="")
    for state in (Photo.State.WAITING, Photo.State.REFUSED):
        one = described(f"IS-{state}")
        Photo.objects.filter(pk=one.pk).update(state=state)
    PhotoFactory(booking__person=photo.booking.person)  # the candidate again, at another arrest
    same_file = described("SAME-FILE")
    Photo.objects.filter(pk=same_file.pk).update(sha256=photo.sha256)
    listed = lead.search.candidates.get(rank=2).person
    assert listed
    PhotoFactory(booking__person=listed)  # somebody of the list, by another photograph
    described("FILLER")
    assert nearest(lead, 20) == ["FILLER"]


def test_the_nearest_by_year_of_birth_height_and_weight_come_first_and_the_unrecorded_last(lead: Lead):
    described("FAR", born=1950, height=62, weight=260)
    described("OLDER", born=1974)
    described("TALLER", height=72)
    described("SAME")
    described("HEAVIER", weight=255)
    bare = described("BARE")
    type(bare.booking).objects.filter(pk=bare.booking_id).update(height_in=None, weight_lb=None)
    assert nearest(lead, 20) == ["SAME", "TALLER", "OLDER", "HEAVIER", "FAR", "BARE"]


def test_each_person_is_in_it_once_by_the_photograph_that_is_nearest_and_in_the_same_pose_if_there_is_one(lead: Lead):
    photo = lead.candidate.photo
    assert photo
    Photo.objects.filter(pk=photo.pk).update(pose="frontal")
    one = described("ONE")
    profile = PhotoFactory(booking=one.booking, pose="profile")
    frontal = PhotoFactory(booking=one.booking, pose="frontal")
    photo.refresh_from_db()
    found = list(lineup.fillers(lead.candidate, photo))
    assert found == [frontal.pk]
    Photo.objects.filter(pk__in=[frontal.pk, one.pk]).delete()
    assert list(lineup.fillers(lead.candidate, photo)) == [profile.pk]


def test_fillers_are_never_chosen_by_face(lead: Lead, django_assert_num_queries: Any):
    """The query touches no vector and no table that holds any, and no model is loaded for it."""
    photo = lead.candidate.photo
    assert photo
    asked = str(lineup.fillers(lead.candidate, photo).query).lower()
    for table in ("gallery_template", "sealed_vector", "probes_siblingphoto", "score", "quality", "faces"):
        assert table not in asked
    with django_assert_num_queries(1):
        list(lineup.fillers(lead.candidate, photo))


def test_without_enough_people_or_a_recorded_sex_it_says_so(lead: Lead):
    others(3)
    recorded(lead)
    with pytest.raises(WrongState, match="has 3 of the 5 people"):
        exported(lead)
    person = lead.candidate.person
    assert person
    type(person).objects.filter(pk=person.pk).update(sex="")
    with pytest.raises(WrongState, match="sex is not recorded"):
        exported(lead)
    assert not Lineup.objects.exists()


def test_the_candidates_place_is_random(lead: Lead):
    others()
    recorded(lead)
    places = {exported(lead).candidate_place for _ in range(30)}
    assert len(places) > 2
    assert places <= set(range(1, 7))


# --- the page ---------------------------------------------------------------------------------------


def pictured(made: Lineup) -> None:
    for number, photo in enumerate(Photo.objects.filter(pk__in=made.photos)):
        vault.create_key(photo.booking_id)
        grey = np.full((320, 240, 3), 40 + number * 10, dtype=np.uint8)
        vault.store_file(photo.booking_id, photo.pk, images.encode_png(grey))


def test_the_page_and_the_api_show_the_people_the_statement_and_the_notice_and_not_who_the_candidate_is(
    lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]
):
    others()
    recorded(lead)
    browser, client = page(investigator_of(lead)), api(investigator_of(lead))
    browser.post(f"/reviews/leads/{lead.pk}/lineups")
    made = lead.lineups.get()
    pictured(made)
    at = f"leads/{lead.pk}/lineups/{made.pk}"
    shown, answer = browser.get(f"/reviews/{at}"), client.get(f"/api/v1/{at}")
    for text in (shown.text, answer.text):
        assert lineup.STATEMENT in text
        assert notice.TEXT in text
        assert text.count(".jpg") == 6
        for part in ("LISTED", "OTHER", "candidate_place", str(lead.candidate_id), *made.photos):
            assert part not in text
    before = Entry.objects.count()
    for place in range(1, 7):
        answer = browser.get(f"/reviews/{at}/{place}.jpg")
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg")
        assert client.get(f"/api/v1/{at}/{place}.jpg").status_code == 200
    assert Entry.objects.filter(number__gt=before, act="lineup.photo-viewed", object_id=str(made.pk)).count() == 12
    assert browser.get(f"/reviews/{at}/7.jpg").status_code == 404
    assert client.post(f"/api/v1/leads/{lead.pk}/lineups").status_code == 201
    assert len(client.get(f"/api/v1/leads/{lead.pk}/lineups").json()) == 2


def test_only_investigators_on_the_case_see_a_line_up_and_only_under_its_own_lead(
    lead: Lead, page: Callable[[User], Any], api: Callable[[User], Any]
):
    others()
    recorded(lead)
    made = exported(lead)
    pictured(made)
    for person, status in ((investigator_of(lead), 200), (investigator(), 404), (lead.first.examiner, 403)):
        for path in ("", "/1.jpg"):
            at = f"leads/{lead.pk}/lineups/{made.pk}{path}"
            assert page(person).get(f"/reviews/{at}").status_code == status
            assert api(person).get(f"/api/v1/{at}").status_code == status
    other = Lead.objects.exclude(pk=lead.pk).first() or _another(investigator_of(lead))
    assert page(investigator_of(lead)).get(f"/reviews/leads/{other.pk}/lineups/{made.pk}").status_code == 404


def _another(mine: User) -> Lead:
    from tests.reviews.leads import a_lead

    lead = a_lead(probe__case__opened_by=mine)
    assert investigator_of(lead) == mine
    return lead


def test_a_filler_that_is_not_shown_any_more_leaves_a_gap(lead: Lead, page: Callable[[User], Any]):
    fillers = others()
    recorded(lead)
    made = exported(lead)
    pictured(made)
    place = made.photos.index(str(fillers[0].pk)) + 1
    Photo.objects.filter(pk=fillers[0].pk).update(state=Photo.State.REFUSED)
    browser, at = page(investigator_of(lead)), f"/reviews/leads/{lead.pk}/lineups/{made.pk}"
    shown = browser.get(at).text
    assert shown.count(".jpg") == 5
    assert f"/{place}.jpg" not in shown
    assert "not shown any more" in shown
    assert browser.get(f"{at}/{place}.jpg").status_code == 404


def test_the_line_up_of_a_withdrawn_lead_shows_nobody(lead: Lead, page: Callable[[User], Any]):
    others()
    recorded(lead)
    made = exported(lead)
    pictured(made)
    leads.withdraw(by=supervisor(), lead=lead, reason="The certificate was forged")
    browser, at = page(investigator_of(lead)), f"/reviews/leads/{lead.pk}/lineups/{made.pk}"
    shown = browser.get(at).text
    assert ".jpg" not in shown
    assert "The lead is withdrawn" in shown
    assert browser.get(f"{at}/1.jpg").status_code == 404


# --- PostgreSQL -------------------------------------------------------------------------------------


def test_postgresql_refuses_a_line_up_without_evidence_of_a_withdrawn_lead_or_without_its_candidate(lead: Lead):
    row: dict[str, Any] = {"lead": lead, "photos": ["a", "b"], "candidate_place": 1, "exported_by": investigator()}
    with refused("without independent evidence"):
        Lineup.objects.create(**row)
    recorded(lead)
    with refused("one of the places"):
        Lineup.objects.create(**{**row, "candidate_place": 3})
    with refused("one of the places"):
        Lineup.objects.create(**{**row, "candidate_place": 0})
    Lineup.objects.create(**row)
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE waits for no foreign key to be looked at
    for statement in (
        "UPDATE reviews_lineup SET photos = '[]'",
        "DELETE FROM reviews_lineup",
        "TRUNCATE reviews_lineup",
    ):
        with refused("added, never changed"):
            sql(statement)
    withdrawn(lead)
    with refused("withdrawn lead"):
        Lineup.objects.create(**row)


def test_somebody_born_on_no_recorded_day_is_compared_by_the_rest(lead: Lead):
    person = lead.candidate.person
    assert person
    rename(person.pk, date_of_birth=None)
    lead = Lead.objects.get(pk=lead.pk)
    described("TALLER", height=80, born=1980)
    described("SAME", born=1901)
    assert nearest(lead, 2) == ["SAME", "TALLER"]
