"""When two scores are one: labels and means reach us through sums and shares whose last digits are rounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDING = 1e-10
"""Share of a value under which a difference is rounding; the finest label grid (AGIQA-3K's) has twice it."""

EQUAL_MOS = 5 * ROUNDING
"""The same for scores on 1-5."""


def snapped(values: ArrayLike) -> NDArray[np.float64]:
    """Values that differ by rounding alone, each other's neighbours in order, all become the lowest of them.

    Rounding is a share of the values beside it or of the median, which a value far from all others does not move.
    Code that ranks, counts or compares for equality takes these; flat, as float64.
    """
    given_N = np.asarray(values, dtype=np.float64)
    if given_N.size == 0:
        return given_N
    order_N = np.argsort(given_N, kind="stable")
    sorted_N = given_N[order_N]
    size_N = np.maximum(np.abs(sorted_N), np.median(np.abs(sorted_N)))
    size_N[1:] = np.maximum(size_N[1:], size_N[:-1])
    step_N = np.diff(sorted_N, prepend=-np.inf) > ROUNDING * size_N
    snapped_N = np.empty_like(given_N)
    snapped_N[order_N] = sorted_N[np.flatnonzero(step_N)][np.cumsum(step_N) - 1]
    return snapped_N
