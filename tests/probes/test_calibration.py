"""How often people who are not in the gallery are mistaken for people who are, measured and never overstated."""

import io
import signal
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from mugsearch.audit.models import Entry, Outcome
from mugsearch.errors import NotAllowed, WrongState
from mugsearch.gallery import changes, encoding, filling
from mugsearch.gallery.models import Booking, Encoder, Person, Photo, Template
from mugsearch.probes import calibrating, calibration
from mugsearch.probes.calibration import fpir
from mugsearch.probes.models import Calibration
from mugsearch.vault import services as vault
from tests.factories import BookingFactory, SearchFactory, administrator, auditor, measured
from tests.gallery_rows import enrol
from tests.reviews.test_database_rules import refused, sql

pytestmark = pytest.mark.django_db


@pytest.fixture
def gallery(fake_encoder: Any) -> list[Photo]:
    """Twelve people; the first three have three photographs each, of different bookings."""
    photos = [enrol(number) for number in range(12)]
    for number in range(3):
        for variant in (1, 2):
            booking = BookingFactory(person=photos[number].booking.person)
            photos.append(enrol(number, variant=variant, booking=booking))
    return photos


def by_brute_force(drawn: list[int]) -> list[float]:
    """The best cosine of each drawn template with any template of another person, ascending."""
    templates = list(filling.templates(encoding.active()))
    whose = np.array([str(one.photo.booking.person_id) for one in templates])
    with filling.unsealed(templates, encoding.active()) as (ids, rows, _):
        cosines = rows.astype(float) @ rows.astype(float).T
        best = [cosines[at][whose != whose[at]].max() for at, pk in enumerate(ids.tolist()) if pk in drawn]
    return sorted(round(float(one), 4) for one in best)


def expunge(photo: Photo) -> None:
    """As an expungement leaves it: no rows, no key."""
    templates = list(Template.objects.filter(photo=photo))
    changes.drop(templates)
    Template.objects.filter(photo=photo).delete()
    Photo.objects.filter(pk=photo.pk).delete()
    vault.destroy_key(photo.booking_id)


def test_the_scores_are_those_of_comparing_everybody_with_everybody_else(
    gallery: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrating, "BATCH", 5)
    made = calibrating.calibrate(by=administrator())
    drawn = calibrating.draw(encoding.active(), 2000, made.seed)
    assert made.people == len(made.scores) == len(drawn) == 12
    assert made.scores == pytest.approx(by_brute_force(drawn), abs=1e-4)
    assert made.gallery_size == 18
    assert made.generation == changes.latest()


def test_a_persons_own_photographs_of_other_bookings_are_left_out(gallery: list[Photo]) -> None:
    """With one of them the best score would be near 0.9; strangers are near 0."""
    made = calibrating.calibrate(by=administrator())
    assert max(made.scores) < 0.5


def test_one_face_under_two_person_numbers_counts_as_a_false_positive(gallery: list[Photo]) -> None:
    enrol(5, variant=1)
    assert sum(score > 0.8 for score in calibrating.calibrate(by=administrator()).scores) == 2


