"""Agreement of predictions with mean opinion scores: rank, linear, and linear after a named fit.

Every function takes predictions and MOS as equally long sequences and returns a plain float. If there is no such
number (fewer than 3 images, or constant inputs) it raises UndefinedMetricError; it never returns NaN. Values that are
not finite are an error of the caller, who decides what a failed prediction counts as: DataError lists them. To rank
correlations values that differ by rounding alone are equal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from zoom_iqa.base.equality import snapped
from zoom_iqa.base.errors import DataError, UndefinedMetricError

Vector = NDArray[np.float64]

MIN_IMAGES = 3
"""Two points always correlate perfectly; a correlation says something from three on."""

CONSTANT_SPREAD = 1e-12
"""Relative spread under which values are equal up to rounding."""


def srcc(predictions: ArrayLike, mos: ArrayLike) -> float:
    """Spearman's rank correlation; ties share their mean rank."""
    x, y = paired("srcc", predictions, mos)
    return pearson("srcc", stats.rankdata(snapped(x)), stats.rankdata(snapped(y)))


def plcc(predictions: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's linear correlation of the raw predictions."""
    x, y = paired("plcc", predictions, mos)
    return pearson("plcc", x, y)


def krcc(predictions: ArrayLike, mos: ArrayLike) -> float:
    """Kendall's rank correlation, tau-b."""
    x, y = paired("krcc", predictions, mos)
    x, y = snapped(x), snapped(y)
    require_spread("krcc", x, y)
    return float(stats.kendalltau(x, y).statistic)


def rmse(predictions: ArrayLike, mos: ArrayLike) -> float:
    """Root mean squared error, in the unit of both (1-5). Defined from one image on."""
    x, y = paired("rmse", predictions, mos, at_least=1)
    return float(np.sqrt(np.mean((x - y) ** 2)))


def paired(metric: str, predictions: ArrayLike, mos: ArrayLike, *, at_least: int = MIN_IMAGES) -> tuple[Vector, Vector]:
    """Return both as float64 vectors.

    Raises:
        ValueError: they are not flat or differ in length.
        DataError: a value is not finite.
        UndefinedMetricError: fewer than ``at_least`` values.
    """
    x, y = np.asarray(predictions, dtype=np.float64), np.asarray(mos, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"{metric} needs two flat sequences of one length; got shapes {x.shape} and {y.shape}")
    bad = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    if len(bad):
        rows = [f"row {i}: prediction {x[i]}, MOS {y[i]}" for i in bad]
        raise DataError(f"{metric} needs finite values; leave failed predictions out or impute them first", rows)
    if len(x) < at_least:
        raise UndefinedMetricError(metric, f"{len(x)} images, at least {at_least} are needed")
    return x, y


def pearson(metric: str, x: Vector, y: Vector) -> float:
    """Pearson's correlation of two float vectors.

    Raises:
        UndefinedMetricError: one of them is constant.
    """
    require_spread(metric, x, y)
    # scaled by the largest deviation first, so that tiny or huge scales neither underflow nor overflow
    dx, dy = x - x.mean(), y - y.mean()
    dx, dy = dx / np.abs(dx).max(), dy / np.abs(dy).max()
    return float(np.clip(dx @ dy / np.sqrt((dx @ dx) * (dy @ dy)), -1.0, 1.0))


def require_spread(metric: str, predictions: Vector, mos: Vector) -> None:
    """Refuse constant inputs.

    Raises:
        UndefinedMetricError: predictions or MOS are all equal up to rounding.
    """
    for name, values in (("predictions", predictions), ("MOS", mos)):
        if np.ptp(values) <= CONSTANT_SPREAD * np.abs(values).max():
            raise UndefinedMetricError(metric, f"all {name} are equal")
