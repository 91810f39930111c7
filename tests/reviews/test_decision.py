"""What two concluded examinations come to, over all small cases."""

from itertools import product
from uuid import UUID

import pytest

from reviews.decision import decide
from reviews.models import Finding

A, B, C = (UUID(int=number) for number in range(1, 4))
SAME, DIFFERENT = Finding.Conclusion.SAME, Finding.Conclusion.DIFFERENT
EVERY_LIST = [dict(zip((A, B, C), said, strict=True)) for said in product(Finding.Conclusion.values, repeat=3)]


@pytest.mark.parametrize("alive", [{A, B, C}, {A, B}, {A}, set()])
def test_a_lead_is_the_one_living_candidate_both_and_only_it_confirmed(alive: set[UUID]):
    for first, second in product(EVERY_LIST, repeat=2):
        lead = decide(first, second, alive=alive)
        agreed = [
            one
            for one in (A, B, C)
            if first[one] == second[one] == SAME
            and list(first.values()).count(SAME) == 1
            and list(second.values()).count(SAME) == 1
        ]
        assert lead == (agreed[0] if agreed and agreed[0] in alive else None)


def test_the_order_of_the_two_makes_no_difference():
    for first, second in product(EVERY_LIST, repeat=2):
        assert decide(first, second, alive={A, B, C}) == decide(second, first, alive={A, B, C})


def test_nobody_on_the_list_makes_no_lead():
    assert decide({}, {}, alive=set()) is None
    assert decide({A: DIFFERENT}, {}, alive={A}) is None
