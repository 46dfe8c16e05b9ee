"""KL-Coverage (Zoom-IQA, arXiv 2601.02918): hold the policy to an anchor at the answer's most covariant digits."""

from __future__ import annotations

from typing import Literal

import torch

from zoom_iqa.objectives.divergence import exact_kl, sampled_kl_to_anchor
from zoom_iqa.objectives.measures import Measures, mean_of
from zoom_iqa.objectives.regularizers.base import (
    Need,
    PenaltyInputs,
    Regularizer,
    RegularizerPlan,
    TokenBatch,
    choice,
    fraction_of,
    no_detachment,
    refuse_inert_anchor,
    required,
)
from zoom_iqa.objectives.schedules import Schedule, not_negative
from zoom_iqa.objectives.token_covariance import count_of, gathered_covariance, selection_figures, top_mask
from zoom_iqa.parallel.reducer import Reducer

Anchor = Literal["old", "reference"]
"""The policy to stay near: the one that sampled the rollout, or the frozen one the stage started from."""
Divergence = Literal["sampled", "exact"]
"""Estimated from the sampled token, or summed over the vocabulary."""

NEEDS: dict[tuple[str, str], frozenset[Need]] = {
    ("old", "sampled"): frozenset(),
    ("old", "exact"): frozenset({"old_distribution"}),
    ("reference", "sampled"): frozenset({"reference_logp"}),
    ("reference", "exact"): frozenset({"reference_distribution"}),
}


class KLCoverage(Regularizer):
    """beta x mean over selected tokens of D_KL(anchor || theta).

    Candidates are the numeric tokens inside the answer; the ``fraction`` of them (at least one) with the highest
    covariance is selected, over all processes' tokens of the optimizer step: with mini-batches, of the mini-batch.
    """

    def __init__(self, *, beta: float | Schedule, fraction: float, anchor: Anchor, divergence: Divergence) -> None:
        self._beta = not_negative("regularizer.beta", beta)
        self._fraction = fraction_of("regularizer.fraction", fraction)
        self._anchor = choice("regularizer.anchor", anchor, Anchor)
        self._exact = choice("regularizer.divergence", divergence, Divergence) == "exact"
        self.needs = NEEDS[anchor, divergence]

    def check(self, *, updates_per_rollout: int) -> None:
        """Refuse the old policy as anchor with a single update per rollout.

        Raises:
            ConfigError: the term would be exactly zero.
        """
        if self._anchor == "old":
            refuse_inert_anchor("kl_coverage", updates_per_rollout)

    def plan(self, batch: TokenBatch, *, step: int, reducer: Reducer) -> RegularizerPlan:
        """Select the most covariant numeric tokens of the batch; each gets beta / number selected."""
        covariance = gathered_covariance(batch, reducer=reducer)
        n_candidates = int(covariance.numeric_N.sum())
        mask_N = top_mask(covariance.cov_N, covariance.numeric_N, count=count_of(self._fraction, n_candidates))
        coefficient = self._beta.value(step) / max(int(mask_N.sum()), 1)
        return RegularizerPlan(
            coefficient_T=coefficient * mask_N[covariance.own].to(batch.weights_T.dtype),
            detached_T=no_detachment(batch),
            figures={
                "kl_coverage/candidates": float(n_candidates),
                **selection_figures("kl_coverage", covariance, mask_N),
            },
        )

    def penalty(self, inputs: PenaltyInputs) -> tuple[torch.Tensor, Measures]:
        """Return the weighted sum of the selected tokens' divergence."""
        selected_T = inputs.plan.selected
        kl_S = self._exact_kl(inputs) if self._exact else self._sampled_kl(inputs, selected_T)
        return (inputs.plan.coefficient_T[selected_T] * kl_S).sum(), {"kl_coverage/kl": mean_of(kl_S)}

    def _exact_kl(self, inputs: PenaltyInputs) -> torch.Tensor:
        anchor_log_dist_SV = required("anchor_log_dist_SV", inputs.anchor_log_dist_SV)
        return exact_kl(anchor_log_dist_SV, required("log_dist_SV", inputs.log_dist_SV))

    def _sampled_kl(self, inputs: PenaltyInputs, selected_T: torch.Tensor) -> torch.Tensor:
        anchor_logp_T = inputs.old_logp_T
        if self._anchor == "reference":
            anchor_logp_T = required("reference_logp_T", inputs.reference_logp_T)
        return sampled_kl_to_anchor(inputs.logp_T[selected_T], anchor_logp_T[selected_T], inputs.old_logp_T[selected_T])
