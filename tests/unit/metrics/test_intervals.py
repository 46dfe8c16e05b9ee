import statistics

import numpy as np
import pytest
from scipy import stats

from zoom_iqa.base.errors import DataError, UndefinedMetricError
from zoom_iqa.metrics import intervals
from zoom_iqa.metrics.correlation import plcc, srcc
from zoom_iqa.metrics.intervals import (
    bootstrap_difference,
    bootstrap_interval,
    mean_interval,
    pearson_rows,
    spearman_rows,
)


def pairs(n=80, noise=0.8, seed=0):
    rng = np.random.default_rng(seed)
    mos = rng.uniform(1, 5, n)
    return (mos + rng.normal(0, noise, n)).round(1), mos


def test_rows_equal_the_scalar_metrics():
    x = np.stack([pairs(seed=s)[0] for s in range(6)])
    y = np.stack([pairs(seed=s + 10)[1] for s in range(6)])
    np.testing.assert_allclose(pearson_rows(x, y), [plcc(a, b) for a, b in zip(x, y, strict=True)])
    np.testing.assert_allclose(spearman_rows(x, y), [srcc(a, b) for a, b in zip(x, y, strict=True)])


def test_constant_rows_are_marked():
    x = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]])
    assert np.isnan(pearson_rows(x, x)).tolist() == [False, True]


def test_interval_equals_a_loop_over_the_same_draws():
    x, y = pairs()
    rows = np.random.default_rng(5).integers(80, size=(300, 80))
    values = [stats.spearmanr(x[r], y[r]).statistic for r in rows]
    interval = bootstrap_interval(x, y, metric="srcc", n_resamples=300, seed=5)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert (interval.level, interval.n_resamples) == (0.95, 300)


@pytest.mark.parametrize("metric", ["srcc", "plcc"])
def test_seeded_and_around_the_estimate(metric):
    x, y = pairs()
    first, again, other = (bootstrap_interval(x, y, metric=metric, n_resamples=500, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.low < {"srcc": srcc, "plcc": plcc}[metric](x, y) < first.high


def test_more_images_narrow_the_interval():
    widths = []
    for n in (30, 300, 3000):
        interval = bootstrap_interval(*pairs(n=n), metric="plcc", n_resamples=300, seed=0)
        widths.append(interval.high - interval.low)
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def test_coverage_is_near_its_level():
    """Of 200 samples from a bivariate normal of known correlation, about 95 % of intervals hold it."""
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], size=100).T
        interval = bootstrap_interval(x, y, metric="plcc", n_resamples=200, seed=seed)
        hits += interval.low <= 0.7 <= interval.high
    assert 175 <= hits <= 198


def test_blocks_do_not_change_the_result(monkeypatch):
    x, y = pairs()
    whole = bootstrap_interval(x, y, metric="srcc", n_resamples=200, seed=3)
    monkeypatch.setattr(intervals, "BLOCK_ELEMENTS", 80 * 7)
    assert bootstrap_interval(x, y, metric="srcc", n_resamples=200, seed=3) == whole


def test_paired_difference_is_sharper_than_two_intervals():
    rng = np.random.default_rng(1)
    base, mos = pairs(n=300)
    better = base + 0.3 * (mos - base) + rng.normal(0, 0.01, 300)
    difference = bootstrap_difference(better, base, mos, metric="srcc", n_resamples=400, seed=0)
    assert 0 < difference.low < srcc(better, mos) - srcc(base, mos) < difference.high
    separate = [bootstrap_interval(p, mos, metric="srcc", n_resamples=400, seed=0) for p in (better, base)]
    assert difference.high - difference.low < sum(i.high - i.low for i in separate)


