"""Hidden states -> tokens: inverse-CDF sampling with one uniform number per token, fixed by the request's seed.

So what a row draws depends on its own logits alone, not on the rows beside it, and no random bits are made per
vocabulary entry. Two runs that differ by floating-point noise of size e part ways with probability about e per token.

Legend: R rows, H hidden width, V vocabulary, C tokens of a completion, K kept candidates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoom_iqa.base.errors import PolicyError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.policy.head import banned_bias
from zoom_iqa.policy.policy import Policy

_BELOW_ONE = 1.0 - 2.0**-20  # keeps u * total below total in float32, so that no index falls off the end


@dataclass(frozen=True, eq=False)
class Draw:
    """One token for each row, its log-probability when drawn and the entropy of what it was drawn from (nats)."""

    token_R: Tensor
    logp_R: Tensor
    entropy_R: Tensor


def uniform_draws(seed: int, count: int) -> Tensor:
    """``count`` uniform numbers in [0, 1) that depend on ``seed`` alone; float32 on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator).clamp_(max=_BELOW_ONE)


class Sampler:
    """Draws from the policy's next-token distribution: banned ids masked, then temperature, top-k and top-p."""

    def __init__(self, policy: Policy) -> None:
        self._weight_VH = policy.model.lm_head.weight
        self._bias_V = banned_bias(policy.banned_ids, self._weight_VH)

    def __call__(self, hidden_RH: Tensor, uniform_R: Tensor, sampling: SamplingParams) -> Draw:
        """Draw one token for each row."""
        return draw(F.linear(hidden_RH, self._weight_VH, self._bias_V).float(), uniform_R, sampling)


def draw(logits_RV: Tensor, uniform_R: Tensor, sampling: SamplingParams) -> Draw:
    """Draw one token for each row of float32 logits, which may be changed; banned ids are far below, not at -inf."""
    if sampling.temperature != 1:
        logits_RV /= sampling.temperature
    if sampling.greedy:
        return _draw_at(logits_RV.softmax(-1), logits_RV.argmax(-1), logits_RV)
    if sampling.top_p == 1 and sampling.top_k == 0:
        p_RV = logits_RV.softmax(-1)
        return _draw_at(p_RV, invert_cdf(p_RV, uniform_R), logits_RV)
    p_RK, ids_RK = truncate(logits_RV, top_k=sampling.top_k, top_p=sampling.top_p)
    drawn = _draw_at(p_RK, invert_cdf(p_RK, uniform_R), p_RK.clamp_min(1e-30).log())
    return Draw(ids_RK.gather(1, drawn.token_R[:, None])[:, 0], drawn.logp_R, drawn.entropy_R)


def invert_cdf(p_RV: Tensor, uniform_R: Tensor) -> Tensor:
    """The first index of each row whose cumulative probability exceeds its uniform number; its own is above 0.

    A row that is not finite gets its last index, whose log-probability is not finite either: see ``check_drawn``.
    """
    cumulative_RV = p_RV.cumsum(-1)
    target_R1 = uniform_R[:, None] * cumulative_RV[:, -1:]
    return torch.searchsorted(cumulative_RV, target_R1, right=True)[:, 0].clamp_max(p_RV.shape[1] - 1)


def check_drawn(logprobs: Sequence[float]) -> None:
    """Pass the log-probabilities of a finished text that were drawn from distributions.

    Raises:
        PolicyError: one is no number, as where weights have grown too large.
    """
    if not all(map(math.isfinite, logprobs)):
        raise PolicyError(
            "the policy has no distribution over its next token (nan): its weights are damaged or have grown too "
            "large; take an earlier checkpoint, or train at a lower lr"
        )


def truncate(logits_RV: Tensor, *, top_k: int, top_p: float) -> tuple[Tensor, Tensor]:
    """Probabilities and ids of the candidates, most probable first: the ``top_k`` best (0: all) and, among these, the
    fewest whose mass reaches ``top_p``; the others get probability 0.
    """
    kept = min(top_k, logits_RV.shape[1]) if top_k else logits_RV.shape[1]
    logits_RK, ids_RK = logits_RV.topk(kept)
    p_RK = logits_RK.softmax(-1)
    before_RK = p_RK.cumsum(-1) - p_RK
    p_RK = p_RK * (before_RK < top_p)
    return p_RK / p_RK.sum(-1, keepdim=True), ids_RK


def _draw_at(p_RV: Tensor, token_R: Tensor, logits_RV: Tensor) -> Draw:
    """The entropy is log-sum-exp less the mean logit, and the former is the token's logit less its log-probability."""
    token_R1 = token_R[:, None]
    logp_R = p_RV.gather(1, token_R1)[:, 0].log()
    lse_R = logits_RV.gather(1, token_R1)[:, 0] - logp_R
    return Draw(token_R, logp_R, lse_R - torch.linalg.vecdot(p_RV, logits_RV))
