"""Figures of a study's answers as matrices, whose differences have intervals.

Legend: K answers of an image, n images, m of them with two or more. An answer that has no value is NaN.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping

import numpy as np

from zoom_iqa.base.equality import snapped
from zoom_iqa.metrics.correlation import MIN_IMAGES
from zoom_iqa.metrics.intervals import spearman_rows
from zoom_iqa.reports.study_answers import Matrix


def single_srcc(ratings_Kn: Matrix, mos_n: Matrix) -> float:
    """SRCC of single answers: the mean over the K answers of each image."""
    return statistics.fmean(_srcc(rating_n, mos_n) for rating_n in ratings_Kn)


def mean_srcc(ratings_Kn: Matrix, mos_n: Matrix) -> float:
    """SRCC of the means of an image's values."""
    count_n = (~np.isnan(ratings_Kn)).sum(0)
    return _srcc(np.where(count_n > 0, np.nansum(ratings_Kn, 0) / np.maximum(count_n, 1), np.nan), mos_n)


def variance_within(ratings_Kn: Matrix, mos_n: Matrix) -> float:
    """Variance of an image's answers, mean over the images with two or more; NaN where there is none."""
    several_Km = ratings_Kn[:, (~np.isnan(ratings_Kn)).sum(0) > 1]
    return float(np.nanvar(several_Km, 0, ddof=1).mean()) if several_Km.size else math.nan


def squared_bias(ratings_Kn: Matrix, mos_n: Matrix) -> float:
    """Squared error of the mean of ever more answers, as ``evaluation.sharpness`` has it; NaN where none has two."""
    count_n = (~np.isnan(ratings_Kn)).sum(0)
    several_n = count_n > 1
    if not several_n.any():
        return math.nan
    several_Km = ratings_Kn[:, several_n]
    error_m = np.nanmean(several_Km, 0) - mos_n[several_n]
    return float((error_m**2 - np.nanvar(several_Km, 0, ddof=1) / count_n[several_n]).mean())


def _srcc(rating_n: Matrix, mos_n: Matrix) -> float:
    """SRCC over the images with a rating; NaN where they are too few, or all are rated alike."""
    known_n = ~np.isnan(rating_n)
    if known_n.sum() < MIN_IMAGES:
        return math.nan
    return float(spearman_rows(snapped(rating_n[known_n])[None], mos_n[None, known_n])[0])


Statistic = Callable[[Matrix, Matrix], float]
STATISTICS: Mapping[str, tuple[str, Statistic]] = {
    "srcc_single": ("rating", single_srcc),
    "srcc_expected": ("expected", mean_srcc),
    "rating_variance": ("rating", variance_within),
    "squared_bias": ("rating", squared_bias),
    "srcc_caption": ("caption", mean_srcc),
}
"""Figures whose differences have intervals: the value of an answer that they are of, and the figure."""
COMPARED = ("srcc_single", "srcc_expected", "rating_variance")
"""Those that every policy has."""
