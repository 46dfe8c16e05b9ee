"""No regularizer: the policy loss alone."""

from __future__ import annotations

import torch

from zoom_iqa.objectives.measures import Measures
from zoom_iqa.objectives.regularizers.base import (
    PenaltyInputs,
    Regularizer,
    RegularizerPlan,
    TokenBatch,
    no_detachment,
)
from zoom_iqa.parallel.reducer import Reducer


class NoRegularizer(Regularizer):
    """Selects nothing and adds zero."""

    def plan(self, batch: TokenBatch, *, step: int, reducer: Reducer) -> RegularizerPlan:
        """Select no token."""
        return RegularizerPlan(coefficient_T=torch.zeros_like(batch.weights_T), detached_T=no_detachment(batch))

    def penalty(self, inputs: PenaltyInputs) -> tuple[torch.Tensor, Measures]:
        """Return zero."""
        return inputs.logp_T.new_zeros(()), {}
