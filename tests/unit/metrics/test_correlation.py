import numpy as np
import pytest
from scipy import stats

from zoom_iqa.base.errors import DataError, UndefinedMetricError
from zoom_iqa.metrics.correlation import krcc, plcc, rmse, srcc

CORRELATIONS = [srcc, plcc, krcc]


def pairs(n=200, seed=0, decimals=1):
    rng = np.random.default_rng(seed)
    mos = rng.uniform(1, 5, n)
    return (mos + rng.normal(0, 0.8, n)).round(decimals), mos.round(decimals)


def test_by_hand():
    # ranks 1 2 3 4 against 2 1 4 3: sum of squared differences 4, rho = 1 - 6*4/(4*15) = .6; 4 of 6 pairs concordant
    x, y = [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0]
    assert srcc(x, y) == pytest.approx(0.6)
    assert plcc(x, y) == pytest.approx(0.6)
    assert krcc(x, y) == pytest.approx((4 - 2) / 6)
    assert rmse(x, y) == pytest.approx(1.0)


def test_tied_ranks_by_hand():
    # ranks 1.5 1.5 3 against 1 2 3: covariance 1.5, deviations sqrt(1.5) and sqrt(2)
    assert srcc([2.0, 2.0, 5.0], [1.0, 2.0, 3.0]) == pytest.approx(1.5 / np.sqrt(1.5 * 2))


@pytest.mark.parametrize("decimals", [0, 1, 6], ids=["many ties", "some ties", "no ties"])
def test_against_scipy(decimals):
    x, y = pairs(decimals=decimals)
    assert srcc(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert plcc(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


def test_kendall_against_counted_pairs():
    x, y = pairs(n=40, decimals=0)
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i in range(40) for j in range(i)]
    concordance = sum(a * b for a, b in signs)
    untied_x, untied_y = sum(a != 0 for a, _ in signs), sum(b != 0 for _, b in signs)
    assert krcc(x, y) == pytest.approx(concordance / np.sqrt(untied_x * untied_y))


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_perfect_and_reversed_order(metric):
    x = np.array([1.0, 2.0, 4.0, 5.0])
    assert metric(x, 2 * x + 1) == pytest.approx(1.0)
    assert metric(x, -x) == pytest.approx(-1.0)


def test_results_are_plain_floats():
    x, y = pairs()
    assert all(type(metric(x, y)) is float for metric in [*CORRELATIONS, rmse])


def test_lists_tuples_and_arrays_are_read_alike():
    assert srcc([1, 2, 4], (1.0, 3.0, 2.0)) == srcc(np.array([1, 2, 4]), np.array([1.0, 3.0, 2.0]))


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_images_are_undefined(metric, n):
    with pytest.raises(UndefinedMetricError, match=f"{n} images, at least 3") as error:
        metric(list(range(n)), list(range(n)))
    assert error.value.metric == metric.__name__


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize("value", [3.0, 0.0, 0.1 + 0.2, 1e12])
def test_constant_inputs_are_undefined(metric, value):
    with pytest.raises(UndefinedMetricError, match="all predictions are equal"):
        metric([value] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])
    with pytest.raises(UndefinedMetricError, match="all MOS are equal"):
        metric([1.0, 2.0, 3.0, 4.0, 5.0], [value] * 5)


def test_equal_up_to_rounding_is_constant():
    means = [(1.1 + 2.2 + 3.3) / 3, (3.3 + 2.2 + 1.1) / 3, 2.2]
    assert len(set(means)) > 1
    with pytest.raises(UndefinedMetricError, match="equal"):
        plcc(means, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_extreme_scales_neither_underflow_nor_overflow(scale):
    assert plcc(np.array([1.0, 2.0, 3.0, 4.0]) * scale, [2.0, 1.0, 4.0, 3.0]) == pytest.approx(0.6)


def test_values_that_are_not_finite_are_listed():
    with pytest.raises(DataError, match="leave failed predictions out") as error:
        srcc([1.0, float("nan"), 3.0, 2.0], [1.0, 2.0, 3.0, float("inf")])
    assert error.value.rows == ("row 1: prediction nan, MOS 2.0", "row 3: prediction 2.0, MOS inf")


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"\(3,\) and \(4,\)"):
        srcc([1, 2, 3], [1, 2, 3, 4])
    with pytest.raises(ValueError, match="flat"):
        plcc(np.ones((3, 2)), np.ones((3, 2)))


def test_rmse_is_defined_for_one_image_and_for_constants():
    assert rmse([3.0], [2.0]) == 1.0
    assert rmse([3.0, 3.0, 3.0], [3.0, 3.0, 3.0]) == 0.0
    with pytest.raises(UndefinedMetricError):
        rmse([], [])


@pytest.mark.parametrize("metric", [srcc, krcc])
def test_values_equal_up_to_rounding_are_ties(metric):
    """Means of several answers and vote shares: 3.1 + 3.2 is not 3.15 + 3.15 to a computer."""
    x, y = pairs(decimals=0)
    rng = np.random.default_rng(1)
    noisy_x, noisy_y = (values * (1 + 1e-12 * rng.uniform(-1, 1, len(values))) for values in (x, y))
    assert metric(noisy_x, noisy_y) == metric(x, y)
    assert metric(x, y) != pytest.approx(metric(x + rng.uniform(-0.1, 0.1, len(x)), y), abs=1e-3)


@pytest.mark.parametrize("metric", [srcc, krcc])
def test_ranks_do_not_depend_on_how_far_the_farthest_is(metric):
    assert metric([1.0, 2.0, 3.0, 4.0, 1e11], [1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(1.0)


@pytest.mark.parametrize("metric", [srcc, krcc])
def test_ranks_of_one_value_up_to_rounding_are_undefined(metric):
    """Five numbers that two answers' means may be: apart for a computer, one value for a rank."""
    with pytest.raises(UndefinedMetricError):
        metric([5.123456, 5.123456 + 1e-10, 5.123456, 5.123456 + 1e-10, 5.123456], [1.0, 2.0, 3.0, 4.0, 5.0])
