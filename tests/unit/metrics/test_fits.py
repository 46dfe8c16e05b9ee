import numpy as np
import pytest
from scipy import stats
from scipy.optimize import curve_fit

from zoom_iqa.base.errors import UndefinedMetricError
from zoom_iqa.metrics.correlation import plcc
from zoom_iqa.metrics.fits import best_step, isotonic_fit, plcc_isotonic, plcc_logistic4, srcc_isotonic


def pool_adjacent_violators(predictions, mos):
    """Isotonic regression block by block, ties in predictions pooled first, as scikit-learn documents it."""
    levels = sorted(set(predictions))
    blocks = []
    for level in levels:
        targets = [m for p, m in zip(predictions, mos, strict=True) if p == level]
        blocks.append([sum(targets), len(targets), [level]])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, count, members = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + count, blocks[-1][2] + members]
    fitted = {level: total / count for total, count, members in blocks for level in members}
    return np.array([fitted[p] for p in predictions])


def noisy(seed, n=120, decimals=1):
    rng = np.random.default_rng(seed)
    mos = rng.uniform(1, 5, n)
    return (mos + rng.normal(0, 1, n)).round(decimals), mos


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_isotonic_fit_equals_pooling_by_hand(seed, decimals):
    x, y = noisy(seed, decimals=decimals)
    expected = pool_adjacent_violators(x.tolist(), y.tolist())
    np.testing.assert_allclose(isotonic_fit(x, y), expected, atol=1e-12)
    assert plcc_isotonic(x, y) == pytest.approx(stats.pearsonr(expected, y).statistic)
    assert srcc_isotonic(x, y) == pytest.approx(stats.spearmanr(expected, y).statistic, abs=1e-9)


def test_isotonic_fit_by_hand():
    # prediction 2 twice: mean MOS 2.5 (weight 2); 3 -> 1 violates, pooled with it to (5 + 1) / 3 = 2
    fitted = isotonic_fit(np.array([1.0, 2.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 1.0, 5.0]))
    assert fitted.tolist() == pytest.approx([1.0, 2.0, 2.0, 2.0, 5.0])


def test_isotonic_flatters_and_falling_predictions_have_no_value():
    x, y = noisy(0)
    assert plcc_isotonic(x, y) > plcc(x, y)
    for metric in (plcc_isotonic, srcc_isotonic):
        with pytest.raises(UndefinedMetricError, match="non-decreasing fit is flat"):
            metric(-y, y)


@pytest.mark.parametrize("metric", [plcc_isotonic, srcc_isotonic, plcc_logistic4])
def test_constants_and_small_inputs_are_undefined(metric):
    with pytest.raises(UndefinedMetricError, match="all predictions are equal"):
        metric([2.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 1.5])
    with pytest.raises(UndefinedMetricError, match="all MOS are equal"):
        metric([1.0, 2.0, 3.0, 4.0, 5.0, 1.5], [2.0] * 6)
    with pytest.raises(UndefinedMetricError, match="2 images"):
        metric([1.0, 2.0], [1.0, 2.0])


def test_logistic_needs_more_images_than_parameters():
    with pytest.raises(UndefinedMetricError, match="4 images, at least 5"):
        plcc_logistic4([1, 2, 3, 4], [1, 2, 4, 3])