def test_a_difference_equals_a_loop_over_the_same_draws_of_clusters():
    """Sixty images of twenty photographs, of which both policies see the same."""
    (x, y), (base, _) = pairs(n=60), pairs(n=60, noise=1.5)
    generator, values = np.random.default_rng(3), []
    for _ in range(200):
        rows = np.concatenate([np.arange(3) + 3 * cluster for cluster in generator.integers(20, size=20)])
        values.append(stats.pearsonr(x[rows], y[rows]).statistic - stats.pearsonr(base[rows], y[rows]).statistic)
    clusters = [image // 3 for image in range(60)]
    found = bootstrap_difference(x, base, y, metric="plcc", n_resamples=200, seed=3, clusters=clusters)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert found.units == 20


def test_a_policy_does_not_differ_from_itself():
    x, y = pairs()
    difference = bootstrap_difference(x, x, y, metric="plcc", n_resamples=50, seed=0)
    assert (difference.low, difference.high) == (0.0, 0.0)


def test_constant_resamples_are_left_out():
    # about 1 resample in e misses the only differing image
    interval = bootstrap_interval([1.0] * 40 + [2.0], list(range(41)), metric="srcc", n_resamples=400, seed=0)
    assert 200 < interval.n_resamples < 300


def test_mostly_constant_resamples_are_undefined():
    # the odd image differs between predictions and MOS: some 60 % of resamples miss one or the other
    with pytest.raises(UndefinedMetricError, match="of 400 resamples are constant"):
        bootstrap_interval([1.0] * 40 + [2.0], [2.0] + [1.0] * 40, metric="plcc", n_resamples=400, seed=0)


def test_constant_inputs_are_undefined():
    x, y = pairs()
    with pytest.raises(UndefinedMetricError, match="all predictions are equal"):
        bootstrap_interval([3.0] * 80, y, metric="srcc", n_resamples=10, seed=0)
    with pytest.raises(UndefinedMetricError, match="all predictions are equal"):
        bootstrap_difference(x, [3.0] * 80, y, metric="srcc", n_resamples=10, seed=0)


def test_whole_clusters_are_drawn():
    """A loop over the same draws of clusters of unequal sizes gives the same interval."""
    x, y = pairs(n=60)
    clusters = [f"photograph {i * i % 11}" for i in range(60)]
    names = list(dict.fromkeys(clusters))
    generator, values = np.random.default_rng(3), []
    for _ in range(200):
        drawn = [names[k] for k in generator.integers(len(names), size=len(names))]
        rows = [i for name in drawn for i, cluster in enumerate(clusters) if cluster == name]
        values.append(stats.pearsonr(x[rows], y[rows]).statistic)
    interval = bootstrap_interval(x, y, metric="plcc", n_resamples=200, seed=3, clusters=clusters)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert interval.units == len(names)


def test_copies_of_a_photograph_do_not_narrow_an_interval():
    """Ten copies of each image: as if independent they would make the interval a third as wide."""
    x, y = pairs(n=40)
    alone = bootstrap_interval(x, y, metric="srcc", n_resamples=1000, seed=0)
    tenfold, clusters = (np.repeat(x, 10), np.repeat(y, 10)), np.repeat(range(40), 10).tolist()
    copied = bootstrap_interval(*tenfold, metric="srcc", n_resamples=1000, seed=0, clusters=clusters)
    naive = bootstrap_interval(*tenfold, metric="srcc", n_resamples=1000, seed=0)
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.02)
    assert naive.high - naive.low < 0.45 * (alone.high - alone.low)
    assert (alone.units, copied.units, naive.units) == (40, 40, 400)


def test_clusters_of_one_image_change_nothing():
    x, y = pairs()
    plain = bootstrap_interval(x, y, metric="srcc", n_resamples=100, seed=2)
    assert bootstrap_interval(x, y, metric="srcc", n_resamples=100, seed=2, clusters=list(range(80))) == plain


def test_too_few_clusters_are_undefined_and_a_wrong_number_is_refused():
    x, y = pairs(n=10)
    with pytest.raises(UndefinedMetricError, match="2 clusters, at least 3"):
        bootstrap_interval(x, y, metric="srcc", n_resamples=10, seed=0, clusters=[0, 1] * 5)
    with pytest.raises(DataError, match="4 clusters for 10 images"):
        bootstrap_interval(x, y, metric="srcc", n_resamples=10, seed=0, clusters=[0, 0, 1, 2])
    with pytest.raises(DataError, match="11 clusters for 10 images"):
        bootstrap_interval(x, y, metric="srcc", n_resamples=10, seed=0, clusters=[0, *range(10)])


def test_resamples_rank_values_equal_up_to_rounding_alike():
    x, y = pairs()
    noisy = x * (1 + 1e-12 * np.random.default_rng(0).uniform(-1, 1, len(x)))
    settings = {"metric": "srcc", "n_resamples": 50, "seed": 0}
    assert bootstrap_interval(noisy, y, **settings) == bootstrap_interval(x, y, **settings)
    assert bootstrap_difference(noisy, y, y, **settings) == bootstrap_difference(x, y, y, **settings)


def test_the_interval_of_a_mean_is_near_the_normal_one():
    values = [float(value % 10) for value in range(200)]
    interval = mean_interval(values, n_resamples=4000, seed=1)
    assert interval is not None
    half = 1.96 * statistics.pstdev(values) / 200**0.5
    assert interval == pytest.approx((4.5 - half, 4.5 + half), abs=0.03)


def test_the_mean_of_two_values_has_no_interval():
    assert mean_interval([1.0, 2.0], n_resamples=10, seed=0) is None
