"""The order of images by single answers, in which an unreadable one counts: what training decides by.

Correlations leave unreadable answers out, and rise when the answers that are lost were bad ones; counted as the middle
of the scale, losing those that are further off than the middle still pays. Here a lost answer only ever costs.

Legend: N images, K answers an image, D distinct ratings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoom_iqa.base.equality import snapped
from zoom_iqa.base.errors import DataError, UndefinedMetricError

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class PairAccuracy:
    """The figure, and its standard deviation when the same images are answered anew; None with one answer an image."""

    value: float
    sd: float | None


def pair_accuracy(ratings_NK: ArrayLike, mos_N: ArrayLike) -> PairAccuracy:
    """Share of right orders among answers to two images that people rate differently.

    An answer is compared with every answer to every image of another MOS: 1 for their order, 1/2 for equal ratings, 0
    for the wrong order and for an unreadable answer (NaN) on either side. Without lost or equal ratings it is
    (1 + Kendall's tau) / 2 of single answers.

    Raises:
        DataError: shapes do not fit, images have no answers, or a MOS is not finite.
        UndefinedMetricError: no two images have a different MOS.
    """
    ratings, mos = np.asarray(ratings_NK, dtype=np.float64), np.asarray(mos_N, dtype=np.float64)
    if ratings.ndim != 2 or ratings.shape[:1] != mos.shape or not np.isfinite(mos).all():
        raise DataError(
            f"pair_accuracy: ratings {ratings.shape} and MOS {mos.shape} do not fit, or a MOS is not finite"
        )
    if ratings.shape[1] == 0:
        raise DataError(f"pair_accuracy: ratings {ratings.shape} have no answer to an image; give NaN for a lost one")
    groups = [np.flatnonzero(snapped(mos) == value) for value in np.unique(snapped(mos))] if mos.size else []
    pairs = (len(mos) ** 2 - sum(len(group) ** 2 for group in groups)) / 2
    if pairs == 0:
        raise UndefinedMetricError("pair_accuracy", "no two images have a different MOS")
    rank = _ranks(ratings)
    upper, lower = _wins(rank, groups), _wins(-rank, groups[::-1])  # against images rated lower, and higher, by people
    answers = ratings.shape[1]
    value = float(upper.sum() / (answers**2 * pairs))
    if answers == 1:
        return PairAccuracy(value, None)
    influence_NK = (upper + lower) / (answers * pairs)  # first-order part of each answer in the figure
    return PairAccuracy(value, float(np.sqrt((influence_NK.var(axis=1, ddof=1) / answers).sum())))


def _ranks(ratings: Matrix) -> Matrix:
    """The place of each rating among the distinct ones, NaN for an unreadable one."""
    ranks = np.full(ratings.shape, np.nan)
    readable = np.isfinite(ratings)
    if readable.any():
        ranks[readable] = np.unique(snapped(ratings[readable]), return_inverse=True)[1]
    return ranks


def _wins(rank_NK: Matrix, groups: list[NDArray[np.intp]]) -> Matrix:
    """For each answer, to how many answers of images in earlier groups it is above, equal ones half."""
    wins_NK = np.zeros(rank_NK.shape)
    readable = np.isfinite(rank_NK)
    if not readable.any():
        return wins_NK
    lowest = int(rank_NK[readable].min())
    counts_D = np.zeros(int(rank_NK[readable].max()) - lowest + 1)
    for group in groups:
        here = readable[group]
        places = rank_NK[group][here].astype(int) - lowest
        above_D = counts_D.cumsum() - counts_D / 2
        won = np.zeros(here.shape)
        won[here] = above_D[places]
        wins_NK[group] = won
        np.add.at(counts_D, places, 1)
    return wins_NK