def test_logistic_undoes_a_logistic_distortion():
    z = np.linspace(-3, 3, 50)
    mos = 1.2 + 3.5 / (1 + np.exp(-(z - 0.4) / 0.6))
    assert plcc(z, mos) < 0.98
    assert plcc_logistic4(z * 11 + 70, mos) == pytest.approx(1.0, abs=1e-9)
    assert plcc_logistic4(-z, mos) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_logistic_is_as_good_as_curve_fit(seed):
    """SciPy's curve_fit on the raw scale, from the field's starting point, minimises the same sum."""
    x, y = noisy(seed)

    def curve(v, b1, b2, b3, b4):
        return b2 + (b1 - b2) / (1 + np.exp(-(v - b3) / abs(b4)))

    b, _ = curve_fit(curve, x, y, p0=[y.max(), y.min(), x.mean(), x.std() / 4], maxfev=20000)
    expected = stats.pearsonr(curve(x, *b), y).statistic
    assert plcc_logistic4(x, y) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "predictions"),
    [
        ("linear", lambda y, rng: 2 * y + 3),
        ("step", lambda y, rng: (y > 3) * 1.0),
        ("outlier", lambda y, rng: np.append(y[:-1], 1e4)),
        ("unrelated", lambda y, rng: rng.normal(size=len(y))),
        ("reversed", lambda y, rng: -y + rng.normal(size=len(y))),
        ("tiny scale", lambda y, rng: 1e-9 * y + 1e-9 * rng.normal(size=len(y))),
        ("large offset", lambda y, rng: 1e6 + y + rng.normal(size=len(y))),
    ],
)
def test_logistic_copes_with_awkward_predictions(name, predictions):
    rng = np.random.default_rng(0)
    y = rng.uniform(1, 5, 100)
    x = predictions(y, rng)
    # a straight line is nearly a logistic, so the fit cannot be much worse than none
    assert abs(plcc(x, y)) - 1e-3 <= plcc_logistic4(x, y) <= 1.0


@pytest.mark.parametrize(
    ("n", "rho", "seed", "expected"),
    [  # scipy's curve_fit with the field's start (max, min, mean and a quarter of the spread) and 20,000 evaluations
        (30, 0.05, 0, 0.41872),
        (30, 0.2, 38, 0.42382),
        (100, 0.1, 30, 0.30466),
        (300, 0.2, 39, 0.23106),
    ],
)
def test_logistic_of_predictions_that_say_little_is_the_step_it_tends_to(
    n: int, rho: float, seed: int, expected: float
) -> None:
    random = np.random.default_rng(seed)
    y = random.normal(size=n)
    x = rho * y + np.sqrt(1 - rho**2) * random.normal(size=n)
    assert plcc_logistic4(x, y) == pytest.approx(expected, abs=2e-4)


def test_logistic_takes_the_better_of_two_steps() -> None:
    """Of 34/3 squares a step before the last image leaves 4.8, as the others' mean is 2.2; one after the first 8."""
    found = plcc_logistic4([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 3.0, 3.0, 3.0, 1.0, 5.0])
    assert found == pytest.approx((1 - 4.8 / (34 / 3)) ** 0.5, abs=1e-4)


def test_the_best_step_is_that_of_a_search_over_all_places() -> None:
    random = np.random.default_rng(0)
    for _ in range(30):
        x, y = random.integers(0, 6, 12).astype(float), random.normal(size=12)
        fits = [np.where(x <= at, y[x <= at].mean(), y[x > at].mean()) for at in sorted(set(x))[:-1]]
        least = min(fits, key=lambda fit: float(np.sum((fit - y) ** 2)))
        np.testing.assert_allclose(best_step(x, y), least)


def test_logistic_does_not_depend_on_the_order_of_images():
    """These points allow a step at several places, and the last bits of a sum would choose among them."""
    x = np.array([1.0, 1.0, 1.0, 1.0, 1.06, 1.22, 1.34, 1.38, 1.52, 1.67, 1.65, 1.83, 1.58])
    y = np.array([1.0, 1.0, 1.0, 3.29, 1.55, 4.12, 2.64, 1.44, 1.59, 2.18, 1.08, 1.01, 1.0])
    orders = [np.random.default_rng(seed).permutation(len(x)) for seed in range(4)]
    values = [plcc_logistic4(x[order], y[order]) for order in orders]
    assert len(set(values)) == 1


def test_predictions_equal_up_to_rounding_are_pooled():
    x, y = np.repeat([1.0, 2.0, 3.0], 20), np.tile(np.arange(20.0), 3) + np.repeat([1.0, 2.0, 3.0], 20)
    noisy = x * (1 + 1e-12 * np.random.default_rng(0).uniform(-1, 1, len(x)))
    assert srcc_isotonic(noisy, y) == srcc_isotonic(x, y)
    assert plcc_isotonic(noisy, y) == pytest.approx(plcc_isotonic(x, y), abs=1e-12)
