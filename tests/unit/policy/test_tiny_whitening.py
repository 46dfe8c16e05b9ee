"""Whitening filters against the covariance they are to undo."""

import numpy as np
import pytest
import torch

from zoom_iqa.policy.whitening import whitening_filters


def test_responses_are_uncorrelated_with_unit_variance():
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12)) + 5
    filters = whitening_filters(torch.tensor(patches), 7)
    covariance = np.cov((patches @ filters.numpy().T).T)
    np.testing.assert_allclose(covariance, np.eye(7), atol=1e-8)


def test_filters_are_the_leading_components_in_order():
    rng = np.random.default_rng(1)
    patches = torch.tensor(rng.normal(size=(5000, 4)) * [1.0, 8.0, 2.0, 4.0])
    leading = whitening_filters(patches, 3).abs().argmax(1)
    assert leading.tolist() == [1, 3, 2]


def test_more_filters_than_values_are_refused():
    with pytest.raises(ValueError, match="count=9"):
        whitening_filters(torch.zeros(100, 8), 9)
