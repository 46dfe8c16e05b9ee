"""The difference of two correlations is that of their values, with the paired interval of the same images."""

import numpy as np
import pytest

from zoom_iqa.base.errors import UndefinedMetricError
from zoom_iqa.metrics.correlation import plcc, srcc
from zoom_iqa.metrics.differences import correlation_difference
from zoom_iqa.metrics.intervals import bootstrap_difference


@pytest.mark.parametrize(("metric", "of"), [("srcc", srcc), ("plcc", plcc)])
def test_it_is_the_difference_of_the_two_with_its_paired_interval(metric, of):
    draws = np.random.default_rng(0)
    mos = draws.uniform(1, 5, 30)
    better, worse = mos + draws.normal(0, 0.2, 30), mos + draws.normal(0, 2, 30)
    settings = {"metric": metric, "n_resamples": 50, "seed": 3, "clusters": [n // 2 for n in range(30)]}

    found = correlation_difference(better, worse, mos, **settings)

    assert found.value == of(better, mos) - of(worse, mos)
    assert found.interval == bootstrap_difference(better, worse, mos, **settings)
    assert found.images == 30


def test_a_baseline_that_says_one_number_has_none():
    rising = [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(UndefinedMetricError, match="all predictions are equal"):
        correlation_difference(rising, [2.0] * 4, rising, metric="srcc", n_resamples=10, seed=0, clusters=range(4))
