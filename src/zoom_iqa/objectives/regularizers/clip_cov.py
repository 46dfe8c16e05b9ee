"""Clip-Cov (Cui et al. 2025, arXiv 2505.22617): a few tokens of high covariance take no part in the policy gradient."""

from __future__ import annotations

import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.measures import Measures
from zoom_iqa.objectives.regularizers.base import (
    PenaltyInputs,
    Regularizer,
    RegularizerPlan,
    TokenBatch,
    fraction_of,
)
from zoom_iqa.objectives.token_covariance import count_of, gathered_covariance, random_mask, selection_figures
from zoom_iqa.parallel.reducer import Reducer


class ClipCov(Regularizer):
    """Detach a random ``fraction`` of all tokens (at least one) among those with covariance in [low, high].

    The draw depends on ``seed`` and the step only, and is the same on every process.
    """

    def __init__(self, *, fraction: float, low: float, high: float, seed: int) -> None:
        if not low < high:
            raise ConfigError(f"regularizer.low={low} must be below regularizer.high={high}")
        self._fraction = fraction_of("regularizer.fraction", fraction)
        self._low, self._high, self._seed = low, high, seed

    def plan(self, batch: TokenBatch, *, step: int, reducer: Reducer) -> RegularizerPlan:
        """Draw the tokens to detach; no token is penalised."""
        covariance = gathered_covariance(batch, reducer=reducer)
        candidates_N = (covariance.cov_N >= self._low) & (covariance.cov_N <= self._high)
        # torch's CPU generator reads the low 32 bits of a seed only, so seed and step must mix there
        generator = torch.Generator().manual_seed((1_000_003 * self._seed + step) % 2**32)
        mask_N = random_mask(candidates_N, count=count_of(self._fraction, len(candidates_N)), generator=generator)
        return RegularizerPlan(
            coefficient_T=torch.zeros_like(batch.weights_T),
            detached_T=mask_N[covariance.own],
            figures={
                "clip_cov/candidates": float(candidates_N.sum()),
                **selection_figures("clip_cov", covariance, mask_N),
            },
        )

    def penalty(self, inputs: PenaltyInputs) -> tuple[torch.Tensor, Measures]:
        """Return zero: the plan's ``policy_logp`` does the work."""
        return inputs.logp_T.new_zeros(()), {}
