"""KL to the reference policy on every token, as in GRPO (arXiv 2402.03300, eq. 4)."""

from __future__ import annotations

import torch

from zoom_iqa.objectives.divergence import k3
from zoom_iqa.objectives.measures import Measures, mean_of
from zoom_iqa.objectives.regularizers.base import (
    PenaltyInputs,
    Regularizer,
    RegularizerPlan,
    TokenBatch,
    no_detachment,
    required,
)
from zoom_iqa.objectives.schedules import Schedule, not_negative
from zoom_iqa.parallel.reducer import Reducer


class KLReference(Regularizer):
    """beta x D_KL(theta || reference), k3 estimate, averaged over tokens with the policy loss's weights."""

    def __init__(self, *, beta: float | Schedule) -> None:
        self.needs = frozenset({"reference_logp"})
        self._beta = not_negative("regularizer.beta", beta)

    def plan(self, batch: TokenBatch, *, step: int, reducer: Reducer) -> RegularizerPlan:
        """Penalise every token with beta times its aggregation weight."""
        return RegularizerPlan(coefficient_T=self._beta.value(step) * batch.weights_T, detached_T=no_detachment(batch))

    def penalty(self, inputs: PenaltyInputs) -> tuple[torch.Tensor, Measures]:
        """Return the weighted sum of the tokens' k3; with a beta of 0 there are none, and nothing is logged."""
        chosen = inputs.plan.selected
        kl_S = k3(inputs.logp_T[chosen], required("reference_logp_T", inputs.reference_logp_T)[chosen])
        return (inputs.plan.coefficient_T[chosen] * kl_S).sum(), {"kl_reference/kl": mean_of(kl_S)}