def test_photographs_that_come_during_a_search_are_their_persons_too(
    gallery: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    person, searched = gallery[0].booking.person, calibrating._answers

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(calibrating, "_answers", searched)
        for variant in range(3, 9):
            enrol(0, variant=variant, booking=BookingFactory(person=person))
        return searched(*arguments)

    monkeypatch.setattr(calibrating, "_answers", meanwhile)
    monkeypatch.setattr(calibrating, "has_drifted", lambda *_: False)
    made = calibrating.calibrate(by=administrator())
    assert made.people == 12
    assert max(made.scores) < 0.5
    assert made.gallery_size == 24


@pytest.mark.parametrize("when", ["before", "after"])
def test_somebody_expunged_meanwhile_is_neither_searched_nor_found(
    when: str, gallery: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, near = enrol(40), enrol(40, variant=1)  # each would be the other's false positive
    searched = calibrating._answers

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(calibrating, "_answers", searched)
        if when == "before":
            expunge(gone)
            return searched(*arguments)
        answers = searched(*arguments)
        expunge(gone)
        return answers

    monkeypatch.setattr(calibrating, "_answers", meanwhile)
    made = calibrating.calibrate(by=administrator())
    assert made.people == 13
    assert max(made.scores) < 0.5
    assert Entry.objects.get(act="calibration.made").details["left_out"] == 1
    assert near.booking.person_id != gone.booking.person_id


def test_the_same_seed_draws_the_same_people_and_another_one_others(gallery: list[Photo]) -> None:
    encoder = encoding.active()
    drawn = calibrating.draw(encoder, 6, "one")
    assert drawn == calibrating.draw(encoder, 6, "one")
    assert set(drawn) != set(calibrating.draw(encoder, 6, "two"))
    assert drawn == calibrating.draw(encoder, 12, "one")[:6]
    people = Template.objects.filter(pk__in=drawn).values_list("photo__booking__person", flat=True)
    assert len(set(people)) == 6


def test_everybody_is_drawn_equally_often_whatever_their_photographs(gallery: list[Photo]) -> None:
    encoder, many = encoding.active(), gallery[0].booking.person_id
    owners = dict(Template.objects.values_list("pk", "photo__booking__person"))
    often = sum(many in [owners[pk] for pk in calibrating.draw(encoder, 3, f"seed {n}")] for n in range(200))
    assert 25 <= often <= 77  # 50 expected of three among twelve; 110 if photographs counted
    photos = {pk for n in range(30) for pk in calibrating.draw(encoder, 12, f"{n}") if owners[pk] == many}
    assert len(photos) == 3


def test_a_photograph_that_cannot_be_searched_is_not_drawn(gallery: list[Photo]) -> None:
    Photo.objects.filter(pk=gallery[11].pk).update(state=Photo.State.WAITING)
    (waiting,) = Template.objects.filter(photo=gallery[11]).values_list("pk", flat=True)
    assert waiting not in calibrating.draw(encoding.active(), 12, "seed")
    assert calibrating.calibrate(by=administrator()).people == 11


def test_only_administrators_measure_and_the_record_says_who_and_what(gallery: list[Photo]) -> None:
    with pytest.raises(NotAllowed):
        calibrating.calibrate(by=auditor())
    assert Entry.objects.get(act="calibration.made").outcome == Outcome.REFUSED
    chief = administrator()
    made = calibrating.calibrate(by=chief, people=5)
    entry = Entry.objects.get(act="calibration.made", outcome=Outcome.DONE)
    assert (entry.actor, entry.object_id) == (chief.pk, str(made.pk))
    assert entry.details["people"] == made.people == 5
    assert "scores" not in entry.details


def test_vectors_are_wiped_once_they_were_searched(gallery: list[Photo], monkeypatch: pytest.MonkeyPatch) -> None:
    seen, searched = [], calibrating._answers

    def watched(encoder: Encoder, rows: Any, depth: int) -> Any:
        seen.append(rows)
        assert np.abs(rows).max() > 0
        return searched(encoder, rows, depth)

    monkeypatch.setattr(calibrating, "_answers", watched)
    calibrating.calibrate(by=administrator())
    assert seen
    assert not any(np.any(rows) for rows in seen)


def test_nobody_is_mistaken_for_anybody_where_there_is_nobody_else(fake_encoder: Any) -> None:
    chief, booking = administrator(), BookingFactory()
    for variant in range(3):  # nobody at all, one photograph, two of one person
        with pytest.raises(WrongState, match="fewer than two people"):
            calibrating.calibrate(by=chief)
        enrol(1, variant=variant, booking=BookingFactory(person=booking.person))
    enrol(2)
    assert calibrating.calibrate(by=administrator()).people == 2


def test_a_gallery_that_changes_much_meanwhile_is_not_recorded(
    gallery: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrating, "BATCH", 11)

    def grow(done: int, total: int) -> None:
        if done < total:
            for number in range(20, 26):
                enrol(number)

    with pytest.raises(WrongState, match="from 18 to 24"):
        calibrating.calibrate(by=administrator(), report=grow)
    assert not Calibration.objects.exists()


def test_an_encoder_changed_meanwhile_is_not_calibrated(gallery: list[Photo]) -> None:
    with pytest.raises(WrongState, match="encoder"):
        calibrating.calibrate(
            by=administrator(), report=lambda *_: Encoder.objects.update(state=Encoder.State.RETIRED) and None
        )
    assert not Calibration.objects.exists()


# --- the rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "count"), [(-1, 5), (0.1, 5), (0.1001, 4), (0.3, 3), (0.30004, 3), (0.3001, 1), (0.9, 1), (0.91, 0)]
)
def test_the_rate_counts_every_search_that_reaches_the_score(threshold: float, count: int) -> None:
    assert fpir([0.1, 0.2, 0.3, 0.3, 0.9], threshold).count == count


def test_a_search_at_the_very_score_counts_although_scores_are_kept_to_four_decimals(gallery: list[Photo]) -> None:
    for score in np.random.default_rng(3).uniform(-1, 1, 500).round(6).tolist():
        assert fpir([round(score, 4)], score).count == 1


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # Wilson's interval as published: Newcombe 1998 has 81 of 263 and 15 of 148, 0 of 20 is the rule of three.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.15), (0, 2, 0, 1), (29, 29, 0.8830, 1)],
)
def test_the_interval_is_wilsons_and_three_by_n_where_nothing_was_seen(
    count: int, of: int, low: float, high: float
) -> None:
    found = fpir([0.1] * (of - count) + [0.5] * count, 0.4)
    assert found.rate == count / of
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_without_a_search_there_is_no_rate() -> None:
    with pytest.raises(ValueError, match="no search"):
        fpir([], 0.3)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0 %"), (1, "100 %"), (0.12345, "12.3 %"), (0.0123, "1.2 %"), (0.0015, "0.15 %"), (0.000451, "0.045 %")],
)
def test_shares_are_written_as_people_read_them(share: float, words: str) -> None:
    assert plain(calibration.percent(share)) == words


