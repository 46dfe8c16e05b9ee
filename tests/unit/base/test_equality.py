"""Scores that differ by the last digits of a sum are one score; all others stay apart."""

from __future__ import annotations

import statistics
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zoom_iqa.base.equality import EQUAL_MOS, snapped


def test_by_hand() -> None:
    # 4e-12 apart at 3.1 is rounding (up to 3.1e-10), 1e-9 is not
    given_values = [4.0, 3.1 + 4e-12, 2.0, 3.1, 3.1 + 1e-9, 3.1 - 4e-12]
    assert snapped(given_values).tolist() == [4.0, 3.1 - 4e-12, 2.0, 3.1 - 4e-12, 3.1 + 1e-9, 3.1 - 4e-12]
    assert snapped([]).tolist() == []
    assert snapped([0.0, 0.0]).tolist() == [0.0, 0.0]
    assert snapped([1.0, 2.0, 1e-17, 0.0]).tolist() == [1.0, 2.0, 0.0, 0.0]  # a difference of sums beside whole numbers


def test_one_value_far_from_all_others_makes_none_of_them_equal() -> None:
    assert snapped([1.0, 2.0, 3.0, 4.0, 1e11]).tolist() == [1.0, 2.0, 3.0, 4.0, 1e11]
    assert snapped([1e11, 1e11 + 1, 2.0]).tolist() == [1e11, 1e11, 2.0]


@given(st.lists(st.integers(93, 157).flatmap(lambda n: st.tuples(st.integers(n, 5 * n), st.just(n))), max_size=60))
def test_vote_means_of_twelve_digit_shares_are_as_many_as_the_exact_ones(votes: list[tuple[int, int]]) -> None:
    """Sums of votes over their number, as KonIQ-10k writes them: shares of 1 and 5 with 12 digits."""
    means = []
    for total, count in votes:
        fives = Fraction(total - count, 4 * count)  # the share of 5 in votes of 1 and 5 that have this mean
        means.append(round(float(1 - fives), 12) + 5 * round(float(fives), 12))
    assert len(set(snapped(means))) == len({Fraction(total, count) for total, count in votes})


@given(st.lists(st.lists(st.integers(100, 500), min_size=7, max_size=7), min_size=1, max_size=20))
def test_means_of_equal_sums_are_equal(hundredths: list[list[int]]) -> None:
    means = [statistics.fmean(n / 100 for n in ratings) for ratings in hundredths]
    ranks = np.unique(snapped(means), return_inverse=True)[1]
    expected = np.unique([sum(ratings) for ratings in hundredths], return_inverse=True)[1]
    assert ranks.tolist() == expected.tolist()


@given(st.lists(st.floats(-1e6, 1e6)))
def test_order_is_kept_and_snapping_twice_changes_nothing(values: list[float]) -> None:
    once = snapped(values)
    assert np.all(np.diff(once[np.argsort(values, kind="stable")]) >= 0)
    assert snapped(once).tolist() == once.tolist()


def test_scores_on_the_scale_share_the_tolerance() -> None:
    assert snapped([5.0, 5.0 - 0.9 * EQUAL_MOS, 5.0 - 2.0 * EQUAL_MOS]).tolist()[0] == 5.0 - 0.9 * EQUAL_MOS
