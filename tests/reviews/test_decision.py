"""What two or three concluded examinations come to, over all policies and conclusions."""

from collections.abc import Sequence
from itertools import permutations, product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviews.decision import Decision, Outcome, Ratings, decide, fused
from reviews.models import Finding

A, B, C = (UUID(int=number) for number in range(1, 4))
RATINGS = [Finding.rating_of(conclusion) for conclusion in Finding.Conclusion.values]
EXAMINATIONS = st.dictionaries(st.sampled_from([A, B, C]), st.sampled_from(RATINGS), max_size=3)
CASES = {
    "examinations": st.lists(EXAMINATIONS, min_size=2, max_size=3),
    "positive": st.integers(1, 3),
    "alive": st.sets(st.sampled_from([A, B, C])),
}


def named_by(examination: Ratings, positive: int) -> list[UUID]:
    """Said once more, plainly."""
    return [one for one in (A, B, C) if (rating := examination.get(one)) is not None and rating >= positive]


@given(**CASES)
def test_somebody_is_confirmed_if_and_only_if_two_name_them_and_nobody_else_and_they_are_alive(
    examinations: Sequence[Ratings], positive: int, alive: set[UUID]
):
    said = [named_by(one, positive) for one in examinations]
    agreed = [one for one in (A, B, C) if said.count([one]) >= 2 and one in alive]
    decision = decide(examinations, positive=positive, alive=alive)
    assert ([decision.candidate] if decision.candidate else []) == agreed
    assert (decision.outcome is Outcome.CONFIRMED) == bool(agreed)
    if agreed:
        assert decision.by is not None
        assert [said[place] for place in decision.by] == [agreed, agreed]


@given(**CASES)
def test_nobody_is_the_outcome_if_and_only_if_nobody_who_lives_was_named(
    examinations: Sequence[Ratings], positive: int, alive: set[UUID]
):
    named = {one for examination in examinations for one in named_by(examination, positive)}
    decision = decide(examinations, positive=positive, alive=alive)
    assert (decision.outcome is Outcome.NOBODY) == (not named & alive)


@given(**CASES)
def test_a_third_is_asked_for_after_two_and_never_after_three(
    examinations: Sequence[Ratings], positive: int, alive: set[UUID]
):
    outcome = decide(examinations, positive=positive, alive=alive).outcome
    assert (
        outcome
        in {
            2: {Outcome.CONFIRMED, Outcome.NOBODY, Outcome.THIRD_NEEDED},
            3: {Outcome.CONFIRMED, Outcome.NOBODY, Outcome.UNRESOLVED},
        }[len(examinations)]
    )


@given(**CASES)
def test_the_order_of_the_examinations_makes_no_difference(
    examinations: Sequence[Ratings], positive: int, alive: set[UUID]
):
    outcomes = {
        (decision.outcome, decision.candidate)
        for order in permutations(examinations)
        for decision in [decide(order, positive=positive, alive=alive)]
    }
    assert len(outcomes) == 1


@given(
    examinations=CASES["examinations"],
    positive=CASES["positive"],
    alive=CASES["alive"],
    weaker=st.dictionaries(st.sampled_from([A, B, C]), st.integers(-3, 3), max_size=3),
)
def test_what_lies_below_the_policys_rating_changes_nothing(
    examinations: list[Ratings], positive: int, alive: set[UUID], weaker: dict[UUID, int]
):
    more = {one: rating for one, rating in weaker.items() if rating < positive}
    named = named_by(examinations[0], positive)
    changed = dict(examinations[0]) | {one: rating for one, rating in more.items() if one not in named}
    assert decide([changed, *examinations[1:]], positive=positive, alive=alive) == decide(
        examinations, positive=positive, alive=alive
    )


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (([A], [A]), Outcome.CONFIRMED),
        (([A], []), Outcome.THIRD_NEEDED),
        (([A], [B]), Outcome.THIRD_NEEDED),
        (([A, B], [A, B]), Outcome.THIRD_NEEDED),
        (([], []), Outcome.NOBODY),
        (([A], [], [A]), Outcome.CONFIRMED),
        (([A], [B], [B]), Outcome.CONFIRMED),
        (([A], [], []), Outcome.UNRESOLVED),
        (([A, B], [A, B], [A]), Outcome.UNRESOLVED),
        (([A], [B], [C]), Outcome.UNRESOLVED),
    ],
)
def test_by_example(said: tuple[list[UUID], ...], outcome: Outcome):
    examinations: list[Ratings] = [{one: 2 if one in named else -3 for one in (A, B, C)} for named in said]
    assert decide(examinations, positive=2, alive={A, B, C}).outcome is outcome


def test_one_examination_decides_nothing_and_neither_do_four():
    for many in (0, 1, 4):
        with pytest.raises(ValueError, match="decide nothing"):
            decide([{A: 3}] * many, positive=2, alive={A})


def test_nobody_on_the_list_is_nobody():
    assert decide([{}, {}], positive=2, alive=set()) == Decision(Outcome.NOBODY)


def test_the_fused_rating_is_the_mean_of_those_who_rated():
    assert fused([3, 1]) == 2
    assert fused([3, -3, 2]) == pytest.approx(2 / 3)
    assert fused([3, None]) == 3
    assert fused([None, None]) is None
    for one, other in product(RATINGS, repeat=2):
        assert fused([one, other]) == fused([other, one])
