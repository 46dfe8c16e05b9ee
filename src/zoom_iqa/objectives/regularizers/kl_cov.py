"""KL-Cov (Cui et al. 2025, arXiv 2505.22617): KL to the sampling policy at the most covariant of all tokens."""

from __future__ import annotations

import torch

from zoom_iqa.objectives.divergence import sampled_kl_to_anchor
from zoom_iqa.objectives.measures import Measures, mean_of
from zoom_iqa.objectives.regularizers.base import (
    PenaltyInputs,
    Regularizer,
    RegularizerPlan,
    TokenBatch,
    fraction_of,
    no_detachment,
    refuse_inert_anchor,
)
from zoom_iqa.objectives.schedules import Schedule, not_negative
from zoom_iqa.objectives.token_covariance import count_of, gathered_covariance, selection_figures, top_mask
from zoom_iqa.parallel.reducer import Reducer


class KLCov(Regularizer):
    """beta x D_KL(old || theta) at the ``fraction`` of all tokens (at least one) with the highest covariance.

    Averaged over all tokens with the policy loss's weights, as in the paper; the estimate is the unbiased,
    non-negative one of divergence.py rather than the absolute log-ratio of the released code.
    """

    def __init__(self, *, beta: float | Schedule, fraction: float) -> None:
        self._beta = not_negative("regularizer.beta", beta)
        self._fraction = fraction_of("regularizer.fraction", fraction)

    def check(self, *, updates_per_rollout: int) -> None:
        """Refuse a single update per rollout.

        Raises:
            ConfigError: the term would be exactly zero.
        """
        refuse_inert_anchor("kl_cov", updates_per_rollout)

    def plan(self, batch: TokenBatch, *, step: int, reducer: Reducer) -> RegularizerPlan:
        """Select the most covariant tokens of the batch; each gets beta times its aggregation weight."""
        covariance = gathered_covariance(batch, reducer=reducer)
        everything_N = torch.ones_like(covariance.numeric_N)
        mask_N = top_mask(covariance.cov_N, everything_N, count=count_of(self._fraction, len(everything_N)))
        return RegularizerPlan(
            coefficient_T=self._beta.value(step) * batch.weights_T * mask_N[covariance.own],
            detached_T=no_detachment(batch),
            figures=selection_figures("kl_cov", covariance, mask_N),
        )

    def penalty(self, inputs: PenaltyInputs) -> tuple[torch.Tensor, Measures]:
        """Return the weighted sum of the selected tokens' divergence."""
        selected_T = inputs.plan.selected
        old_logp_S = inputs.old_logp_T[selected_T]
        kl_S = sampled_kl_to_anchor(inputs.logp_T[selected_T], old_logp_S, old_logp_S)
        return (inputs.plan.coefficient_T[selected_T] * kl_S).sum(), {"kl_cov/kl": mean_of(kl_S)}
