"""The variety of scores: a policy that learns to say the same few numbers can still correlate well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoom_iqa.base.errors import UndefinedMetricError

RATING_RANGE = (1.0, 5.0)


def unique_score_ratio(scores: Sequence[float], *, n_images: int) -> float:
    """Distinct scores at two decimals divided by the number of images, in [0, 1] (Zoom-IQA).

    An image without a score, whether it is left out or NaN, counts as an image and adds no distinct score.

    Raises:
        UndefinedMetricError: there are no images.
    """
    if n_images == 0:
        raise UndefinedMetricError("unique_score_ratio", "no images")
    # hundredths as whole numbers: equal scores compare equal whatever their last bits
    hundredths = np.rint(np.asarray(scores, dtype=np.float64) * 100)
    return len(np.unique(hundredths[~np.isnan(hundredths)])) / n_images


def rating_histogram(ratings: Sequence[float], *, n_bins: int) -> tuple[int, ...]:
    """Counts in ``n_bins`` equal bins over 1-5, for scores or MOS alike; 5 itself falls into the last bin."""
    counts, _ = np.histogram(np.asarray(ratings, dtype=np.float64), bins=n_bins, range=RATING_RANGE)
    return tuple(int(count) for count in counts)
