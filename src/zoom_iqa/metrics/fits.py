"""Correlations after a monotonic fit of predictions onto MOS. Each carries the fit in its name: never mix them.

The 4-parameter logistic is the field's usual one (VQEG 2003); isotonic regression is what the code released with
Zoom-IQA reports. Both are fitted on the very images they are evaluated on, so they flatter every method a little.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression, least_squares
from scipy.special import expit

from zoom_iqa.base.equality import snapped
from zoom_iqa.base.errors import UndefinedMetricError
from zoom_iqa.metrics.correlation import CONSTANT_SPREAD, Vector, paired, pearson, require_spread, srcc

N_PARAMETERS = 4
START_QUANTILES = (0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.98)
START_SCALES = (0.03, 0.15, 0.7, 3.0)
"""Centres and widths that the logistic may start with, in standard deviations of the predictions."""
CENTRE_BOUND = 20.0
SCALE_BOUNDS = (0.001, 100.0)
"""From a step to a straight line: data on a line would otherwise send the parameters to infinity."""
N_REFINED = 6


def plcc_logistic4(predictions: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's correlation of MOS with the 4-parameter logistic fit of the predictions.

    b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|)), least squares; it may fall, so the raw correlation's sign is lost.
    The squares have several minima, of which a search finds one: predictions that say little can have a better one.

    Raises:
        UndefinedMetricError: fewer than 5 images, or constant inputs.
    """
    x, y = paired("plcc_logistic4", predictions, mos, at_least=N_PARAMETERS + 1)
    require_spread("plcc_logistic4", x, y)
    order = np.lexsort((y, x))  # the fit has several minima; sorted, the images' order cannot choose among them
    x, y = x[order], y[order]
    return pearson("plcc_logistic4", logistic4_fit(x, y), y)


def logistic4_fit(predictions: Vector, mos: Vector) -> Vector:
    """Return the best logistic fit, by squares, that a search finds, at the predictions.

    Given b3 and b4 the other two follow from linear regression, so only those are searched: a coarse grid, of which the
    best few are refined within bounds. Predictions that say little of MOS can be fitted best by a step, which a search
    creeps towards for ever: where no start converges, the best step counts beside what was reached.
    """
    z = (predictions - predictions.mean()) / predictions.std()

    def residual(b: Vector) -> Vector:
        return _regressed_logistic(z, mos, centre=b[0], log_scale=b[1]) - mos

    grid = [(np.quantile(z, q), np.log(scale)) for q in START_QUANTILES for scale in START_SCALES]
    starts = sorted(grid, key=lambda b: float(np.sum(residual(np.array(b)) ** 2)))[:N_REFINED]
    low, high = (-CENTRE_BOUND, np.log(SCALE_BOUNDS[0])), (CENTRE_BOUND, np.log(SCALE_BOUNDS[1]))
    fits = [least_squares(residual, np.clip(start, low, high), bounds=(low, high), method="dogbox") for start in starts]
    converged = [fit for fit in fits if fit.success]
    best = mos + residual(min(converged or fits, key=lambda fit: fit.cost).x)
    return best if converged else min(best, best_step(z, mos), key=lambda fit: float(np.sum((fit - mos) ** 2)))


def best_step(predictions: Vector, mos: Vector) -> Vector:
    """Return the least-squares fit at the predictions of the steepest logistic: a mean below a place, another above."""
    x = snapped(predictions)
    order = np.argsort(x, kind="stable")
    below = np.arange(1, len(x))
    sums = np.cumsum((mos - mos.mean())[order])[:-1]
    explained = sums**2 / (below * (len(x) - below))
    explained[np.diff(x[order]) == 0] = -1.0  # equal predictions have one fit
    is_below = x <= x[order][np.argmax(explained)]
    return np.where(is_below, mos[is_below].mean(), mos[~is_below].mean())


def _regressed_logistic(z: Vector, mos: Vector, *, centre: float, log_scale: float) -> Vector:
    """The curve of this centre and scale whose height and offset fit the MOS best."""
    curve = expit((z - centre) / np.exp(log_scale))
    deviation = curve - curve.mean()
    spread = deviation @ deviation
    slope = (deviation @ mos) / spread if spread > 0 else 0.0
    return mos.mean() + slope * deviation


def plcc_isotonic(predictions: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's correlation of MOS with the isotonic (non-decreasing) regression of the predictions onto it.

    Raises:
        UndefinedMetricError: as plcc, or the fit is flat because predictions fall as MOS rises.
    """
    x, y = paired("plcc_isotonic", predictions, mos)
    return pearson("plcc_isotonic", _rising_fit("plcc_isotonic", x, y), y)


def srcc_isotonic(predictions: ArrayLike, mos: ArrayLike) -> float:
    """Spearman's correlation of MOS with the isotonic regression; pooling makes ties, so it differs from srcc.

    Raises:
        UndefinedMetricError: as plcc_isotonic.
    """
    x, y = paired("srcc_isotonic", predictions, mos)
    return srcc(_rising_fit("srcc_isotonic", x, y), y)


def isotonic_fit(predictions: Vector, mos: Vector) -> Vector:
    """Return the non-decreasing least-squares fit at the predictions.

    Equal predictions are pooled to their mean MOS first and weigh by their number, as scikit-learn's does.
    """
    _, group, count = np.unique(snapped(predictions), return_inverse=True, return_counts=True)
    pooled = np.bincount(group, weights=mos) / count
    return np.asarray(isotonic_regression(pooled, weights=count).x[group], dtype=np.float64)


def _rising_fit(metric: str, x: Vector, y: Vector) -> Vector:
    require_spread(metric, x, y)
    fitted = isotonic_fit(x, y)
    if np.ptp(fitted) <= CONSTANT_SPREAD * np.abs(fitted).max():
        raise UndefinedMetricError(metric, "the non-decreasing fit is flat: predictions fall as MOS rises")
    return fitted
