"""Bootstrap intervals: images are drawn again with replacement, prediction and MOS together.

Images of one photograph are no independent draws, so where clusters are given whole clusters are drawn.

R resamples, n images. All resamples of a block are evaluated at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from zoom_iqa.base.equality import snapped
from zoom_iqa.base.errors import DataError, UndefinedMetricError
from zoom_iqa.metrics.correlation import CONSTANT_SPREAD, MIN_IMAGES, Vector, paired, require_spread

Correlation = Literal["srcc", "plcc"]
Matrix = NDArray[np.float64]

BLOCK_ELEMENTS = 2_000_000
"""Resampled values held at once: some tens of MB."""

MIN_CLUSTERS = 3


@dataclass(frozen=True)
class Interval:
    """A percentile interval at ``level``, from ``n_resamples`` resamples that had a value, of ``units`` drawn alike."""

    low: float
    high: float
    level: float
    n_resamples: int
    units: int


def bootstrap_interval(
    predictions: ArrayLike,
    mos: ArrayLike,
    *,
    metric: Correlation,
    n_resamples: int,
    seed: int,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of a correlation (Efron & Tibshirani 1993).

    ``clusters`` names the cluster of each image; None makes every image its own.

    Raises:
        UndefinedMetricError: fewer than 3 images or clusters, constant inputs, or mostly constant resamples.
    """
    x, y = paired(f"{metric} interval", predictions, mos)
    require_spread(f"{metric} interval", x, y)
    x, y = _comparable(metric, x), _comparable(metric, y)
    members = _members(f"{metric} interval", len(x), clusters)
    draws = [CORRELATIONS[metric](x[rows], y[rows]) for rows in _resamples(len(x), members, n_resamples, seed)]
    return _percentiles(f"{metric} interval", np.concatenate(draws), level, len(members or x))


def bootstrap_difference(
    predictions: ArrayLike,
    baseline: ArrayLike,
    mos: ArrayLike,
    *,
    metric: Correlation,
    n_resamples: int,
    seed: int,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval:
    """Interval of metric(predictions) - metric(baseline) on the same images, paired: both see the same resamples.

    Raises:
        UndefinedMetricError: as ``bootstrap_interval``.
    """
    x, y = paired(f"{metric} difference", predictions, mos)
    base, _ = paired(f"{metric} difference", baseline, mos)
    require_spread(f"{metric} difference", x, y)
    require_spread(f"{metric} difference", base, y)
    x, base, y = (_comparable(metric, values) for values in (x, base, y))
    of, members = CORRELATIONS[metric], _members(f"{metric} difference", len(x), clusters)
    draws = [of(x[rows], y[rows]) - of(base[rows], y[rows]) for rows in _resamples(len(x), members, n_resamples, seed)]
    return _percentiles(f"{metric} difference", np.concatenate(draws), level, len(members or x))


def statistic_interval(
    name: str,
    statistic: Callable[[NDArray[np.int64]], float],
    n_images: int,
    *,
    n_resamples: int,
    seed: int,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval:
    """Interval of any ``statistic`` of the rows drawn, NaN where it has no value; one resample at a time.

    Raises:
        UndefinedMetricError: fewer than 3 images or clusters, or mostly resamples without a value.
    """
    if n_images < MIN_IMAGES:
        raise UndefinedMetricError(name, f"{n_images} images, at least {MIN_IMAGES} are needed")
    members = _members(name, n_images, clusters)
    values = [statistic(rows) for block in _resamples(n_images, members, n_resamples, seed) for rows in block]
    return _percentiles(name, np.array(values), level, len(members or range(n_images)))


def mean_interval(values: ArrayLike, *, n_resamples: int, seed: int) -> tuple[float, float] | None:
    """The ends of the 95 % interval of a mean, every value a draw of its own; None for fewer than 3 values."""
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < MIN_IMAGES:
        return None
    blocks = _resamples(len(numbers), None, n_resamples, seed)
    low, high = np.quantile(np.concatenate([numbers[rows].mean(1) for rows in blocks]), [0.025, 0.975])
    return float(low), float(high)


def pearson_rows(x_Rn: Matrix, y_Rn: Matrix) -> Vector:
    """Pearson's correlation of each row, shape (R,); NaN where a row is constant."""
    constant_R = _constant_rows(x_Rn) | _constant_rows(y_Rn)
    dx_Rn, dy_Rn = x_Rn - x_Rn.mean(1, keepdims=True), y_Rn - y_Rn.mean(1, keepdims=True)
    scale_R = np.sqrt((dx_Rn**2).sum(1) * (dy_Rn**2).sum(1))
    covariance_R = (dx_Rn * dy_Rn).sum(1)
    return np.divide(covariance_R, scale_R, out=np.full(len(x_Rn), np.nan), where=~constant_R)


def spearman_rows(x_Rn: Matrix, y_Rn: Matrix) -> Vector:
    """Spearman's correlation of each row, shape (R,); NaN where a row is constant."""
    return pearson_rows(stats.rankdata(x_Rn, axis=1), stats.rankdata(y_Rn, axis=1))


CORRELATIONS: dict[Correlation, Callable[[Matrix, Matrix], Vector]] = {"srcc": spearman_rows, "plcc": pearson_rows}


def _comparable(metric: Correlation, values: Vector) -> Vector:
    return snapped(values) if metric == "srcc" else values


def _members(name: str, n_images: int, clusters: Sequence[Hashable] | None) -> list[NDArray[np.int64]] | None:
    """The images of each cluster, in order of first appearance; None where every image is its own."""
    if clusters is None:
        return None
    if len(clusters) != n_images:
        raise DataError(f"{name}: {len(clusters)} clusters for {n_images} images; name one for each")
    if len(set(clusters)) == n_images:
        return None
    found: dict[Hashable, list[int]] = {}
    for index, cluster in enumerate(clusters):
        found.setdefault(cluster, []).append(index)
    if len(found) < MIN_CLUSTERS:
        raise UndefinedMetricError(name, f"{len(found)} clusters, at least {MIN_CLUSTERS} are needed")
    return [np.array(rows) for rows in found.values()]


def _resamples(
    n_images: int, members: list[NDArray[np.int64]] | None, n_resamples: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    """Blocks of row indices, one resample a block where there are clusters. Draws depend on seed and sizes."""
    generator = np.random.default_rng(seed)
    if members is not None:
        for _ in range(n_resamples):
            drawn = generator.integers(len(members), size=len(members))
            yield np.concatenate([members[cluster] for cluster in drawn])[None]
        return
    per_block = max(1, BLOCK_ELEMENTS // n_images)
    for start in range(0, n_resamples, per_block):
        yield generator.integers(n_images, size=(min(per_block, n_resamples - start), n_images))


def _percentiles(name: str, values_R: Vector, level: float, units: int) -> Interval:
    defined = values_R[~np.isnan(values_R)]
    if 2 * len(defined) <= len(values_R):
        raise UndefinedMetricError(name, f"{len(values_R) - len(defined)} of {len(values_R)} resamples are constant")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level, n_resamples=len(defined), units=units)


def _constant_rows(values_Rn: Matrix) -> NDArray[np.bool_]:
    return np.ptp(values_Rn, axis=1) <= CONSTANT_SPREAD * np.abs(values_Rn).max(axis=1)
