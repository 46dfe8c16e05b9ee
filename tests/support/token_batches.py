"""Token batches for filters and penalties, and their covariance as explicit loops."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from zoom_iqa.objectives.token_batch import NUMBERS, TokenBatch


def token_batch(
    logp: Tensor | Sequence[float],
    advantages: Tensor | Sequence[float],
    *,
    weights: Tensor | None = None,
    numeric: Tensor | Sequence[bool] | None = None,
    trajectory: Tensor | None = None,
    **signals: Tensor,
) -> TokenBatch:
    """Tokens whose old policy is the sampler; weights are even unless given, and no token is numeric."""
    sampled = torch.as_tensor(logp)
    n = len(sampled)
    return TokenBatch(
        trajectory_M=torch.zeros(n, dtype=torch.long) if trajectory is None else trajectory,
        advantages_M=torch.as_tensor(advantages),
        weights_M=torch.full((n,), 1 / n) if weights is None else weights,
        marks={NUMBERS: torch.zeros(n, dtype=torch.bool) if numeric is None else torch.as_tensor(numeric)},
        signals={"sampled": sampled, "old": sampled, **signals},
    )


def random_tokens(n_tokens: int = 200, seed: int = 0, numeric_share: float = 0.3) -> TokenBatch:
    g = torch.Generator().manual_seed(seed)
    logp = -torch.rand(n_tokens, generator=g) * 3
    advantages = torch.randn(n_tokens, generator=g)
    return token_batch(logp, advantages, numeric=torch.rand(n_tokens, generator=g) < numeric_share)


def covariance_by_loops(tokens: TokenBatch) -> list[float]:
    logp, advantages = tokens.signal("sampled").double().tolist(), tokens.advantages_M.double().tolist()
    mean_logp, mean_advantage = math.fsum(logp) / len(logp), math.fsum(advantages) / len(advantages)
    return [(lp - mean_logp) * (a - mean_advantage) for lp, a in zip(logp, advantages, strict=True)]