def test_a_rate_says_of_how_many_and_how_sure() -> None:
    some, none = fpir([0.1] * 1997 + [0.5] * 3, 0.4), fpir([0.1] * 2000, 0.4)
    assert plain(some.words) == "0.15 %, 3 of 2,000 searches (95 % interval 0.051 % to 0.44 %)"
    assert plain(none.words) == "below 0.15 % with 95 % confidence, 0 of 2,000 searches"


# --- what counts for a search -----------------------------------------------------------------------------------------


def test_the_latest_measurement_with_the_encoder_of_the_search_counts() -> None:
    search = SearchFactory()
    assert calibration.of_search(search).at(0.3) is None
    other = Encoder.objects.create(spec="x", name="x", digest="e" * 64, dimension=128, licence="x", state="retired")
    measured(encoder=other, scores=[0.9])
    assert calibration.of_search(search).at(0.3) is None
    measured(encoder=search.encoder, scores=[0.8])
    last = measured(encoder=search.encoder)
    found = calibration.of_search(search).at(0.3)
    assert found is not None
    assert (found.rate.count, found.rate.searches, found.calibration) == (2, 4, last)
    assert calibration.of_search(search).at(None) is None


@pytest.mark.parametrize(("size", "words"), [(120, ""), (121, "higher"), (80, ""), (79, "lower")])
def test_a_gallery_of_another_size_is_told(size: int, words: str) -> None:
    search = SearchFactory(gallery_size=size, depth=1, scanned=1, rescored=1)
    measured(encoder=search.encoder)
    found = calibration.of_search(search).at(0.3)
    assert found is not None
    assert found.caveats[0] == calibration.LIKE_BOOKINGS
    assert len(found.caveats) == (2 if words else 1)
    assert words in found.caveats[-1]


def test_a_narrowed_search_is_told() -> None:
    search = SearchFactory(filters={"sexes": ["F"]})
    measured(encoder=search.encoder)
    found = calibration.of_search(search).at(0.3)
    assert found is not None
    assert "narrowed" in found.caveats[-1]


# --- PostgreSQL and the command ---------------------------------------------------------------------------------------


def test_postgresql_lets_nobody_change_or_delete_a_measurement(gallery: list[Photo]) -> None:
    made = calibrating.calibrate(by=administrator())
    with refused("stays as it was measured"):
        Calibration.objects.filter(pk=made.pk).update(scores=[*made.scores[:-1], 0.0])
    with refused("stays as it was measured"):
        Calibration.objects.filter(pk=made.pk).delete()
    sql("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE waits for no foreign key to be looked at
    with refused("stays as it was measured"):
        sql("TRUNCATE probes_calibration")
    for scores in ([0.1], {"a": 1}, "x"):
        with refused("calibration_has_a_score_of_each"):
            measured(encoder=made.encoder, people=2, scores=scores)
    with refused("calibration_of_somebody_among_others"):
        measured(encoder=made.encoder, gallery_size=3)


def test_a_measurement_names_nobody(gallery: list[Photo]) -> None:
    made = calibrating.calibrate(by=administrator())
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(c)::text FROM probes_calibration c WHERE number = %s", [made.pk])
        text = cursor.fetchone()[0]
    for one in (*Person.objects.all(), *Booking.objects.all(), *Photo.objects.all()):
        assert str(one.pk) not in text


def called(*arguments: str) -> str:
    out = io.StringIO()
    call_command("calibrate", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_command_says_what_was_measured_and_what_it_means(gallery: list[Photo]) -> None:
    said = called("--sample", "10", "--seed", "abc")
    assert "Measured with 10 people" in said
    assert "among 18" in said
    assert "0.70   below 30.0 % with 95 % confidence, 0 of 10 searches" in plain(said)
    assert "find_duplicates" not in said
    assert Calibration.objects.get().seed == "abc"
    enrol(5, variant=1)
    assert "2 scored 0.6 or more" in called()


@pytest.mark.parametrize("sample", ["0", "-3", "20001"])
def test_the_command_refuses_what_cannot_be_measured(sample: str, gallery: list[Photo]) -> None:
    with pytest.raises(CommandError, match="Nothing was recorded"):
        called("--sample", sample)


def test_ctrl_c_leaves_nothing_and_breaks_no_change_of_the_index_off(
    gallery: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrating, "BATCH", 4)
    searched, searches = calibrating._answers, []

    def interrupted(*arguments: Any) -> Any:
        answers = searched(*arguments)
        searches.append(1)
        signal.raise_signal(signal.SIGINT)
        return answers

    monkeypatch.setattr(calibrating, "_answers", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        called()
    assert ended.value.code == 130
    assert len(searches) == 1
    assert not Calibration.objects.exists()
    assert not Entry.objects.filter(act="calibration.made").exists()
    assert signal.getsignal(signal.SIGINT) == before
