"""KL to the reference policy on every token, as in GRPO (arXiv 2402.03300, eq. 4)."""

from __future__ import annotations

from torch import Tensor

from zoom_iqa.objectives.divergence import k3
from zoom_iqa.objectives.measures import Measures, mean_of
from zoom_iqa.objectives.penalties.base import Penalty, PenaltyInputs, PenaltyPlan
from zoom_iqa.objectives.schedules import Schedule, not_negative
from zoom_iqa.objectives.signals import REFERENCE
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.parallel.reducer import Reducer


class KLReference(Penalty):
    """beta x D_KL(theta || reference), k3 estimate, averaged over tokens with the policy loss's weights."""

    signals = frozenset({REFERENCE})

    def __init__(self, *, beta: float | Schedule) -> None:
        self._beta = not_negative("penalties.kl_reference.beta", beta)

    def plan(self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer) -> PenaltyPlan:
        """Penalise every token with beta times its aggregation weight."""
        return PenaltyPlan(coefficient_M=self._beta.value(step) * tokens.weights_M)

    def loss(self, inputs: PenaltyInputs) -> tuple[Tensor, Measures]:
        """Return the weighted sum of the tokens' k3; with a beta of 0 there are none, and nothing is logged."""
        selected_U = inputs.selected_U
        kl_S = k3(inputs.logp_U[selected_U], inputs.signal_at_selected(REFERENCE.name))
        return (inputs.coefficient_U[selected_U] * kl_S).sum(), {"kl": mean_of(kl_S)}
