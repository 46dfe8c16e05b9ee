"""How per-token losses become one number, as a weight for each token fixed before micro-batching.

The loss of any micro-batch is then the sum of weight x loss over its tokens, and how the batch is cut never changes
the result. Denominators are those of the whole batch: the caller sums them over processes.
M: all generated tokens of one optimizer step on this process; ``trajectory_M`` says which trajectory each belongs to.
"""

from __future__ import annotations

from typing import Protocol

import torch


class Aggregation(Protocol):
    """Turns trajectory membership into token weights."""

    def __call__(self, trajectory_M: torch.Tensor, *, n_trajectories: int, n_tokens: int) -> torch.Tensor:
        """Return weights of shape (M,), float32; over all processes they sum to 1.

        ``n_trajectories`` and ``n_tokens`` count the whole batch over all processes. Every token of a trajectory must
        be in ``trajectory_M``, both turns under one index.
        """
        ...


class SequenceMean:
    """Mean over each trajectory's tokens, then over trajectories: 1 / (N |trajectory|). Zoom-IQA, eq. 7; GRPO."""

    def __call__(self, trajectory_M: torch.Tensor, *, n_trajectories: int, n_tokens: int) -> torch.Tensor:
        """Return 1 / (n_trajectories * tokens of the token's trajectory)."""
        _, inverse_M, lengths = trajectory_M.unique(return_inverse=True, return_counts=True)
        return 1.0 / (n_trajectories * lengths[inverse_M].float())


class TokenMean:
    """Mean over all tokens of the batch, so that long trajectories weigh more: 1 / T. DAPO, arXiv 2503.14476."""

    def __call__(self, trajectory_M: torch.Tensor, *, n_trajectories: int, n_tokens: int) -> torch.Tensor:
        """Return 1 / n_tokens for every token."""
        return torch.full(trajectory_M.shape, 1.0 / max(n_tokens, 1), device=trajectory_M.device)
