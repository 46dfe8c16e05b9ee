"""KL divergences between token distributions: exact over the vocabulary, or estimated from the sampled token.

S tokens, V vocabulary entries; log-probabilities in nats. Only the policy theta carries gradient.
"""

from __future__ import annotations

import math

import torch

MAX_LOG_RATIO = 20.0
"""exp(20) is far outside any clip range and still finite in float32."""


def exact_kl(anchor_log_dist_SV: torch.Tensor, log_dist_SV: torch.Tensor) -> torch.Tensor:
    """D_KL(anchor || theta) of each token, shape (S,); entries the anchor bans (-inf) contribute nothing."""
    allowed_SV = anchor_log_dist_SV > -torch.inf
    # the fill comes before the subtraction: -inf minus -inf would leave NaN in the gradient of the other branch
    log_ratio_SV = anchor_log_dist_SV.masked_fill(~allowed_SV, 0.0) - log_dist_SV.masked_fill(~allowed_SV, 0.0)
    return (anchor_log_dist_SV.exp() * log_ratio_SV).sum(-1)


def sampled_kl_to_anchor(
    logp_T: torch.Tensor, anchor_logp_T: torch.Tensor, sampling_logp_T: torch.Tensor
) -> torch.Tensor:
    """Estimate D_KL(anchor || theta) from tokens sampled by another policy, shape (T,).

    With weights a = p_anchor / p_sampling and w = p_theta / p_sampling: a (log p_anchor - log p_theta) - a + w.
    Never negative; unbiased over the sampling policy in value and in gradient, unless tokens are picked by what was
    sampled at them; both are exactly zero where theta equals the anchor. When the anchor is the sampling policy it is
    w - 1 - log w, Schulman's k3 for this direction.
    """
    anchor_ratio_T, ratio_T = anchor_logp_T - sampling_logp_T, logp_T - sampling_logp_T
    slope_T = anchor_ratio_T.clamp(max=MAX_LOG_RATIO).exp()
    return slope_T * (anchor_ratio_T - ratio_T) - bounded_exp(anchor_ratio_T) + bounded_exp(ratio_T)


def k3(logp_T: torch.Tensor, reference_logp_T: torch.Tensor) -> torch.Tensor:
    """Schulman's k3 estimate of D_KL(theta || reference) from tokens sampled by theta, shape (T,); GRPO's eq. 4.

    p_ref / p_theta - 1 - log(p_ref / p_theta): never negative and unbiased in value. Its gradient, as in GRPO, is that
    of the other direction, D_KL(reference || theta).
    """
    log_ratio_T = reference_logp_T - logp_T
    return bounded_exp(log_ratio_T) - 1.0 - log_ratio_T


def bounded_exp(log_ratio_T: torch.Tensor) -> torch.Tensor:
    """exp up to MAX_LOG_RATIO, its tangent beyond: finite in float32, convex, and its gradient keeps its direction."""
    beyond_T = (log_ratio_T - MAX_LOG_RATIO).clamp(min=0.0)
    return log_ratio_T.clamp(max=MAX_LOG_RATIO).exp() + math.exp(MAX_LOG_RATIO) * beyond_T
