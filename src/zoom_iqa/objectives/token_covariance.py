"""Covariance of log-probability and advantage per token, and choosing tokens by it over all processes.

Cui et al. 2025, "The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models" (arXiv 2505.22617):
tokens where both are far above (or both below) average are the ones that collapse the policy's entropy.
M: tokens of one optimizer step on this process; N: those of all processes, in rank order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from zoom_iqa.objectives.signals import SAMPLED
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.parallel.reducer import Reducer


@dataclass(frozen=True, eq=False, kw_only=True)
class GatheredCovariance:
    """Covariance of every token of the batch; this process's M tokens are ``own`` among the N."""

    cov_N: torch.Tensor
    marked_N: torch.Tensor
    own: slice


def gathered_covariance(tokens: TokenBatch, *, mark: str | None, reducer: Reducer) -> GatheredCovariance:
    """(log p - mean log p)(A - mean A) with means over all generated tokens of all processes, in float64.

    ``marked_N`` are the tokens with the named mark, or all of them. The log-probability is the sampler's, so that the
    choice is the same for every update and micro-batch. Tokens are gathered rather than sums reduced, so that any
    number of processes gives the same bits.
    """
    logp_M = tokens.signal(SAMPLED)
    marked_M = torch.ones_like(logp_M) if mark is None else tokens.mark(mark)
    columns_M3 = torch.stack([column.double() for column in (logp_M, tokens.advantages_M, marked_M)], dim=1)
    columns_N3, offset = reducer.gather(columns_M3)
    logp_N, advantages_N, marked_N = columns_N3.unbind(1)
    return GatheredCovariance(
        cov_N=(logp_N - logp_N.mean()) * (advantages_N - advantages_N.mean()),
        marked_N=marked_N.bool(),
        own=slice(offset, offset + len(tokens)),
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


def generator_of(seed: int, *, step: int, mini_batch: int) -> torch.Generator:
    """Random numbers of a mini-batch of a rollout, the same on every process."""
    # torch's CPU generator reads the low 32 bits of a seed only, so all three must mix there
    return torch.Generator().manual_seed((1_000_003 * seed + step + 2_654_435_761 * mini_batch) % 2**32)


def random_mask(candidates_N: torch.Tensor, *, count: int, generator: torch.Generator) -> torch.Tensor:
    """True at ``count`` candidates drawn without replacement (all if there are fewer)."""
    candidates = candidates_N.nonzero().squeeze(1)
    drawn = torch.randperm(len(candidates), generator=generator)[:count]
    mask_N = torch.zeros_like(candidates_N)
    mask_N[candidates[drawn.to(candidates.device)]] = True
    return mask_N


def selection_figures(covariance: GatheredCovariance, mask_N: torch.Tensor) -> dict[str, float]:
    """How many tokens were chosen and their mean covariance, over all processes."""
    count = int(mask_N.sum())
    figures = {"selected": float(count)}
    if count:
        figures["selected_covariance"] = covariance.cov_N[mask_N].mean().item()
    return figures
