"""Supervised loss on response tokens. T: the response tokens of a micro-batch, both turns of a trajectory."""

from __future__ import annotations

import torch

from zoom_iqa.base.ranges import require_positive
from zoom_iqa.objectives.measures import Measures, mean_of


def sft_loss(logp_T: torch.Tensor, weights_T: torch.Tensor, *, denominator: float) -> torch.Tensor:
    """-sum_t w_t log p_t / denominator, the denominator being the sum of weights over the whole batch."""
    return -(weights_T * logp_T).sum() / denominator


class ResponseCrossEntropy:
    """Cross entropy in which the digits of an answer's numbers count ``numeric_weight`` times a token of text.

    These are its rating's and its boxes', a few tokens among hundreds of template; with weight 1 their gradient drowns
    in the template's.
    """

    def __init__(self, *, numeric_weight: float) -> None:
        require_positive("numeric_weight", numeric_weight, note="1 treats all tokens alike")
        self._numeric_weight = numeric_weight

    def token_weights(self, numeric_T: torch.Tensor) -> torch.Tensor:
        """Return the weight of each token, float32 of shape (T,); their sum over the batch is the denominator."""
        return torch.where(numeric_T, self._numeric_weight, 1.0)

    def __call__(
        self, logp_T: torch.Tensor, numeric_T: torch.Tensor, *, denominator: float
    ) -> tuple[torch.Tensor, Measures]:
        """Return the micro-batch's share of the loss, and the plain means over all and over numeric tokens (nats)."""
        loss = sft_loss(logp_T, self.token_weights(numeric_T), denominator=denominator)
        return loss, {"sft/nll": mean_of(-logp_T), "sft/nll_numeric": mean_of(-logp_T[numeric_T])}
