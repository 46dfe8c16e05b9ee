"""Entropy bonus: reward the policy for staying undecided (Williams & Peng 1991)."""

from __future__ import annotations

from torch import Tensor

from zoom_iqa.objectives.measures import Measures
from zoom_iqa.objectives.penalties.base import Penalty, PenaltyInputs, PenaltyPlan, required
from zoom_iqa.objectives.schedules import Schedule, as_schedule
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.parallel.reducer import Reducer


class EntropyBonus(Penalty):
    """-coefficient x entropy, averaged over tokens with the policy loss's weights."""

    entropy = True

    def __init__(self, *, coefficient: float | Schedule) -> None:
        self._coefficient = as_schedule("penalties.entropy.coefficient", coefficient)

    def plan(self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer) -> PenaltyPlan:
        """Give every token the coefficient times its aggregation weight."""
        return PenaltyPlan(coefficient_M=self._coefficient.value(step) * tokens.weights_M)

    def loss(self, inputs: PenaltyInputs) -> tuple[Tensor, Measures]:
        """Return minus the weighted sum of the tokens' entropies."""
        return -(inputs.coefficient_U * required("entropy_U", inputs.entropy_U)).sum(), {}
