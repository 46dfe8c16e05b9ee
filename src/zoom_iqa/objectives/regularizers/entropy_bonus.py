"""Entropy bonus: reward the policy for staying undecided (Williams & Peng 1991)."""

from __future__ import annotations

import torch

from zoom_iqa.objectives.measures import Measures
from zoom_iqa.objectives.regularizers.base import (
    PenaltyInputs,
    Regularizer,
    RegularizerPlan,
    TokenBatch,
    no_detachment,
    required,
)
from zoom_iqa.objectives.schedules import Schedule, as_schedule
from zoom_iqa.parallel.reducer import Reducer


class EntropyBonus(Regularizer):
    """-coefficient x entropy, averaged over tokens with the policy loss's weights."""

    def __init__(self, *, coefficient: float | Schedule) -> None:
        self.needs = frozenset({"entropy"})
        self._coefficient = as_schedule("regularizer.coefficient", coefficient)

    def plan(self, batch: TokenBatch, *, step: int, reducer: Reducer) -> RegularizerPlan:
        """Give every token the coefficient times its aggregation weight."""
        return RegularizerPlan(
            coefficient_T=self._coefficient.value(step) * batch.weights_T, detached_T=no_detachment(batch)
        )

    def penalty(self, inputs: PenaltyInputs) -> tuple[torch.Tensor, Measures]:
        """Return minus the weighted sum of the tokens' entropies."""
        return -(inputs.plan.coefficient_T * required("entropy_T", inputs.entropy_T)).sum(), {}
