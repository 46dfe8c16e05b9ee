"""KL divergences between token distributions: exact over the vocabulary, or estimated from the sampled token.

S tokens, V vocabulary entries; log-probabilities in nats. Only the policy theta carries gradient.
"""

from __future__ import annotations

import torch


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
    anchor_weight_T = torch.exp(anchor_logp_T - sampling_logp_T)
    weight_T = torch.exp(logp_T - sampling_logp_T)
    return anchor_weight_T * (anchor_logp_T - logp_T) - anchor_weight_T + weight_T


def k3(logp_T: torch.Tensor, reference_logp_T: torch.Tensor) -> torch.Tensor:
    """Schulman's k3 estimate of D_KL(theta || reference) from tokens sampled by theta, shape (T,); GRPO's eq. 4.

    p_ref / p_theta - 1 - log(p_ref / p_theta): never negative and unbiased in value. Its gradient, as in GRPO, is that
    of the other direction, D_KL(reference || theta).
    """
    log_ratio_T = reference_logp_T - logp_T
    return log_ratio_T.exp() - 1.0 - log_ratio_T
