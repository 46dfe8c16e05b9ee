import math

import pytest

from zoom_iqa.base.errors import UndefinedMetricError
from zoom_iqa.metrics.diversity import rating_histogram, unique_score_ratio


def test_distinct_two_decimal_scores_over_images():
    assert unique_score_ratio([3.1, 3.1, 3.104, 4.2], n_images=4) == 0.5
    assert unique_score_ratio([3.1, 4.2], n_images=8) == 0.25
    assert unique_score_ratio([3.11, 3.12, 3.13, 3.131], n_images=4) == 0.75
    assert unique_score_ratio([], n_images=3) == 0.0
    assert unique_score_ratio([math.nan, 3.0], n_images=2) == 0.5


def test_equal_scores_with_different_last_bits_are_one():
    assert unique_score_ratio([0.1 + 0.2, 0.3, 3 * 1.1, 3.3], n_images=4) == 0.5


def test_no_images_is_undefined():
    with pytest.raises(UndefinedMetricError, match="no images"):
        unique_score_ratio([], n_images=0)


def test_histogram_bins_by_hand():
    # four bins of one point; borders belong to the upper bin, 5 to the last
    assert rating_histogram([1.0, 1.99, 2.0, 4.0, 5.0], n_bins=4) == (2, 1, 0, 2)
    assert rating_histogram([], n_bins=4) == (0, 0, 0, 0)
