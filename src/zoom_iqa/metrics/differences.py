"""How much better one set of ratings agrees with people than another: both of the same images, and drawn together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from zoom_iqa.metrics.correlation import plcc, srcc
from zoom_iqa.metrics.intervals import Correlation, Interval, bootstrap_difference

CORRELATION_OF: Mapping[Correlation, Callable[[Sequence[float], Sequence[float]], float]] = {"srcc": srcc, "plcc": plcc}


@dataclass(frozen=True)
class CorrelationDifference:
    """A correlation minus that of the baseline, its paired bootstrap interval, and the number of images."""

    value: float
    interval: Interval
    images: int


def correlation_difference(
    predictions: Sequence[float],
    baseline: Sequence[float],
    mos: Sequence[float],
    *,
    metric: Correlation,
    n_resamples: int,
    seed: int,
    clusters: Sequence[Hashable],
) -> CorrelationDifference:
    """metric(predictions) - metric(baseline) over images that have both; ``clusters`` are drawn whole.

    Raises:
        UndefinedMetricError: as ``intervals.bootstrap_interval``.
    """
    of = CORRELATION_OF[metric]
    value = of(predictions, mos) - of(baseline, mos)
    interval = bootstrap_difference(
        predictions, baseline, mos, metric=metric, n_resamples=n_resamples, seed=seed, clusters=clusters
    )
    return CorrelationDifference(value, interval, len(mos))
