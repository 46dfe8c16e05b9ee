"""The clipped policy-gradient loss on flat tokens (PPO, arXiv 1707.06347; GRPO; asymmetric clip as in DAPO).

U: the generated tokens of a micro-batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zoom_iqa.base.ranges import require_fraction, require_positive_or_inf
from zoom_iqa.objectives.divergence import MAX_LOG_RATIO
from zoom_iqa.objectives.measures import Measures, mean_of, peak_of


@dataclass(frozen=True, eq=False, kw_only=True)
class PolicyInputs:
    """Log-probabilities in nats under the policy in training and the one that sampled, advantage and weight per token.

    All of shape (U,); only ``logp_U`` carries gradient. ``weights_U`` come from an Aggregation.
    """

    logp_U: torch.Tensor
    old_logp_U: torch.Tensor
    advantages_U: torch.Tensor
    weights_U: torch.Tensor


class ClippedPolicyLoss:
    """-sum_t w_t min(r_t A_t, clip(r_t, 1 - clip_low, 1 + clip_high) A_t), r_t the probability ratio.

    A token whose log-ratio is beyond ``MAX_LOG_RATIO`` has no gradient.
    """

    def __init__(self, *, clip_low: float, clip_high: float) -> None:
        require_fraction("clip_low", clip_low)
        require_positive_or_inf("clip_high", clip_high, inf_means="clips no rise")
        self._low, self._high = 1.0 - clip_low, 1.0 + clip_high

    def __call__(self, inputs: PolicyInputs) -> tuple[torch.Tensor, Measures]:
        """Return the micro-batch's share of the loss and, as means over tokens, what to watch."""
        # bounded, so that a zero advantage stays zero
        log_ratio_U = (inputs.logp_U - inputs.old_logp_U).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
        ratio_U = log_ratio_U.exp()
        advantages_U = inputs.advantages_U
        surrogate_U = torch.minimum(ratio_U * advantages_U, ratio_U.clamp(self._low, self._high) * advantages_U)
        loss = -(inputs.weights_U * surrogate_U).sum()
        clipped_U = ((ratio_U > self._high) & (advantages_U > 0)) | ((ratio_U < self._low) & (advantages_U < 0))
        return loss, {
            "policy/clip_fraction": mean_of(clipped_U),
            "policy/ratio_mean": mean_of(ratio_U),
            "policy/ratio_max": peak_of(ratio_U),
            "policy/approx_kl": mean_of(ratio_U - 1.0 - log_ratio_U),
        }
