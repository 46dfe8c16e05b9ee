"""Correlations after a monotonic fit of predictions onto MOS. Each carries the fit in its name: never mix them.

The 4-parameter logistic is the field's usual one (VQEG 2003); isotonic regression is what the code released with
Zoom-IQA reports. Both are fitted on the very images they are evaluated on, so they flatter every method a little.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression, least_squares
from scipy.special import expit

from zoom_iqa.errors import UndefinedMetricError
from zoom_iqa.metrics.correlation import CONSTANT_SPREAD, Vector, paired, pearson, require_spread, srcc

N_PARAMETERS = 4
START_SCALES = (0.25, 1.0, 4.0)
"""Slopes of the starting logistics in standard deviations of the predictions: steep, medium, nearly straight."""


def plcc_logistic4(predictions: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's correlation of MOS with the 4-parameter logistic fit of the predictions.

    b2 + (b1 - b2) / (1 + exp(-(x - b3) / |b4|)), least squares; it may fall, so the raw correlation's sign is lost.

    Raises:
        UndefinedMetricError: fewer than 5 images, constant inputs, or a fit that does not converge.
    """
    x, y = paired("plcc_logistic4", predictions, mos, at_least=N_PARAMETERS + 1)
    require_spread("plcc_logistic4", x, y)
    order = np.lexsort((y, x))  # the fit has several minima; sorted, the images' order cannot choose among them
    x, y = x[order], y[order]
    return pearson("plcc_logistic4", logistic4_fit(x, y), y)


def logistic4_fit(predictions: Vector, mos: Vector) -> Vector:
    """Return the logistic least-squares fit at the predictions, the best of several starts.

    Raises:
        UndefinedMetricError: no start converges.
    """
    z = (predictions - predictions.mean()) / predictions.std()
    rising = np.sign(np.mean(z * (mos - mos.mean()))) >= 0
    right, left = (mos.max(), mos.min()) if rising else (mos.min(), mos.max())

    def curve(b: Vector) -> Vector:
        return b[1] + (b[0] - b[1]) * expit((z - b[2]) / np.abs(b[3]))

    starts = [(right, left, 0.0, scale) for scale in START_SCALES]
    fits = [least_squares(lambda b: curve(b) - mos, start, method="lm", max_nfev=4000) for start in starts]
    converged = [fit for fit in fits if fit.success and np.isfinite(fit.cost)]
    if not converged:
        raise UndefinedMetricError("plcc_logistic4", "the logistic fit did not converge")
    return curve(min(converged, key=lambda fit: fit.cost).x)


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
    _, group, count = np.unique(predictions, return_inverse=True, return_counts=True)
    pooled = np.bincount(group, weights=mos) / count
    return np.asarray(isotonic_regression(pooled, weights=count).x[group], dtype=np.float64)


def _rising_fit(metric: str, x: Vector, y: Vector) -> Vector:
    require_spread(metric, x, y)
    fitted = isotonic_fit(x, y)
    if np.ptp(fitted) <= CONSTANT_SPREAD * np.abs(fitted).max():
        raise UndefinedMetricError(metric, "the non-decreasing fit is flat: predictions fall as MOS rises")
    return fitted
