"""Covariance by hand, and the choice of tokens by it."""

from __future__ import annotations

import pytest
import torch

from support.token_batches import token_batch
from zoom_iqa.objectives.token_covariance import count_of, gathered_covariance, top_mask
from zoom_iqa.parallel.reducer import LocalReducer


def test_covariance_by_hand():
    # means: log p -2, advantage 0
    tokens = token_batch([-1.0, -2.0, -3.0], [1.0, 1.0, -2.0], numeric=[True, False, True])
    gathered = gathered_covariance(tokens, mark="numbers", reducer=LocalReducer())
    assert gathered.cov_N.tolist() == [1.0, 0.0, 2.0]
    assert gathered.marked_N.tolist() == [True, False, True]
    assert gathered_covariance(tokens, mark=None, reducer=LocalReducer()).marked_N.all()


def test_covariance_is_of_the_samplers_log_probabilities():
    """The old policy's may come from a pass, which rounds by how work is cut: the choice must not."""
    tokens = token_batch([-1.0, -2.0, -3.0], [1.0, 1.0, -2.0], old=torch.tensor([-3.0, -2.0, -9.0]))
    assert gathered_covariance(tokens, mark=None, reducer=LocalReducer()).cov_N.tolist() == [1.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("fraction", "n", "expected"),
    [(0.02, 1, 1), (0.02, 99, 1), (0.02, 100, 2), (0.02, 0, 1), (0.29, 100, 29), (1, 7, 7)],
)
def test_count_is_rounded_down_but_at_least_one(fraction, n, expected):
    assert count_of(fraction, n) == expected


def test_top_mask_breaks_ties_by_position():
    mask = top_mask(torch.tensor([1.0, 3.0, 3.0, 3.0]), torch.tensor([True, True, False, True]), count=1)
    assert mask.tolist() == [False, True, False, False]


def test_a_mark_that_is_not_there_is_named():
    tokens = token_batch([-1.0], [1.0])
    with pytest.raises(ValueError, match="no mark 'evidence'; there are numbers"):
        gathered_covariance(tokens, mark="evidence", reducer=LocalReducer())
    with pytest.raises(ValueError, match="no signal 'reference'; there are old, sampled"):
        tokens.signal("reference")


def test_token_batch_refuses_mismatched_vectors():
    with pytest.raises(ValueError, match="flat vectors of one length"):
        token_batch([-1.0, -2.0, -3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="flat vectors of one length"):
        token_batch([-1.0, -2.0], [1.0, 2.0], reference=torch.zeros(3))
