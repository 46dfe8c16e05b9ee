"""What must hold of the correlations for any predictions: in [-1, 1] or a named error, and their invariances."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoom_iqa.base.errors import UndefinedMetricError
from zoom_iqa.base.types import ParseFailure
from zoom_iqa.metrics.correlation import krcc, plcc, srcc
from zoom_iqa.metrics.fits import isotonic_fit, plcc_isotonic, plcc_logistic4, srcc_isotonic
from zoom_iqa.metrics.summary import ImageOutcome, summarize

HUNDREDTHS = st.integers(100, 500).map(lambda n: n / 100)
PAIRS = st.lists(st.tuples(HUNDREDTHS, HUNDREDTHS), min_size=0, max_size=30)
METRICS = [srcc, plcc, krcc, plcc_isotonic, srcc_isotonic, plcc_logistic4]


def split(pairs):
    return [x for x, _ in pairs], [y for _, y in pairs]


def value_or_none(metric, x, y):
    try:
        return metric(x, y)
    except UndefinedMetricError:
        return None


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=25)
@given(pairs=PAIRS)
def test_a_number_in_range_or_a_named_error(metric, pairs):
    value = value_or_none(metric, *split(pairs))
    assert value is None or -1.0 <= value <= 1.0


@given(pairs=st.lists(st.tuples(st.floats(-1e200, 1e200), st.floats(-1e200, 1e200)), min_size=3, max_size=10))
def test_extreme_floats_never_give_nan(pairs):
    for metric in (srcc, plcc, krcc):
        value = value_or_none(metric, *split(pairs))
        assert value is None or math.isfinite(value)


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=25)
@given(pairs=PAIRS, random=st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(metric, pairs, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    value, other = value_or_none(metric, *split(pairs)), value_or_none(metric, *split(shuffled))
    assert value == (None if other is None else pytest.approx(other, abs=1e-9))


@given(pairs=PAIRS)
def test_rank_metrics_see_only_order(pairs):
    x, y = split(pairs)
    for metric in (srcc, krcc, plcc_isotonic, srcc_isotonic):
        value, other = value_or_none(metric, x, y), value_or_none(metric, np.exp(x), y)
        assert value == (None if other is None else pytest.approx(other, abs=1e-12))


@given(pairs=PAIRS, scale=st.sampled_from([0.01, 3.0, 1000.0]), shift=st.sampled_from([-5.0, 0.0, 70.0]))
def test_plcc_ignores_scale_and_shift(pairs, scale, shift):
    x, y = split(pairs)
    value, other = value_or_none(plcc, x, y), value_or_none(plcc, scale * np.array(x) + shift, y)
    assert value == (None if other is None else pytest.approx(other, abs=1e-9))


@given(pairs=PAIRS)
def test_isotonic_fit_is_rising_keeps_the_mean_and_is_idempotent(pairs):
    if not pairs:
        return
    x, y = (np.array(column) for column in split(pairs))
    fitted = isotonic_fit(x, y)
    assert (np.diff(fitted[np.argsort(x, kind="stable")]) >= -1e-12).all()
    assert fitted.mean() == pytest.approx(y.mean())
    np.testing.assert_allclose(isotonic_fit(x, fitted), fitted, atol=1e-9)


@given(
    st.lists(
        st.tuples(st.one_of(HUNDREDTHS, st.sampled_from(["missing_answer", "bad_rating"])), HUNDREDTHS),
        min_size=1,
        max_size=12,
    )
)
def test_any_mixture_of_ratings_and_failures_can_be_summarised(rows):
    outcomes = [
        ImageOutcome(
            rating=ParseFailure(rating, "") if isinstance(rating, str) else rating,
            mos=mos,
            cropped=False,
            well_formed=not isinstance(rating, str),
            routing_warning=rating if isinstance(rating, str) else None,
        )
        for rating, mos in rows
    ]
    summary = summarize(outcomes, n_resamples=20, seed=0)
    assert summary.n_valid + sum(summary.failures.values()) == summary.n == len(rows)
    assert 0 <= summary.unique_score_ratio <= summary.valid_rate
