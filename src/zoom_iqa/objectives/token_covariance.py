"""Covariance of log-probability and advantage per token, and choosing tokens by it over all processes.

Cui et al. 2025, "The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models" (arXiv 2505.22617):
tokens where both are far above (or both below) average are the ones that collapse the policy's entropy.
T: tokens of this process; N: tokens of all processes, in rank order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from zoom_iqa.objectives.regularizers.base import TokenBatch
from zoom_iqa.parallel.reducer import Reducer


@dataclass(frozen=True, eq=False, kw_only=True)
class GatheredCovariance:
    """Covariance of every token of the batch; this process's T tokens are ``own`` among the N."""

    cov_N: torch.Tensor
    numeric_N: torch.Tensor
    own: slice


def gathered_covariance(batch: TokenBatch, *, reducer: Reducer) -> GatheredCovariance:
    """(log p - mean log p)(A - mean A) with means over all generated tokens of all processes, in float64.

    The log-probability is the sampling policy's, so that the choice is the same for every update and micro-batch.
    Tokens are gathered rather than sums reduced, so that any number of processes gives the same bits.
    """
    columns_T3 = torch.stack([v.double() for v in (batch.old_logp_T, batch.advantages_T, batch.numeric_T)], dim=1)
    columns_N3, offset = reducer.gather(columns_T3)
    logp_N, advantages_N, numeric_N = columns_N3.unbind(1)
    return GatheredCovariance(
        cov_N=(logp_N - logp_N.mean()) * (advantages_N - advantages_N.mean()),
        numeric_N=numeric_N.bool(),
        own=slice(offset, offset + len(batch.old_logp_T)),
    )


def count_of(fraction: float, n_tokens: int) -> int:
    """Return the fraction of ``n_tokens`` rounded down, but at least one."""
    # the shift undoes rounding: 0.29 * 100 is 28.999999999999996
    return max(1, math.floor(fraction * n_tokens + 1e-9))


def top_mask(cov_N: torch.Tensor, candidates_N: torch.Tensor, *, count: int) -> torch.Tensor:
    """True at the ``count`` candidates of highest covariance (all if there are fewer); ties go to the earlier token."""
    candidates = candidates_N.nonzero().squeeze(1)
    order = cov_N[candidates].argsort(descending=True, stable=True)
    mask_N = torch.zeros_like(candidates_N)
    mask_N[candidates[order[:count]]] = True
    return mask_N


def random_mask(candidates_N: torch.Tensor, *, count: int, generator: torch.Generator) -> torch.Tensor:
    """True at ``count`` candidates drawn without replacement (all if there are fewer)."""
    candidates = candidates_N.nonzero().squeeze(1)
    drawn = torch.randperm(len(candidates), generator=generator)[:count]
    mask_N = torch.zeros_like(candidates_N)
    mask_N[candidates[drawn.to(candidates.device)]] = True
    return mask_N


def selection_figures(name: str, covariance: GatheredCovariance, mask_N: torch.Tensor) -> dict[str, float]:
    """How many tokens were chosen and their mean covariance, over all processes."""
    count = int(mask_N.sum())
    figures = {f"{name}/selected": float(count)}
    if count:
        figures[f"{name}/selected_covariance"] = covariance.cov_N[mask_N].mean().item()
    return figures
