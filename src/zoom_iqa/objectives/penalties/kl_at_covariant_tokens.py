"""KL-Cov (Cui et al. 2025, arXiv 2505.22617): KL to the sampling policy at the most covariant of all tokens."""

from __future__ import annotations

from torch import Tensor

from zoom_iqa.base.ranges import require_fraction
from zoom_iqa.objectives.divergence import sampled_kl_to_anchor
from zoom_iqa.objectives.measures import Measures, mean_of
from zoom_iqa.objectives.penalties.base import Penalty, PenaltyInputs, PenaltyPlan, refuse_inert_anchor
from zoom_iqa.objectives.schedules import Schedule, not_negative
from zoom_iqa.objectives.signals import OLD
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.token_covariance import count_of, gathered_covariance, selection_figures, top_mask
from zoom_iqa.parallel.reducer import Reducer


class KLCov(Penalty):
    """beta x D_KL(old || theta) at the ``fraction`` of all tokens (at least one) with the highest covariance.

    Averaged over all tokens with the policy loss's weights, as in the paper. The estimate from the sampled token is the
    non-negative one of divergence.py rather than the absolute log-ratio of the released code; like that, it is biased
    at tokens that covariance picks by what was sampled at them.
    """

    def __init__(self, *, beta: float | Schedule, fraction: float) -> None:
        self._beta = not_negative("penalties.kl_cov.beta", beta)
        require_fraction("penalties.kl_cov.fraction", fraction)
        self._fraction = fraction

    def check(self, *, updates_per_rollout: int) -> None:
        """Refuse a single update per rollout.

        Raises:
            ConfigError: the term would be exactly zero.
        """
        refuse_inert_anchor("kl_cov", updates_per_rollout)

    def plan(self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer) -> PenaltyPlan:
        """Select the most covariant tokens of the batch; each gets beta times its aggregation weight."""
        covariance = gathered_covariance(tokens, mark=None, reducer=reducer)
        everything_N = covariance.marked_N
        mask_N = top_mask(covariance.cov_N, everything_N, count=count_of(self._fraction, len(everything_N)))
        return PenaltyPlan(
            coefficient_M=self._beta.value(step) * tokens.weights_M * mask_N[covariance.own],
            figures=selection_figures(covariance, mask_N),
        )

    def loss(self, inputs: PenaltyInputs) -> tuple[Tensor, Measures]:
        """Return the weighted sum of the selected tokens' divergence."""
        selected_U = inputs.selected_U
        old_logp_S = inputs.signal_at_selected(OLD.name)
        kl_S = sampled_kl_to_anchor(inputs.logp_U[selected_U], old_logp_S, old_logp_S)
        return (inputs.coefficient_U[selected_U] * kl_S).sum(), {"kl": mean_of(kl_S)}
