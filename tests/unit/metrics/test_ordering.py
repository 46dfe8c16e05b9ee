"""Pairs of answers in the right order: by a loop over pairs, by Kendall's tau, and that losing answers never pays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from zoom_iqa.base.errors import DataError, UndefinedMetricError
from zoom_iqa.metrics.ordering import pair_accuracy

NAN = float("nan")


def by_loop(ratings: list[list[float]], mos: list[float]) -> float:
    right = total = 0.0
    for i, j in itertools.combinations(range(len(mos)), 2):
        if mos[i] == mos[j]:
            continue
        for a, b in itertools.product(ratings[i], ratings[j]):
            total += 1
            if not (np.isnan(a) or np.isnan(b)):
                right += 0.5 if a == b else float((a < b) == (mos[i] < mos[j]))
    return right / total


def test_by_hand() -> None:
    # pairs with different MOS: (1,2) right, (1,3) equal ratings, (1,4) lost, (2,3) none: same MOS, (2,4) and (3,4) lost
    found = pair_accuracy([[2.0], [3.0], [2.0], [NAN]], [1.0, 4.0, 4.0, 5.0])
    assert found.value == pytest.approx((1 + 0.5) / 5)
    assert found.sd is None


def test_the_standard_deviation_by_hand() -> None:
    """Of the pairs (1, 2), (1, 4), (3, 2) and (3, 4) the third is wrong.

    Answers of either image win 1 and 1/2 of their pairs: variance 1/8, of the mean of two 1/16; two images have 1/8.
    """
    found = pair_accuracy([[1.0, 3.0], [2.0, 4.0]], [1.0, 2.0])
    assert (found.value, found.sd) == (0.75, pytest.approx(0.125**0.5))


SETS = st.integers(1, 3).flatmap(
    lambda k: st.lists(
        st.tuples(
            st.lists(st.one_of(st.just(NAN), st.integers(100, 130).map(lambda v: v / 100)), min_size=k, max_size=k),
            st.integers(1, 5).map(float),
        ),
        min_size=2,
        max_size=8,
    )
)


@given(SETS)
def test_against_a_loop_over_pairs(images: list[tuple[list[float], float]]) -> None:
    ratings, mos = [list(r) for r, _ in images], [m for _, m in images]
    if len(set(mos)) < 2:
        with pytest.raises(UndefinedMetricError, match="no two images"):
            pair_accuracy(ratings, mos)
        return
    assert pair_accuracy(ratings, mos).value == pytest.approx(by_loop(ratings, mos))


@given(SETS, st.data())
def test_a_lost_answer_never_pays(images: list[tuple[list[float], float]], data: st.DataObject) -> None:
    ratings, mos = np.array([r for r, _ in images]), [m for _, m in images]
    if len(set(mos)) < 2:
        return
    before = pair_accuracy(ratings, mos).value
    lost = data.draw(st.integers(0, ratings.size - 1))
    ratings.flat[lost] = NAN
    assert pair_accuracy(ratings, mos).value <= before + 1e-12


def test_it_is_kendalls_tau_on_a_scale_from_0_to_1() -> None:
    draw = np.random.default_rng(0)
    ratings, mos = draw.random(300), draw.random(300)
    tau = kendalltau(ratings, mos).statistic
    assert pair_accuracy(ratings[:, None], mos).value == pytest.approx((1 + tau) / 2)


def test_its_standard_deviation_is_that_of_answering_anew() -> None:
    draw = np.random.default_rng(0)
    mos = draw.uniform(1, 5, 100)
    found = [pair_accuracy(mos[:, None] + draw.normal(0, 1, (100, 4)), mos) for _ in range(200)]
    spread = np.std([one.value for one in found])
    assert np.mean([one.sd for one in found if one.sd is not None]) == pytest.approx(spread, rel=0.15)


def test_what_does_not_fit_is_refused() -> None:
    for ratings, mos in (
        ([[1.0]], [1.0, 2.0]),
        ([[], []], [1.0, 2.0]),
        ([1.0, 2.0], [1.0, 2.0]),
        ([[1.0], [2.0]], [1.0, NAN]),
    ):
        with pytest.raises(DataError, match="pair_accuracy"):
            pair_accuracy(ratings, mos)
